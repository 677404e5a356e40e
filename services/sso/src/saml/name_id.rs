//! The NameID: who the assertion is about.

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::xml::{ASSERTION, Element, escape};
use crate::Refusal;

pub(super) const EMAIL: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";
const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
const LONGEST: usize = 1024;

/// With all that a provider may compare when it is asked to sign someone out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NameId {
    pub(super) value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name_qualifier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sp_name_qualifier: Option<String>,
}

// === impl NameId ===

impl NameId {
    /// The one in `parent`.
    pub(super) fn read(parent: Element<'_>) -> Result<Self, Refusal> {
        let element = parent.only_child(ASSERTION, "NameID").ok_or_else(nobody)?;
        let value = element
            .text()
            .filter(|value| {
                !value.is_empty() && value.len() <= LONGEST && !value.chars().any(char::is_control)
            })
            .ok_or_else(nobody)?;
        let attribute = |name| element.attribute(name).map(str::to_owned);
        let format = attribute("Format");
        if format.as_deref() == Some(TRANSIENT) {
            return Err(Refusal::new(
                "saml.transient_subject",
                "The provider calls people by a name that is new each time (a transient NameID), so nobody could be \
                 recognised. Set it to a persistent NameID or to the address.",
            ));
        }
        Ok(Self {
            value,
            format,
            name_qualifier: attribute("NameQualifier"),
            sp_name_qualifier: attribute("SPNameQualifier"),
        })
    }

    /// As [`NameId::keep`] gave it, or the bare value.
    pub(super) fn kept(secret: Option<&SecretString>, subject: &str) -> Self {
        secret
            .and_then(|secret| serde_json::from_str::<Self>(secret.expose_secret()).ok())
            .filter(|kept| kept.value == subject)
            .unwrap_or_else(|| Self {
                value: subject.to_owned(),
                format: None,
                name_qualifier: None,
                sp_name_qualifier: None,
            })
    }

    pub(super) fn keep(&self) -> Option<SecretString> {
        serde_json::to_string(self).ok().map(SecretString::from)
    }

    pub(super) fn to_xml(&self) -> String {
        let attribute = |name: &str, value: &Option<String>| {
            value
                .as_ref()
                .map(|value| format!(r#" {name}="{}""#, escape(value)))
                .unwrap_or_default()
        };
        format!(
            r#"<saml:NameID{}{}{}>{}</saml:NameID>"#,
            attribute("Format", &self.format),
            attribute("NameQualifier", &self.name_qualifier),
            attribute("SPNameQualifier", &self.sp_name_qualifier),
            escape(&self.value)
        )
    }
}

fn nobody() -> Refusal {
    Refusal::new(
        "saml.no_subject",
        "The assertion does not say who it is about. Let the provider send a NameID that is not encrypted.",
    )
}
