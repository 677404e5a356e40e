//! Everything a use case can refuse, and how clients see it.

use std::time::Duration;

use thiserror::Error;
use updraft_api::Problem;
use updraft_model::Generation;
use updraft_sso::{PasswordError, SignInError};
use updraft_store::StoreError;
use updraft_store::secrets::SecretError;

#[derive(Debug, Error)]
pub enum AppError {
    #[error("nobody is signed in")]
    NotSignedIn,
    #[error("the address or the password is wrong")]
    WrongCredentials,
    #[error("the second factor is missing")]
    CodeNeeded,
    #[error("the code is wrong")]
    WrongCode,
    /// A second step that no first step leads to: too late, or in another browser.
    #[error("the first step of the sign-in does not hold any more")]
    StepRefused,
    #[error("a second factor is set up already")]
    SecondFactorIsOn,
    /// Of a local account that others trust too, or of none that has a password of ours.
    #[error("the account is not the tenant's alone")]
    NotOursAlone,
    #[error("the password link is not good")]
    LinkRefused,
    #[error("this installation sends no mail")]
    NoMail,
    /// More wait than can be served soon.
    #[error("too many passwords wait to be checked")]
    Busy { retry_after: Duration },
    #[error("too many tries")]
    TooManyTries { retry_after: Duration },
    #[error("not allowed to {action}")]
    Forbidden { action: &'static str },
    #[error("a token cannot {action}")]
    NeedsSession { action: &'static str },
    #[error("no such {0}")]
    NotFound(Resource),
    /// `field` is a path into the request: `config.core.parallelism`.
    #[error("`{field}` is wrong: {why}")]
    Invalid { field: String, why: String },
    #[error("the tenant has a cluster named `{name}`")]
    ClusterNameTaken { name: String },
    #[error("the address `{email}` is taken")]
    EmailTaken { email: String },
    #[error("the tenant has a service account named `{name}`")]
    ServiceAccountTaken { name: String },
    #[error("a tenant needs an owner")]
    LastOwner,
    #[error("the cluster is being deleted")]
    ClusterDeleting,
    #[error("the cluster is stopped")]
    ClusterStopped,
    #[error("the cluster runs")]
    ClusterRuns,
    #[error("the tenant may have {limit} {what}, has {used} and asks for {wanted} more")]
    QuotaExceeded {
        what: &'static str,
        limit: u32,
        used: u32,
        wanted: u32,
    },
    #[error("the cluster is at generation {current}")]
    GenerationMismatch { current: Generation },
    #[error(transparent)]
    Tenancy(#[from] crate::TenancyRefusal),
    #[error(transparent)]
    Sso(#[from] crate::SsoError),
    #[error(transparent)]
    Dags(#[from] crate::DagRefusal),
    #[error(transparent)]
    AwsAccounts(#[from] crate::AwsAccountRefusal),
    #[error(transparent)]
    Logs(updraft_logs::LogsError),
    #[error("the hand-over code is not good")]
    HandoverRefused,
    #[error("the database failed")]
    Store(#[source] StoreError),
    #[error("{what} failed")]
    Internal { what: &'static str },
}

/// What was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    Cluster,
    Operation,
    Node,
    Person,
    Grant,
    Runtime,
    IdentityProvider,
    Domain,
    AccessRule,
    Token,
    ServiceAccount,
    Session,
    Device,
    Tenant,
    Credential,
    DagVersion,
    DagHook,
    AwsAccount,
}

// === impl AppError ===

impl AppError {
    pub(crate) fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            why: why.into(),
        }
    }

    /// For the `Retry-After` header.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyTries { retry_after }
            | Self::Busy { retry_after }
            | Self::Sso(crate::SsoError::TooMany { retry_after, .. }) => Some(*retry_after),
            _ => None,
        }
    }

    /// Whether it is our fault: to be logged with its chain where it is handled.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Internal { .. })
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SecretError> for AppError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Store(error) => Self::Store(error),
            SecretError::Sealed { .. } => Self::Internal {
                what: "opening a secret",
            },
        }
    }
}

impl From<SignInError> for AppError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::WrongCredentials => Self::WrongCredentials,
            SignInError::TooMany { retry_after } => Self::TooManyTries { retry_after },
            SignInError::Password(error) => Self::from(error),
            SignInError::Store(error) => Self::Store(error),
        }
    }
}

impl From<PasswordError> for AppError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Length => Self::invalid("password", "a password has 12 to 128 characters"),
            PasswordError::Guessable => Self::invalid(
                "password",
                "this is one of the first passwords that are guessed, or made of the name or address: use several words that have nothing to do with each other",
            ),
            PasswordError::Busy { retry_after } => Self::Busy { retry_after },
            PasswordError::Hashing => Self::Internal {
                what: "password hashing",
            },
        }
    }
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        Self::from(&error)
    }
}

