//! A look at a tenant's account, with what nodes there need of the installation besides.

use std::sync::Arc;

use async_trait::async_trait;
use updraft_control::storage_sessions::StorageSessions;
use updraft_model::ClusterId;
use updraft_provider::{
    AccountCheck, AccountFault, NodeProvider, OpenAccounts, ProviderError, TenantAccount,
};

/// No cluster has it: a session for its bucket opens nothing.
const NONE: ClusterId = ClusterId(0);

/// Whether nodes would be given access to their bucket is looked at, too.
pub(super) struct WithSessions {
    pub(super) accounts: Arc<dyn OpenAccounts>,
    pub(super) sessions: Arc<dyn StorageSessions>,
}

// === impl WithSessions ===

impl WithSessions {
    /// The role is the operator's: its name and AWS's words are for the log.
    async fn session(&self) -> AccountCheck {
        let name = "access to buckets".to_owned();
        match self.sessions.open(NONE).await {
            Ok(_) => AccountCheck {
                name,
                ok: true,
                blocks: false,
                found: "nodes get sessions of this installation’s role for storage".to_owned(),
                remedy: None,
            },
            Err(error) => {
                tracing::warn!(%error, "the role of `node_keys` cannot be assumed");
                AccountCheck {
                    name,
                    ok: false,
                    blocks: true,
                    found: "this installation’s role for storage cannot be assumed: nodes would reach no bucket".to_owned(),
                    remedy: Some(
                        "ask this installation’s operator to let Updraft assume the role of `node_keys`; control’s log says why \
                         it may not"
                            .to_owned(),
                    ),
                }
            }
        }
    }
}

#[async_trait]
impl OpenAccounts for WithSessions {
    fn judge(&self, account: &TenantAccount) -> Result<(), AccountFault> {
        self.accounts.judge(account)
    }

    fn open(&self, account: &TenantAccount) -> Result<Arc<dyn NodeProvider>, ProviderError> {
        self.accounts.open(account)
    }

    async fn check(&self, account: &TenantAccount) -> Vec<AccountCheck> {
        let (mut checks, session) = tokio::join!(self.accounts.check(account), self.session());
        checks.push(session);
        checks
    }
}

impl std::fmt::Debug for WithSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WithSessions").field(&self.accounts).finish()
    }
}

#[cfg(test)]
mod tests {
    use updraft_model::AwsAccountId;
    use updraft_provider::StorageAccess;

    use super::*;

    #[derive(Debug)]
    struct Nothing;

    struct Sessions(bool);

    #[async_trait]
    impl OpenAccounts for Nothing {
        fn judge(&self, _: &TenantAccount) -> Result<(), AccountFault> {
            Ok(())
        }

        fn open(&self, _: &TenantAccount) -> Result<Arc<dyn NodeProvider>, ProviderError> {
            Err(ProviderError::Throttled)
        }

        async fn check(&self, _: &TenantAccount) -> Vec<AccountCheck> {
            Vec::new()
        }
    }

    #[async_trait]
    impl StorageSessions for Sessions {
        async fn open(&self, _: ClusterId) -> Result<StorageAccess, ProviderError> {
            match self.0 {
                true => Ok(StorageAccess {
                    endpoint: "https://s3.example.com".to_owned(),
                    region: "eu-central-1".to_owned(),
                    bucket: "updraft-0".to_owned(),
                    access_key: "ASIA".to_owned(),
                    secret_key: "secret".to_owned().into(),
                    session_token: None,
                }),
                false => Err(ProviderError::Refused(
                    "AccessDenied: arn:aws:iam::1:role/x".to_owned(),
                )),
            }
        }
    }

    async fn looked(may: bool) -> AccountCheck {
        let config = serde_json::json!({"role_arn": "", "region": "", "subnets": [], "instance_profile": ""});
        let account = TenantAccount {
            id: AwsAccountId(uuid::Uuid::nil()),
            external_id: String::new(),
            config: serde_json::from_value(config).unwrap(),
            version: 1,
        };
        let with_sessions = WithSessions {
            accounts: Arc::new(Nothing),
            sessions: Arc::new(Sessions(may)),
        };
        with_sessions.check(&account).await.remove(0)
    }

    #[tokio::test]
    async fn a_role_for_storage_that_cannot_be_assumed_keeps_nodes_from_starting_and_names_nothing_of_the_operators()
     {
        assert!(looked(true).await.ok);
        let refused = looked(false).await;
        assert!(!refused.ok && refused.blocks);
        assert!(!format!("{refused:?}").contains("arn:"), "{refused:?}");
    }
}
