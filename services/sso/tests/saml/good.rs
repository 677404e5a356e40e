//! What is believed, and what is read from it.

use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use updraft_hostile::saml::surgery::{element, replace, replace_once, without};
use updraft_hostile::saml::{
    ACS, IDP, REQUEST, SECOND, attackers_certificate, encode, recorded, signed_again,
};
use updraft_sso::saml::{LONGEST_SESSION, SpKey, begin};

use crate::fixture::{Situation, elliptic};

#[test]
fn a_real_provider_is_believed_whatever_it_signs_or_encrypts() {
    let kinds = [
        "signed_response",
        "signed_assertion",
        "signed_both",
        "sha512",
        "encrypted_gcm",
        "encrypted_cbc",
    ];
    for kind in kinds {
        let finished = Situation::new().finish(&recorded(kind));
        let (identity, use_) = finished.unwrap_or_else(|refusal| panic!("{kind}: {refusal:?}"));
        assert_eq!(identity.issuer, IDP, "{kind}");
        assert_eq!(identity.subject, "ada", "{kind}");
        assert_eq!(identity.email.as_deref(), Some("ada@example.com"), "{kind}");
        assert_eq!(identity.name.as_deref(), Some("Ada Lovelace"), "{kind}");
        assert_eq!(identity.groups, ["data-platform", "everyone"], "{kind}");
        assert!(identity.provider_session.is_some(), "{kind}");
        assert!(
            identity.id_token.unwrap().expose_secret().contains("persistent"),
            "{kind}"
        );
        assert!(use_.id.starts_with("id-"), "{kind}");
    }
}

#[test]
fn so_is_another_provider_that_begins_by_itself() {
    let mut situation = Situation::of(&SECOND);
    situation.attempt = None;
    situation.config.allow_idp_initiated = true;
    for (kind, response) in &SECOND.responses {
        let finished = situation.finish(response);
        let (identity, _) = finished.unwrap_or_else(|refusal| panic!("{kind}: {refusal:?}"));
        assert_eq!(identity.subject, "ada", "{kind}");
        assert_eq!(identity.email.as_deref(), Some("ada@example.com"), "{kind}");
        assert_eq!(identity.groups, ["data-platform", "everyone"], "{kind}");
    }
    assert_eq!(SECOND.responses.len(), 5);
}

#[test]
fn one_provider_is_not_believed_as_the_other() {
    let (first, mut second) = (Situation::new(), Situation::of(&SECOND));
    let response = recorded("signed_both");
    assert_eq!(second.finish(&response).unwrap_err().code, "saml.wrong_issuer");
    second.config.entity_id = first.config.entity_id;
    assert_eq!(second.finish(&response).unwrap_err().code, "saml.wrong_signature");
}

#[test]
fn a_second_time_it_is_the_same_use() {
    let situation = Situation::new();
    let response = recorded("signed_both");
    let (_, first) = situation.finish(&response).unwrap();
    let (_, second) = situation.finish(&response).unwrap();
    assert_eq!(first, second);

    let mut later = Situation::new();
    later.now = first.expires_at;
    assert_eq!(later.finish(&response).unwrap_err().code, "saml.expired");
}

#[test]
fn a_use_is_remembered_as_long_as_any_of_its_confirmations() {
    let response = recorded("signed_assertion");
    let first = element(&response, "SubjectConfirmation").to_owned();
    let second = replace(&first, "NotOnOrAfter=\"2026", "NotOnOrAfter=\"2027");
    let response = signed_again(&replace(&response, &first, &format!("{first}{second}")));
    let situation = Situation::new();
    let (_, once) = situation.finish(&recorded("signed_assertion")).unwrap();
    let (_, long) = situation.finish(&response).unwrap();
    assert!(long.expires_at > once.expires_at + TimeDelta::days(360));
}

#[test]
fn one_confirmation_that_holds_is_enough() {
    let response = recorded("signed_assertion");
    let holds = element(&response, "SubjectConfirmation").to_owned();
    let other = replace(&holds, ACS, "https://other.example.com/acs");
    for both in [format!("{holds}{other}"), format!("{other}{holds}")] {
        let response = signed_again(&replace(&response, &holds, &both));
        assert!(Situation::new().finish(&response).is_ok());
    }
}

#[test]
fn attributes_of_several_lines_are_nobodys_address() {
    let response = replace(
        &recorded("signed_assertion"),
        ">ada@example.com<",
        ">ada@example.com\nBcc: eve@example.com<",
    );
    let (identity, _) = Situation::new().finish(&signed_again(&response)).unwrap();
    assert_eq!(identity.email, None);
}

#[test]
fn another_encoding_of_it_is_the_same_use() {
    let situation = Situation::new();
    let response = recorded("signed_assertion");
    let (_, first) = situation.finish(&response).unwrap();
    let padded = without(&response, "Status").replace("</ns0:Response>", "\n</ns0:Response>");
    assert_eq!(situation.finish(&padded).unwrap_err().code, "saml.status");
    let renamed = replace(&response, "InResponseTo=\"_5f2b", " InResponseTo=\"_5f2b");
    let (_, second) = situation.finish(&renamed).unwrap();
    assert_eq!(first, second);
}

#[test]
fn both_certificates_of_a_roll_over_are_good() {
    let mut situation = Situation::new();
    situation.config.certificates.insert(0, attackers_certificate());
    assert!(situation.finish(&recorded("signed_both")).is_ok());
    situation.config.certificates.reverse();
    assert!(situation.finish(&recorded("signed_both")).is_ok());
}

