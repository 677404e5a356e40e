//! One node of a cluster: make versions of the sources.
//!
//! Each source is looked at on its own, at its own pace. Whenever one brings something new, all parts are put together
//! into a version; a source in trouble contributes its last good part, which after a restart is read from the last
//! published version.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use updraft_api::agent::SourceState;

use super::archive;
use super::bucket::{Bucket, Current};
use super::digest::{Digest, Manifest};
use super::part::{Part, Parts, Revision, merge, parts_of};
use super::shelf::{Shelf, blocking};
use super::source::{Look, Snapshot, Source};
use super::{Between, DagEvent, Told, Trouble, Wishes};
use crate::error::{Error, Result};

/// The source changed while it was read.
const SETTLE: Duration = Duration::from_millis(300);
const AGAIN: Duration = Duration::from_secs(1);
const LIVE_WITHIN: Duration = Duration::from_secs(5);

/// What goes on beside resolving.
struct Around<'a> {
    wishes: watch::Receiver<Wishes>,
    between: &'a Between,
}

struct Resolver<'a> {
    around: Around<'a>,
    shelf: &'a Shelf,
    bucket: &'a Bucket,
    events: &'a mpsc::Sender<DagEvent>,
    parts: Parts,
    /// On this node's disk, not yet published.
    waiting: Option<Current>,
    /// The version last made or published.
    latest: Option<Current>,
    trouble: Trouble,
    /// Folder → up to which asked-for look it was looked at.
    synced: BTreeMap<String, i64>,
    /// Folders whose source has been looked at.
    looked_at: BTreeSet<String>,
}

/// A source between two looks.
struct Watched {
    source: Source,
    wishes: watch::Receiver<Wishes>,
    trouble: Trouble,
    pause: Duration,
    /// What had been asked for when the last look began.
    sync: i64,
}

/// A look that has ended.
struct Looked {
    watched: Watched,
    /// Asked for before it began.
    sync: i64,
    look: Result<Look>,
}

pub(super) async fn run(
    shelf: &Shelf,
    bucket: &Bucket,
    sources: Vec<Source>,
    wishes: &watch::Receiver<Wishes>,
    between: &Between,
    events: &mpsc::Sender<DagEvent>,
) {
    let folders: Vec<String> = sources.iter().map(|source| source.folder().to_owned()).collect();
    let around = Around {
        wishes: wishes.clone(),
        between,
    };
    let mut resolver = Resolver::begin(shelf, bucket, events, around, &folders).await;
    let mut looks = JoinSet::new();
    for source in sources {
        let watched = Watched {
            source,
            wishes: wishes.clone(),
            trouble: Trouble::default(),
            pause: Duration::ZERO,
            sync: -1,
        };
        let part = resolver.part(watched.source.folder());
        looks.spawn(watched.look(shelf.clone(), part));
    }
    loop {
        let Some(looked) = looks.join_next().await else {
            return std::future::pending().await;
        };
        let mut batch: Vec<Looked> = looked.into_iter().collect();
        while let Some(Ok(looked)) = looks.try_join_next() {
            batch.push(looked);
        }
        for watched in resolver.take(batch).await {
            let part = resolver.part(watched.source.folder());
            looks.spawn(watched.look(shelf.clone(), part));
        }
    }
}

// === impl Watched ===

impl Watched {
    async fn look(mut self, shelf: Shelf, last: Option<Arc<Part>>) -> Looked {
        if !self.pause.is_zero() {
            tokio::select! {
                () = sleep(self.pause) => {}
                () = asked(&mut self.wishes, self.sync) => {}
                () = self.source.woken() => {}
            }
        }
        let sync = self.wishes.borrow_and_update().sync;
        self.sync = sync;
        let look = AssertUnwindSafe(self.source.look(&shelf, last.as_deref())).catch_unwind();
        // A defect in reading one source must not end the others, nor itself for good.
        let look = look.await.unwrap_or_else(|_| {
            Err(Error::Dags(
                "reading the source broke off for a defect of Updraft's: look at the agent's log".to_owned(),
            ))
        });
        Looked {
            watched: self,
            sync,
            look,
        }
    }
}

