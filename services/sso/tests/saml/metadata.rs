//! Metadata in and out, and what a test of the connection says.

use chrono::TimeDelta;
use updraft_hostile::saml::surgery::{element, replace, without};
use updraft_hostile::saml::{ACS, IDP, RECORDED, SP, attackers_certificate, recorded};
use updraft_sso::CheckOutcome::{self, Bad, Good, Warning};
use updraft_sso::saml::{metadata, read_metadata, test};

use crate::fixture::{Situation, elliptic};

fn outcome(situation: &Situation, name: &str) -> CheckOutcome {
    let checks = test(&situation.config, &situation.sp, situation.now);
    checks
        .into_iter()
        .find(|check| check.name == name)
        .unwrap()
        .outcome
}

#[test]
fn a_real_providers_metadata_is_read() {
    let config = read_metadata(&RECORDED.idp_metadata).unwrap();
    assert_eq!(config.entity_id, IDP);
    assert_eq!(config.sso_url, "https://idp.example.com/sso");
    assert_eq!(config.slo_url.as_deref(), Some("https://idp.example.com/slo"));
    assert_eq!(config.certificates.len(), 1);
    assert!(config.certificates[0].starts_with("-----BEGIN CERTIFICATE-----\nMII"));
    assert!(!config.allow_idp_initiated);
}

#[test]
fn comments_and_a_federation_of_one_do_not_matter() {
    let one = format!(
        "<!-- ours --><a:EntitiesDescriptor xmlns:a=\"urn:oasis:names:tc:SAML:2.0:metadata\">{}</a:EntitiesDescriptor>",
        RECORDED.idp_metadata
    );
    assert!(read_metadata(&one).is_ok());
    let two = one.replace(&RECORDED.idp_metadata, &RECORDED.idp_metadata.repeat(2));
    assert_eq!(read_metadata(&two).unwrap_err().code, "saml.metadata");
}

#[test]
fn metadata_that_does_not_do_says_what_it_lacks() {
    let good = &RECORDED.idp_metadata;
    let certificate = element(good, "X509Certificate").to_owned();
    let rows = [
        ("ours", metadata(&Situation::new().sp), "saml.metadata"),
        ("nothing", String::new(), "saml.not_xml"),
        ("document type", format!("<!DOCTYPE x>{good}"), "saml.dtd"),
        (
            "POST only",
            replace(good, "bindings:HTTP-Redirect", "bindings:HTTP-POST"),
            "saml.metadata",
        ),
        ("no keys", replace(good, &certificate, ""), "saml.no_certificate"),
        (
            "bad key",
            replace(good, &certificate[30..60], "AAAA"),
            "saml.certificate",
        ),
        (
            "SAML 1",
            replace(
                good,
                "protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\"",
                "protocolSupportEnumeration=\"x\"",
            ),
            "saml.metadata",
        ),
    ];
    for (name, text, code) in rows {
        assert_eq!(read_metadata(&text).expect_err(name).code, code, "{name}");
    }
}

#[test]
fn our_metadata_says_where_and_with_what() {
    let sp = Situation::new().sp;
    let text = metadata(&sp);
    assert!(text.contains(&format!("entityID=\"{SP}\"")));
    assert!(text.contains(&format!("Location=\"{ACS}\"")));
    assert_eq!(text.matches("<ds:X509Certificate>").count(), 2);
    assert!(!text.contains("PRIVATE"));
    assert!(without(&text, "SPSSODescriptor").len() < text.len());
}

#[test]
fn a_test_tells_of_clocks_keys_and_addresses() {
    let situation = Situation::new();
    for name in [
        "entity_id",
        "sso_url",
        "slo_url",
        "certificate",
        "own_certificate",
    ] {
        assert_eq!(outcome(&situation, name), Good, "{name}");
    }

    let mut other = Situation::new();
    other.config.sso_url = "http://idp.example.com/sso".to_owned();
    assert_eq!(outcome(&other, "sso_url"), Bad);
    other.config.sso_url = "http://127.0.0.1:8080/sso".to_owned();
    assert_eq!(outcome(&other, "sso_url"), Warning);
    other.config.sso_url = "javascript:alert(1)".to_owned();
    assert_eq!(outcome(&other, "sso_url"), Bad);
    other.config.slo_url = None;
    assert_eq!(outcome(&other, "slo_url"), Warning);
    other.config.entity_id = SP.to_owned();
    assert_eq!(outcome(&other, "entity_id"), Bad);
    other.config.allow_idp_initiated = true;
    assert_eq!(outcome(&other, "idp_initiated"), Warning);
    other.config.certificates = vec!["nonsense".to_owned()];
    assert_eq!(outcome(&other, "certificate"), Bad);
    other.config.certificates.clear();
    assert_eq!(outcome(&other, "certificate"), Bad);
}

#[test]
fn a_test_tells_of_expiry_before_it_happens() {
    let mut situation = Situation::new();
    situation.now += TimeDelta::days(3650 - 20);
    assert_eq!(outcome(&situation, "certificate"), Warning);
    situation.now += TimeDelta::days(30);
    assert_eq!(outcome(&situation, "certificate"), Bad);
    situation.now = Situation::new().now - TimeDelta::days(30);
    assert_eq!(outcome(&situation, "certificate"), Warning);
    situation.now = Situation::new().now;
    situation.config.certificates.push(attackers_certificate());
    let checks = test(&situation.config, &situation.sp, situation.now);
    assert_eq!(
        checks.iter().filter(|check| check.name == "certificate").count(),
        2
    );
}

#[test]
fn an_expired_certificate_does_no_harm_beside_a_good_one() {
    let mut situation = Situation::new();
    let good = situation.config.certificates.clone();
    situation.config.certificates = vec![elliptic(2025).certificate_pem];
    assert_eq!(outcome(&situation, "certificate"), Bad);
    situation.config.certificates.extend(good);
    assert_eq!(outcome(&situation, "certificate"), Warning);
    assert!(situation.finish(&recorded("signed_both")).is_ok());
}
