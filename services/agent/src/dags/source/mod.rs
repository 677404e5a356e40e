//! Where DAGs come from: objects below a prefix, what was pushed, a git repository. Each kind finds out cheaply whether
//! something has changed, and brings one whole, consistent state of its source or none.

mod gather;
mod git;
mod judged;
mod keys;
mod links;
mod objects;
mod push;
mod sqs;
mod store;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use object_store::ObjectStore;
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use updraft_api::agent::{DagDelivery, SourceDelivery, SourceFrom};
use updraft_outbound::{Outbound, OutboundError, OutboundPolicy};

use super::digest::Manifest;
use super::part::{Part, Revision};
use super::shelf::{Aside, Shelf};
use crate::error::{Error, Result};
use crate::layout::Layout;

pub(crate) use judged::Judged;
pub(super) use keys::{Keys, Renewal, Renewals, without_keys};
pub use store::foreign_bucket;
pub(super) use store::own_bucket;
pub(crate) use store::own_store;

/// Our own bucket, on our own network.
const OWN_PACE: Duration = Duration::from_secs(2);
/// A request to somebody else's service.
const FOREIGN_PACE: Duration = Duration::from_secs(10);
/// When something else tells of changes.
const SAFETY_PACE: Duration = Duration::from_secs(60);

/// One source of a cluster, and its folder.
#[derive(Debug)]
pub struct Source {
    folder: String,
    kind: Kind,
    pace: Duration,
    /// Something tells of changes.
    woken: Arc<Notify>,
    /// Of a tenant's bucket.
    keys: Option<Keys>,
    _listening: Option<sqs::Listening>,
}

#[derive(Debug)]
enum Kind {
    Objects(objects::Objects),
    Push(push::Push),
    Git(Box<git::Git>),
    /// What it says makes no sense here.
    Refused(String),
}

/// One whole state of a source.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) files: Aside,
    pub(super) manifest: Manifest,
    pub(super) revision: Revision,
}

#[derive(Debug)]
pub(super) enum Look {
    Same,
    /// It changed while it was read.
    Moving,
    Fresh(Snapshot),
}

/// What sources have of the node that they are read on.
#[derive(Clone, Debug)]
pub struct Ground {
    pub layout: Layout,
    /// The node's own address.
    pub address: IpAddr,
    pub outbound: Outbound,
}

// === impl Ground ===

impl Ground {
    #[must_use]
    pub fn new(layout: Layout, address: IpAddr, delivery: &DagDelivery) -> Self {
        Self {
            layout,
            address,
            outbound: outbound(delivery),
        }
    }

    /// The same, to servers that this authority (base64 of its DER) vouches for; by none, that public ones do.
    fn trusting(&self, authority: Option<&str>) -> Result<Self> {
        let refused = |error: OutboundError| Error::Dags(error.to_string());
        let der = authority.map(|text| {
            STANDARD
                .decode(text)
                .map_err(|_| refused(OutboundError::Authority))
        });
        let der = der.transpose()?.map(CertificateDer::from);
        Ok(Self {
            outbound: self.outbound.trusting(der).map_err(refused)?,
            ..self.clone()
        })
    }
}

/// The way to what a tenant names, with what the installation opens.
pub(crate) fn outbound(delivery: &DagDelivery) -> Outbound {
    let allow = delivery.outbound_allow.iter();
    Outbound::new(OutboundPolicy {
        allow: allow.filter_map(|text| text.parse().ok()).collect(),
        ..OutboundPolicy::default()
    })
}

// === impl Source ===

impl Source {
    /// All sources of a delivery; `own` is the cluster's own bucket.
    #[must_use]
    pub fn all(delivery: &DagDelivery, own: &Arc<dyn ObjectStore>, ground: &Ground) -> Vec<Self> {
        let sources = delivery.sources.iter();
        sources
            .map(|source| Self::new(source, delivery, own, ground))
            .collect()
    }

    fn new(
        source: &SourceDelivery,
        delivery: &DagDelivery,
        own: &Arc<dyn ObjectStore>,
        ground: &Ground,
    ) -> Self {
        let woken = Arc::new(Notify::new());
        let (folder, mut listening) = (source.folder.clone(), None);
        let ground = &match ground.trusting(source.ca_certificate.as_deref()) {
            Ok(ground) => ground,
            Err(error) => return Self::refused(folder, &error),
        };
        let keys = Keys::of(source);
        let (kind, pace) = match &source.from {
            SourceFrom::ClusterBucket { prefix } => {
                let objects = objects::Objects::own(folder.clone(), own, prefix, &delivery.versions_prefix);
                (Ok(Kind::Objects(objects)), OWN_PACE)
            }
            SourceFrom::Push { prefix } => {
                let push = push::Push::new(folder.clone(), Arc::clone(own), prefix);
                (Ok(Kind::Push(push)), OWN_PACE)
            }
            SourceFrom::S3 { .. } => {
                listening = sqs::Listening::begin(&source.from, keys.as_ref(), ground, &woken);
                let objects = objects::Objects::foreign(folder.clone(), &source.from, keys.clone(), ground);
                let pace = if listening.is_some() {
                    SAFETY_PACE
                } else {
                    FOREIGN_PACE
                };
                (objects.map(Kind::Objects), pace)
            }
            SourceFrom::Git { .. } => {
                let git = git::Git::new(folder.clone(), &source.from, ground);
                (git.map(|git| Kind::Git(Box::new(git))), FOREIGN_PACE)
            }
        };
        Self {
            folder,
            kind: kind.unwrap_or_else(|error| Kind::Refused(error.chain())),
            pace,
            woken,
            keys,
            _listening: listening,
        }
    }

    fn refused(folder: String, error: &Error) -> Self {
        Self {
            folder,
            kind: Kind::Refused(error.chain()),
            pace: FOREIGN_PACE,
            woken: Arc::default(),
            keys: None,
            _listening: None,
        }
    }

    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    pub(super) fn pace(&self) -> Duration {
        self.pace
    }

    /// None: it has no keys.
    pub(super) fn renewal(&self) -> Option<Renewal> {
        let keys = self.keys.as_ref()?;
        Some(Renewal::new(&self.folder, keys, &self.woken))
    }

    pub(super) async fn woken(&self) {
        self.woken.notified().await;
    }

    pub(super) async fn look(&mut self, shelf: &Shelf, last: Option<&Part>) -> Result<Look> {
        let look = match &mut self.kind {
            Kind::Objects(objects) => objects.look(shelf, last).await?,
            Kind::Push(push) => push.look(shelf, last).await?,
            Kind::Git(git) => git.look(shelf, last).await?,
            Kind::Refused(reason) => return Err(Error::Dags(reason.clone())),
        };
        let had_some = last.is_some_and(|part| !part.manifest.is_empty());
        if let Look::Fresh(snapshot) = &look
            && snapshot.manifest.is_empty()
            && had_some
        {
            return Err(Error::Dags(
                "the source is empty: put at least one file there, or remove the source from the cluster"
                    .to_owned(),
            ));
        }
        Ok(look)
    }
}

/// Tells one state of one source from every other.
fn key<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}
