//! What is done in one sign-in, and what comes of it.

use std::collections::HashMap;

use serde_json::Value;
use updraft_model::OidcConfig;
use updraft_sso::oidc::Attempt;

use super::provider::Conduct;

/// One way to cheat, or to fail: what is not changed is as it should be.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: &'static str,
    /// The protocol's word for it.
    pub refused: &'static str,
    told: Option<&'static str>,
    pub provider: fn(&mut Conduct),
    /// In the ID token.
    pub claims: Option<Change>,
    /// What the browser brings back.
    pub browser: fn(&mut HashMap<String, String>),
    /// What was remembered of the sign-in.
    pub attempt: fn(&mut Attempt),
    pub config: fn(&mut OidcConfig),
}

pub type Change = fn(&mut Value);

// === impl Row ===

impl Row {
    /// The application's word for it: it looks first, and may refuse before the protocol is asked.
    #[must_use]
    pub fn told(self, reason: &'static str) -> Self {
        Self {
            told: Some(reason),
            ..self
        }
    }

    /// What people and the audit log are told.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.told.unwrap_or(self.refused)
    }

    /// How the provider behaves in this row.
    pub fn behave(&self, conduct: &mut Conduct) {
        (self.provider)(conduct);
        if let Some(claims) = self.claims {
            conduct.claims = claims;
        }
    }

    /// The same sign-in with nothing changed.
    #[must_use]
    pub fn undisturbed(&self) -> Self {
        row(self.name, "")
    }
}

fn row(name: &'static str, refused: &'static str) -> Row {
    Row {
        name,
        refused,
        told: None,
        provider: |_| {},
        claims: None,
        browser: |_| {},
        attempt: |_| {},
        config: |_| {},
    }
}

pub(super) fn provider(name: &'static str, refused: &'static str, provider: fn(&mut Conduct)) -> Row {
    Row {
        provider,
        ..row(name, refused)
    }
}

pub(super) fn claims(name: &'static str, refused: &'static str, claims: Change) -> Row {
    Row {
        claims: Some(claims),
        ..row(name, refused)
    }
}

pub(super) fn browser(
    name: &'static str,
    refused: &'static str,
    browser: fn(&mut HashMap<String, String>),
) -> Row {
    Row {
        browser,
        ..row(name, refused)
    }
}

pub(super) fn remembered(name: &'static str, refused: &'static str, attempt: fn(&mut Attempt)) -> Row {
    Row {
        attempt,
        ..row(name, refused)
    }
}

pub(super) fn set_up(
    name: &'static str,
    refused: &'static str,
    config: fn(&mut OidcConfig),
    provider: fn(&mut Conduct),
) -> Row {
    Row {
        config,
        provider,
        ..row(name, refused)
    }
}

pub(super) fn without(object: &mut Value, name: &str) {
    object.as_object_mut().unwrap().remove(name);
}
