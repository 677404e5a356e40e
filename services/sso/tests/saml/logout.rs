//! Single logout: what the provider says at our address, and what we say at its.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use updraft_hostile::saml::{Genuine, IDP, RECORDED, SLO, SP, attackers_certificate, logout_rows, recorded};
use updraft_sso::saml::{
    LogoutMessage, LogoutRequest, LogoutSubject, logout_request, logout_response, verify_logout,
};

use crate::fixture::{Situation, elliptic};

fn subject(situation: &Situation) -> LogoutSubject {
    let (identity, _) = situation.finish(&recorded("signed_both")).unwrap();
    LogoutSubject {
        subject: identity.subject,
        name_id: identity.id_token,
        provider_session: identity.provider_session,
    }
}

/// We as the provider of somebody who trusts our key: reads back what we write.
fn mirrored() -> Situation {
    let mut situation = Situation::new();
    situation.config.entity_id = SP.to_owned();
    situation.config.certificates = vec![situation.sp.key.certificate_pem().to_owned()];
    situation.sp.slo_url = "https://idp.example.com/slo".to_owned();
    situation
}

fn query(url: &str) -> &str {
    url.split_once('?').unwrap().1
}

#[test]
fn a_real_provider_ends_a_session() {
    let situation = Situation::new();
    let message = verify_logout(
        &situation.config,
        &situation.sp,
        &RECORDED.logout_request,
        situation.now,
    )
    .unwrap();
    let LogoutMessage::Request(request) = message else {
        panic!("a request");
    };
    assert_eq!(request.subject, "ada");
    assert_eq!(request.sessions, ["s-1"]);
    assert_eq!(request.relay_state.as_deref(), Some("state"));
}

#[test]
fn our_request_names_person_and_session() {
    let situation = Situation::new();
    let subject = subject(&situation);
    let begun = logout_request(&situation.config, &situation.sp, &subject, "state", situation.now)
        .unwrap()
        .unwrap();
    assert!(begun.url.starts_with("https://idp.example.com/slo?SAMLRequest="));
    let read = verify_logout(
        &mirrored().config,
        &mirrored().sp,
        query(&begun.url),
        situation.now,
    )
    .unwrap();
    let LogoutMessage::Request(request) = read else {
        panic!("a request");
    };
    assert_eq!(request.id, begun.request_id);
    assert_eq!(request.subject, "ada");
    assert_eq!(request.sessions, [subject.provider_session.unwrap()]);
}

#[test]
fn our_answer_answers() {
    let situation = Situation::new();
    let request = LogoutRequest {
        id: "_<1>".to_owned(),
        subject: "ada".to_owned(),
        sessions: Vec::new(),
        relay_state: Some("a b&c".to_owned()),
    };
    let url = logout_response(&situation.config, &situation.sp, &request, situation.now)
        .unwrap()
        .unwrap();
    let read = verify_logout(&mirrored().config, &mirrored().sp, query(&url), situation.now).unwrap();
    let LogoutMessage::Response {
        in_response_to,
        success,
        relay_state,
    } = read
    else {
        panic!("a response");
    };
    assert_eq!(
        (in_response_to.as_str(), success, relay_state.as_deref()),
        ("_<1>", true, Some("a b&c"))
    );
}

#[test]
fn without_an_address_nobody_is_asked() {
    let mut situation = Situation::new();
    let subject = subject(&situation);
    situation.config.slo_url = None;
    let begun = logout_request(&situation.config, &situation.sp, &subject, "state", situation.now).unwrap();
    assert_eq!(begun, None);
}

#[test]
fn nothing_but_the_providers_own_word_ends_a_session() {
    let (situation, genuine) = (Situation::new(), Genuine::recorded());
    for row in logout_rows() {
        let query = (row.query)(&genuine.logout_request());
        let refusal =
            verify_logout(&situation.config, &situation.sp, &query, situation.now).expect_err(row.name);
        assert_eq!(refusal.code, row.refused, "{}", row.name);
    }
}

#[test]
fn a_message_for_others_from_others_or_of_old_is_refused() {
    let good = Situation::new();
    let refused = |change: fn(&mut Situation)| {
        let mut situation = Situation::new();
        change(&mut situation);
        verify_logout(
            &situation.config,
            &situation.sp,
            &RECORDED.logout_request,
            situation.now,
        )
        .unwrap_err()
        .code
    };
    assert!(verify_logout(&good.config, &good.sp, &RECORDED.logout_request, good.now).is_ok());
    assert_eq!(
        refused(|s| s.sp.slo_url = format!("{SLO}/other")),
        "saml.wrong_destination"
    );
    assert_eq!(
        refused(|s| s.config.entity_id = format!("{IDP}/other")),
        "saml.wrong_issuer"
    );
    assert_eq!(
        refused(|s| s.config.certificates = vec![attackers_certificate()]),
        "saml.wrong_signature"
    );
    assert_eq!(refused(|s| s.now += TimeDelta::minutes(7)), "saml.expired");
    assert_eq!(refused(|s| s.now -= TimeDelta::minutes(2)), "saml.not_yet_valid");
}

/// SAML says how XML writes such a signature, not how an address does.
#[test]
fn a_signature_on_a_curve_may_have_either_form() {
    let key = elliptic(2036);
    let mut situation = Situation::new();
    situation.config.certificates = vec![key.certificate_pem.clone()];
    let (signed, _) = RECORDED.logout_request.split_once("&Signature=").unwrap();
    let signed = signed.replace("rsa-sha256", "ecdsa-sha256");
    for form in [&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_ASN1_SIGNING] {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(form, &key.private_pkcs8, &random).unwrap();
        let signature = STANDARD.encode(pair.sign(&random, signed.as_bytes()).unwrap());
        let query = format!(
            "{signed}&Signature={}",
            utf8_percent_encode(&signature, NON_ALPHANUMERIC)
        );
        assert!(verify_logout(&situation.config, &situation.sp, &query, situation.now).is_ok());
    }
}
