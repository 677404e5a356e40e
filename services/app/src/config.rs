//! What an installation sets, and the addresses that follow from it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use updraft_authz::SigningKey;
use updraft_model::{ClusterId, DagSource, FolderSource, TenantId};
use updraft_provider::OpenAccounts;
use updraft_sso::SignInQuota;
use updraft_sso::outbound::{Outbound, OutboundPolicy};
use updraft_store::secrets::MasterKey;

use crate::sso::{SystemDns, TxtRecords};

use crate::AwsIdentity;
use crate::SessionKeys;
use crate::airflow_url::AirflowUrl;
use crate::forgotten_password;
use crate::tenancy::Tenancy;

#[derive(Clone, Debug)]
pub struct AppConfig {
    /// Where people find one cluster's Airflow.
    pub airflow_url: AirflowUrl,
    /// `http://localhost:7700`
    pub console_url: String,
    /// Where people put DAGs, `{cluster}` and `{prefix}` filled in: `s3://updraft-cluster-{cluster}/{prefix}`.
    pub dag_location: String,
    pub session_lifetime: Duration,
    /// Signs the sessions that edges accept.
    pub session_keys: SessionKeys,
    /// What tenants entrust to us lies encrypted under it.
    pub master_key: Arc<MasterKey>,
    pub sign_in_quota: SignInQuota,
    /// Of requests for a new password.
    pub forgotten_quota: SignInQuota,
    /// Whether a mail server was named: without one, nobody is offered what takes a mail.
    pub sends_mail: bool,
    /// Where the proof of a domain is looked up.
    pub dns: Arc<dyn TxtRecords>,
    /// How often providers are asked again about people who are signed in.
    pub identity_refresh: Duration,
    pub tenancy: Tenancy,
    /// The way to every address that a tenant names.
    pub outbound: Outbound,
    /// Whether nodes are machines of a cloud, of the types that it has.
    pub instance_types: bool,
    /// Where nodes of this machine would find RabbitMQ. None: they are other machines, which nobody here knows.
    pub rabbitmq: Option<PathBuf>,
    /// Who assumes tenants' roles. None: nobody is offered to name one.
    pub aws: Option<AwsIdentity>,
    /// Tenants' own AWS accounts. None: nodes are in the installation's own place alone.
    pub accounts: Option<ResourceAccounts>,
}

/// Where tenants' nodes may be.
#[derive(Clone, Debug)]
pub struct ResourceAccounts {
    pub opens: Arc<dyn OpenAccounts>,
    /// As it is named in the tags of what it makes.
    pub installation: String,
    /// Whether a cluster that names no account is in the installation's own.
    pub shared: bool,
    pub usual: UsualNodes,
}

/// What nodes are where a tenant does not say, which its role has to be let make.
#[derive(Clone, Debug, Default)]
pub struct UsualNodes {
    /// `ami-…`, or the name of an SSM parameter.
    pub image: Option<String>,
    /// Each role's instance type.
    pub scheduler: String,
    pub web: String,
    pub worker: String,
}

// === impl AppConfig ===

impl AppConfig {
    /// The shape of a local installation whose console and edge listen on these ports.
    #[must_use]
    pub fn local(
        console_port: u16,
        edge_port: u16,
        session_key: SigningKey,
        master_key: Arc<MasterKey>,
    ) -> Self {
        Self {
            airflow_url: AirflowUrl::local(edge_port),
            console_url: format!("http://localhost:{console_port}"),
            dag_location: "s3://updraft-cluster-{cluster}/{prefix}".to_owned(),
            session_lifetime: Duration::from_secs(12 * 60 * 60),
            session_keys: SessionKeys::fixed(session_key),
            master_key,
            sign_in_quota: SignInQuota::default(),
            forgotten_quota: forgotten_password::quota(),
            sends_mail: false,
            dns: Arc::new(SystemDns),
            identity_refresh: Duration::from_secs(10 * 60),
            tenancy: Tenancy::Several,
            outbound: Outbound::new(OutboundPolicy::default()),
            instance_types: false,
            rabbitmq: None,
            aws: None,
            accounts: None,
        }
    }

    #[must_use]
    pub fn airflow_url(&self, tenant: TenantId, cluster: ClusterId) -> String {
        self.airflow_url.of(tenant, cluster)
    }

    /// The authority of [`Self::airflow_url`], as a browser sends it in `Host`.
    #[must_use]
    pub fn airflow_host(&self, tenant: TenantId, cluster: ClusterId) -> Option<String> {
        self.airflow_url.host(tenant, cluster)
    }

    /// Where the cluster's DAGs come from, in one line.
    #[must_use]
    pub fn dag_location(&self, cluster: ClusterId, sources: &[FolderSource]) -> String {
        let of = |one: &FolderSource| {
            let place = match &one.source {
                DagSource::ClusterBucket { prefix } => self
                    .dag_location
                    .replace("{cluster}", &cluster.to_string())
                    .replace("{prefix}", prefix),
                other => other.to_string(),
            };
            if one.folder.is_top() {
                place
            } else {
                format!("{}: {place}", one.folder)
            }
        };
        sources.iter().map(of).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use updraft_authz::SigningKey;
    use updraft_model::ClusterId;
    use updraft_store::secrets::MasterKey;

    use super::AppConfig;

    fn config() -> AppConfig {
        let master_key = Arc::new(MasterKey::from_bytes([7; 32]));
        AppConfig::local(
            7700,
            7701,
            SigningKey::from_seed("test", &[7; 32]).unwrap(),
            master_key,
        )
    }

    #[test]
    fn dags_have_an_address() {
        let sources = crate::dags::sources::default_sources();
        assert_eq!(
            config().dag_location(ClusterId(3), &sources),
            "s3://updraft-cluster-3/dags/"
        );
    }
}
