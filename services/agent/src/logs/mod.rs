//! Logs on their way to the bucket, while they are written.
//!
//! A file is sent in segments of about a megabyte, each one object, named as `updraft_api::log_layout` says. The last one grows: it is put
//! again with more in it, a second or some after a line was written. Where a segment ends depends on the file's bytes alone, so whatever
//! is sent again has the same key. What is not in the bucket stays on the disk, up to a limit; services never wait.

mod bucket;
mod house;
mod journal;
mod look;
mod pack;
mod put;
mod relief;
mod room;
pub mod segment;
mod send;
mod shipper;
mod stream;
mod trouble;

#[cfg(test)]
mod schedules;

use tokio::sync::{mpsc, oneshot, watch};
use updraft_api::agent::{LogDelivery, LogReport};

use crate::layout::Layout;

pub use bucket::LogBucket;

/// Something that happened to the node's logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// How it stands.
    Stands(LogReport),
    /// For more than a minute something has waited. Why, if it is known.
    Behind(LogReport, Option<String>),
    CaughtUp,
    /// Nobody will read these: the disk had no room for them.
    GivenUp {
        bytes: u64,
        lines: u64,
    },
}

/// Asks for all that is written to be sent, once and at once, and for what ended to be packed. Answered when that is done.
pub type Finish = oneshot::Sender<()>;

/// Ships until the sender of `delivery` is gone. Without a delivery files are only kept within their limit.
pub async fn deliver(
    layout: Layout,
    mut delivery: watch::Receiver<Option<LogDelivery>>,
    mut finishes: mpsc::Receiver<Finish>,
    events: mpsc::Sender<LogEvent>,
) {
    let mut shipper = match shipper::Shipper::open(layout, events) {
        Ok(shipper) => shipper,
        Err(error) => {
            tracing::error!(
                error = error.chain(),
                "Logs can't be shipped: where they stand can't be read"
            );
            return;
        }
    };
    loop {
        let current = delivery.borrow_and_update().clone();
        shipper.deliver_to(current.as_ref());
        tokio::select! {
            () = shipper.run(&mut finishes) => return,
            changed = delivery.changed() => if changed.is_err() { return },
        }
    }
}
