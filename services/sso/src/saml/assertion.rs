//! What a believed assertion says: for whom it is, until when, who it is about. Reads canonical text of its own, nothing of the
//! response around it.

use chrono::{DateTime, Utc};
use updraft_model::SamlConfig;

use super::name_id::NameId;
use super::response::{check_in_response_to, wrong_issuer};
use super::xml::{self, ASSERTION, Comments, Element};
use super::{AssertionUse, Attempt, CLOCK_SKEW, LONGEST_SESSION, ServiceProvider, attributes};
use crate::{Refusal, VouchedIdentity};

const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";

/// What has to be true of it.
pub(super) struct Expected<'a> {
    pub(super) config: &'a SamlConfig,
    pub(super) sp: &'a ServiceProvider,
    pub(super) attempt: Option<&'a Attempt>,
    pub(super) now: DateTime<Utc>,
}

pub(super) fn read(text: &str, expected: &Expected<'_>) -> Result<(VouchedIdentity, AssertionUse), Refusal> {
    let document = xml::read(text, Comments::Refused)?;
    let assertion = xml::root(&document)?;
    let id = assertion
        .attribute("ID")
        .filter(|id| !id.is_empty())
        .ok_or_else(incomplete)?;
    let issuer = assertion.only_child(ASSERTION, "Issuer").and_then(Element::text);
    if issuer.as_ref() != Some(&expected.config.entity_id) {
        return Err(wrong_issuer());
    }
    if assertion.attribute("Version") != Some("2.0") || instant(assertion, "IssueInstant")?.is_none() {
        return Err(incomplete());
    }
    check_window(assertion, "IssueInstant", None, expected.now)?;
    check_conditions(assertion, expected)?;
    let subject = assertion
        .only_child(ASSERTION, "Subject")
        .ok_or_else(incomplete)?;
    let good_until = confirmed_until(subject, expected)?;
    let session = Session::read(assertion, expected.now)?;
    let name_id = NameId::read(subject)?;
    let identity = attributes::identity(assertion, expected.config, &name_id, session.until, session.index);
    let use_ = AssertionUse {
        id: id.to_owned(),
        expires_at: good_until + CLOCK_SKEW,
    };
    Ok((identity, use_))
}

/// The sign-in at the provider.
struct Session {
    index: Option<String>,
    until: DateTime<Utc>,
}

// === impl Session ===

impl Session {
    fn read(assertion: Element<'_>, now: DateTime<Utc>) -> Result<Self, Refusal> {
        let mut until = now + LONGEST_SESSION;
        let mut index = None;
        let mut statements = assertion.children_named(ASSERTION, "AuthnStatement").peekable();
        statements.peek().ok_or_else(incomplete)?;
        for statement in statements {
            index = index.or_else(|| statement.attribute("SessionIndex").map(str::to_owned));
            if let Some(end) = instant(statement, "SessionNotOnOrAfter")? {
                until = until.min(end);
            }
        }
        if until <= now - CLOCK_SKEW {
            return Err(Refusal::new(
                "saml.session_over",
                "Your session at the identity provider is over. Sign in there again.",
            ));
        }
        Ok(Self { index, until })
    }
}

fn check_conditions(assertion: Element<'_>, expected: &Expected<'_>) -> Result<(), Refusal> {
    let conditions = assertion
        .only_child(ASSERTION, "Conditions")
        .ok_or_else(incomplete)?;
    check_window(conditions, "NotBefore", Some("NotOnOrAfter"), expected.now)?;
    let mut restricted = false;
    for condition in conditions.children() {
        if condition.is(ASSERTION, "AudienceRestriction") {
            restricted = true;
            let mut audiences = condition.children_named(ASSERTION, "Audience").map(Element::text);
            if !audiences.any(|audience| audience.as_ref() == Some(&expected.sp.entity_id)) {
                return Err(wrong_audience());
            }
        } else if !condition.is(ASSERTION, "OneTimeUse") && !condition.is(ASSERTION, "ProxyRestriction") {
            return Err(Refusal::new(
                "saml.condition",
                "The assertion has a condition that Updraft does not know.",
            ));
        }
    }
    restricted.then_some(()).ok_or_else(wrong_audience)
}

/// Until when any bearer may present this: what is written down of it has to last as long as its last confirmation. One of
/// them has to hold now.
fn confirmed_until(subject: Element<'_>, expected: &Expected<'_>) -> Result<DateTime<Utc>, Refusal> {
    let mut outcome = Err(Refusal::new(
        "saml.confirmation",
        "The assertion is not for whoever bears it.",
    ));
    let mut last = None;
    for confirmation in subject.children_named(ASSERTION, "SubjectConfirmation") {
        if confirmation.attribute("Method") == Some(BEARER) {
            let data = confirmation
                .only_child(ASSERTION, "SubjectConfirmationData")
                .ok_or_else(incomplete)?;
            last = last.max(instant(data, "NotOnOrAfter")?);
            outcome = outcome.or_else(|_| confirm(data, expected));
        }
    }
    outcome?;
    last.ok_or_else(incomplete)
}

fn confirm(data: Element<'_>, expected: &Expected<'_>) -> Result<(), Refusal> {
    if data.attribute("Recipient") != Some(&expected.sp.acs_url) {
        return Err(Refusal::new(
            "saml.wrong_recipient",
            "The assertion was meant for another address. Compare the assertion consumer URL at the provider.",
        ));
    }
    check_window(data, "NotBefore", Some("NotOnOrAfter"), expected.now)?;
    if data.attribute("NotOnOrAfter").is_none() {
        return Err(incomplete());
    }
    check_in_response_to(data.attribute("InResponseTo"), expected.attempt)
}

fn check_window(
    element: Element<'_>,
    from: &str,
    until: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    if instant(element, from)?.is_some_and(|from| from > now + CLOCK_SKEW) {
        return Err(Refusal::new(
            "saml.not_yet_valid",
            "The identity provider's answer is not valid yet: its clock is ahead of Updraft's by more than a minute.",
        ));
    }
    let until = until.map_or(Ok(None), |name| instant(element, name))?;
    if until.is_some_and(|until| until <= now - CLOCK_SKEW) {
        return Err(Refusal::new(
            "saml.expired",
            "The identity provider's answer has expired: it took too long, or its clock is behind Updraft's by more than a \
             minute.",
        ));
    }
    Ok(())
}

fn instant(element: Element<'_>, name: &str) -> Result<Option<DateTime<Utc>>, Refusal> {
    super::time::read(element.attribute(name)).ok_or_else(incomplete)
}

fn wrong_audience() -> Refusal {
    Refusal::new(
        "saml.wrong_audience",
        "The assertion is for another service. Compare the audience (service provider entity id) at the provider.",
    )
}

fn incomplete() -> Refusal {
    Refusal::new(
        "saml.incomplete",
        "The assertion lacks what the web browser profile prescribes, or says it unreadably.",
    )
}
