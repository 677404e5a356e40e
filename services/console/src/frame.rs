//! What surrounds every page: who looks, at which section, in which theme, under which nonce.

use updraft_api::rest::Me;
use updraft_model::TenantRole;

use crate::assets::HASH;

#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) nonce: String,
    pub(crate) theme: Theme,
    pub(crate) viewer: Option<Viewer>,
    pub(crate) here: Here,
    /// Path and query of this page, for forms that come back to it.
    pub(crate) path: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Viewer {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) tenant: String,
    pub(crate) owner: bool,
    /// Of the installation.
    pub(crate) operator: bool,
    /// An operator who is to confirm that control's database was restored.
    pub(crate) held_after_restore: bool,
    /// Belongs to other organisations too.
    pub(crate) elsewhere: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Here {
    Clusters,
    People,
    Tokens,
    Audit,
    Credentials,
    Tenants,
    Account,
    Elsewhere,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

// === impl Frame ===

impl Frame {
    pub(crate) fn on(mut self, here: Here) -> Self {
        self.here = here;
        self
    }

    pub(crate) fn asset(&self, name: &str) -> String {
        format!("/assets/{HASH}/{name}")
    }

    pub(crate) fn current(&self, section: &str) -> bool {
        let here = match self.here {
            Here::Clusters => "clusters",
            Here::People => "people",
            Here::Tokens => "tokens",
            Here::Audit => "audit",
            Here::Credentials => "credentials",
            Here::Tenants => "tenants",
            Here::Account => "account",
            Here::Elsewhere => return false,
        };
        here == section
    }

    /// Whether this page is reached through "More" on a phone.
    pub(crate) fn in_more(&self) -> bool {
        matches!(self.here, Here::Credentials | Here::Tenants | Here::Account)
    }
}

// === impl Viewer ===

impl From<&Me> for Viewer {
    fn from(me: &Me) -> Self {
        Self {
            name: me.name.clone(),
            email: me.email.clone(),
            tenant: me.tenant_name.clone(),
            owner: me.tenant_role == TenantRole::Owner,
            operator: me.operator,
            held_after_restore: me.held_after_restore,
            elsewhere: me.tenants > 1,
        }
    }
}

// === impl Theme ===

impl Theme {
    pub(crate) fn parse(word: &str) -> Self {
        match word {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::System,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// What the switch offers next.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }
}
