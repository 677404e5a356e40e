//! Nodes in tenants' own accounts: what a tenant says of its account, over what the installation has set for all.
//!
//! A tenant's words are its own types ([`updraft_model::AwsAccountConfig`]), so none of the installation's can be among them: endpoints, archives, the
//! bucket of artifacts, the tag, the external id. They are checked as the installation's own configuration is.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use updraft_aws::{AccountId, CredentialSource, OwnCredentials, Pace, Renewed};
use updraft_model::{AwsAccountId, AwsMachine, AwsMarket, AwsVolume};
use updraft_provider::{
    AccountCheck, AccountFault, NodeProvider, OpenAccounts, ProviderError, TenantAccount,
};

use crate::config::{Ec2Config, Machine, Market, RootVolume, StorePlace, TenantAccount as Assumed};
use crate::preflight::Check;
use crate::provider::{Ec2Provider, SetupError};

/// Opens tenants' accounts with Updraft's own credentials, which their roles trust.
pub struct Ec2Accounts {
    installation: Ec2Config,
    own: Arc<dyn CredentialSource>,
    storage: Option<StorePlace>,
    paces: Mutex<HashMap<AwsAccountId, Kept>>,
}

/// What was used up of an account's request limits outlives a change of what else is said of it. By the tenant's own account
/// on record: who merely names somebody else's AWS account uses up nothing of that one's.
struct Kept {
    place: (AccountId, String),
    pace: Pace,
}

// === impl Ec2Accounts ===

impl Ec2Accounts {
    /// `installation` says what a tenant leaves out, and all that is not a tenant's to say.
    ///
    /// # Errors
    /// When Updraft's own credentials cannot be looked for.
    pub fn new(installation: Ec2Config) -> Result<Self, SetupError> {
        let own = Arc::new(Renewed::new(OwnCredentials::new()?));
        Ok(Self::with_credentials(installation, own))
    }

    /// The same with other credentials for Updraft's own.
    #[must_use]
    pub fn with_credentials(installation: Ec2Config, own: Arc<dyn CredentialSource>) -> Self {
        Self {
            installation,
            own,
            storage: None,
            paces: Mutex::default(),
        }
    }

    /// As [`Ec2Provider::storing_in`], for nodes of all accounts.
    #[must_use]
    pub fn storing_in(self, place: StorePlace) -> Self {
        Self {
            storage: Some(place),
            ..self
        }
    }

    fn config(&self, account: &TenantAccount) -> Result<Ec2Config, AccountFault> {
        let said = account.config.clone();
        let config = Ec2Config {
            account: Some(Assumed {
                role: part("role_arn", said.role_arn.parse())?,
                external_id: part("external_id", account.external_id.parse())?,
            }),
            image: match said.image {
                Some(image) => part("image", image.parse())?,
                None => self.installation.image.clone(),
            },
            region: said.region,
            subnets: said.subnets,
            security_groups: said.security_groups,
            instance_profile: said.instance_profile,
            // It is the installation's own account's, as the KMS key is.
            key_pair: None,
            root_volume: said.root_volume.map_or_else(
                || RootVolume {
                    kms_key: None,
                    ..self.installation.root_volume.clone()
                },
                RootVolume::from,
            ),
            scheduler: machine(said.scheduler, &self.installation.scheduler),
            web: machine(said.web, &self.installation.web),
            worker: machine(said.worker, &self.installation.worker),
            ..self.installation.clone()
        };
        config.check().map_err(|error| AccountFault {
            field: error.field,
            why: error.why.to_owned(),
        })?;
        Ok(config)
    }

    fn provider(&self, account: &TenantAccount) -> Result<Ec2Provider, ProviderError> {
        let refused = |error: &dyn fmt::Display| ProviderError::Refused(error.to_string());
        let config = self.config(account).map_err(|fault| refused(&fault))?;
        let pace = self.pace(account.id, &config);
        let provider = Ec2Provider::with_credentials(config, Arc::clone(&self.own));
        let provider = provider.map_err(|error| refused(&error))?.at_pace(pace);
        Ok(match &self.storage {
            Some(place) => provider.storing_in(place.clone()),
            None => provider,
        })
    }

    /// Of the same AWS account and region as before, if it is; else full buckets.
    fn pace(&self, id: AwsAccountId, config: &Ec2Config) -> Pace {
        let Some(assumed) = &config.account else {
            return Pace::default();
        };
        let place = (assumed.role.account().clone(), config.region.clone());
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = paces.entry(id).or_insert_with(|| Kept {
            place: place.clone(),
            pace: Pace::default(),
        });
        if kept.place != place {
            *kept = Kept {
                place,
                pace: Pace::default(),
            };
        }
        kept.pace.clone()
    }
}

#[async_trait]
impl OpenAccounts for Ec2Accounts {
    fn judge(&self, account: &TenantAccount) -> Result<(), AccountFault> {
        self.config(account).map(drop)
    }

    fn open(&self, account: &TenantAccount) -> Result<Arc<dyn NodeProvider>, ProviderError> {
        Ok(Arc::new(self.provider(account)?))
    }

    async fn check(&self, account: &TenantAccount) -> Vec<AccountCheck> {
        match self.provider(account) {
            Ok(provider) => provider.preflight().await.checks.into_iter().map(found).collect(),
            Err(error) => vec![AccountCheck {
                name: "settings".to_owned(),
                ok: false,
                blocks: true,
                found: error.to_string(),
                remedy: None,
            }],
        }
    }
}

impl fmt::Debug for Ec2Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ec2Accounts").finish_non_exhaustive()
    }
}