/// Until somebody has asked for a look since the last one began.
async fn asked(wishes: &mut watch::Receiver<Wishes>, before: i64) {
    if wishes.wait_for(|wishes| wishes.sync != before).await.is_err() {
        std::future::pending::<()>().await;
    }
}

// === impl Resolver ===

impl<'a> Resolver<'a> {
    /// Reads from the last published version what each source's last good part was.
    async fn begin(
        shelf: &'a Shelf,
        bucket: &'a Bucket,
        events: &'a mpsc::Sender<DagEvent>,
        around: Around<'a>,
        folders: &[String],
    ) -> Self {
        let mut resolver = Self {
            around,
            shelf,
            bucket,
            events,
            parts: Parts::new(),
            waiting: None,
            latest: None,
            trouble: Trouble::default(),
            looked_at: BTreeSet::new(),
            synced: folders.iter().map(|folder| (folder.clone(), -1)).collect(),
        };
        loop {
            match resolver.recall(folders).await {
                Ok(()) => break,
                Err(error @ Error::ObjectStore { .. }) if !is_gone(&error) => {
                    let pause = resolver.trouble.pause(AGAIN);
                    resolver.note(Err(error)).await;
                    sleep(pause).await;
                }
                Err(error) => {
                    tracing::warn!(
                        error = error.chain(),
                        "The last version can't be built upon; all sources are read anew"
                    );
                    break;
                }
            }
        }
        resolver.note(Ok(())).await;
        resolver
    }

    async fn recall(&mut self, folders: &[String]) -> Result<()> {
        let Some((current, _)) = self.bucket.current().await? else {
            return Ok(());
        };
        self.shelf.fetch(self.bucket, &current.digest).await?;
        let version = self.shelf.version(&current.digest);
        let from = version.clone();
        let whole = blocking(move || archive::manifest_of(&from)).await?;
        self.parts = parts_of(&current, &version, &whole);
        self.parts.retain(|folder, _| folders.contains(folder));
        self.tell(DagEvent::Published(current.published())).await;
        self.latest = Some(current);
        Ok(())
    }

    fn part(&self, folder: &str) -> Option<Arc<Part>> {
        self.parts.get(folder).cloned()
    }

    /// Makes a version of what was found, and publishes it; the sources are to be looked at again.
    async fn take(&mut self, batch: Vec<Looked>) -> Vec<Watched> {
        let (mut fresh, mut again, mut moving) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut looked_at = Vec::new();
        for Looked {
            mut watched,
            sync,
            look,
        } in batch
        {
            let folder = watched.source.folder().to_owned();
            let settled = match look {
                Ok(Look::Same) => Ok(()),
                Ok(Look::Moving) => {
                    moving.push(folder.clone());
                    Ok(())
                }
                Ok(Look::Fresh(snapshot)) => {
                    fresh.insert(folder.clone(), snapshot);
                    Ok(())
                }
                Err(error) => Err(error),
            };
            let is_moving = moving.contains(&folder);
            watched.pause = SETTLE;
            if !is_moving {
                looked_at.push((folder.clone(), sync));
                self.looked_at.insert(folder.clone());
                let told = watched.trouble.note(settled);
                watched.pause = watched.trouble.pause(watched.source.pace());
                self.tell_source(folder, told).await;
            }
            again.push(watched);
        }
        let made = self.renew(fresh).await;
        let good = made.is_ok();
        self.note(made).await;
        if good {
            self.await_live().await;
            self.synced.extend(looked_at);
            self.tell_synced().await;
        }
        again
    }

    async fn renew(&mut self, fresh: BTreeMap<String, Snapshot>) -> Result<()> {
        let gone = |current: &Current| {
            let mut recorded = current.sources.iter().map(|revision| &revision.shown.folder);
            recorded.any(|folder| !self.synced.contains_key(folder))
        };
        let stale = self.waiting.is_none() && self.latest.as_ref().is_some_and(gone);
        // A cluster whose sources are all in trouble starts without DAGs.
        let all_looked_at = self.looked_at.len() == self.synced.len();
        let nothing_yet = all_looked_at && self.latest.is_none() && self.waiting.is_none();
        if !fresh.is_empty() || stale || nothing_yet {
            self.make(fresh).await?;
        }
        self.publish().await
    }

