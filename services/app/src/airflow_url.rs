//! Where people find each cluster's Airflow: one template for the whole installation, checked before anything starts.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use thiserror::Error;
use updraft_model::{ClusterId, TenantId};
use url::{Host, Url};

const CLUSTER: &str = "{cluster}";
const CLUSTER_IP: &str = "{cluster_ip}";
const TENANT: &str = "{tenant}";
const PATH: &str = "/airflow-webserver-{cluster}/";

/// `https://c{cluster}.airflow.example.com/airflow-webserver-{cluster}/`
///
/// `{cluster}` is a cluster's number, `{tenant}` its tenant's id in 32 hexadecimal digits, `{cluster_ip}` a loopback
/// address of the cluster's own, for machines without DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AirflowUrl(String);

/// Whose clusters share a host. To a browser that is one place: whatever is there can act for all its visitors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostSharing {
    Nobodys,
    OneTenants,
    Everybodys,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum AirflowUrlError {
    #[error("`{name}` is no placeholder: there are {{cluster}}, {{tenant}} and {{cluster_ip}}")]
    UnknownPlaceholder { name: String },
    #[error("a brace is left open or closed twice: placeholders are written like {{cluster}}")]
    Brace,
    #[error("it is no address: write it like https://c{{cluster}}.airflow.example.com{PATH}")]
    NotAnAddress,
    #[error("it has to begin with http:// or https://")]
    Scheme,
    #[error("its path has to be {PATH}: by it the edge finds the cluster")]
    Path,
    #[error("it has a user, a query or a fragment: it ends after {PATH}")]
    Superfluous,
    #[error("{{cluster_ip}} is a whole host: write http://{{cluster_ip}}:7701{PATH}")]
    PartOfHost,
    #[error(
        "its host is the console's, or some cluster's would be: Airflow's content belongs to its tenant and must not share \
         a host with the console; use another name"
    )]
    ConsolesHost,
}

// === impl AirflowUrl ===

impl AirflowUrl {
    /// Each cluster on a loopback address of its own: another host to the browser, and no DNS needed.
    #[must_use]
    pub fn local(edge_port: u16) -> Self {
        Self(format!("http://{CLUSTER_IP}:{edge_port}{PATH}"))
    }

    #[must_use]
    pub fn of(&self, tenant: TenantId, cluster: ClusterId) -> String {
        self.0
            .replace(CLUSTER_IP, &cluster_address(cluster).to_string())
            .replace(TENANT, &tenant.0.simple().to_string())
            .replace(CLUSTER, &cluster.to_string())
    }

    /// The authority, as a browser sends it in `Host`: `127.0.0.1:7701`. `None` for no address, which was refused.
    #[must_use]
    pub fn host(&self, tenant: TenantId, cluster: ClusterId) -> Option<String> {
        let url = Url::parse(&self.of(tenant, cluster)).ok()?;
        let host = url.host_str()?;
        Some(
            url.port()
                .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
        )
    }

    /// # Errors
    /// [`AirflowUrlError::ConsolesHost`]
    pub fn keep_apart_from(&self, console_url: &Url) -> Result<(), AirflowUrlError> {
        let consoles = console_url.host_str().unwrap_or_default();
        if can_become(&self.host_template(), consoles) {
            return Err(AirflowUrlError::ConsolesHost);
        }
        Ok(())
    }

    /// Ports do not count: cookies do not know them.
    #[must_use]
    pub fn sharing(&self) -> HostSharing {
        let (one, other) = (TenantId(uuid::Uuid::nil()), TenantId(uuid::Uuid::max()));
        let template = self.host_template();
        let host = |tenant, cluster| Self(template.clone()).of(tenant, ClusterId(cluster));
        if host(one, 1) == host(other, 2) {
            HostSharing::Everybodys
        } else if host(one, 1) == host(one, 2) {
            HostSharing::OneTenants
        } else {
            HostSharing::Nobodys
        }
    }

