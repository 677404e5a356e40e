//! Removing versions that nobody uses. One that an unfinished run began with is never removed: the scheduler's node
//! knows the runs, and writes their versions into the bucket for the others. Where that is not known, nothing is removed;
//! nor is a version that was live since, however many came after it: of runs that began with it nobody may know yet.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use chrono::{TimeDelta, Utc};
use tokio::sync::watch;
use tokio::time::sleep;
use updraft_api::agent::KEPT_VERSIONS;

use super::Wishes;
use super::bucket::{Bucket, Kept};
use super::digest::Digest;
use super::receipts;
use super::shelf::Shelf;
use crate::error::Result;

/// Of the bucket: the latest so many, and no more than so many bytes of them.
const MOST_ARCHIVES: usize = KEPT_VERSIONS;
const MOST_BYTES: u64 = 20 << 30;
const EVERY: Duration = Duration::from_secs(30);
/// What was written down longer ago says nothing of the runs that began since.
const FRESH: TimeDelta = TimeDelta::minutes(10);
/// How much older than its writing what was written down may be: the note's own age, and a parsing that was under way.
const LATE: Duration = Duration::from_secs(120);

/// On a node's disk, after another version went live.
pub(super) async fn on_disk(shelf: &Shelf, bucket: &Bucket, mut keep: BTreeSet<Digest>) -> Result<()> {
    let now = Utc::now();
    match bucket.in_use().await? {
        Some((used, at)) if now - at < FRESH => {
            keep.extend(used);
            shelf.collect(&keep, SystemTime::from(at) - LATE)
        }
        // Airflow has not run yet, or has not for long.
        known => {
            keep.extend(known.into_iter().flat_map(|(used, _)| used));
            shelf.collect_if_many(&keep, SystemTime::from(now - FRESH))
        }
    }
}

/// In the bucket, on the node that resolves.
pub(super) async fn in_bucket(shelf: &Shelf, bucket: &Bucket, wishes: &watch::Receiver<Wishes>) {
    let mut told = None;
    loop {
        if let Some(used) = receipts::in_use(shelf.layout())
            && let Err(error) = step(shelf, bucket, &used, &mut told, wishes).await
        {
            tracing::warn!(
                error = error.chain(),
                "Old DAG versions could not be removed from the bucket"
            );
        }
        sleep(EVERY).await;
    }
}

async fn step(
    shelf: &Shelf,
    bucket: &Bucket,
    used: &BTreeSet<Digest>,
    told: &mut Option<std::time::Instant>,
    wishes: &watch::Receiver<Wishes>,
) -> Result<()> {
    let often = EVERY * 4;
    if told.is_none_or(|at| at.elapsed() > often) {
        bucket.set_in_use(used).await?;
        *told = Some(std::time::Instant::now());
    }
    let mut keep = used.clone();
    keep.extend(shelf.live_since(SystemTime::now() - LATE));
    keep.extend(wishes.borrow().pinned.clone());
    keep.extend(wishes.borrow().kept.clone());
    keep.extend(bucket.current().await?.map(|(current, _)| current.digest));
    for digest in superfluous(&bucket.archives().await?, &keep) {
        bucket.remove(&digest).await?;
    }
    Ok(())
}

/// Which of the archives (the latest first) are one too many. Pure.
fn superfluous(archives: &[Kept], keep: &BTreeSet<Digest>) -> Vec<Digest> {
    let mut bytes = 0;
    let mut too_many = Vec::new();
    for (number, archive) in archives.iter().enumerate() {
        bytes += archive.bytes;
        if (number >= MOST_ARCHIVES || bytes > MOST_BYTES) && !keep.contains(&archive.digest) {
            too_many.push(archive.digest.clone());
        }
    }
    too_many
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::Utc;

    use super::{Kept, MOST_ARCHIVES, superfluous};
    use crate::dags::Digest;

    fn digest(number: usize) -> Digest {
        format!("{number:064x}").parse().unwrap()
    }

    fn archives(bytes: u64) -> Vec<Kept> {
        let kept = |number| Kept {
            digest: digest(number),
            bytes,
            at: Utc::now(),
        };
        (0..MOST_ARCHIVES + 5).map(kept).collect()
    }

    #[test]
    fn old_versions_go_and_used_ones_stay() {
        let used = BTreeSet::from([digest(MOST_ARCHIVES + 1)]);
        let gone = superfluous(&archives(1), &used);
        assert_eq!(gone, [0, 2, 3, 4].map(|more| digest(MOST_ARCHIVES + more)));
    }

    #[test]
    fn large_versions_go_before_they_are_many() {
        let gone = superfluous(&archives(super::MOST_BYTES / 2), &BTreeSet::from([digest(3)]));
        assert_eq!(gone.len(), MOST_ARCHIVES + 5 - 3);
        assert_eq!(gone.first(), Some(&digest(2)));
    }
}
