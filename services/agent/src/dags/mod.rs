//! DAG versions: immutable directories, named by their content's digest, the same on every node.
//!
//! One node of a cluster resolves the source into versions and publishes them; every node fetches what is current, and
//! what a run is pinned to. A version is unpacked aside, verified, and appears by a rename; `current` is replaced by a
//! rename too. Whatever goes wrong, the last good version keeps serving, and an event tells why.

mod archive;
mod bucket;
mod collect;
mod digest;
mod follow;
mod part;
pub(crate) mod plugins;
mod receipts;
pub(crate) mod requirements;
mod resolve;
mod shelf;
mod source;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use updraft_api::agent::{DagDelivery, ParsedVersion, PublishedVersion, SourceState};

use crate::error::{Error, Result};
use crate::layout::Layout;

pub use bucket::Bucket;
pub use digest::{Digest, Manifest};
pub use shelf::Shelf;
pub use source::foreign_bucket;
pub use source::{Ground, Source};
pub(crate) use source::{Judged, outbound, own_store};
use source::{Keys, Renewals, own_bucket, without_keys};

/// Something that happened to the node's DAGs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DagEvent {
    /// This version is live on this node.
    Live(Digest),
    /// The sources were made into this version, now or before.
    Published(PublishedVersion),
    /// Airflow has recorded this version.
    Parsed(ParsedVersion),
    /// A source is in trouble, or is no longer; the other sources move on.
    Source(SourceState),
    /// All sources were looked at since the look of this number was asked for.
    Synced(i64),
    /// The last good version keeps serving.
    Failed(String),
    /// After failures it works again.
    Recovered,
}

/// What is asked of a delivery while it goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// This version is live, whatever the sources say.
    pub pinned: Option<Digest>,
    /// These stay published.
    pub kept: BTreeSet<Digest>,
    /// Grows with each asked-for look at the sources.
    pub sync: i64,
}

// === impl Wishes ===

impl Wishes {
    fn of(delivery: &DagDelivery) -> Self {
        Self {
            pinned: delivery.pinned.as_ref().and_then(|digest| digest.parse().ok()),
            kept: delivery
                .kept
                .iter()
                .filter_map(|digest| digest.parse().ok())
                .collect(),
            sync: delivery.sync_nonce,
        }
    }
}

/// Delivers until the sender of `delivery` is gone; begins anew when more of it changes than what is wished, and the keys
/// that it comes with.
pub async fn deliver(
    layout: Layout,
    address: IpAddr,
    mut delivery: watch::Receiver<Option<DagDelivery>>,
    events: mpsc::Sender<DagEvent>,
) {
    let shelf = Shelf::new(layout.clone());
    loop {
        let current = delivery.borrow_and_update().clone();
        let (wish, wishes) = watch::channel(current.as_ref().map(Wishes::of).unwrap_or_default());
        let begun = current.as_ref().map(|delivery| begin(delivery, &layout, address));
        let renewals = match &begun {
            Some(Ok(begun)) => Some(begun.renewals()),
            Some(Err(_)) | None => None,
        };
        let work = async {
            match begun {
                Some(Ok(Begun { bucket, sources, .. })) => {
                    run(&shelf, &bucket, sources, wishes, &events).await;
                }
                Some(Err(error)) => {
                    let _ = events.send(DagEvent::Failed(error.chain())).await;
                    std::future::pending::<()>().await;
                }
                None => std::future::pending().await,
            }
        };
        let pass = |next: &DagDelivery| {
            renewals.iter().for_each(|renewals| renewals.take(next));
            wish.send_if_modified(|wishes| {
                let before = std::mem::replace(wishes, Wishes::of(next));
                *wishes != before
            });
        };
        tokio::select! {
            () = work => {}
            other = other_delivery(&mut delivery, current.as_ref(), pass) => if !other { return },
        }
    }
}

