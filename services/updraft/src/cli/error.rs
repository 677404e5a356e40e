//! Errors as a person at a terminal reads them: what happened, why, what to do next; and exit codes for scripts.

use std::fmt;
use std::process::ExitCode;

use updraft_client::ClientError;

/// Documented in the help of `updraft`: stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Failure = 1,
    Usage = 2,
    NotFound = 3,
    Refused = 4,
    OperationFailed = 5,
    Timeout = 6,
}

#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) exit: Exit,
    pub(crate) what: String,
    pub(crate) why: Option<String>,
    pub(crate) next: Option<String>,
}

// === impl Exit ===

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

// === impl CliError ===

impl CliError {
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            why: None,
            next: None,
        }
    }

    #[must_use]
    pub(crate) fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// An IO error on a file or terminal.
    pub(crate) fn io(what: impl Into<String>, error: &std::io::Error) -> Self {
        Self::new(Exit::Failure, what).why(error.to_string())
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for (label, text) in [("why", &self.why), ("next", &self.next)] {
            if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
                write!(f, "\n  {label}: {text}")?;
            }
        }
        Ok(())
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Problem(problem) => from_problem(problem),
            ClientError::Connect { url, source } => {
                Self::new(Exit::Failure, format!("no connection to {url}"))
                    .why(innermost(source))
                    .next(
                        "check the address (--url or UPDRAFT_URL), or start a server here with `updraft up`",
                    )
            }
            ClientError::Timeout { .. } | ClientError::Broken { .. } => {
                Self::new(Exit::Failure, error.to_string())
                    .why(
                        std::error::Error::source(&error)
                            .map(innermost)
                            .unwrap_or_default(),
                    )
                    .next("run the command again; a change that was accepted is not made twice")
            }
            ClientError::NotUpdraft { .. } => Self::new(Exit::Failure, error.to_string()).next(
                "check that --url names the console's address, and that server and CLI are of one version",
            ),
            ClientError::BadAddress { .. } => {
                Self::new(Exit::Usage, error.to_string()).next("write it like http://localhost:7700")
            }
            ClientError::Setup(source) => Self::new(Exit::Failure, error.to_string()).why(innermost(source)),
        }
    }
}

fn from_problem(problem: &updraft_api::Problem) -> CliError {
    let exit = match problem.status {
        404 | 410 => Exit::NotFound,
        408 | 504 => Exit::Timeout,
        400..=499 => Exit::Refused,
        _ => Exit::Failure,
    };
    let field = problem
        .field
        .as_ref()
        .map(|field| format!(" (field `{field}`)"))
        .unwrap_or_default();
    // The problem's detail says what to do in terms of REST; some of it is said better in terms of this program.
    let next = match (problem.status, &problem.request_id) {
        (401, _) => "sign in with `updraft login`, or set UPDRAFT_TOKEN".to_owned(),
        (412, _) => {
            "it was changed meanwhile: look at it with `updraft cluster show` and try again".to_owned()
        }
        (500.., Some(id)) => format!("{} (request {id})", problem.detail),
        _ => problem.detail.clone(),
    };
    CliError::new(exit, format!("{}{field}", problem.title)).next(next)
}

fn innermost<E: std::error::Error + ?Sized>(error: &E) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(status: u16) -> Exit {
        let problem = updraft_api::Problem {
            kind: "urn:updraft:problem:x".to_owned(),
            title: "It is so".to_owned(),
            status,
            detail: "Because".to_owned(),
            field: Some("workers".to_owned()),
            request_id: None,
        };
        CliError::from(ClientError::Problem(Box::new(problem))).exit
    }

    #[test]
    fn answers_become_exit_codes() {
        let codes = [404, 403, 409, 422, 500].map(exit);
        assert_eq!(
            codes,
            [
                Exit::NotFound,
                Exit::Refused,
                Exit::Refused,
                Exit::Refused,
                Exit::Failure
            ]
        );
    }

    #[test]
    fn an_error_says_what_why_and_what_next() {
        let error = CliError::new(Exit::Refused, "The cluster is in use")
            .why("It runs")
            .next("stop it");
        assert_eq!(
            error.to_string(),
            "error: The cluster is in use\n  why: It runs\n  next: stop it"
        );
    }
}
