//! A response: is it one, who signed what of it, does it answer our request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bergshamra_xml::uppsala::Document;
use chrono::{DateTime, Utc};
use updraft_model::SamlConfig;

use super::assertion::{self, Expected};
use super::pins::Pins;
use super::xml::{self, ASSERTION, Comments, Element, PROTOCOL};
use super::{AssertionUse, Attempt, ServiceProvider, decryption, signature};
use crate::{Refusal, VouchedIdentity};

const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";

/// Whom a response (form field `SAMLResponse`, as it came) vouches for. Without an attempt it has to be unsolicited, and the
/// provider allowed to begin.
///
/// # Errors
/// Why it was not believed.
pub fn finish(
    config: &SamlConfig,
    sp: &ServiceProvider,
    form_response: &str,
    attempt: Option<&Attempt>,
    now: DateTime<Utc>,
) -> Result<(VouchedIdentity, AssertionUse), Refusal> {
    if attempt.is_none() && !config.allow_idp_initiated {
        return Err(unsolicited());
    }
    let text = decode(form_response)?;
    let document = xml::read(&text, Comments::Refused)?;
    xml::refuse_ambiguous_ids(&document)?;
    let response = xml::root(&document)?;
    check_header(response, config, sp, attempt)?;
    let assertion = only_assertion(response, xml::elements(&document))?;
    let believed = believed(&document, response, assertion, config, sp)?;
    assertion::read(
        &believed,
        &Expected {
            config,
            sp,
            attempt,
            now,
        },
    )
}

/// The assertion's own text, canonical, if it or the response around it is signed.
fn believed(
    document: &Document<'_>,
    response: Element<'_>,
    assertion: Element<'_>,
    config: &SamlConfig,
    sp: &ServiceProvider,
) -> Result<String, Refusal> {
    let pins = Pins::read(&config.certificates)?;
    let signed = signature::signed_elements(document, &[response.id, assertion.id], &pins)?;
    let response_is_signed = signed.contains(&response.id);
    // SAML Bindings 3.5.5.2.
    if response_is_signed && response.attribute("Destination").is_none() {
        return Err(wrong_destination());
    }
    if assertion.is(ASSERTION, "EncryptedAssertion") {
        return opened(assertion, sp, response_is_signed, &pins);
    }
    if signed.is_empty() {
        return Err(signature::unsigned());
    }
    signature::canonical(document, assertion.id)
}

/// The assertion inside an encrypted one, if it or the response around it is signed.
fn opened(
    sealed: Element<'_>,
    sp: &ServiceProvider,
    response_is_signed: bool,
    pins: &Pins,
) -> Result<String, Refusal> {
    let text = decryption::open(sealed, sp.key.private_pem(), response_is_signed)?;
    let document = xml::read(&text, Comments::Refused)?;
    xml::refuse_ambiguous_ids(&document)?;
    let assertion = xml::root(&document)?;
    let count = xml::elements(&document)
        .filter(|element| is_assertion(*element))
        .count();
    if count != 1 || !assertion.is(ASSERTION, "Assertion") {
        return Err(not_one_assertion());
    }
    let signed = signature::signed_elements(&document, &[assertion.id], pins)?;
    if signed.is_empty() && !response_is_signed {
        return Err(signature::unsigned());
    }
    signature::canonical(&document, assertion.id)
}

fn decode(form_response: &str) -> Result<String, Refusal> {
    // Base64 has four characters for three bytes, and line breaks.
    if form_response.len() > xml::MAX_BYTES * 3 / 2 {
        return Err(xml::too_large());
    }
    let characters: String = form_response.split_ascii_whitespace().collect();
    if characters.is_empty() {
        return Err(Refusal::new(
            "saml.empty",
            "There is no response. Start again from the sign-in page.",
        ));
    }
    let bytes = STANDARD
        .decode(characters)
        .map_err(|_| Refusal::new("saml.not_base64", "The response is not base64."))?;
    String::from_utf8(bytes).map_err(|_| xml::not_utf8())
}

/// What a response says of itself. Where it isn't signed nothing follows from this but refusal.
fn check_header(
    response: Element<'_>,
    config: &SamlConfig,
    sp: &ServiceProvider,
    attempt: Option<&Attempt>,
) -> Result<(), Refusal> {
    if !response.is(PROTOCOL, "Response") || response.attribute("Version") != Some("2.0") {
        return Err(Refusal::new(
            "saml.not_a_response",
            "The message is no SAML 2.0 response.",
        ));
    }
    let status = response
        .only_child(PROTOCOL, "Status")
        .and_then(|status| status.only_child(PROTOCOL, "StatusCode"))
        .and_then(|code| code.attribute("Value"));
    if status != Some(SUCCESS) {
        return Err(Refusal::new(
            "saml.status",
            "The identity provider did not sign you in. Ask its administrator whether you may use Updraft.",
        ));
    }
    if response
        .attribute("Destination")
        .is_some_and(|destination| destination != sp.acs_url)
    {
        return Err(wrong_destination());
    }
    let issuers: Vec<_> = response
        .children_named(ASSERTION, "Issuer")
        .map(Element::text)
        .collect();
    if issuers
        .iter()
        .any(|issuer| issuer.as_ref() != Some(&config.entity_id))
    {
        return Err(wrong_issuer());
    }
    check_in_response_to(response.attribute("InResponseTo"), attempt)
}

pub(super) fn check_in_response_to(said: Option<&str>, attempt: Option<&Attempt>) -> Result<(), Refusal> {
    match (said, attempt) {
        (None, None) => Ok(()),
        (Some(said), Some(attempt)) if said == attempt.request_id => Ok(()),
        (Some(_), None) => Err(unsolicited()),
        (_, Some(_)) => Err(Refusal::new(
            "saml.wrong_request",
            "The response answers another request than yours. Start again from the sign-in page.",
        )),
    }
}

/// One assertion in the whole document, wherever, and that directly in the response.
fn only_assertion<'d>(
    response: Element<'d>,
    elements: impl Iterator<Item = Element<'d>>,
) -> Result<Element<'d>, Refusal> {
    let mut assertions = elements.filter(|element| is_assertion(*element));
    let only = assertions.next().filter(|_| assertions.next().is_none());
    only.filter(|assertion| {
        assertion.parent() == Some(response.id)
            && (assertion.is(ASSERTION, "Assertion") || assertion.is(ASSERTION, "EncryptedAssertion"))
    })
    .ok_or_else(not_one_assertion)
}

/// By local name, so that none hides in another namespace.
fn is_assertion(element: Element<'_>) -> bool {
    element.is_called("Assertion") || element.is_called("EncryptedAssertion")
}

pub(super) fn wrong_issuer() -> Refusal {
    Refusal::new(
        "saml.wrong_issuer",
        "The response comes from another identity provider than the one set up here. Compare the entity ids.",
    )
}

fn wrong_destination() -> Refusal {
    Refusal::new(
        "saml.wrong_destination",
        "The response was meant for another address. Compare the assertion consumer URL at the provider.",
    )
}

fn not_one_assertion() -> Refusal {
    Refusal::new(
        "saml.assertion_count",
        "The response has to have exactly one assertion.",
    )
}

fn unsolicited() -> Refusal {
    Refusal::new(
        "saml.unsolicited",
        "Nobody asked for this response, and this provider may not begin. Start from the sign-in page.",
    )
}
