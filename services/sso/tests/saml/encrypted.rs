//! Encrypted assertions. Who has our certificate can encrypt whatever they like.

use bergshamra_enc::{EncContext, encrypt::encrypt};
use bergshamra_keys::{KeysManager, loader::load_x509_cert_pem};

use crate::fixture::{Situation, attackers_key, recorded, signed_again, sp_certificate};
use crate::surgery::{element, replace, without};

const NAMESPACES: &str = "xmlns:ns1=\"urn:oasis:names:tc:SAML:2.0:assertion\" xmlns:ns2=\"http://www.w3.org/2000/09/xmldsig#\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"";

/// `plain` encrypted for us, in place of the response's assertion.
fn sealed(response: &str, plain: &str, method: &str) -> String {
    let template = format!(
        r#"<x:EncryptedData xmlns:x="http://www.w3.org/2001/04/xmlenc#" Type="http://www.w3.org/2001/04/xmlenc#Element"><x:EncryptionMethod Algorithm="{method}"/><d:KeyInfo xmlns:d="http://www.w3.org/2000/09/xmldsig#"><x:EncryptedKey><x:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/><x:CipherData><x:CipherValue/></x:CipherData></x:EncryptedKey></d:KeyInfo><x:CipherData><x:CipherValue/></x:CipherData></x:EncryptedData>"#
    );
    let mut keys = KeysManager::new();
    keys.add_key(load_x509_cert_pem(sp_certificate().as_bytes()).unwrap());
    let data = encrypt(&EncContext::new(keys), &template, plain.as_bytes()).unwrap();
    let data = data.trim_start_matches("<?xml version=\"1.0\"?>").trim();
    let sealed = format!("<ns1:EncryptedAssertion>{data}</ns1:EncryptedAssertion>");
    replace(response, element(response, "Assertion"), &sealed)
}

fn assertion() -> String {
    let response = recorded("signed_assertion");
    element(&response, "Assertion").replacen("<ns1:Assertion ", &format!("<ns1:Assertion {NAMESPACES} "), 1)
}

const GCM: &str = "http://www.w3.org/2009/xmlenc11#aes256-gcm";

#[test]
fn what_we_encrypt_for_ourselves_opens() {
    let response = sealed(&recorded("signed_assertion"), &assertion(), GCM);
    assert!(Situation::new().finish(&response).is_ok());
}

#[test]
fn encryption_is_no_signature() {
    let situation = Situation::new();
    let forged = without(&assertion(), "Signature")
        .replace(">ada<", ">eve<")
        .replace("\"id-", "\"forged-");
    let rows = [
        ("unsigned inside", forged.clone(), "saml.unsigned"),
        (
            "tampered inside",
            assertion().replace(">ada<", ">eve<"),
            "saml.wrong_signature",
        ),
        ("two inside", format!("{forged}{}", assertion()), "saml.not_xml"),
        (
            "one inside another",
            forged.replace("</ns1:Assertion>", &format!("{}</ns1:Assertion>", assertion())),
            "saml.assertion_count",
        ),
        ("no assertion inside", "<x/>".to_owned(), "saml.assertion_count"),
        (
            "document type inside",
            format!("<!DOCTYPE x>{}", assertion()),
            "saml.dtd",
        ),
        (
            "comment inside",
            assertion().replace(">ada<", ">ada<!---->.evil<"),
            "saml.comment",
        ),
        ("nothing inside", String::new(), "saml.not_xml"),
    ];
    for (name, plain, code) in rows {
        let response = sealed(&recorded("signed_assertion"), &plain, GCM);
        assert_eq!(situation.finish(&response).expect_err(name).code, code, "{name}");
    }
}

#[test]
fn a_signed_response_vouches_for_what_is_encrypted_in_it() {
    let plain = without(&assertion(), "Signature");
    let response = sealed(&recorded("signed_response"), &plain, GCM);
    assert_eq!(
        Situation::new().finish(&response).unwrap_err().code,
        "saml.wrong_signature"
    );
    assert!(Situation::new().finish(&signed_again(&response)).is_ok());
}

#[test]
fn what_is_not_for_us_stays_closed() {
    let mut situation = Situation::new();
    situation.sp.key = attackers_key();
    for kind in ["encrypted_gcm", "encrypted_cbc"] {
        assert_eq!(
            situation.finish(&recorded(kind)).unwrap_err().code,
            "saml.decryption",
            "{kind}"
        );
    }
}

#[test]
fn weak_encryption_is_not_opened() {
    let situation = Situation::new();
    let codes = ["encrypted_triple_des", "encrypted_cbc_unsigned_response"]
        .map(|kind| situation.finish(&recorded(kind)).unwrap_err().code);
    assert_eq!(codes, ["saml.encryption_algorithm"; 2]);

    let gcm = recorded("encrypted_gcm");
    let old = replace(&gcm, "xmlenc#rsa-oaep-mgf1p", "xmlenc#rsa-1_5");
    assert_eq!(
        situation.finish(&old).unwrap_err().code,
        "saml.encryption_algorithm"
    );
}

#[test]
fn every_damage_looks_the_same() {
    let situation = Situation::new();
    let gcm = recorded("encrypted_gcm");
    let values: Vec<_> = gcm.match_indices("CipherValue>").map(|(at, _)| at + 12).collect();
    for at in [values[0], values[2]] {
        let flipped = if &gcm[at + 40..=at + 40] == "A" { "B" } else { "A" };
        let damaged = format!("{}{flipped}{}", &gcm[..at + 40], &gcm[at + 41..]);
        assert_eq!(situation.finish(&damaged).unwrap_err().code, "saml.decryption");
    }
    let reference = "CipherReference URI=\"file:///etc/passwd\"/>";
    let from = gcm.rfind("<").unwrap();
    assert!(from > 0);
    let start = gcm.rfind("CipherValue>").unwrap();
    let open = gcm[..start].rfind("CipherValue>").unwrap();
    let prefix = gcm[..open].rfind('<').unwrap();
    let damaged = format!("{}{reference}{}", &gcm[..prefix + 1], &gcm[start + 12..]);
    assert!(situation.finish(&damaged).is_err());
}
