//! Encrypted assertions: who has our certificate can encrypt whatever they like.

use bergshamra_enc::{EncContext, encrypt::encrypt};
use bergshamra_keys::{KeysManager, loader::load_x509_cert_pem};

use super::genuine::Genuine;
use super::recorded::attackers_certificate;
use super::row::{Row, written};
use super::surgery::{element, replace, without};

const NAMESPACES: &str = "xmlns:ns1=\"urn:oasis:names:tc:SAML:2.0:assertion\" xmlns:ns2=\"http://www.w3.org/2000/09/xmldsig#\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"";

const GCM: &str = "http://www.w3.org/2009/xmlenc11#aes256-gcm";

/// `plain` encrypted for us, in place of the response's assertion.
pub(super) fn sealed(response: &str, plain: &str, certificate: &str) -> String {
    let template = format!(
        r#"<x:EncryptedData xmlns:x="http://www.w3.org/2001/04/xmlenc#" Type="http://www.w3.org/2001/04/xmlenc#Element"><x:EncryptionMethod Algorithm="{GCM}"/><d:KeyInfo xmlns:d="http://www.w3.org/2000/09/xmldsig#"><x:EncryptedKey><x:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/><x:CipherData><x:CipherValue/></x:CipherData></x:EncryptedKey></d:KeyInfo><x:CipherData><x:CipherValue/></x:CipherData></x:EncryptedData>"#
    );
    let mut keys = KeysManager::new();
    keys.add_key(load_x509_cert_pem(certificate.as_bytes()).unwrap());
    let data = encrypt(&EncContext::new(keys), &template, plain.as_bytes()).unwrap();
    let data = data.trim_start_matches("<?xml version=\"1.0\"?>").trim();
    let sealed = format!("<ns1:EncryptedAssertion>{data}</ns1:EncryptedAssertion>");
    replace(response, element(response, "Assertion"), &sealed)
}

/// The signed assertion by itself.
fn assertion(genuine: &Genuine) -> String {
    let response = genuine.said("signed_assertion");
    element(&response, "Assertion").replacen("<ns1:Assertion ", &format!("<ns1:Assertion {NAMESPACES} "), 1)
}

/// The same about somebody else, by nobody.
fn forged(genuine: &Genuine) -> String {
    without(&assertion(genuine), "Signature")
        .replace(">ada<", ">eve<")
        .replace("\"id-", "\"forged-")
}

impl Genuine {
    /// The response with this encrypted for us in place of its assertion.
    #[must_use]
    pub fn sealed(&self, plain: &str) -> String {
        sealed(&self.said("signed_assertion"), plain, &self.certificate)
    }

    /// The response with its assertion encrypted for us.
    #[must_use]
    pub fn encrypted(&self) -> String {
        self.sealed(&assertion(self))
    }

    /// The same where the response is what is signed; to be signed again.
    #[must_use]
    pub fn encrypted_in_response(&self) -> String {
        let plain = without(&assertion(self), "Signature");
        sealed(&self.said("signed_response"), &plain, &self.certificate)
    }
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        written("unsigned inside", "saml.unsigned", |g| g.sealed(&forged(g))),
        written("tampered inside", "saml.wrong_signature", |g| {
            g.sealed(&replace(&assertion(g), ">ada<", ">eve<"))
        }),
        written("two inside", "saml.not_xml", |g| {
            g.sealed(&format!("{}{}", forged(g), assertion(g)))
        }),
        written("one inside another", "saml.assertion_count", |g| {
            let inner = format!("{}</ns1:Assertion>", assertion(g));
            g.sealed(&replace(&forged(g), "</ns1:Assertion>", &inner))
        }),
        written("no assertion inside", "saml.assertion_count", |g| {
            g.sealed("<x/>")
        }),
        written("document type inside", "saml.dtd", |g| {
            g.sealed(&format!("<!DOCTYPE x>{}", assertion(g)))
        }),
        written("comment inside", "saml.comment", |g| {
            g.sealed(&replace(&assertion(g), ">ada<", ">ada<!---->.evil<"))
        }),
        written("nothing inside", "saml.not_xml", |g| g.sealed("")),
        written(
            "encrypted after the response was signed",
            "saml.wrong_signature",
            Genuine::encrypted_in_response,
        ),
        written("encrypted for somebody else", "saml.decryption", |g| {
            sealed(
                &g.said("signed_assertion"),
                &assertion(g),
                &attackers_certificate(),
            )
        }),
        written("triple DES", "saml.encryption_algorithm", |g| {
            g.said("encrypted_triple_des")
        }),
        written("CBC that nobody signed", "saml.encryption_algorithm", |g| {
            g.said("encrypted_cbc_unsigned_response")
        }),
        written("a key in PKCS #1 1.5", "saml.encryption_algorithm", |g| {
            replace(&g.encrypted(), "xmlenc#rsa-oaep-mgf1p", "xmlenc#rsa-1_5")
        }),
        written("a damaged key", "saml.decryption", |g| damaged(&g.encrypted(), 0)),
        written("a damaged message", "saml.decryption", |g| {
            damaged(&g.encrypted(), 1)
        }),
    ]
}

/// One character of the encrypted key, or of what is encrypted under it, is another.
fn damaged(response: &str, which: usize) -> String {
    let values: Vec<_> = response
        .match_indices("CipherValue>")
        .map(|(at, _)| at + "CipherValue>".len() + 40)
        .collect();
    let at = values[which * 2];
    let flipped = if &response[at..=at] == "A" { "B" } else { "A" };
    format!("{}{flipped}{}", &response[..at], &response[at + 1..])
}
