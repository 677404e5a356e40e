//! "Test this connection": what can be said of a configuration without asking anyone.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use updraft_model::SamlConfig;
use url::{Host, Url};

use super::{ServiceProvider, pins};
use crate::{Check, CheckOutcome};

const SOON: TimeDelta = TimeDelta::days(30);

/// What can be said of a configuration without asking anyone: that sign-in works, only signing in shows.
#[must_use]
pub fn test(config: &SamlConfig, sp: &ServiceProvider, now: DateTime<Utc>) -> Vec<Check> {
    let mut checks = vec![entity_id(config, sp), address("sso_url", &config.sso_url)];
    match &config.slo_url {
        Some(url) => checks.push(address("slo_url", url)),
        None => checks.push(warning(
            "slo_url",
            "The provider has no logout address: signing out of Updraft leaves people signed in there.",
        )),
    }
    checks.extend(certificates(config, now));
    checks.push(certificate("own_certificate", sp.key.certificate_pem(), now, bad));
    if config.allow_idp_initiated {
        checks.push(warning(
            "idp_initiated",
            "People may begin at the provider. Then anyone with an account there can sign another person's browser in as \
             themselves; switch it off unless it is needed.",
        ));
    }
    checks
}

fn entity_id(config: &SamlConfig, sp: &ServiceProvider) -> Check {
    let id = &config.entity_id;
    if id.is_empty() || id.len() > 1024 || id.trim() != id {
        bad(
            "entity_id",
            "The provider's entity id has to have 1 to 1,024 characters and no blanks around it.",
        )
    } else if *id == sp.entity_id {
        bad(
            "entity_id",
            "This is Updraft's own entity id. Enter the identity provider's.",
        )
    } else {
        good("entity_id", "Present.")
    }
}

fn address(name: &'static str, text: &str) -> Check {
    let Ok(url) = Url::parse(text) else {
        return bad(
            name,
            "This is not an address. Enter one that begins with https://.",
        );
    };
    if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return bad(name, "The address must not have a fragment or a user name.");
    }
    match (url.scheme(), is_loopback(&url)) {
        ("https", _) => good(name, "HTTPS."),
        ("http", true) => warning(name, "Not encrypted; fine for a provider on this very machine."),
        ("http", false) => bad(
            name,
            "The address is not encrypted. Enter one that begins with https://.",
        ),
        _ => bad(name, "The address has to begin with https://."),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

fn certificates(config: &SamlConfig, now: DateTime<Utc>) -> Vec<Check> {
    let pems = &config.certificates;
    if pems.is_empty() || pems.len() > pins::MAX_PINS {
        return vec![bad(
            "certificate",
            "Enter between 1 and 8 signing certificates of the provider.",
        )];
    }
    // During a roll-over the old one may expire while the new one is good.
    let one_is_good = pems
        .iter()
        .any(|pem| pins::read_certificate(pem).is_ok_and(|certificate| certificate.not_after > now));
    let expired = if one_is_good { warning } else { bad };
    pems.iter()
        .map(|pem| certificate("certificate", pem, now, expired))
        .collect()
}

fn certificate(
    name: &'static str,
    pem: &str,
    now: DateTime<Utc>,
    expired: fn(&'static str, &str) -> Check,
) -> Check {
    let certificate = match pins::read_certificate(pem) {
        Ok(certificate) => certificate,
        Err(refusal) => return bad(name, &refusal.text),
    };
    let (subject, until) = (&certificate.subject, certificate.not_after.date_naive());
    let from = certificate.not_before.date_naive();
    if certificate.not_after <= now {
        expired(
            name,
            &format!("Expired on {until}: {subject}. Enter the one that followed it."),
        )
    } else if certificate.not_before > now {
        warning(name, &format!("Valid from {from} only: {subject}."))
    } else if certificate.not_after <= now + SOON {
        warning(
            name,
            &format!("Expires on {until}: {subject}. Add the next one beside it in time."),
        )
    } else {
        good(name, &format!("Valid until {until}: {subject}."))
    }
}

fn good(name: &'static str, text: &str) -> Check {
    check(name, CheckOutcome::Good, text)
}

fn warning(name: &'static str, text: &str) -> Check {
    check(name, CheckOutcome::Warning, text)
}

fn bad(name: &'static str, text: &str) -> Check {
    check(name, CheckOutcome::Bad, text)
}

fn check(name: &'static str, outcome: CheckOutcome, text: &str) -> Check {
    Check::new(name, outcome, text)
}
