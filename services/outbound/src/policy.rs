//! Which destinations are reached.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::{Host, Url};

use crate::OutboundError;
use crate::address::{Standing, standing};

const HTTPS_PORTS: [u16; 2] = [443, 8443];
/// Providers that offer ssh where only https gets out do so on 443.
const SSH_PORTS: [u16; 2] = [22, 443];

/// What this installation lets control reach, beyond the public internet.
#[derive(Clone, Debug, Default)]
pub struct OutboundPolicy {
    pub allow: Vec<Destination>,
    pub limits: OutboundLimits,
}

#[derive(Clone, Copy, Debug)]
pub struct OutboundLimits {
    /// From the look-up of the name to the last byte, redirects included.
    pub time: Duration,
    /// In bytes.
    pub body: usize,
}

/// A destination that the installation opens (`updraft up --outbound-allow`, `outbound_allow` in control's file):
/// `127.0.0.1:9000`, `[fd00::7]:8080`, `idp.corp.internal` (any port). It may be private and spoken to without TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Destination {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is no destination: write a host name or an IP address, and :port unless every port is meant")]
pub struct DestinationError(String);

/// A URL that may be asked, were it not for its host's addresses.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) tls: bool,
    allowed: bool,
    /// Private addresses are reached too, but no loopback: who asks is in the tenant's own network.
    from_within: bool,
}

// === impl OutboundLimits ===

impl Default for OutboundLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(10),
            body: 1024 * 1024,
        }
    }
}

// === impl OutboundPolicy ===

impl OutboundPolicy {
    /// # Errors
    /// [`OutboundError::Url`] or [`OutboundError::Port`]. The host's addresses are judged by [`Target::admits`].
    pub(super) fn target(&self, url: &Url) -> Result<Target, OutboundError> {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(OutboundError::Url);
        };
        let (host, tls) = (without_dot(host.to_owned()), url.scheme() == "https");
        let allowed = self.allow.iter().any(|one| one.covers(&host, port));
        let speakable = tls || (allowed && url.scheme() == "http");
        if !speakable || !url.username().is_empty() || url.password().is_some() {
            return Err(OutboundError::Url);
        }
        if !allowed && !HTTPS_PORTS.contains(&port) {
            return Err(OutboundError::Port);
        }
        Ok(Target {
            host,
            port,
            tls,
            allowed,
            from_within: false,
        })
    }

    /// The same for `ssh://user@host[:port]/…`: what is spoken there says itself who it is.
    pub(super) fn ssh_target(&self, url: &Url) -> Result<Target, OutboundError> {
        let host = url.host_str().and_then(|host| Host::parse(host).ok());
        let (Some(host), "ssh", None) = (host, url.scheme(), url.password()) else {
            return Err(OutboundError::Url);
        };
        let (host, port) = (without_dot(host), url.port().unwrap_or(SSH_PORTS[0]));
        let allowed = self.allow.iter().any(|one| one.covers(&host, port));
        if !allowed && !SSH_PORTS.contains(&port) {
            return Err(OutboundError::Port);
        }
        Ok(Target {
            host,
            port,
            tls: false,
            allowed,
            from_within: false,
        })
    }

    /// The same for a database: at any port, since they have many, and what is spoken there says itself who it is.
    pub(super) fn database_target(
        &self,
        host: &str,
        port: u16,
        from_within: bool,
    ) -> Result<Target, OutboundError> {
        let host = without_dot(Host::parse(host).map_err(|_| OutboundError::UnknownHost)?);
        let allowed = self.allow.iter().any(|one| one.covers(&host, port));
        Ok(Target {
            host,
            port,
            tls: false,
            allowed,
            from_within,
        })
    }

    /// Whether the installation opened just this: the host with this port. One that is open at every port was not meant for each of
    /// them.
    #[must_use]
    pub fn opens(&self, host: &str, port: u16) -> bool {
        let Ok(host) = Host::parse(host).map(without_dot) else {
            return false;
        };
        self.allow
            .iter()
            .any(|one| one.port == Some(port) && one.covers(&host, port))
    }
}

// === impl Target ===

