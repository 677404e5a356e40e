//! Who Updraft is at AWS, and what it may be there for a tenant: a role, proven before it is used, and a session of it.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;
use updraft_api::agent::KeyPair;
use updraft_aws::{
    AccountId, AssumedRole, AwsError, Client, CredentialSource as _, ExternalId, PrincipalArn, RoleArn,
    SessionName,
};
use updraft_model::{AwsAccountName, CredentialConfig, CredentialName};

use crate::AppError;

/// What AWS says of a role that is not there, or trusts somebody else.
const DENIED: &str = "AccessDenied";

/// Who Updraft is at AWS.
#[derive(Clone)]
pub struct AwsIdentity {
    principal: PrincipalArn,
    sts: Arc<Client>,
}

/// Why there is no session of a role, and what a person can do about it.
#[derive(Debug, Error)]
#[error("{why}")]
pub(crate) struct NotAssumed {
    why: String,
    /// AWS was asked, and refuses.
    pub(crate) is_refusal: bool,
}

/// What is known of a role credential, valid.
pub(crate) struct Role {
    arn: RoleArn,
    pub(crate) external_id: ExternalId,
    session: SessionName,
}

/// Keys that end by themselves, as they are kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct RoleSession {
    #[serde(flatten)]
    keys: KeyPair,
    pub(crate) expires_at: DateTime<Utc>,
}

// === impl AwsIdentity ===

impl AwsIdentity {
    /// Tenants' trust policies name `principal`, which is who `sts` asks as.
    #[must_use]
    pub fn new(principal: PrincipalArn, sts: Client) -> Self {
        Self {
            principal,
            sts: Arc::new(sts),
        }
    }

    pub(crate) fn principal(&self) -> &PrincipalArn {
        &self.principal
    }

    /// Whether that is the account that Updraft itself is of.
    pub(crate) fn is_of(&self, account: &AccountId) -> bool {
        self.principal.account() == account
    }

    /// By any one of these external ids.
    pub(crate) fn trust_policy(&self, external_ids: &[&str]) -> String {
        let asked = match external_ids {
            [one] => json!(one),
            several => json!(several),
        };
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"AWS": self.principal.to_string()},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": asked}},
            }],
        });
        format!("{policy:#}")
    }

    /// Refuses a role that whoever does not know the external id may assume as well.
    pub(crate) async fn prove(&self, role: &Role) -> Result<RoleSession, NotAssumed> {
        let session = self.assume(role).await?;
        match self.ask(role, ExternalId::generate()).await {
            Err(error) if error.code() == Some(DENIED) => Ok(session),
            Err(error) => Err(self.fault(role, &error)),
            Ok(_) => {
                let why = format!(
                    "`{}` lets Updraft in without its external id, so that others who use Updraft could name it too: give it \
                     the trust policy that the credential shows, with its condition",
                    role.arn
                );
                Err(NotAssumed {
                    why,
                    is_refusal: true,
                })
            }
        }
    }

    pub(crate) async fn assume(&self, role: &Role) -> Result<RoleSession, NotAssumed> {
        let answer = self.ask(role, role.external_id.clone()).await;
        answer.map_err(|error| {
            tracing::info!(role.arn = %role.arn, error = &error as &dyn std::error::Error, "a role was not assumed");
            self.fault(role, &error)
        })
    }

    async fn ask(&self, role: &Role, external_id: ExternalId) -> Result<RoleSession, AwsError> {
        let source = AssumedRole::new(
            self.sts.clone(),
            role.arn.clone(),
            Some(external_id),
            role.session.clone(),
        );
        let given = source.credentials().await?;
        Ok(RoleSession {
            keys: KeyPair {
                access_key: given.access_key,
                secret_key: given.secret_key,
                session_token: given.session_token,
            },
            expires_at: given.expires_at.unwrap_or_else(Utc::now),
        })
    }

    fn fault(&self, role: &Role, error: &AwsError) -> NotAssumed {
        let why = match error.code() {
            Some(DENIED) => format!(
                "AWS does not let Updraft assume `{}` (AccessDenied): there is no such role, or its trust policy does not allow \
                 sts:AssumeRole to `{}` with the external id `{}`. Paste the trust policy that the credential shows",
                role.arn, self.principal, role.external_id
            ),
            Some(code) => format!("AWS refuses to assume `{}` ({code}): look at the role in IAM", role.arn),
            None => "AWS can't be asked for the role by this installation now: try again in a minute; if it stays so, your \
                     operator looks at control's log"
                .to_owned(),
        };
        NotAssumed {
            why,
            is_refusal: error.code().is_some(),
        }
    }
}

impl fmt::Debug for AwsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsIdentity")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

// === impl NotAssumed ===

impl NotAssumed {
    /// As an answer to who named the role there.
    pub(crate) fn at(self, field: &str) -> AppError {
        AppError::invalid(field, self.why)
    }
}

// === impl Role ===

impl Role {
    /// None: what is on record is none.
    pub(crate) fn of_account(name: &AwsAccountName, arn: &str, external_id: &str) -> Option<Self> {
        Some(Self {
            arn: arn.parse().ok()?,
            external_id: external_id.parse().ok()?,
            session: SessionName::of(name.as_str()),
        })
    }

    /// None: it is no role.
    pub(crate) fn of(name: &CredentialName, config: &CredentialConfig) -> Option<Self> {
        let CredentialConfig::AwsRole {
            role_arn,
            external_id,
        } = config
        else {
            return None;
        };
        Some(Self {
            arn: role_arn.parse().ok()?,
            external_id: external_id.as_ref()?.parse().ok()?,
            session: SessionName::of(name.as_str()),
        })
    }
}

// === impl RoleSession ===

impl RoleSession {
    /// What is kept of a role that was never assumed.
    pub(crate) fn none() -> SecretString {
        "null".into()
    }

    /// None: the role was never assumed.
    pub(crate) fn kept(secret: &SecretString) -> Option<Self> {
        serde_json::from_str::<Option<Self>>(secret.expose_secret()).ok()?
    }

    pub(crate) fn into_keys(self) -> KeyPair {
        self.keys
    }

    pub(crate) fn to_keep(&self) -> Result<SecretString, AppError> {
        let text = serde_json::to_string(self).map_err(|_| AppError::Internal {
            what: "writing a role's session down",
        })?;
        Ok(text.into())
    }
}
