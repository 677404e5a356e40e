//! DAG versions: immutable directories, named by their content's digest, the same on every node.
//!
//! One node of a cluster resolves the source into versions and publishes them; every node fetches what is current, and
//! what a run is pinned to. A version is unpacked aside, verified, and appears by a rename; `current` is replaced by a
//! rename too. Whatever goes wrong, the last good version keeps serving, and an event tells why.

mod archive;
mod bucket;
mod digest;
mod follow;
mod resolve;
mod shelf;

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use updraft_api::agent::DagDelivery;

use crate::error::{Error, Result};
use crate::layout::Layout;

pub use bucket::Bucket;
pub use digest::{Digest, Manifest};
pub use shelf::Shelf;

/// Something that happened to the node's DAGs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DagEvent {
    /// This version is live on this node.
    Live(Digest),
    /// The source was made into this version.
    Published(Digest),
    /// The last good version keeps serving.
    Failed(String),
    /// After failures it works again.
    Recovered,
}

/// Delivers until the sender of `delivery` is gone; begins anew when the delivery changes.
pub async fn deliver(
    layout: Layout,
    mut delivery: watch::Receiver<Option<DagDelivery>>,
    events: mpsc::Sender<DagEvent>,
) {
    let shelf = Shelf::new(layout);
    loop {
        let current = delivery.borrow_and_update().clone();
        let work = async {
            let Some(delivery) = current else {
                return std::future::pending().await;
            };
            match Bucket::connect(&delivery) {
                Ok(bucket) => run(&shelf, &bucket, delivery.resolver, &events).await,
                Err(error) => {
                    let _ = events.send(DagEvent::Failed(error.chain())).await;
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            () = work => {}
            changed = delivery.changed() => if changed.is_err() { return },
        }
    }
}

/// The tasks of one delivery; never ends.
pub async fn run(shelf: &Shelf, bucket: &Bucket, resolver: bool, events: &mpsc::Sender<DagEvent>) {
    let resolving = async {
        if resolver {
            resolve::run(shelf, bucket, events).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::join!(
        resolving,
        follow::current(shelf, bucket, events),
        follow::wanted(shelf, bucket, events)
    );
}

/// Tells a failure once, when it is sure to be one, and the recovery after it.
#[derive(Debug, Default)]
struct Trouble {
    in_a_row: u32,
    told: Option<String>,
}

/// An object store may stumble; so many failures in a row are trouble.
const PATIENCE: u32 = 3;

// === impl Trouble ===

impl Trouble {
    async fn note(&mut self, result: Result<()>, events: &mpsc::Sender<DagEvent>) {
        let error = match result {
            Ok(()) => {
                self.in_a_row = 0;
                if self.told.take().is_some() {
                    let _ = events.send(DagEvent::Recovered).await;
                }
                return;
            }
            Err(error) => error,
        };
        self.in_a_row += 1;
        let text = error.chain();
        tracing::debug!(error = text, "A DAG version was not delivered");
        let sure = !matches!(error, Error::ObjectStore { .. }) || self.in_a_row >= PATIENCE;
        // The store's own words differ each time (request ids): what we were doing tells failures apart.
        let kind = error.to_string();
        if sure && self.told.as_ref() != Some(&kind) {
            self.told = Some(kind);
            let _ = events.send(DagEvent::Failed(text)).await;
        }
    }

    fn pause(&self, usual: Duration) -> Duration {
        usual * (1 << self.in_a_row.min(3))
    }
}
