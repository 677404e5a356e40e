//! For protocols that are spoken elsewhere (ssh, an object store's client): the judged addresses, or a connection to one.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};

use crate::connect::{dial, judged_addresses};
use crate::policy::Target;
use crate::{Outbound, OutboundError};

/// Looking the name up and connecting.
const OPEN_TIME: Duration = Duration::from_secs(10);

/// A URL that may be asked; its host's addresses are judged at each use.
#[derive(Clone, Debug)]
pub struct Door {
    outbound: Outbound,
    target: Target,
}

// === impl Outbound ===

impl Outbound {
    /// For `https` (`http` where the installation opened the destination).
    ///
    /// # Errors
    /// When the URL is not to be asked, whatever its host's addresses are.
    pub fn web_door(&self, url: &Url) -> Result<Door, OutboundError> {
        let target = self.policy.target(url)?;
        Ok(self.door(target))
    }

    /// For `ssh`.
    ///
    /// # Errors
    /// When the URL is not to be asked, whatever its host's addresses are.
    pub fn ssh_door(&self, url: &Url) -> Result<Door, OutboundError> {
        let target = self.policy.ssh_target(url)?;
        Ok(self.door(target))
    }

    /// For a database of the tenant's, at any port. `from_within`: who asks is in the tenant's own network, so its private addresses
    /// are reached too.
    ///
    /// # Errors
    /// When the host is none.
    pub fn database_door(&self, host: &str, port: u16, from_within: bool) -> Result<Door, OutboundError> {
        let target = self.policy.database_target(host, port, from_within)?;
        Ok(self.door(target))
    }

    fn door(&self, target: Target) -> Door {
        Door {
            outbound: self.clone(),
            target,
        }
    }
}

// === impl Door ===

impl Door {
    /// Looks the host up once and judges every address. What is connected to has to be one of these.
    ///
    /// # Errors
    /// When it has none, or one that is forbidden.
    pub async fn addresses(&self) -> Result<Vec<SocketAddr>, OutboundError> {
        let addresses = self.judged().await?;
        let port = self.target.port;
        Ok(addresses
            .into_iter()
            .map(|ip| SocketAddr::new(ip, port))
            .collect())
    }

    /// Judges a host that is written as an address, which nobody looks up.
    ///
    /// # Errors
    /// When the address is forbidden. A name is judged when it is looked up.
    pub fn admit_literal(&self) -> Result<(), OutboundError> {
        let address = match self.target.host {
            Host::Domain(_) => return Ok(()),
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
        };
        match self.target.admits(address) {
            true => Ok(()),
            false => Err(OutboundError::Forbidden),
        }
    }

    /// A connection, with nothing spoken on it.
    ///
    /// # Errors
    /// When the host is not to be reached, or is not reached.
    pub async fn open(&self) -> Result<TcpStream, OutboundError> {
        let open = async { dial(&self.judged().await?, self.target.port).await };
        timeout(OPEN_TIME, open).await.unwrap_or(Err(OutboundError::Slow))
    }

    async fn judged(&self) -> Result<Vec<IpAddr>, OutboundError> {
        judged_addresses(&self.target, &*self.outbound.resolver).await
    }
}
