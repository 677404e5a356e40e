//! Every node: fetch what is current (the pinned version while there is one), and what runs began with.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::bucket::Bucket;
use super::digest::Digest;
use super::shelf::Shelf;
use super::{Between, DagEvent, Told, Trouble, Wishes};
use crate::error::Result;

const POLL: Duration = Duration::from_secs(1);
/// While a version is expected, for this long: somebody asked for a look at the sources.
const SOON: Duration = Duration::from_millis(100);
const EXPECTED: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(200);
const WANTED_AGAIN: Duration = Duration::from_secs(5);

/// What the bucket last said is current.
#[derive(Debug, Default)]
struct Known {
    digest: Option<Digest>,
    tag: Option<String>,
}

pub(super) async fn current(
    shelf: &Shelf,
    bucket: &Bucket,
    mut wishes: watch::Receiver<Wishes>,
    between: &Between,
    events: &mpsc::Sender<DagEvent>,
) {
    let mut trouble = Trouble::default();
    let mut known = Known::default();
    if let Some(digest) = shelf.current().filter(|digest| shelf.has(digest)) {
        let _ = events.send(DagEvent::Live(digest)).await;
    }
    let mut expected_until = Instant::now();
    loop {
        let pinned = wishes.borrow_and_update().pinned.clone();
        let before = known.digest.clone();
        let result = step(shelf, bucket, pinned, &mut known, events).await;
        if known.digest != before {
            expected_until = Instant::now();
        }
        let event = match trouble.note(result) {
            Told::Failed(reason) => Some(DagEvent::Failed(reason)),
            Told::Recovered => Some(DagEvent::Recovered),
            Told::Nothing => None,
        };
        if let Some(event) = event {
            let _ = events.send(event).await;
        }
        between.live.send_if_modified(|live| {
            let before = std::mem::replace(live, shelf.current());
            *live != before
        });
        let pause = if Instant::now() < expected_until {
            SOON
        } else {
            POLL
        };
        tokio::select! {
            () = sleep(trouble.pause(pause)) => {}
            () = between.published.notified() => {}
            Ok(()) = wishes.changed() => expected_until = Instant::now() + EXPECTED,
        }
    }
}

async fn step(
    shelf: &Shelf,
    bucket: &Bucket,
    pinned: Option<Digest>,
    known: &mut Known,
    events: &mpsc::Sender<DagEvent>,
) -> Result<()> {
    if let Some((current, tag)) = bucket.current_unless(known.tag.clone()).await? {
        // A pinned version serves, but the next one is at hand when it no longer does.
        shelf.fetch(bucket, &current.digest).await?;
        *known = Known {
            digest: Some(current.digest),
            tag,
        };
    }
    let keep: BTreeSet<Digest> = pinned.iter().chain(&known.digest).cloned().collect();
    let Some(live) = pinned.or_else(|| known.digest.clone()) else {
        return Ok(());
    };
    shelf.fetch(bucket, &live).await?;
    if shelf.current().as_ref() != Some(&live) {
        if shelf.current().is_some() {
            shelf.freshen(&live)?;
        }
        shelf.set_current(&live)?;
        let _ = events.send(DagEvent::Live(live)).await;
        super::collect::on_disk(shelf, bucket, keep).await?;
    }
    Ok(())
}

pub(super) async fn wanted(shelf: &Shelf, bucket: &Bucket, events: &mpsc::Sender<DagEvent>) {
    let mut failed: BTreeMap<Digest, Instant> = BTreeMap::new();
    loop {
        for digest in shelf.wanted() {
            if failed.get(&digest).is_some_and(|at| at.elapsed() < WANTED_AGAIN) {
                continue;
            }
            if let Err(error) = shelf.fetch(bucket, &digest).await {
                let told = failed.insert(digest.clone(), Instant::now()).is_some();
                if !told {
                    let reason = format!("A run needs version {digest}: {}", error.chain());
                    let _ = events.send(DagEvent::Failed(reason)).await;
                }
            } else {
                failed.remove(&digest);
            }
        }
        sleep(LOOK).await;
    }
}