/// Passes wishes and keys on until something else changes; false when there will be no other delivery.
async fn other_delivery(
    delivery: &mut watch::Receiver<Option<DagDelivery>>,
    current: Option<&DagDelivery>,
    pass: impl Fn(&DagDelivery),
) -> bool {
    let rest = |delivery: &DagDelivery| {
        let mut rest = without_keys(delivery.clone());
        (rest.pinned, rest.kept, rest.sync_nonce) = (None, Vec::new(), 0);
        serde_json::to_string(&rest).ok()
    };
    loop {
        if delivery.changed().await.is_err() {
            return false;
        }
        let next = delivery.borrow_and_update().clone();
        match (&next, current) {
            (Some(next), Some(current)) if rest(next) == rest(current) => pass(next),
            _ => {
                delivery.mark_changed();
                return true;
            }
        }
    }
}

/// What one delivery works with.
#[derive(Debug)]
struct Begun {
    bucket: Bucket,
    sources: Vec<Source>,
    /// Of the cluster's own bucket.
    keys: Keys,
}

impl Begun {
    fn renewals(&self) -> Renewals {
        let sources = self.sources.iter().filter_map(Source::renewal);
        Renewals::new(self.keys.clone(), sources.collect())
    }
}

fn begin(delivery: &DagDelivery, layout: &Layout, address: IpAddr) -> Result<Begun> {
    let keys = Keys::own(delivery);
    let own = own_bucket(delivery, keys.clone())?;
    let bucket = Bucket::new(Arc::clone(&own), &delivery.versions_prefix);
    let ground = Ground::new(layout.clone(), address, delivery);
    let sources = match delivery.resolver {
        true => Source::all(delivery, &own, &ground),
        false => Vec::new(),
    };
    Ok(Begun {
        bucket,
        sources,
        keys,
    })
}

/// What resolving and following tell each other on the node that does both.
#[derive(Debug)]
struct Between {
    /// There is a version to fetch.
    published: Notify,
    live: watch::Sender<Option<Digest>>,
}

/// The tasks of one delivery; never ends. A node without sources resolves nothing.
pub async fn run(
    shelf: &Shelf,
    bucket: &Bucket,
    sources: Vec<Source>,
    wishes: watch::Receiver<Wishes>,
    events: &mpsc::Sender<DagEvent>,
) {
    let between = Between {
        published: Notify::new(),
        live: watch::channel(None).0,
    };
    let resolving = async {
        if sources.is_empty() {
            return std::future::pending().await;
        }
        tokio::join!(
            resolve::run(shelf, bucket, sources, &wishes, &between, events),
            collect::in_bucket(shelf, bucket, &wishes),
            receipts::watch(shelf.layout(), events),
        );
    };
    tokio::join!(
        resolving,
        follow::current(shelf, bucket, wishes.clone(), &between, events),
        follow::wanted(shelf, bucket, events)
    );
}

/// Tells a failure once, when it is sure to be one, and the recovery after it.
#[derive(Debug, Default)]
struct Trouble {
    in_a_row: u32,
    /// Of those, the ones that say nothing but that somebody did not answer.
    unanswered: u32,
    told: Option<String>,
}

/// What there is to tell.
#[derive(Debug)]
enum Told {
    Nothing,
    Failed(String),
    Recovered,
}

/// An object store may stumble; so many failures in a row are trouble.
const PATIENCE: u32 = 3;

// === impl Trouble ===

impl Trouble {
    fn note(&mut self, result: Result<()>) -> Told {
        let error = match result {
            Ok(()) => {
                (self.in_a_row, self.unanswered) = (0, 0);
                return match self.told.take() {
                    Some(_) => Told::Recovered,
                    None => Told::Nothing,
                };
            }
            Err(error) => error,
        };
        self.in_a_row += 1;
        let text = error.chain();
        tracing::debug!(error = text, "A DAG version was not delivered");
        let unanswered = matches!(error, Error::ObjectStore { .. });
        self.unanswered = if unanswered { self.unanswered + 1 } else { 0 };
        let sure = !unanswered || self.in_a_row >= PATIENCE;
        // The store's own words differ each time (request ids): what we were doing tells failures apart.
        let kind = error.to_string();
        if !sure || self.told.as_ref() == Some(&kind) {
            return Told::Nothing;
        }
        self.told = Some(kind);
        Told::Failed(text)
    }

    /// Who does not answer is asked less often; what makes no sense may make sense with the next look.
    fn pause(&self, usual: Duration) -> Duration {
        usual * (1 << self.unanswered.min(3))
    }
}