    /// Puts a version on this node's disk.
    async fn make(&mut self, mut fresh: BTreeMap<String, Snapshot>) -> Result<()> {
        let mut revisions: BTreeMap<String, Revision> = BTreeMap::new();
        let known = self.parts.values().map(|part| &part.revision);
        for revision in known.chain(fresh.values().map(|snapshot| &snapshot.revision)) {
            revisions.insert(revision.shown.folder.clone(), revision.clone());
        }
        let sources: Vec<Revision> = revisions.into_values().collect();
        let (shelf, parts, into) = (
            self.shelf.clone(),
            self.parts.clone(),
            self.shelf.aside_directory()?,
        );
        let manifest = blocking(move || {
            let manifest = merge(&into, &parts, &mut fresh)?;
            shelf.install(&into, &manifest)?;
            Ok(manifest)
        })
        .await?;
        let current = Current {
            digest: manifest.digest(),
            files: manifest.len() as u64,
            bytes: manifest.bytes(),
            at: Some(Utc::now()),
            sources,
        };
        let version = self.shelf.version(&current.digest);
        self.parts = parts_of(&current, &version, &manifest);
        self.waiting = Some(current);
        Ok(())
    }

    /// Makes the waiting version current, for every node.
    async fn publish(&mut self) -> Result<()> {
        let Some(waiting) = &self.waiting else {
            return Ok(());
        };
        if !self.bucket.has(&waiting.digest).await? {
            self.upload(&waiting.digest).await?;
        }
        let before = self.bucket.current().await?;
        let is_same = |now: &Current| now.digest == waiting.digest && now.sources == waiting.sources;
        let published = match before {
            Some((now, _)) if is_same(&now) => now,
            before => {
                self.bucket
                    .set_current(waiting, before.map(|(_, tag)| tag))
                    .await?;
                waiting.clone()
            }
        };
        self.tell(DagEvent::Published(published.published())).await;
        self.latest = Some(published);
        self.waiting = None;
        self.around.between.published.notify_one();
        Ok(())
    }

    async fn upload(&self, digest: &Digest) -> Result<()> {
        let archive = self.shelf.aside("archive");
        let version = self.shelf.version(digest);
        let packed = blocking(move || {
            let manifest: Manifest = archive::manifest_of(&version)?;
            archive::pack(&version, &manifest, archive.path())?;
            Ok(archive)
        })
        .await?;
        self.bucket.upload(digest, packed.path()).await
    }

    async fn note(&mut self, result: Result<()>) {
        match self.trouble.note(result) {
            Told::Failed(reason) => self.tell(DagEvent::Failed(reason)).await,
            Told::Recovered => self.tell(DagEvent::Recovered).await,
            Told::Nothing => {}
        }
    }

    async fn tell_source(&self, folder: String, told: Told) {
        let trouble = match told {
            Told::Failed(reason) => Some(reason.chars().take(500).collect()),
            Told::Recovered => None,
            Told::Nothing => return,
        };
        self.tell(DagEvent::Source(SourceState { folder, trouble })).await;
    }

    /// Whoever hears that a look is done finds what came of it live on this node.
    async fn await_live(&self) {
        let Some(latest) = &self.latest else { return };
        if self.around.wishes.borrow().pinned.is_some() {
            return;
        }
        let mut live = self.around.between.live.subscribe();
        let arrived = live.wait_for(|live| live.as_ref() == Some(&latest.digest));
        // A node that can't fetch tells so itself.
        let _ = timeout(LIVE_WITHIN, arrived).await;
    }

    async fn tell_synced(&self) {
        if let Some(synced) = self.synced.values().min().filter(|synced| **synced >= 0) {
            self.tell(DagEvent::Synced(*synced)).await;
        }
    }

    async fn tell(&self, event: DagEvent) {
        // Nobody listens when the agent is ending.
        let _ = self.events.send(event).await;
    }
}

fn is_gone(error: &Error) -> bool {
    matches!(
        error,
        Error::ObjectStore {
            source: object_store::Error::NotFound { .. },
            ..
        }
    )
}
