//! Single logout over HTTP-Redirect, begun here or at the provider. Nothing unsigned ends a session.

use chrono::{DateTime, TimeDelta, Utc};
use updraft_model::SamlConfig;

use super::name_id::NameId;
use super::pins::Pins;
use super::request::new_id;
use super::response::wrong_issuer;
use super::xml::{self, ASSERTION, Comments, Element, PROTOCOL, escape};
use super::{
    CLOCK_SKEW, LogoutBegun, LogoutMessage, LogoutRequest, LogoutSubject, ServiceProvider, redirect, time,
};
use crate::Refusal;

const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
/// An old request must not end a newer session.
const LONGEST_JOURNEY: TimeDelta = TimeDelta::minutes(5);

/// Asks the provider to sign a person out; none if it has no address for that.
///
/// # Errors
/// The key cannot sign.
pub fn logout_request(
    config: &SamlConfig,
    sp: &ServiceProvider,
    subject: &LogoutSubject,
    relay_state: &str,
    now: DateTime<Utc>,
) -> Result<Option<LogoutBegun>, Refusal> {
    let Some(endpoint) = &config.slo_url else {
        return Ok(None);
    };
    let request_id = new_id()?;
    let name_id = NameId::kept(subject.name_id.as_ref(), &subject.subject).to_xml();
    let session = subject
        .provider_session
        .as_ref()
        .map(|index| format!("<samlp:SessionIndex>{}</samlp:SessionIndex>", escape(index)));
    let body = format!("{name_id}{}", session.unwrap_or_default());
    let request = message("LogoutRequest", &request_id, "", endpoint, sp, &body, now);
    let url = redirect::url(endpoint, "SAMLRequest", &request, Some(relay_state), &sp.key)?;
    Ok(Some(LogoutBegun { url, request_id }))
}

/// The answer to a provider's logout request, as an address for the browser; none if the provider has none.
///
/// # Errors
/// The key cannot sign.
pub fn logout_response(
    config: &SamlConfig,
    sp: &ServiceProvider,
    request: &LogoutRequest,
    now: DateTime<Utc>,
) -> Result<Option<String>, Refusal> {
    let Some(endpoint) = &config.slo_url else {
        return Ok(None);
    };
    let answers = format!(r#" InResponseTo="{}""#, escape(&request.id));
    let body = format!(r#"<samlp:Status><samlp:StatusCode Value="{SUCCESS}"/></samlp:Status>"#);
    let response = message("LogoutResponse", &new_id()?, &answers, endpoint, sp, &body, now);
    let state = request.relay_state.as_deref();
    redirect::url(endpoint, "SAMLResponse", &response, state, &sp.key).map(Some)
}

/// Reads what came to the logout address: `query` is the query string, byte for byte.
///
/// # Errors
/// Why it was not believed.
pub fn verify_logout(
    config: &SamlConfig,
    sp: &ServiceProvider,
    query: &str,
    now: DateTime<Utc>,
) -> Result<LogoutMessage, Refusal> {
    let message = redirect::verified(query, &Pins::read(&config.certificates)?)?;
    let document = xml::read(&message.text, Comments::Refused)?;
    let root = xml::root(&document)?;
    let name = if message.is_request {
        "LogoutRequest"
    } else {
        "LogoutResponse"
    };
    if !root.is(PROTOCOL, name) || root.attribute("Version") != Some("2.0") {
        return Err(Refusal::new(
            "saml.not_a_logout",
            "The message is no SAML 2.0 logout.",
        ));
    }
    check_header(root, config, sp, now)?;
    if message.is_request {
        read_request(root, message.relay_state).map(LogoutMessage::Request)
    } else {
        read_response(root, message.relay_state)
    }
}

fn message(
    name: &str,
    id: &str,
    attributes: &str,
    destination: &str,
    sp: &ServiceProvider,
    body: &str,
    now: DateTime<Utc>,
) -> String {
    format!(
        r#"<samlp:{name} xmlns:samlp="{PROTOCOL}" xmlns:saml="{ASSERTION}" ID="{id}" Version="2.0" IssueInstant="{}" Destination="{}"{attributes}><saml:Issuer>{}</saml:Issuer>{body}</samlp:{name}>"#,
        time::write(now),
        escape(destination),
        escape(&sp.entity_id)
    )
}

fn check_header(
    root: Element<'_>,
    config: &SamlConfig,
    sp: &ServiceProvider,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let issuer = root.only_child(ASSERTION, "Issuer").and_then(Element::text);
    if issuer.as_ref() != Some(&config.entity_id) {
        return Err(wrong_issuer());
    }
    if root.attribute("Destination") != Some(&sp.slo_url) {
        return Err(Refusal::new(
            "saml.wrong_destination",
            "The message was meant for another address.",
        ));
    }
    let issued = time::read(root.attribute("IssueInstant"))
        .flatten()
        .ok_or_else(incomplete)?;
    let until = time::read(root.attribute("NotOnOrAfter")).ok_or_else(incomplete)?;
    if issued > now + CLOCK_SKEW {
        return Err(Refusal::new(
            "saml.not_yet_valid",
            "The message is from the future. Compare the clocks.",
        ));
    }
    if issued < now - LONGEST_JOURNEY - CLOCK_SKEW || until.is_some_and(|until| until <= now - CLOCK_SKEW) {
        return Err(Refusal::new(
            "saml.expired",
            "The message is too old. Sign out again.",
        ));
    }
    Ok(())
}

fn read_request(root: Element<'_>, relay_state: Option<String>) -> Result<LogoutRequest, Refusal> {
    let id = root
        .attribute("ID")
        .filter(|id| !id.is_empty())
        .ok_or_else(incomplete)?;
    Ok(LogoutRequest {
        id: id.to_owned(),
        subject: NameId::read(root)?.value,
        sessions: root
            .children_named(PROTOCOL, "SessionIndex")
            .filter_map(Element::text)
            .collect(),
        relay_state,
    })
}

fn read_response(root: Element<'_>, relay_state: Option<String>) -> Result<LogoutMessage, Refusal> {
    let status = root
        .only_child(PROTOCOL, "Status")
        .and_then(|status| status.only_child(PROTOCOL, "StatusCode"))
        .and_then(|code| code.attribute("Value"));
    Ok(LogoutMessage::Response {
        in_response_to: root.attribute("InResponseTo").ok_or_else(incomplete)?.to_owned(),
        success: status == Some(SUCCESS),
        relay_state,
    })
}

fn incomplete() -> Refusal {
    Refusal::new(
        "saml.incomplete",
        "The message lacks what the logout profile prescribes.",
    )
}
