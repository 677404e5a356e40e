//! What one look found, and what to do about it.

use serde::Serialize;
use updraft_aws::AwsError;

use crate::refusal::{provider_error, remedy};

/// Every check, in the order in which a person would make them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preflight {
    pub checks: Vec<Check>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// `subnets`
    pub name: String,
    pub ok: bool,
    /// No node can start until it is corrected. Where it is not ok and this is false, it could not be seen, or is a lack
    /// that nodes may do without.
    pub blocks: bool,
    /// What was found, or what is wrong.
    pub found: String,
    /// Where something is wrong and it is known what to do.
    pub remedy: Option<String>,
}

pub(crate) struct Fault {
    pub(crate) found: String,
    pub(crate) remedy: Option<String>,
    pub(crate) blocks: bool,
}

pub(super) type Finding = Result<String, Fault>;

/// Codes by which AWS says that Updraft may not ask: nothing follows from that for nodes.
const MAY_NOT_ASK: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "InvalidAction",
];

// === impl Preflight ===

impl Preflight {
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }

    /// What surely keeps nodes from starting.
    pub fn blocking(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.blocks)
    }
}

// === impl Check ===

impl Check {
    pub(super) fn of(name: &str, finding: Finding) -> Self {
        let name = name.to_owned();
        match finding {
            Ok(found) => Self {
                name,
                ok: true,
                blocks: false,
                found,
                remedy: None,
            },
            Err(Fault {
                found,
                remedy,
                blocks,
            }) => Self {
                name,
                ok: false,
                blocks,
                found,
                remedy,
            },
        }
    }

    /// In one breath.
    pub(super) fn sentence(&self) -> String {
        match &self.remedy {
            Some(remedy) => format!("{}: {}; {remedy}", self.name, self.found),
            None => format!("{}: {}", self.name, self.found),
        }
    }
}

// === impl Fault ===

impl Fault {
    pub(super) fn blocking(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            found: found.into(),
            remedy: Some(remedy.into()),
            blocks: true,
        }
    }

    pub(super) fn lesser(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            blocks: false,
            ..Self::blocking(found, remedy)
        }
    }

    /// Of what nodes cannot do without: that it is not allowed keeps them from starting.
    pub(crate) fn of_what_is_done(error: AwsError) -> Self {
        let is_denied = error.code() == Some("UnauthorizedOperation");
        let fault = Self::from(error);
        Self {
            blocks: fault.blocks || is_denied,
            ..fault
        }
    }
}

impl From<AwsError> for Fault {
    fn from(error: AwsError) -> Self {
        let is_refused = matches!(
            provider_error(&error),
            updraft_provider::ProviderError::Refused(_)
        );
        let may_ask = error.code().is_none_or(|code| !MAY_NOT_ASK.contains(&code));
        let blocks = is_refused && may_ask;
        match (&error, error.code().and_then(remedy)) {
            (AwsError::Said(said), Some(remedy)) => Self {
                found: said.to_string(),
                remedy: Some(remedy.to_owned()),
                blocks,
            },
            _ => Self {
                found: provider_error(&error).to_string(),
                remedy: None,
                blocks,
            },
        }
    }
}
