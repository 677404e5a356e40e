//! Every node: fetch what is current, and what runs are pinned to.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::bucket::Bucket;
use super::digest::Digest;
use super::shelf::Shelf;
use super::{DagEvent, Trouble};
use crate::error::Result;

const POLL: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(200);
const WANTED_AGAIN: Duration = Duration::from_secs(5);

pub(super) async fn current(shelf: &Shelf, bucket: &Bucket, events: &mpsc::Sender<DagEvent>) {
    let mut trouble = Trouble::default();
    let mut known = None;
    if let Some(digest) = shelf.current().filter(|digest| shelf.has(digest)) {
        let _ = events.send(DagEvent::Live(digest)).await;
    }
    loop {
        let result = step(shelf, bucket, &mut known, events).await;
        trouble.note(result, events).await;
        sleep(trouble.pause(POLL)).await;
    }
}

async fn step(
    shelf: &Shelf,
    bucket: &Bucket,
    known: &mut Option<String>,
    events: &mpsc::Sender<DagEvent>,
) -> Result<()> {
    let Some((current, tag)) = bucket.current_unless(known.clone()).await? else {
        return Ok(());
    };
    shelf.fetch(bucket, &current.digest).await?;
    if shelf.current().as_ref() != Some(&current.digest) {
        if shelf.current().is_some() {
            shelf.freshen(&current.digest)?;
        }
        shelf.set_current(&current.digest)?;
        let _ = events.send(DagEvent::Live(current.digest)).await;
        shelf.collect()?;
    }
    *known = tag;
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
