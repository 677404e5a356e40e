//! Encrypted assertions. The library decrypts a document that is written anew here from the parts that were checked, so that
//! nothing of the sender's (references, key names, derivations) is ever followed.
//!
//! Anyone can encrypt for us: what comes out is worth no more than its signature, or the response's. AES-CBC gives away its
//! plaintext to who may try often enough, so it is opened only inside a response whose signature holds. Every failure is the
//! same failure.

use bergshamra_enc::{EncContext, decrypt::decrypt_to_bytes};
use bergshamra_keys::{KeysManager, loader::load_rsa_private_pem};
use secrecy::{ExposeSecret as _, SecretString};

use super::xml::{DSIG, Element, XENC};
use crate::Refusal;

const AUTHENTICATED: [&str; 3] = [
    "http://www.w3.org/2009/xmlenc11#aes128-gcm",
    "http://www.w3.org/2009/xmlenc11#aes192-gcm",
    "http://www.w3.org/2009/xmlenc11#aes256-gcm",
];
const UNAUTHENTICATED: [&str; 3] = [
    "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
    "http://www.w3.org/2001/04/xmlenc#aes192-cbc",
    "http://www.w3.org/2001/04/xmlenc#aes256-cbc",
];
const TRANSPORTS: [&str; 2] = [
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
    "http://www.w3.org/2009/xmlenc11#rsa-oaep",
];
/// For OAEP SHA-1 is sound (it need not resist collisions), and what most providers use.
const OAEP_DIGESTS: [&str; 4] = [
    "http://www.w3.org/2000/09/xmldsig#sha1",
    "http://www.w3.org/2001/04/xmlenc#sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512",
];
const OAEP_MASKS: [&str; 4] = [
    "http://www.w3.org/2009/xmlenc11#mgf1sha1",
    "http://www.w3.org/2009/xmlenc11#mgf1sha256",
    "http://www.w3.org/2009/xmlenc11#mgf1sha384",
    "http://www.w3.org/2009/xmlenc11#mgf1sha512",
];
const XENC11: &str = "http://www.w3.org/2009/xmlenc11#";

/// The text inside an `EncryptedAssertion`.
pub(super) fn open(
    sealed: Element<'_>,
    private_pem: &SecretString,
    response_is_signed: bool,
) -> Result<String, Refusal> {
    let data = sealed.only_child(XENC, "EncryptedData").ok_or_else(not_opened)?;
    let cipher = algorithm(data).ok_or_else(not_opened)?;
    if UNAUTHENTICATED.contains(&cipher) && !response_is_signed {
        return Err(Refusal::new(
            "saml.encryption_algorithm",
            "The assertion is encrypted with AES-CBC in a response that is not signed. Let the provider sign the response \
             too, or encrypt with AES-GCM.",
        ));
    }
    if !AUTHENTICATED.contains(&cipher) && !UNAUTHENTICATED.contains(&cipher) {
        return Err(algorithm_refused());
    }
    let request = rewrite(sealed, data, cipher)?;
    let mut keys = KeysManager::new();
    keys.add_key(load_rsa_private_pem(private_pem.expose_secret().as_bytes()).map_err(|_| not_opened())?);
    let context = EncContext::new(keys)
        .with_disable_cipher_reference(true)
        .with_max_pbkdf2_iterations(0);
    let plain = decrypt_to_bytes(&context, &request).map_err(|_| not_opened())?;
    String::from_utf8(plain).map_err(|_| not_opened())
}

/// Where providers put the key: inside the data's `KeyInfo`, or beside the data.
fn encrypted_key<'d>(sealed: Element<'d>, data: Element<'d>) -> Option<Element<'d>> {
    let inside = data
        .only_child(DSIG, "KeyInfo")
        .and_then(|info| info.only_child(XENC, "EncryptedKey"));
    inside.or_else(|| sealed.only_child(XENC, "EncryptedKey"))
}

fn rewrite(sealed: Element<'_>, data: Element<'_>, cipher: &str) -> Result<String, Refusal> {
    let key = encrypted_key(sealed, data).ok_or_else(not_opened)?;
    let transport = transport(key)?;
    let (wrapped, text) = (cipher_value(key)?, cipher_value(data)?);
    // A type of our own: the library hands out the plaintext byte for byte.
    Ok(format!(
        r#"<e:EncryptedData xmlns:e="{XENC}" xmlns:f="{XENC11}" xmlns:d="{DSIG}" Type="urn:updraft:bytes"><e:EncryptionMethod Algorithm="{cipher}"/><d:KeyInfo><e:EncryptedKey>{transport}<e:CipherData><e:CipherValue>{wrapped}</e:CipherValue></e:CipherData></e:EncryptedKey></d:KeyInfo><e:CipherData><e:CipherValue>{text}</e:CipherValue></e:CipherData></e:EncryptedData>"#
    ))
}

fn transport(key: Element<'_>) -> Result<String, Refusal> {
    let method = key.only_child(XENC, "EncryptionMethod").ok_or_else(not_opened)?;
    let name = method
        .attribute("Algorithm")
        .filter(|name| TRANSPORTS.contains(name));
    let name = name.ok_or_else(algorithm_refused)?;
    let digest = parameter(method.only_child(DSIG, "DigestMethod"), &OAEP_DIGESTS)?;
    let mask = parameter(method.only_child(XENC11, "MGF"), &OAEP_MASKS)?;
    let digest = digest.map(|name| format!(r#"<d:DigestMethod Algorithm="{name}"/>"#));
    let mask = mask.map(|name| format!(r#"<f:MGF Algorithm="{name}"/>"#));
    Ok(format!(
        r#"<e:EncryptionMethod Algorithm="{name}">{}{}</e:EncryptionMethod>"#,
        digest.unwrap_or_default(),
        mask.unwrap_or_default()
    ))
}

fn parameter<'d>(element: Option<Element<'d>>, allowed: &[&str]) -> Result<Option<&'d str>, Refusal> {
    match element.map(|element| element.attribute("Algorithm")) {
        None => Ok(None),
        Some(Some(name)) if allowed.contains(&name) => Ok(Some(name)),
        Some(_) => Err(algorithm_refused()),
    }
}

fn algorithm(element: Element<'_>) -> Option<&str> {
    element
        .only_child(XENC, "EncryptionMethod")?
        .attribute("Algorithm")
}

/// Base64, and nothing that is markup.
fn cipher_value(element: Element<'_>) -> Result<String, Refusal> {
    element
        .only_child(XENC, "CipherData")
        .and_then(|data| data.only_child(XENC, "CipherValue"))
        .and_then(Element::text)
        .map(|text| text.split_whitespace().collect::<String>())
        .filter(|text| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
        })
        .ok_or_else(not_opened)
}

fn algorithm_refused() -> Refusal {
    Refusal::new(
        "saml.encryption_algorithm",
        "The assertion is encrypted with an algorithm that is not accepted. Set the provider to AES-GCM with RSA-OAEP.",
    )
}

fn not_opened() -> Refusal {
    Refusal::new(
        "saml.decryption",
        "The assertion could not be decrypted. Give the provider Updraft's metadata again: it may encrypt for an older key.",
    )
}
