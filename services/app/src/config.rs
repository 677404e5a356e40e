//! What an installation sets, and the addresses that follow from it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use updraft_authz::SigningKey;
use updraft_model::{ClusterId, DagSource};
use updraft_sso::SignInQuota;
use updraft_sso::outbound::{Outbound, OutboundPolicy};
use updraft_store::secrets::MasterKey;
use url::Url;

#[derive(Clone, Debug)]
pub struct AppConfig {
    /// Where people find one cluster's Airflow. `{cluster}` is its id, `{cluster_ip}` a loopback address of its own:
    /// `http://{cluster_ip}:7701/airflow-webserver-{cluster}/`.
    pub airflow_url: String,
    /// `http://localhost:7700`
    pub console_url: String,
    /// Where people put DAGs, `{cluster}` and `{prefix}` filled in: `s3://updraft-cluster-{cluster}/{prefix}`.
    pub dag_location: String,
    pub session_lifetime: Duration,
    /// Signs the sessions that edges accept.
    pub session_key: SigningKey,
    /// What tenants entrust to us lies encrypted under it.
    pub master_key: Arc<MasterKey>,
    pub sign_in_quota: SignInQuota,
    /// The way to every address that a tenant names.
    pub outbound: Outbound,
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
            airflow_url: format!("http://{{cluster_ip}}:{edge_port}/airflow-webserver-{{cluster}}/"),
            console_url: format!("http://localhost:{console_port}"),
            dag_location: "s3://updraft-cluster-{cluster}/{prefix}".to_owned(),
            session_lifetime: Duration::from_secs(12 * 60 * 60),
            session_key,
            master_key,
            sign_in_quota: SignInQuota::default(),
            outbound: Outbound::new(OutboundPolicy::default()),
        }
    }

    #[must_use]
    pub fn airflow_url(&self, cluster: ClusterId) -> String {
        self.airflow_url
            .replace("{cluster_ip}", &cluster_address(cluster).to_string())
            .replace("{cluster}", &cluster.to_string())
    }

    /// The authority of [`Self::airflow_url`], as a browser sends it in `Host`: `127.0.0.1:7701`. `None` when the
    /// template is no URL.
    #[must_use]
    pub fn airflow_host(&self, cluster: ClusterId) -> Option<String> {
        let url = Url::parse(&self.airflow_url(cluster)).ok()?;
        let host = url.host_str()?;
        Some(
            url.port()
                .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
        )
    }

    #[must_use]
    pub fn dag_location(&self, cluster: ClusterId, source: &DagSource) -> String {
        let DagSource::ClusterBucket { prefix } = source;
        self.dag_location
            .replace("{cluster}", &cluster.to_string())
            .replace("{prefix}", prefix)
    }
}

/// `127.0.0.1` for cluster 1, `127.0.0.2` for cluster 2: hosts that need no DNS. Stays below 127.64, where nodes live.
fn cluster_address(cluster: ClusterId) -> Ipv4Addr {
    let [.., high, middle, low] = cluster.0.to_be_bytes();
    Ipv4Addr::new(127, high & 0x3f, middle, low)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use updraft_authz::SigningKey;
    use updraft_model::{ClusterId, DagSource};
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
    fn every_cluster_has_a_host_of_its_own() {
        let config = config();
        assert_eq!(
            config.airflow_url(ClusterId(1)),
            "http://127.0.0.1:7701/airflow-webserver-1/"
        );
        assert_eq!(config.airflow_host(ClusterId(2)).unwrap(), "127.0.0.2:7701");
        assert_eq!(config.airflow_host(ClusterId(258)).unwrap(), "127.0.1.2:7701");
        assert_eq!(
            config.airflow_host(ClusterId(19_289)).unwrap(),
            "127.0.75.89:7701"
        );
    }

    #[test]
    fn a_host_without_a_port_is_the_schemes_own() {
        let mut config = config();
        config.airflow_url = "https://c{cluster}.airflow.example.com/airflow-webserver-{cluster}/".to_owned();
        assert_eq!(
            config.airflow_host(ClusterId(7)).unwrap(),
            "c7.airflow.example.com"
        );
    }

    #[test]
    fn dags_have_an_address() {
        let source = DagSource::ClusterBucket {
            prefix: "dags/".to_owned(),
        };
        assert_eq!(
            config().dag_location(ClusterId(3), &source),
            "s3://updraft-cluster-3/dags/"
        );
    }
}
