//! Why a directory's request is not done: RFC 7644 section 3.12.

/// `scimType`: what went wrong, for the directory's own logic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScimType {
    InvalidFilter,
    InvalidPath,
    InvalidSyntax,
    InvalidValue,
    Mutability,
    NoTarget,
    Uniqueness,
}

/// A request that is refused, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    pub scim_type: ScimType,
    pub detail: String,
}

// === impl ScimType ===

impl ScimType {
    /// As the standard writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::InvalidPath => "invalidPath",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidValue => "invalidValue",
            Self::Mutability => "mutability",
            Self::NoTarget => "noTarget",
            Self::Uniqueness => "uniqueness",
        }
    }
}

// === impl Refused ===

impl Refused {
    pub(crate) fn new(scim_type: ScimType, detail: impl Into<String>) -> Self {
        Self {
            scim_type,
            detail: detail.into(),
        }
    }

    pub(crate) fn value(attribute: &str, why: &str) -> Self {
        Self::new(
            ScimType::InvalidValue,
            format!("`{attribute}` is not valid: {why}."),
        )
    }
}