#[test]
fn a_key_on_a_curve_is_as_good() {
    let mut situation = Situation::new();
    let key = elliptic(2036);
    let response = key.signed(&recorded("signed_assertion"));
    assert_eq!(
        situation.finish(&response).unwrap_err().code,
        "saml.wrong_signature"
    );
    situation.config.certificates.push(key.certificate_pem);
    assert!(situation.finish(&response).is_ok());
}

#[test]
fn a_minute_of_clock_skew_is_forgiven() {
    let mut situation = Situation::new();
    let response = recorded("signed_both");
    situation.now -= TimeDelta::seconds(60);
    assert!(situation.finish(&response).is_ok());
    situation.now -= TimeDelta::seconds(10);
    assert_eq!(
        situation.finish(&response).unwrap_err().code,
        "saml.not_yet_valid"
    );
    situation.now = Situation::new().now + TimeDelta::seconds(300 + 54);
    assert!(situation.finish(&response).is_ok());
    situation.now += TimeDelta::seconds(2);
    assert_eq!(situation.finish(&response).unwrap_err().code, "saml.expired");
}

#[test]
fn sessions_are_capped_by_us_and_by_the_provider() {
    let situation = Situation::new();
    let (identity, _) = situation.finish(&recorded("signed_both")).unwrap();
    assert_eq!(identity.session_until, Some(situation.now + LONGEST_SESSION));

    let soon = situation.now + TimeDelta::hours(1);
    let ends = format!(
        "SessionNotOnOrAfter=\"{}\" SessionIndex=",
        soon.format("%Y-%m-%dT%H:%M:%S.000Z")
    );
    let response = replace_once(&recorded("signed_assertion"), "SessionIndex=", &ends);
    let (identity, _) = situation.finish(&signed_again(&response)).unwrap();
    assert_eq!(identity.session_until, Some(soon));
}

#[test]
fn the_provider_may_begin_only_where_it_is_allowed() {
    let unsolicited = recorded("signed_assertion").replace(&format!(" InResponseTo=\"{REQUEST}\""), "");
    let unsolicited = signed_again(&unsolicited);
    let mut situation = Situation::new();
    situation.attempt = None;
    assert_eq!(
        situation.finish(&unsolicited).unwrap_err().code,
        "saml.unsolicited"
    );
    situation.config.allow_idp_initiated = true;
    assert!(situation.finish(&unsolicited).is_ok());
    // Not with a response that was stolen on its way to someone who asked.
    assert_eq!(
        situation.finish(&recorded("signed_assertion")).unwrap_err().code,
        "saml.unsolicited"
    );
}

#[test]
fn text_split_by_cdata_is_read_whole() {
    let response = replace(
        &recorded("signed_assertion"),
        ">ada<",
        ">ada<![CDATA[@example]]>.com<",
    );
    let (identity, _) = Situation::new().finish(&signed_again(&response)).unwrap();
    assert_eq!(identity.subject, "ada@example.com");
}

#[test]
fn configured_attribute_names_go_before_known_ones() {
    let mut situation = Situation::new();
    situation.config.attributes.groups = Some("displayName".to_owned());
    situation.config.attributes.email = Some("nothing".to_owned());
    let (identity, _) = situation.finish(&recorded("signed_both")).unwrap();
    assert_eq!(identity.groups, ["Ada Lovelace"]);
    assert_eq!(identity.email, None);
    assert!(!identity.email_verified);
}

#[test]
fn an_address_as_name_id_is_an_address() {
    let response = without(&recorded("signed_assertion"), "AttributeStatement");
    let response = replace(
        &response,
        "2.0:nameid-format:persistent",
        "1.1:nameid-format:emailAddress",
    );
    let response = replace(&response, ">ada<", ">ada@example.com<");
    let (identity, _) = Situation::new().finish(&signed_again(&response)).unwrap();
    assert_eq!(identity.email.as_deref(), Some("ada@example.com"));
}

#[test]
fn a_form_may_break_its_lines() {
    let text = encode(&recorded("signed_both"));
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(76)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    assert!(Situation::new().finish_form(&lines.join("\r\n")).is_ok());
}

#[test]
fn a_request_is_signed_and_cannot_be_guessed() {
    let situation = Situation::new();
    let first = begin(&situation.config, &situation.sp, "state", situation.now).unwrap();
    let second = begin(&situation.config, &situation.sp, "state", situation.now).unwrap();
    assert_ne!(first.attempt, second.attempt);
    assert_eq!(first.attempt.request_id.len(), 41);
    assert!(first.url.starts_with("https://idp.example.com/sso?SAMLRequest="));
    assert!(first.url.contains("&RelayState=state&SigAlg=http"));
    assert!(first.url.contains("&Signature="));
    assert!(!first.url.contains(ACS));
    // Providers that encode again what they decoded have to come to the same bytes.
    let state = "a-b_c.d~e f";
    let third = begin(&situation.config, &situation.sp, state, situation.now).unwrap();
    assert!(
        third.url.contains(
            "&RelayState=a-b_c.d~e%20f&SigAlg=http%3A%2F%2Fwww.w3.org%2F2001%2F04%2Fxmldsig-more%23"
        )
    );
    let long = "x".repeat(81);
    assert!(begin(&situation.config, &situation.sp, &long, situation.now).is_err());
}

#[test]
fn a_key_survives_being_kept() {
    let key = SpKey::generate(Situation::new().now).unwrap();
    let again = SpKey::from_secret(&key.to_secret()).unwrap();
    assert_eq!(key.certificate_pem(), again.certificate_pem());
    assert_eq!(key.to_secret().expose_secret(), again.to_secret().expose_secret());
    assert!(!format!("{key:?}").contains("PRIVATE"));
}