    /// `c{cluster}.airflow.example.com`
    fn host_template(&self) -> String {
        let authority = self.0.split("://").nth(1).unwrap_or_default();
        let authority = authority.split('/').next().unwrap_or_default();
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => host,
            _ => authority,
        };
        host.to_lowercase()
    }

    fn example(&self) -> String {
        self.of(TenantId(uuid::Uuid::max()), ClusterId(19_289))
    }

    fn checked(self) -> Result<Self, AirflowUrlError> {
        known_placeholders(&self.0)?;
        let url = Url::parse(&self.example()).map_err(|_| AirflowUrlError::NotAnAddress)?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(AirflowUrlError::Scheme);
        }
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(AirflowUrlError::Superfluous);
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(address),
            _ => None,
        };
        if self.0.contains(CLUSTER_IP) && address != Some(cluster_address(ClusterId(19_289))) {
            return Err(AirflowUrlError::PartOfHost);
        }
        if !self.0.ends_with(PATH) || url.path() != PATH.replace(CLUSTER, "19289") {
            return Err(AirflowUrlError::Path);
        }
        Ok(self)
    }
}

/// Whether some cluster's host would be this one.
fn can_become(template: &str, host: &str) -> bool {
    if template == CLUSTER_IP {
        return host
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback());
    }
    let Some(start) = template.find('{') else {
        return template == host;
    };
    let Some(rest) = host.strip_prefix(&template[..start]) else {
        return false;
    };
    let placeholder = &template[start..];
    let (after, lengths) = match placeholder.strip_prefix(CLUSTER) {
        Some(after) => (after, 1..=10),
        None => (placeholder.strip_prefix(TENANT).unwrap_or_default(), 32..=32),
    };
    lengths.into_iter().any(|length| {
        let filled = rest.get(..length).zip(rest.get(length..));
        filled.is_some_and(|(value, rest)| {
            value.bytes().all(|byte| byte.is_ascii_hexdigit()) && can_become(after, rest)
        })
    })
}

fn known_placeholders(template: &str) -> Result<(), AirflowUrlError> {
    let mut rest = template;
    while let Some(start) = rest.find(['{', '}']) {
        let end = rest[start..].find('}').map(|end| start + end);
        let Some(end) = end.filter(|_| rest[start..].starts_with('{')) else {
            return Err(AirflowUrlError::Brace);
        };
        let name = &rest[start..=end];
        if ![CLUSTER, CLUSTER_IP, TENANT].contains(&name) {
            return Err(AirflowUrlError::UnknownPlaceholder {
                name: name.to_owned(),
            });
        }
        rest = &rest[end + 1..];
    }
    Ok(())
}

impl FromStr for AirflowUrl {
    type Err = AirflowUrlError;

    fn from_str(text: &str) -> Result<Self, AirflowUrlError> {
        Self(text.to_owned()).checked()
    }
}

impl fmt::Display for AirflowUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `127.0.0.1` for cluster 1, `127.0.0.2` for cluster 2: hosts that need no DNS. Stays below 127.64, where nodes live.
fn cluster_address(cluster: ClusterId) -> Ipv4Addr {
    let [.., high, middle, low] = cluster.0.to_be_bytes();
    Ipv4Addr::new(127, high & 0x3f, middle, low)
}

#[cfg(test)]
mod tests {
    use updraft_model::{ClusterId, TenantId};
    use url::Url;

    use super::{AirflowUrl, AirflowUrlError as E, HostSharing};

    fn parsed(text: &str) -> Result<AirflowUrl, E> {
        text.parse()
    }

    fn tenant() -> TenantId {
        "0198a000-0000-7000-8000-00000000000a".parse().unwrap()
    }

    #[test]
    fn every_cluster_has_a_host_of_its_own_without_dns() {
        let url = parsed("http://{cluster_ip}:7701/airflow-webserver-{cluster}/").unwrap();
        assert_eq!(
            url.of(tenant(), ClusterId(1)),
            "http://127.0.0.1:7701/airflow-webserver-1/"
        );
        let host = |id| url.host(tenant(), ClusterId(id)).unwrap();
        assert_eq!(
            [host(2), host(258), host(19_289)],
            ["127.0.0.2:7701", "127.0.1.2:7701", "127.0.75.89:7701"]
        );
    }

    #[test]
    fn a_host_may_be_a_clusters_or_a_tenants() {
        let cluster = parsed("https://c{cluster}.airflow.example.com/airflow-webserver-{cluster}/").unwrap();
        assert_eq!(
            cluster.host(tenant(), ClusterId(7)).unwrap(),
            "c7.airflow.example.com"
        );
        let tenants = parsed("https://{tenant}.airflow.example.com/airflow-webserver-{cluster}/").unwrap();
        assert_eq!(
            tenants.of(tenant(), ClusterId(7)),
            "https://0198a00000007000800000000000000a.airflow.example.com/airflow-webserver-7/"
        );
        assert!(parsed("https://airflow.example.com/airflow-webserver-{cluster}/").is_ok());
    }