impl Target {
    /// Whether this address of the host may be connected to. A name that is allowed may lead into the installation's
    /// network, but to no metadata service; an address that is allowed was meant.
    pub(super) fn admits(&self, address: IpAddr) -> bool {
        match standing(address) {
            Standing::Public => true,
            Standing::Private => self.allowed || (self.from_within && !address.is_loopback()),
            Standing::Never => self.allowed && !matches!(self.host, Host::Domain(_)),
        }
    }
}

// === impl Destination ===

impl Destination {
    fn covers(&self, host: &Host, port: u16) -> bool {
        self.host == *host && self.port.is_none_or(|own| own == port)
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || DestinationError(text.to_owned());
        if text.contains(['/', '@', '?', '#', ' ', '*']) {
            return Err(invalid());
        }
        // The same parser as for the addresses that are compared with it.
        let url = Url::parse(&format!("any://{text}")).map_err(|_| invalid())?;
        let host = url.host_str().ok_or_else(invalid)?;
        let host = Host::parse(host).map_err(|_| invalid())?;
        Ok(Self {
            host: without_dot(host),
            port: url.port(),
        })
    }
}

impl TryFrom<String> for Destination {
    type Error = DestinationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> Self {
        destination.to_string()
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(formatter, "{}:{port}", self.host),
            None => self.host.fmt(formatter),
        }
    }
}