impl From<&AppError> for Problem {
    fn from(error: &AppError) -> Self {
        use AppError as E;
        match error {
            E::NotSignedIn => problem(
                401,
                "not-signed-in",
                "You are not signed in, or your session has ended.",
                "Sign in and try again: POST /api/v1/sessions, or `updraft login`.",
            ),
            E::WrongCredentials => problem(
                401,
                "wrong-credentials",
                "The e-mail address or the password is wrong.",
                "Check both and try again; an owner of your organisation can give you a new password.",
            ),
            E::CodeNeeded => problem(
                401,
                "code-needed",
                "Signing in takes a code as well.",
                "Send what your authenticator app shows now, or a recovery code, as `code`.",
            ),
            E::WrongCode => problem(
                401,
                "wrong-code",
                "The code is wrong, too old, or used.",
                "Wait for the app to show the next one, or use a recovery code that you did not use yet.",
            ),
            E::StepRefused => problem(
                401,
                "sign-in-step-refused",
                "This sign-in took too long, or was begun in another browser.",
                "Begin it again with your password.",
            ),
            E::SecondFactorIsOn => problem(
                409,
                "second-factor-is-on",
                "A second factor is set up already, or your identity provider takes care of it.",
                "Remove the present one first.",
            ),
            E::NotOursAlone => problem(
                409,
                "account-not-yours-alone",
                "This account is not your organisation's alone to decide about.",
                "It belongs to another organisation or an operator too, or signs in through an identity provider: the person changes their password themselves, under Account.",
            ),
            E::LinkRefused => problem(
                403,
                "password-link-refused",
                "This password link is used up, expired, or was never good.",
                "If you have a password already, sign in with it; else ask for a new link: “Forgot your password?” on the sign-in page, or an owner of your organisation.",
            ),
            E::NoMail => problem(
                409,
                "no-mail",
                "This Updraft sends no mail.",
                "Ask an owner of your organisation for a link to set a new password.",
            ),
            E::Busy { retry_after } => problem(
                503,
                "busy",
                "More people sign in than can be served at once.",
                format!("Wait {} seconds and try again.", whole_seconds(*retry_after)),
            ),
            E::TooManyTries { retry_after } => problem(
                429,
                "too-many-tries",
                "There were too many sign-in attempts.",
                format!("Wait {} seconds and try again.", whole_seconds(*retry_after)),
            ),
            E::Forbidden { action } => problem(
                403,
                "forbidden",
                format!("Your role does not let you {action}."),
                "Ask an owner of your organisation for the role that does.",
            ),
            E::NeedsSession { action } => problem(
                403,
                "needs-session",
                format!("An API token cannot {action}: that takes a person who has signed in."),
                "Sign in (in the console, or with `updraft login`) and try again.",
            ),
            E::NotFound(resource) => not_found(*resource),
            E::Invalid { field, why } => {
                let title = format!("`{field}` is not valid.");
                Self {
                    field: Some(field.clone()),
                    ..problem(422, "invalid-field", title, sentence(why))
                }
            }
            E::ClusterNameTaken { name } => {
                let title = format!("Your organisation already has a cluster named `{name}`.");
                let named = problem(409, "cluster-name-taken", title, "Choose another name.");
                Self {
                    field: Some("name".into()),
                    ..named
                }
            }
            E::EmailTaken { email } => {
                let title = format!("The address `{email}` cannot be added: it already belongs to a person.");
                let named = problem(
                    409,
                    "email-taken",
                    title,
                    "Check the list of people, or use another address.",
                );
                Self {
                    field: Some("email".into()),
                    ..named
                }
            }
            E::ServiceAccountTaken { name } => Self {
                field: Some("name".into()),
                ..problem(
                    409,
                    "service-account-taken",
                    format!("Your organisation already has a service account named `{name}`."),
                    "Choose another name, or use that one.",
                )
            },
            E::LastOwner => problem(
                409,
                "last-owner",
                "This is your organisation's last owner.",
                "Make another person owner first.",
            ),
            E::ClusterDeleting => problem(
                409,
                "cluster-deleting",
                "The cluster is being deleted and takes no more changes.",
                "Create another cluster.",
            ),
            E::ClusterStopped => problem(
                409,
                "cluster-stopped",
                "The cluster is stopped: nothing runs on it that could be changed.",
                "Start the cluster first.",
            ),
            E::ClusterRuns => problem(
                409,
                "cluster-runs",
                "The cluster is not stopped, and its metadata database is not changed under what runs.",
                "Stop the cluster, change it, then start it again.",
            ),
            E::QuotaExceeded {
                what,
                limit,
                used,
                wanted,
            } => problem(
                403,
                "quota-exceeded",
                format!(
                    "Your organisation may have {limit} {what}; it has {used} and this needs {wanted} more."
                ),
                "Stop or delete what you no longer need, or ask the operator for a larger quota.",
            ),
            E::GenerationMismatch { current } => problem(
                412,
                "generation-mismatch",
                format!("The cluster was changed in the meantime: it is at generation {current}."),
                "Fetch it again, look at what changed, and repeat your change with its new ETag.",
            ),
            E::Tenancy(refusal) => Self::from(refusal),
            E::Dags(refusal) => Self::from(refusal),
            E::AwsAccounts(refusal) => Self::from(refusal),
            E::Logs(error) => crate::logs::problem_of(error),
            E::Sso(error) => Self::from(error),
            E::HandoverRefused => problem(
                403,
                "handover-refused",
                "This sign-in link is used up, expired, or made for another browser.",
                "Open Airflow again from the console.",
            ),
            E::Store(_) | E::Internal { .. } => problem(
                500,
                "internal",
                "Something went wrong on our side.",
                "Try again in a moment; if it stays, ask the operator and quote the request id.",
            ),
        }
    }
}

