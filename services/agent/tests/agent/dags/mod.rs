//! DAG versions from an object store to nodes' disks.

mod collection;
mod large;
mod outage;
mod parts;
mod pushed;
mod refused;
mod versions;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use updraft_agent::dags::{self, Bucket, DagEvent, Digest, Ground, Shelf, Wishes};
use updraft_agent::{Layout, Place};
use updraft_api::agent::{CurrentPush, DagDelivery, SourceDelivery, SourceFrom};

use crate::support::eventually;
use crate::support::storage::{self, Road, Storage};

const VERSIONS: &str = "updraft/dag-versions/";

pub(crate) struct Disk {
    _dir: tempfile::TempDir,
    layout: Layout,
    pub(crate) shelf: Shelf,
    events: mpsc::Receiver<DagEvent>,
    tell: mpsc::Sender<DagEvent>,
    pub(crate) task: Option<AbortHandle>,
    pub(crate) wishes: watch::Sender<Wishes>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    fn at(dir: tempfile::TempDir) -> Self {
        // As the agent does when it begins; one before us is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let layout = Layout::ensure(Place::open(&dir.path().join("node"), None).unwrap()).unwrap();
        let (tell, events) = mpsc::channel(100);
        Self {
            shelf: Shelf::new(layout.clone()),
            _dir: dir,
            layout,
            events,
            tell,
            task: None,
            wishes: watch::channel(Wishes::default()).0,
        }
    }

    fn resolve(&mut self, source: &Source) {
        self.run(source, source.delivery());
    }

    fn follow(&mut self, source: &Source) {
        let mut delivery = source.delivery();
        delivery.sources = Vec::new();
        self.run(source, delivery);
    }

    #[expect(clippy::needless_pass_by_value, reason = "each run is given one of its own")]
    pub(crate) fn run(&mut self, source: &Source, delivery: DagDelivery) {
        let bucket = Bucket::new(Arc::clone(&source.near), VERSIONS);
        let (shelf, tell) = (self.shelf.clone(), self.tell.clone());
        let ground = Ground::new(self.layout.clone(), "127.0.0.1".parse().unwrap(), &delivery);
        let sources = dags::Source::all(&delivery, &source.near, &ground);
        let wishes = self.wishes.subscribe();
        let task = tokio::spawn(async move { dags::run(&shelf, &bucket, sources, wishes, &tell).await });
        self.task = Some(task.abort_handle());
    }

    /// Who does not listen must not stand in the way.
    pub(crate) fn forget_events(&mut self) {
        while self.events.try_recv().is_ok() {}
    }

    /// The reason of the next trouble.
    pub(crate) async fn trouble(&mut self) -> String {
        let event = self
            .event(|event| match event {
                DagEvent::Failed(_) => true,
                DagEvent::Source(state) => state.trouble.is_some(),
                _ => false,
            })
            .await;
        match event {
            DagEvent::Failed(reason) => reason,
            DagEvent::Source(state) => state.trouble.unwrap(),
            _ => String::new(),
        }
    }

