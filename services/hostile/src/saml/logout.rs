//! Single logout: the provider's word that somebody's session has ended, and what is not.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use url::{Url, form_urlencoded};

use super::genuine::Genuine;
use super::recorded::{RECORDED, providers_key};
use super::surgery::attribute;

/// The id of the request with which a browser is sent to the provider.
#[must_use]
pub fn request_id(url: &Url) -> String {
    let (_, message) = url.query_pairs().find(|(name, _)| name == "SAMLRequest").unwrap();
    attribute(&inflated(&message), "AuthnRequest", "ID").to_owned()
}

/// A query at the logout address that ends no session.
#[derive(Clone, Copy, Debug)]
pub struct LogoutRow {
    pub name: &'static str,
    pub refused: &'static str,
    /// Out of the query that the provider sent.
    pub query: fn(&str) -> String,
}

// === impl Genuine ===

impl Genuine {
    /// The query with which the provider ends Ada's session.
    #[must_use]
    pub fn logout_request(&self) -> String {
        let recorded = RECORDED.logout_request.as_str();
        let message = form_urlencoded::parse(recorded.as_bytes())
            .find(|(name, _)| name == "SAMLRequest")
            .map(|(_, value)| inflated(&value))
            .unwrap();
        let rewritten = self.rewritten(&message);
        if rewritten == message {
            return recorded.to_owned();
        }
        signed(&rewritten)
    }
}

/// A query with this message, signed by the provider.
fn signed(message: &str) -> String {
    let algorithm = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
    let query = format!(
        "SAMLRequest={}&RelayState=state&SigAlg={}",
        escaped(&deflated(message)),
        escaped(algorithm)
    );
    format!("{query}&Signature={}", escaped(&signature(&query)))
}

#[must_use]
pub fn logout_rows() -> Vec<LogoutRow> {
    vec![
        row("no signature", "saml.unsigned", |q| {
            before(q, "&Signature=").to_owned()
        }),
        row("no algorithm", "saml.unsigned", |q| {
            before(q, "&SigAlg=").to_owned()
        }),
        row("SHA-1", "saml.algorithm", |q| {
            changed(
                q,
                "2001%2F04%2Fxmldsig-more%23rsa-sha256",
                "2000%2F09%2Fxmldsig%23rsa-sha1",
            )
        }),
        row("another relay state", "saml.wrong_signature", |q| {
            changed(q, "RelayState=state", "RelayState=other")
        }),
        row("no relay state", "saml.wrong_signature", |q| {
            changed(q, "&RelayState=state", "")
        }),
        row("as a response", "saml.wrong_signature", |q| {
            changed(q, "SAMLRequest=", "SAMLResponse=")
        }),
        row("two messages", "saml.ambiguous", |q| {
            format!("{}&{q}", before(q, "&RelayState"))
        }),
        row("request and response", "saml.empty", |q| {
            format!("SAMLResponse=x&{q}")
        }),
        row("two signatures", "saml.ambiguous", |q| format!("{q}&Signature=x")),
        row("message changed", "saml.wrong_signature", |q| {
            let message = before(q, "&RelayState");
            format!("{}A{}", &message[..message.len() - 1], &q[message.len()..])
        }),
        row("nothing", "saml.empty", |_| String::new()),
        row("not base64", "saml.not_base64", |q| {
            changed(q, "&Signature=", "&Signature=%25")
        }),
        row("a few bytes that become a huge message", "saml.too_large", |_| {
            signed(&"<!-- -->".repeat(100_000))
        }),
    ]
}

fn row(name: &'static str, refused: &'static str, query: fn(&str) -> String) -> LogoutRow {
    LogoutRow { name, refused, query }
}

fn before<'q>(query: &'q str, mark: &str) -> &'q str {
    query.split_once(mark).unwrap().0
}

fn changed(query: &str, from: &str, to: &str) -> String {
    assert!(query.contains(from), "{from} is not in the query");
    query.replacen(from, to, 1)
}

fn inflated(value: &str) -> String {
    let mut text = String::new();
    DeflateDecoder::new(&*STANDARD.decode(value).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn deflated(text: &str) -> String {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    STANDARD.encode(encoder.finish().unwrap())
}

fn escaped(value: &str) -> String {
    form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

fn signature(query: &str) -> String {
    let der: String = providers_key()
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(der).unwrap()).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        query.as_bytes(),
        &mut signature,
    )
    .unwrap();
    STANDARD.encode(signature)
}
