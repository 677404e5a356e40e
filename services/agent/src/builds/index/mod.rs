//! The door to a tenant's own package index: the solver speaks plainly to this node, the agent speaks TLS to the index, at an
//! address that the outbound policy has judged, and shows the credential. So neither solver nor setup code knows it.
//!
//! Only reading passes, and only to the one host. Links of its pages to itself are made to lead through the door; where it
//! sends to another host, the solver goes there as everybody would. Closed before anything that was installed is imported.

mod door;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use updraft_api::agent::IndexDelivery;
use updraft_outbound::Outbound;
use url::Url;

use crate::dags::Judged;
use crate::error::{Error, Result};
use door::{Door, serve};

const SILENCE: Duration = Duration::from_secs(60);
const USER: &str = "updraft";

/// Closed when it is dropped.
#[derive(Debug)]
pub(super) struct IndexDoor {
    /// What the solver is given.
    pub(super) url: String,
    hidden: [String; 2],
    upstream: String,
    said: Arc<Mutex<Option<String>>>,
    serving: AbortHandle,
}

// === impl IndexDoor ===

impl IndexDoor {
    /// # Errors
    /// When the index is none that may be asked, or this node has no port to listen on.
    pub(super) async fn open(address: IpAddr, outbound: &Outbound, index: &IndexDelivery) -> Result<Self> {
        let upstream = Url::parse(&index.url)
            .map_err(|_| Error::Dags(format!("`{}` is no address of a package index", index.url)))?;
        let client = Judged::new(outbound, &upstream, SILENCE)?.client().clone();
        let listening = |source| Error::Listen {
            address: address.to_string(),
            source,
        };
        let listener = TcpListener::bind((address, 0)).await.map_err(listening)?;
        let at: SocketAddr = listener.local_addr().map_err(listening)?;
        let secret = format!("{:032x}", rand::random::<u128>());
        let login = index.login.as_ref();
        let said = Arc::default();
        let door = Door {
            client,
            login: login.map(|login| basic(&login.username, login.password.expose_secret())),
            pass: basic(USER, &secret),
            ours: format!("http://{at}"),
            said: Arc::clone(&said),
            upstream: upstream.clone(),
        };
        let query = upstream.query().map(|query| format!("?{query}"));
        let path = format!("{}{}", upstream.path(), query.unwrap_or_default());
        Ok(Self {
            url: format!("http://{USER}:{secret}@{at}{path}"),
            hidden: [format!("http://{USER}:****@{at}"), format!("http://{at}")],
            upstream: origin(&upstream),
            said,
            serving: tokio::spawn(serve(listener, Arc::new(door))).abort_handle(),
        })
    }

    /// What the solver says, in the tenant's own words, behind what went wrong at the door.
    pub(super) fn explained(&self, message: &str) -> String {
        let hidden = self.hidden.iter();
        let told = hidden.fold(message.to_owned(), |text, ours| {
            text.replace(ours, &self.upstream)
        });
        match self.said.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(said) => format!("{said}\n{told}"),
            None => told,
        }
    }

    pub(super) fn was_trouble(&self) -> bool {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Drop for IndexDoor {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests;
