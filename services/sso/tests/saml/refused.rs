//! Every row of `updraft_hostile`, asked of the protocol alone, and the same response without the change.
//! `services/hostile/tests` asks the same rows of the whole application.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use updraft_hostile::saml::{Genuine, attackers_certificate, recorded, signed_again, suites};

use crate::fixture::Situation;

/// Less than a second; of a few tries, for the machine has other work.
fn is_quick(work: impl Fn()) -> bool {
    (0..5).any(|_| {
        let begun = Instant::now();
        work();
        begun.elapsed() < Duration::from_secs(1)
    })
}

#[test]
fn every_response_that_is_not_the_providers_word_is_refused() {
    let (situation, genuine) = (Situation::new(), Genuine::recorded());
    for kind in ["signed_assertion", "signed_response"] {
        assert!(situation.finish(&genuine.said(kind)).is_ok(), "{kind}");
        assert!(
            situation.finish(&signed_again(&genuine.said(kind))).is_ok(),
            "{kind}"
        );
    }
    for row in suites().into_iter().flat_map(|(_, rows)| rows) {
        let form = row.form(&genuine);
        let refusal = situation.finish_form(&form).expect_err(row.name);
        assert_eq!(refusal.code, row.refused, "{}", row.name);
        assert!(!refusal.text.contains("evil"), "{}", row.name);
        let quick = is_quick(|| drop(situation.finish_form(&form)));
        assert!(quick, "{} takes long", row.name);
    }
}

#[test]
fn there_are_enough_rows_and_each_has_a_name_of_its_own() {
    let rows = suites().map(|(_, rows)| rows).concat();
    let names: HashSet<_> = rows.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), rows.len());
    assert!(names.len() >= 115, "{}", names.len());
}

#[test]
fn one_bad_signature_of_two_is_enough() {
    let good = recorded("signed_both");
    let at = good.rfind("<ns2:SignatureValue>").unwrap() + 25;
    let flipped = if &good[at..=at] == "A" { "B" } else { "A" };
    let bad = format!("{}{flipped}{}", &good[..at], &good[at + 1..]);
    assert!(Situation::new().finish(&bad).is_err());
}

#[test]
fn a_provider_without_certificates_vouches_for_nobody() {
    let mut situation = Situation::new();
    situation.config.certificates.clear();
    assert_eq!(
        situation.finish(&recorded("signed_both")).unwrap_err().code,
        "saml.no_certificate"
    );
    situation.config.certificates = vec![attackers_certificate()];
    assert_eq!(
        situation.finish(&recorded("signed_both")).unwrap_err().code,
        "saml.wrong_signature"
    );
}

/// Not one response with some of its bytes changed, repeated or gone is read differently: it is refused, or says what it said.
#[test]
fn no_damage_changes_who_it_is() {
    let situation = Situation::new();
    let good = recorded("signed_assertion");
    let mut state = 42_u64;
    let mut next = |below: usize| {
        // Steele & Vigna's SplitMix64: the same damage in every run.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        usize::try_from((mixed ^ (mixed >> 27)) % below as u64).unwrap()
    };
    for _ in 0..300 {
        let mut bytes = good.clone().into_bytes();
        let (at, length) = (next(bytes.len()), next(40));
        let end = (at + length).min(bytes.len());
        let part = bytes[at..end].to_vec();
        match next(3) {
            0 => bytes[at] = b"<>\"'&x= /!-"[next(11)],
            1 => drop(bytes.drain(at..end)),
            _ => {
                let to = next(bytes.len());
                bytes.splice(to..to, part);
            }
        }
        if let Ok((identity, _)) = situation.finish(&String::from_utf8(bytes).unwrap()) {
            assert_eq!(identity.subject, "ada");
            assert_eq!(identity.groups, ["data-platform", "everyone"]);
        }
    }
}
