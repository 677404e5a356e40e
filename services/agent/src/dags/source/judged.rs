//! An HTTP client that reaches one host that a tenant named, at addresses that the outbound policy has judged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Certificate, ClientBuilder};
use updraft_outbound::{Door, Outbound};
use url::{Host, Url};

use crate::error::{Error, Result};

/// Follows no redirect, uses no proxy, and knows no other host.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    client: reqwest::Client,
}

/// Answers every look-up with the judged addresses of the one host.
#[derive(Debug)]
struct JudgedNames(Door);

// === impl Judged ===

impl Judged {
    /// # Errors
    /// When the URL is not to be asked.
    pub(crate) fn new(outbound: &Outbound, url: &Url, within: Duration) -> Result<Self> {
        let refused = |error: updraft_outbound::OutboundError| Error::Dags(error.to_string());
        let door = outbound.web_door(url).map_err(refused)?;
        // Nobody looks an address up that is written as one.
        if !matches!(url.host(), Some(Host::Domain(_))) {
            door.admit_literal().map_err(refused)?;
        }
        let client = trusting(outbound)?
            .dns_resolver(Arc::new(JudgedNames(door)))
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(within)
            .build()
            .map_err(Error::ControlUnreachable)?;
        Ok(Self { client })
    }

    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    pub(super) fn store_client(&self) -> HttpClient {
        HttpClient::new(self.client.clone())
    }
}

impl HttpConnector for Judged {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.store_client())
    }
}

fn trusting(outbound: &Outbound) -> Result<ClientBuilder> {
    let builder = reqwest::Client::builder();
    let Some(authority) = outbound.authority() else {
        return Ok(builder);
    };
    let certificate = Certificate::from_der(authority).map_err(Error::ControlUnreachable)?;
    Ok(builder.tls_certs_only([certificate]))
}

// === impl JudgedNames ===

impl Resolve for JudgedNames {
    fn resolve(&self, _name: Name) -> Resolving {
        let door = self.0.clone();
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = door.addresses().await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