fn part<T, E: fmt::Display>(field: &str, parsed: Result<T, E>) -> Result<T, AccountFault> {
    parsed.map_err(|error| AccountFault {
        field: field.to_owned(),
        why: error.to_string(),
    })
}

fn machine(said: Option<AwsMachine>, installation: &Machine) -> Machine {
    said.map_or_else(|| installation.clone(), Machine::from)
}

fn found(check: Check) -> AccountCheck {
    AccountCheck {
        name: check.name,
        ok: check.ok,
        blocks: check.blocks,
        found: check.found,
        remedy: check.remedy,
    }
}

impl From<AwsMachine> for Machine {
    fn from(said: AwsMachine) -> Self {
        Self {
            instance_type: said.instance_type,
            market: match said.market {
                AwsMarket::OnDemand => Market::OnDemand,
                AwsMarket::Spot => Market::Spot,
            },
        }
    }
}

impl From<AwsVolume> for RootVolume {
    fn from(said: AwsVolume) -> Self {
        Self {
            gib: said.gib,
            device: said.device,
            kms_key: said.kms_key,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use updraft_model::{AwsAccountConfig, AwsAccountId};
    use uuid::Uuid;

    use super::*;

    fn installation() -> Ec2Config {
        let mut config = crate::config::tests::example();
        config["endpoint"] = json!("https://ec2.internal/");
        config["key_pair"] = json!("ours");
        config["root_volume"] = json!({"gib": 50, "device": "/dev/sda1", "kms_key": "ours"});
        serde_json::from_value(config).unwrap()
    }

    fn account(change: impl FnOnce(&mut AwsAccountConfig)) -> TenantAccount {
        let mut config = serde_json::from_value(json!({
            "role_arn": "arn:aws:iam::210987654321:role/updraft-control",
            "region": "us-east-1",
            "subnets": ["subnet-2a1b2c3d"],
            "security_groups": ["sg-2a1b2c3d"],
            "instance_profile": "theirs",
        }))
        .unwrap();
        change(&mut config);
        TenantAccount {
            id: AwsAccountId(Uuid::from_u128(1)),
            external_id: format!("updraft-{:032x}", 7),
            config,
            version: 1,
        }
    }

    fn accounts() -> Ec2Accounts {
        let own = updraft_aws::FixedCredentials(updraft_aws::Credentials {
            access_key: "AKIA".to_owned(),
            secret_key: "secret".to_owned().into(),
            session_token: None,
            expires_at: None,
        });
        Ec2Accounts::with_credentials(installation(), Arc::new(own))
    }

    #[test]
    fn a_tenant_says_where_and_the_installation_by_what() {
        let config = accounts().config(&account(|_| {})).unwrap();
        assert_eq!((config.region.as_str(), config.subnets.len()), ("us-east-1", 1));
        assert_eq!(config.installation, installation().installation);
        assert_eq!(config.endpoint, installation().endpoint);
        assert_eq!(config.archives, installation().archives);
        assert_eq!(
            config.scheduler.instance_type,
            installation().scheduler.instance_type
        );
    }

    #[test]
    fn what_is_in_the_installations_account_is_not_in_a_tenants() {
        let config = accounts().config(&account(|_| {})).unwrap();
        assert_eq!((config.key_pair, config.root_volume.kms_key), (None, None));
        assert_eq!(config.root_volume.gib, 50);
    }

    #[test]
    fn what_is_the_installations_is_not_among_a_tenants_words() {
        let said = serde_json::to_value(account(|_| {}).config).unwrap();
        for (field, value) in [
            ("endpoint", json!("https://evil.example.com/")),
            ("installation", json!("other")),
            ("archives", json!([])),
            ("artifacts", json!({"bucket": "evil", "region": "us-east-1"})),
            ("account", json!({})),
            ("external_id", json!("updraft-0")),
            ("key_pair", json!("k")),
        ] {
            let mut said = said.clone();
            said[field] = value;
            let error = serde_json::from_value::<AwsAccountConfig>(said).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
    }

    #[tokio::test]
    async fn a_changed_account_waits_for_the_turns_that_it_used_up_and_another_place_does_not() {
        let accounts = accounts();
        let pace = |change: fn(&mut AwsAccountConfig)| {
            let account = account(change);
            let config = accounts.config(&account).unwrap();
            accounts.pace(account.id, &config)
        };
        let before = pace(|_| {});
        let changed = pace(|said| said.subnets = vec!["subnet-3a1b2c3d".to_owned()]);
        assert!(changed.is_shared_with(&before));
        let elsewhere = pace(|said| said.region = "eu-west-1".to_owned());
        assert!(!elsewhere.is_shared_with(&before));
        let anothers = accounts.pace(
            AwsAccountId(Uuid::from_u128(2)),
            &accounts.config(&account(|_| {})).unwrap(),
        );
        assert!(
            !anothers.is_shared_with(&before),
            "who names an account uses up its turns"
        );
    }

    #[test]
    fn a_fault_names_the_tenants_field() {
        type Change = fn(&mut AwsAccountConfig);
        let faults: [(&str, Change); 5] = [
            ("role_arn", |said| "role/x".clone_into(&mut said.role_arn)),
            ("region", |said| "http://evil/".clone_into(&mut said.region)),
            ("subnets[0]", |said| said.subnets = vec!["eni-1".to_owned()]),
            ("image", |said| said.image = Some("debian".to_owned())),
            ("web.market", |said| {
                said.web = Some(AwsMachine {
                    instance_type: "m7i.large".to_owned(),
                    market: AwsMarket::Spot,
                });
            }),
        ];
        for (field, change) in faults {
            let fault = accounts().judge(&account(change)).unwrap_err();
            assert_eq!(fault.field, field, "{fault}");
        }
    }
}
