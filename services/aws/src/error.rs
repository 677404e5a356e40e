//! Why AWS did not do what it was asked, as far as that is the same for all of its services.

use std::fmt;

use thiserror::Error;

#[derive(Clone, Debug, Error)]
pub enum AwsError {
    #[error("AWS refused {0}")]
    Said(Box<Said>),
    /// The call may have taken effect.
    #[error("AWS gave no answer to {action}: {why}")]
    NoAnswer { action: &'static str, why: String },
    #[error("AWS's answer to {action} is not understood: {why}")]
    Unreadable { action: &'static str, why: String },
    #[error("there are no credentials for AWS: {0}")]
    Credentials(String),
    #[error("the client for AWS cannot be set up: {0}")]
    Setup(String),
}

/// An error answer in AWS's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub action: &'static str,
    pub status: u16,
    /// `InsufficientInstanceCapacity`
    pub code: String,
    pub message: String,
    /// What AWS's support asks for.
    pub request_id: Option<String>,
}

/// Codes by which AWS says that it was asked too often
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>).
const THROTTLING: &[&str] = &[
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottledException",
    "ThrottlingException",
    "TooManyRequestsException",
    "EC2ThrottledException",
];

/// Codes of failures of AWS's own, which pass.
const PASSING: &[&str] = &[
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
    "Unavailable",
    "RequestTimeout",
    "RequestTimeoutException",
];

// === impl AwsError ===

impl AwsError {
    /// AWS's code, where it gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Said(said) => Some(&said.code),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_throttling(&self) -> bool {
        self.code().is_some_and(|code| THROTTLING.contains(&code))
    }

    /// Whether the same request may succeed in a moment.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Said(said) => {
                // Capacity has status 500 too, and does not come back within seconds.
                self.is_throttling()
                    || PASSING.contains(&said.code.as_str())
                    || matches!(said.status, 502..=504)
            }
            Self::NoAnswer { .. } => true,
            Self::Unreadable { .. } | Self::Credentials(_) | Self::Setup(_) => false,
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} ({}",
            self.action,
            self.message.trim_end_matches('.'),
            self.code
        )?;
        match &self.request_id {
            Some(id) => write!(f, ", request {id})"),
            None => f.write_str(")"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: &str, status: u16) -> AwsError {
        AwsError::Said(Box::new(Said {
            action: "RunInstances",
            status,
            code: code.to_owned(),
            message: "No.".to_owned(),
            request_id: Some("r-1".to_owned()),
        }))
    }

    #[test]
    fn what_passes_is_known_by_its_code() {
        for (code, status, throttling, passing) in [
            ("RequestLimitExceeded", 503, true, true),
            ("Throttling", 400, true, true),
            ("InternalError", 500, false, true),
            ("Anything", 503, false, true),
            ("InsufficientInstanceCapacity", 500, false, false),
            ("UnauthorizedOperation", 403, false, false),
        ] {
            let error = said(code, status);
            assert_eq!(
                (error.is_throttling(), error.is_passing()),
                (throttling, passing),
                "{code}"
            );
        }
    }

    #[test]
    fn an_error_names_action_code_and_request() {
        let text = said("UnauthorizedOperation", 403).to_string();
        assert_eq!(
            text,
            "AWS refused RunInstances: No (UnauthorizedOperation, request r-1)"
        );
    }
}