    #[test]
    fn a_template_that_cannot_work_is_refused_for_its_own_reason() {
        for (text, expected) in [
            ("", E::NotAnAddress),
            (
                "airflow.example.com/airflow-webserver-{cluster}/",
                E::NotAnAddress,
            ),
            ("https:///airflow-webserver-{cluster}/", E::Path),
            ("ftp://a.example/airflow-webserver-{cluster}/", E::Scheme),
            ("https://a.example/", E::Path),
            ("https://a.example/airflow-webserver-{cluster}", E::Path),
            ("https://a.example/x/airflow-webserver-{cluster}/", E::Path),
            ("https://a.example/airflow-webserver-{tenant}/", E::Path),
            ("https://a.example/airflow-webserver-7/", E::Path),
            (
                "https://a.example/airflow-webserver-{cluster}/?x=1",
                E::Superfluous,
            ),
            (
                "https://me:pw@a.example/airflow-webserver-{cluster}/",
                E::Superfluous,
            ),
            (
                "https://c{cluster_ip}.example/airflow-webserver-{cluster}/",
                E::PartOfHost,
            ),
            (
                "https://{cluster.example/airflow-webserver-{cluster}/",
                E::UnknownPlaceholder {
                    name: "{cluster.example/airflow-webserver-{cluster}".into(),
                },
            ),
            ("https://cluster}.example/airflow-webserver-{cluster}/", E::Brace),
            (
                "https://{host}/airflow-webserver-{cluster}/",
                E::UnknownPlaceholder {
                    name: "{host}".into(),
                },
            ),
        ] {
            assert_eq!(parsed(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn airflow_never_shares_the_consoles_host() {
        let console = Url::parse("https://updraft.example.com").unwrap();
        let same = parsed("https://updraft.example.com:8443/airflow-webserver-{cluster}/").unwrap();
        assert_eq!(same.keep_apart_from(&console).unwrap_err(), E::ConsolesHost);
        let other = parsed("https://c{cluster}.example.com/airflow-webserver-{cluster}/").unwrap();
        assert_eq!(other.keep_apart_from(&console), Ok(()));
    }

    #[test]
    fn no_cluster_ever_has_the_consoles_host() {
        for (template, console, together) in [
            ("https://c{cluster}.example.com", "https://c1.example.com", true),
            (
                "https://C{cluster}.Example.com:8443",
                "https://c77.example.com",
                true,
            ),
            ("https://c{cluster}.example.com", "https://cx.example.com", false),
            ("https://c{cluster}.example.com", "https://c.example.com", false),
            (
                "https://c{cluster}.example.com",
                "https://console.example.com",
                false,
            ),
            (
                "https://{tenant}.example.com",
                "https://0198a00000007000800000000000000a.example.com",
                true,
            ),
            (
                "https://{tenant}.example.com",
                "https://updraft.example.com",
                false,
            ),
            (
                "https://{cluster}-{tenant}.example.com",
                "https://12-0198a00000007000800000000000000a.example.com",
                true,
            ),
            ("http://{cluster_ip}:7701", "http://127.0.0.1:7700", true),
            ("http://{cluster_ip}:7701", "http://localhost:7700", false),
            ("http://127.0.0.1:7701", "http://127.0.0.1:7700", true),
            ("http://[::1]:7701", "http://[::1]:7700", true),
        ] {
            let url = parsed(&format!("{template}/airflow-webserver-{{cluster}}/")).unwrap();
            let apart = url.keep_apart_from(&Url::parse(console).unwrap());
            assert_eq!(apart.is_err(), together, "{template} and {console}");
        }
    }

    #[test]
    fn a_template_says_whose_clusters_share_a_host() {
        for (host, sharing) in [
            ("c{cluster}.example.com", HostSharing::Nobodys),
            ("{cluster_ip}:7701", HostSharing::Nobodys),
            ("{tenant}-{cluster}.example.com", HostSharing::Nobodys),
            ("{tenant}.example.com", HostSharing::OneTenants),
            ("airflow.example.com", HostSharing::Everybodys),
            ("127.0.0.1:7701", HostSharing::Everybodys),
        ] {
            let url = parsed(&format!("http://{host}/airflow-webserver-{{cluster}}/")).unwrap();
            assert_eq!(url.sharing(), sharing, "{host}");
        }
    }
}