    /// The same of a service that may stumble, so that trouble is told only when it does so again and again.
    pub(crate) async fn lasting_trouble(&mut self) -> String {
        let wishes = self.wishes.clone();
        let looking = tokio::spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_millis(200));
            loop {
                pace.tick().await;
                wishes.send_modify(|wishes| wishes.sync += 1);
            }
        });
        let reason = self.trouble().await;
        looking.abort();
        reason
    }

    pub(crate) async fn recovery(&mut self) {
        self.event(|event| match event {
            DagEvent::Recovered => true,
            DagEvent::Source(state) => state.trouble.is_none(),
            _ => false,
        })
        .await;
    }

    /// Waits until these are the live version's files.
    pub(crate) async fn serves(&mut self, expected: &[(&str, &str)]) {
        let wanted = files(expected);
        eventually("the live files", || self.live() == wanted).await;
    }

    pub(crate) async fn event(&mut self, wanted: impl Fn(&DagEvent) -> bool) -> DagEvent {
        tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                let event = self.events.recv().await.unwrap();
                if wanted(&event) {
                    return event;
                }
            }
        })
        .await
        .expect("the event never came")
    }

    /// The files of the live version.
    pub(crate) fn live(&self) -> Option<BTreeMap<String, String>> {
        let root = self.shelf.version(&self.shelf.current()?);
        let mut files = BTreeMap::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap().flatten() {
                if entry.path().is_dir() {
                    directories.push(entry.path());
                } else {
                    let path = entry
                        .path()
                        .strip_prefix(&root)
                        .unwrap()
                        .to_string_lossy()
                        .into_owned();
                    files.insert(path, std::fs::read_to_string(entry.path()).unwrap());
                }
            }
        }
        Some(files)
    }

    /// How many files the live version has at its top.
    fn live_files(&self) -> usize {
        let live = self.shelf.current().map(|live| self.shelf.version(&live));
        live.map_or(0, |live| std::fs::read_dir(live).unwrap().count())
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.layout.path(relative)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// A cluster's own bucket.
pub(crate) struct Source {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The same, as agents reach it.
    near: Arc<dyn ObjectStore>,
}

impl Source {
    pub(crate) fn new() -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        Self {
            near: Arc::clone(&store),
            store,
        }
    }

    /// On a real store, with a way for the agents.
    pub(crate) fn on(storage: &Storage, road: &Road) -> Self {
        let client = |endpoint: &str| -> Arc<dyn ObjectStore> { Arc::new(storage::client(endpoint)) };
        Self {
            store: client(&storage.endpoint()),
            near: client(&road.endpoint),
        }
    }

    fn delivery(&self) -> DagDelivery {
        delivery(vec![SourceDelivery {
            folder: String::new(),
            from: SourceFrom::ClusterBucket {
                prefix: "dags/".to_owned(),
            },
            ca_certificate: None,
        }])
    }

    pub(crate) async fn put(&self, path: &str, content: &'static str) {
        self.store.put(&Path::from(path), content.into()).await.unwrap();
    }

    async fn archive(&self, digest: &Digest) -> Path {
        let path = Path::from(format!("updraft/dag-versions/{digest}.tar.zst"));
        self.store.head(&path).await.unwrap();
        path
    }
}

pub(crate) fn delivery(sources: Vec<SourceDelivery>) -> DagDelivery {
    DagDelivery {
        endpoint: String::new(),
        region: "us-east-1".to_owned(),
        bucket: String::new(),
        versions_prefix: VERSIONS.to_owned(),
        access_key: String::new(),
        secret_key: String::new().into(),
        session_token: None,
        resolver: true,
        sources,
        pinned: None,
        kept: Vec::new(),
        sync_nonce: 0,
        outbound_allow: Vec::new(),
    }
}

fn files(expected: &[(&str, &str)]) -> Option<BTreeMap<String, String>> {
    Some(
        expected
            .iter()
            .map(|(path, content)| ((*path).to_owned(), (*content).to_owned()))
            .collect(),
    )
}

pub(crate) fn bucket_source(folder: &str, prefix: &str) -> SourceDelivery {
    SourceDelivery {
        folder: folder.to_owned(),
        from: SourceFrom::ClusterBucket {
            prefix: prefix.to_owned(),
        },
        ca_certificate: None,
    }
}

pub(crate) fn push_delivery() -> DagDelivery {
    delivery(vec![SourceDelivery {
        folder: String::new(),
        from: SourceFrom::Push {
            prefix: "updraft/pushes/top/".to_owned(),
        },
        ca_certificate: None,
    }])
}

pub(crate) async fn push(source: &Source, entries: &[(tar::EntryType, &[u8], &str)]) {
    use sha2::Digest as _;
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    for (kind, path, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        let body = if *kind == tar::EntryType::Symlink {
            header.set_link_name(content).unwrap();
            ""
        } else {
            content
        };
        header.set_size(body.len() as u64);
        header.set_cksum();
        tar.append(&header, body.as_bytes()).unwrap();
    }
    let packed = tar.into_inner().unwrap().finish().unwrap();
    let name = hex::encode(sha2::Sha256::digest(&packed));
    let at = |name: &str| Path::from(format!("updraft/pushes/top/{name}"));
    source
        .store
        .put(&at(&format!("{name}.tar.gz")), packed.into())
        .await
        .unwrap();
    let current = CurrentPush {
        sha256: name,
        author: Some("Ada".to_owned()),
        message: None,
        pushed_at: chrono::Utc::now(),
    };
    let current = serde_json::to_vec(&current).unwrap();
    source.store.put(&at("current"), current.into()).await.unwrap();
}