fn not_found(resource: Resource) -> Problem {
    let (kind, title, detail) = match resource {
        Resource::Cluster => (
            "cluster-not-found",
            "There is no such cluster, or you have no role on it.",
            "Check the id with `updraft cluster list`, or ask a cluster admin for a role.",
        ),
        Resource::Operation => (
            "operation-not-found",
            "There is no such operation.",
            "List the cluster's operations to find its id.",
        ),
        Resource::Node => (
            "node-not-found",
            "The cluster has no such node.",
            "List the cluster's nodes: a replaced node has a new id.",
        ),
        Resource::Person => (
            "person-not-found",
            "Your organisation has no such person.",
            "Check the id in the list of people.",
        ),
        Resource::Grant => (
            "grant-not-found",
            "This person has no role of their own on this cluster.",
            "List the cluster's grants.",
        ),
        Resource::Token => (
            "token-not-found",
            "There is no such API token, or it is revoked.",
            "List the tokens: `updraft token list`.",
        ),
        Resource::ServiceAccount => (
            "service-account-not-found",
            "Your organisation has no such service account.",
            "List them: `updraft service-account list`.",
        ),
        Resource::Session => (
            "session-not-found",
            "There is no such session, or it has ended.",
            "List the sessions to find its id.",
        ),
        Resource::Device => (
            "device-not-found",
            "No device waits for this code: it is mistyped, used, or expired.",
            "Compare it with the one shown on the device, or begin there anew.",
        ),
        Resource::IdentityProvider => (
            "identity-provider-not-found",
            "Your organisation has no such identity provider.",
            "Check the id in the list of identity providers.",
        ),
        Resource::Domain => (
            "domain-not-found",
            "Your organisation has no such domain.",
            "Check the list of domains.",
        ),
        Resource::Runtime => (
            "runtime-not-found",
            "There is no such runtime.",
            "Check the name, for example `airflow-3.3.2`.",
        ),
        Resource::AccessRule => (
            "access-rule-not-found",
            "Your organisation has no such access rule.",
            "List the access rules: `updraft access rule list`.",
        ),
        Resource::Tenant => (
            "tenant-not-found",
            "There is no such organisation, or you do not belong to it.",
            "Check the id: `updraft tenant list` shows yours.",
        ),
        Resource::Credential => (
            "credential-not-found",
            "Your organisation has no such credential.",
            "List them: `updraft credential list`.",
        ),
        Resource::DagVersion => (
            "dag-version-not-found",
            "The cluster has no such DAG version any more.",
            "List those that are kept: `updraft dags versions`.",
        ),
        Resource::DagHook => (
            "dag-hook-not-found",
            "The cluster has no such webhook.",
            "List them: `updraft dags hook list`.",
        ),
        Resource::AwsAccount => (
            "aws-account-not-found",
            "Your organisation has no such AWS account.",
            "List them: `updraft aws-account list`.",
        ),
    };
    problem(404, kind, title, detail)
}

pub(crate) fn problem(
    status: u16,
    kind: &str,
    title: impl Into<String>,
    detail: impl Into<String>,
) -> Problem {
    Problem {
        kind: format!("urn:updraft:problem:{kind}"),
        title: title.into(),
        status,
        detail: detail.into(),
        field: None,
        request_id: None,
    }
}

pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Begins in upper case, ends in a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str())
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cluster => "cluster",
            Self::Operation => "operation",
            Self::Node => "node",
            Self::Person => "person",
            Self::Grant => "grant",
            Self::Runtime => "runtime",
            Self::IdentityProvider => "identity provider",
            Self::Domain => "domain",
            Self::Token => "token",
            Self::ServiceAccount => "service account",
            Self::Session => "session",
            Self::Device => "device",
            Self::AccessRule => "access rule",
            Self::Tenant => "tenant",
            Self::Credential => "credential",
            Self::DagVersion => "DAG version",
            Self::DagHook => "webhook",
            Self::AwsAccount => "AWS account",
        })
    }
}
