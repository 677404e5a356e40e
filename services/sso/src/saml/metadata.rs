//! Metadata: ours for the provider, the provider's for us.

use updraft_model::{SamlAttributes, SamlConfig};

use super::pins::{self, Pins};
use super::xml::{self, Comments, DSIG, Element, METADATA, escape};
use super::{ServiceProvider, name_id};
use crate::Refusal;

const REDIRECT: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
const POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";

/// What to give to the provider.
#[must_use]
pub fn metadata(sp: &ServiceProvider) -> String {
    let certificate: String = sp
        .key
        .certificate_pem()
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let key = |purpose: &str, methods: &str| {
        format!(
            r#"<md:KeyDescriptor use="{purpose}"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>{methods}</md:KeyDescriptor>"#
        )
    };
    let methods = [
        "http://www.w3.org/2009/xmlenc11#aes256-gcm",
        "http://www.w3.org/2009/xmlenc11#aes128-gcm",
        "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
    ]
    .map(|name| format!(r#"<md:EncryptionMethod Algorithm="{name}"/>"#))
    .concat();
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<md:EntityDescriptor xmlns:md="{METADATA}" xmlns:ds="{DSIG}" entityID="{}"><md:SPSSODescriptor AuthnRequestsSigned="true" WantAssertionsSigned="true" protocolSupportEnumeration="{PROTOCOL}">{}{}<md:SingleLogoutService Binding="{REDIRECT}" Location="{}"/><md:NameIDFormat>{PERSISTENT}</md:NameIDFormat><md:NameIDFormat>{}</md:NameIDFormat><md:AssertionConsumerService Binding="{POST}" Location="{}" index="0" isDefault="true"/></md:SPSSODescriptor></md:EntityDescriptor>
"#,
        escape(&sp.entity_id),
        key("signing", ""),
        key("encryption", &methods),
        escape(&sp.slo_url),
        name_id::EMAIL,
        escape(&sp.acs_url),
    )
}

/// Reads what a provider says of itself. Whoever gives us this document vouches for it: a signature on it is not looked at.
///
/// # Errors
/// What the metadata lacks.
pub fn read_metadata(text: &str) -> Result<SamlConfig, Refusal> {
    let document = xml::read(text.trim(), Comments::Ignored)?;
    let providers: Vec<_> = xml::elements(&document)
        .filter(|element| element.is(METADATA, "EntityDescriptor"))
        .filter_map(|entity| provider_role(entity).map(|role| (entity, role)))
        .collect();
    let [(entity, role)] = providers.as_slice() else {
        return Err(not_one_provider());
    };
    let entity_id = entity
        .attribute("entityID")
        .filter(|id| !id.is_empty())
        .ok_or_else(not_one_provider)?;
    let sso_url = location(*role, "SingleSignOnService").ok_or_else(|| {
        Refusal::new(
            "saml.metadata",
            "The provider has no sign-on address for the HTTP-Redirect binding. Enable it there.",
        )
    })?;
    let certificates = certificates(*role)?;
    Pins::read(&certificates)?;
    Ok(SamlConfig {
        entity_id: entity_id.to_owned(),
        sso_url,
        slo_url: location(*role, "SingleLogoutService"),
        certificates,
        allow_idp_initiated: false,
        attributes: SamlAttributes::default(),
    })
}

fn provider_role(entity: Element<'_>) -> Option<Element<'_>> {
    entity.children_named(METADATA, "IDPSSODescriptor").find(|role| {
        role.attribute("protocolSupportEnumeration")
            .is_some_and(|protocols| protocols.split_whitespace().any(|protocol| protocol == PROTOCOL))
    })
}

fn location(role: Element<'_>, service: &str) -> Option<String> {
    role.children_named(METADATA, service)
        .find(|service| service.attribute("Binding") == Some(REDIRECT))
        .and_then(|service| service.attribute("Location"))
        .map(str::to_owned)
}

/// Of keys for signing, or for everything; each once.
fn certificates(role: Element<'_>) -> Result<Vec<String>, Refusal> {
    let mut pems = Vec::new();
    for key in role.children_named(METADATA, "KeyDescriptor") {
        if key.attribute("use").is_some_and(|purpose| purpose != "signing") {
            continue;
        }
        let certificates = key
            .children_named(DSIG, "KeyInfo")
            .flat_map(|info| info.children_named(DSIG, "X509Data"))
            .flat_map(|data| data.children_named(DSIG, "X509Certificate"))
            .filter_map(Element::text);
        for text in certificates {
            let der = pins::pem_to_der(&format!(
                "-----BEGIN CERTIFICATE-----{text}-----END CERTIFICATE-----"
            ))?;
            let pem = pins::der_to_pem(&der);
            if !pems.contains(&pem) {
                pems.push(pem);
            }
        }
    }
    Ok(pems)
}

fn not_one_provider() -> Refusal {
    Refusal::new(
        "saml.metadata",
        "This is not the metadata of one SAML 2.0 identity provider (one EntityDescriptor with an IDPSSODescriptor).",
    )
}