/// `idp.example.com.` is `idp.example.com`.
fn without_dot(host: Host) -> Host {
    match host {
        Host::Domain(name) => Host::Domain(name.trim_end_matches('.').to_owned()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{Destination, OutboundPolicy};
    use crate::OutboundError;

    fn judge(policy: &OutboundPolicy, url: &str, address: &str) -> Result<bool, OutboundError> {
        let target = policy.target(&Url::parse(url).unwrap())?;
        Ok(target.admits(address.parse().unwrap()))
    }

    fn allowing(destinations: &[&str]) -> OutboundPolicy {
        OutboundPolicy {
            allow: destinations.iter().map(|text| text.parse().unwrap()).collect(),
            ..OutboundPolicy::default()
        }
    }

    #[test]
    fn without_permission_only_https_on_its_ports_is_spoken() {
        let policy = OutboundPolicy::default();
        for url in ["https://idp.example.com/x", "https://idp.example.com:8443/x"] {
            assert_eq!(judge(&policy, url, "1.1.1.1"), Ok(true), "{url}");
        }
        for (url, refused) in [
            ("http://idp.example.com/", OutboundError::Url),
            ("http://idp.example.com:443/", OutboundError::Url),
            ("ftp://idp.example.com/", OutboundError::Url),
            ("file:///etc/passwd", OutboundError::Url),
            ("unix:///run/docker.sock", OutboundError::Url),
            ("data:application/json,{}", OutboundError::Url),
            ("https://ada@idp.example.com/", OutboundError::Url),
            ("https://ada:secret@idp.example.com/", OutboundError::Url),
            ("https://:secret@idp.example.com/", OutboundError::Url),
            ("https://idp.example.com:22/", OutboundError::Port),
            ("https://idp.example.com:7702/", OutboundError::Port),
            ("https://idp.example.com:80/", OutboundError::Port),
        ] {
            assert_eq!(judge(&policy, url, "1.1.1.1"), Err(refused), "{url}");
        }
    }

    #[test]
    fn ssh_is_spoken_on_its_ports_to_public_addresses() {
        let judge = |allow: &[&str], url: &str, address: &str| {
            let target = allowing(allow).ssh_target(&Url::parse(url).unwrap())?;
            Ok(target.admits(address.parse().unwrap()))
        };
        let public = "ssh://git@git.example.com/dags.git";
        assert_eq!(judge(&[], public, "1.1.1.1"), Ok(true));
        assert_eq!(judge(&[], public, "10.0.0.1"), Ok(false));
        assert_eq!(judge(&[], "ssh://git@git.example.com:443/x", "1.1.1.1"), Ok(true));
        assert_eq!(
            judge(&[], "ssh://git@git.example.com:2222/x", "1.1.1.1"),
            Err(OutboundError::Port)
        );
        assert_eq!(
            judge(&["127.0.0.1:2222"], "ssh://git@127.0.0.1:2222/x", "127.0.0.1"),
            Ok(true)
        );
        for url in [
            "https://git.example.com/x",
            "ssh://git:secret@git.example.com/x",
            "ssh:///x",
        ] {
            assert_eq!(judge(&[], url, "1.1.1.1"), Err(OutboundError::Url), "{url}");
        }
    }

    #[test]
    fn a_database_is_reached_at_any_port_and_in_the_tenants_network_from_within() {
        let judge = |allow: Option<&str>, host: &str, address: &str, from_within| {
            let target = allowing(allow.as_slice()).database_target(host, 6432, from_within)?;
            Ok::<_, OutboundError>(target.admits(address.parse().unwrap()))
        };
        for (allow, host, address, from_within, reached) in [
            (None, "db.example.com", "1.1.1.1", false, true),
            (None, "db.example.com", "10.0.0.7", false, false),
            (None, "db.example.com", "10.0.0.7", true, true),
            (None, "db.example.com", "127.0.0.1", true, false),
            (None, "db.example.com", "169.254.169.254", true, false),
            (Some("127.0.0.1:6432"), "127.0.0.1", "127.0.0.1", false, true),
            (Some("127.0.0.1:5432"), "127.0.0.1", "127.0.0.1", false, false),
        ] {
            assert_eq!(
                judge(allow, host, address, from_within),
                Ok(reached),
                "{host} {address}"
            );
        }
        assert_eq!(
            judge(None, "a b", "1.1.1.1", false),
            Err(OutboundError::UnknownHost)
        );
    }

    #[test]
    fn just_this_port_is_opened_where_it_was_said() {
        let policy = allowing(&["127.0.0.1:6432", "db.internal"]);
        assert!(policy.opens("127.0.0.1", 6432));
        assert!(!policy.opens("127.0.0.1", 5432) && !policy.opens("db.internal", 5432));
    }

    #[test]
    fn a_destination_is_opened_for_its_port_alone() {
        let policy = allowing(&["127.0.0.1:9000", "[fd00::7]:8080", "IDP.corp.internal"]);
        for (url, address) in [
            ("http://127.0.0.1:9000/", "127.0.0.1"),
            ("http://[fd00::7]:8080/", "fd00::7"),
            ("http://idp.corp.internal/", "10.1.2.3"),
            ("https://idp.corp.internal.:9443/", "10.1.2.3"),
        ] {
            assert_eq!(judge(&policy, url, address), Ok(true), "{url}");
        }
        assert_eq!(
            judge(&policy, "http://127.0.0.1:9001/", "127.0.0.1"),
            Err(OutboundError::Url)
        );
        assert_eq!(judge(&policy, "https://127.0.0.1/", "127.0.0.1"), Ok(false));
        assert_eq!(
            judge(&policy, "https://idp.corp.internal.attacker.example/", "10.1.2.3"),
            Ok(false)
        );
        assert_eq!(
            judge(&policy, "http://ada@127.0.0.1:9000/", "127.0.0.1"),
            Err(OutboundError::Url)
        );
    }

    #[test]
    fn a_name_that_is_opened_never_leads_to_a_metadata_service() {
        let policy = allowing(&["idp.corp.internal", "169.254.169.254"]);
        assert_eq!(
            judge(&policy, "http://idp.corp.internal/", "169.254.169.254"),
            Ok(false)
        );
        assert_eq!(
            judge(&policy, "http://idp.corp.internal/", "fd00:ec2::254"),
            Ok(false)
        );
        assert_eq!(
            judge(&policy, "http://169.254.169.254/", "169.254.169.254"),
            Ok(true),
            "it was meant"
        );
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        for text in [
            "",
            "http://idp",
            "idp/x",
            "ada@idp",
            "*.corp.internal",
            "idp:",
            "idp:x",
            "idp:70000",
            "10.0.0.0/8",
            "a b",
        ] {
            let parsed = text.parse::<Destination>();
            assert!(parsed.is_err() || text == "idp:", "{text}: {parsed:?}");
        }
    }

    #[test]
    fn a_destination_is_written_as_it_is_read() {
        for text in [
            "127.0.0.1:9000",
            "[fd00::7]:8080",
            "idp.corp.internal",
            "10.0.0.7",
        ] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
    }
}
