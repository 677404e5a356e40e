//! DAG versions from an object store (in memory, with its real conditions) to two nodes' disks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::support::eventually;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use updraft_agent::dags::{self, Bucket, DagEvent, Digest, Ground, Shelf, Wishes};
use updraft_agent::{Layout, Place};
use updraft_api::agent::{CurrentPush, DagDelivery, SourceDelivery, SourceFrom};

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
        let (shelf, bucket, tell) = (self.shelf.clone(), source.bucket.clone(), self.tell.clone());
        let ground = Ground::new(self.layout.clone(), "127.0.0.1".parse().unwrap(), &delivery);
        let own: Arc<dyn ObjectStore> = Arc::clone(&source.store) as _;
        let sources = dags::Source::all(&delivery, &own, &ground);
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

pub(crate) struct Source {
    pub(crate) store: Arc<InMemory>,
    bucket: Bucket,
}

impl Source {
    pub(crate) fn new() -> Self {
        let store = Arc::new(InMemory::new());
        let bucket = Bucket::new(Arc::clone(&store) as _, VERSIONS);
        Self { store, bucket }
    }

    fn delivery(&self) -> DagDelivery {
        delivery(vec![SourceDelivery {
            folder: String::new(),
            from: SourceFrom::ClusterBucket {
                prefix: "dags/".to_owned(),
            },
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
        bucket: String::new(),
        versions_prefix: VERSIONS.to_owned(),
        access_key: String::new(),
        secret_key: String::new().into(),
        resolver: true,
        sources,
        pinned: None,
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

#[tokio::test]
async fn every_node_has_the_same_version_of_the_source() {
    let source = Source::new();
    source.put("dags/a.py", "one").await;
    source.put("dags/team/b.sql", "select").await;
    source.put("dags/__pycache__/a.pyc", "litter").await;
    source.put("elsewhere/c.py", "not ours").await;
    let (mut resolver, mut follower) = (Disk::new(), Disk::new());
    resolver.resolve(&source);
    follower.follow(&source);
    for disk in [&mut resolver, &mut follower] {
        disk.event(|event| matches!(event, DagEvent::Live(_))).await;
        assert_eq!(disk.live(), files(&[("a.py", "one"), ("team/b.sql", "select")]));
    }
    let first = follower.shelf.current().unwrap();
    assert_eq!(resolver.shelf.current(), Some(first.clone()));

    source.put("dags/a.py", "two").await;
    source.store.delete(&Path::from("dags/team/b.sql")).await.unwrap();
    for disk in [&mut resolver, &mut follower] {
        disk.event(|event| matches!(event, DagEvent::Live(digest) if *digest != first))
            .await;
        assert_eq!(disk.live(), files(&[("a.py", "two")]));
    }
    // The earlier version is still there for the runs that are pinned to it.
    assert_eq!(
        std::fs::read_to_string(follower.shelf.version(&first).join("a.py")).unwrap(),
        "one"
    );
    let leftover = |disk: &Disk| std::fs::read_dir(disk.path("dags/incoming")).unwrap().count();
    assert_eq!((leftover(&resolver), leftover(&follower)), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_resolver_fetches_and_makes_the_same_version_without_a_failure() {
    let source = Source::new();
    for number in 0..40 {
        source.put(&format!("dags/{number}.py"), "same").await;
    }
    let mut first = Disk::new();
    first.resolve(&source);
    first.event(|event| matches!(event, DagEvent::Live(_))).await;
    first.task.take().unwrap().abort();
    for _ in 0..20 {
        let mut disk = Disk::new();
        disk.resolve(&source);
        let event = disk
            .event(|event| matches!(event, DagEvent::Live(_) | DagEvent::Failed(_)))
            .await;
        assert!(matches!(event, DagEvent::Live(_)), "{event:?}");
        disk.task.take().unwrap().abort();
    }
}

#[tokio::test]
async fn a_version_that_is_not_what_its_name_says_is_refused() {
    let source = Source::new();
    source.put("dags/a.py", "good").await;
    let mut resolver = Disk::new();
    resolver.resolve(&source);
    resolver.event(|event| matches!(event, DagEvent::Live(_))).await;
    let good = resolver.shelf.current().unwrap();
    source.put("dags/a.py", "better").await;
    resolver
        .event(|event| matches!(event, DagEvent::Live(digest) if *digest != good))
        .await;
    let better = resolver.shelf.current().unwrap();
    resolver.task.take().unwrap().abort();

    // Somebody swaps the archives.
    let swapped = source
        .store
        .get(&source.archive(&good).await)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let target = source.archive(&better).await;
    source.store.put(&target, swapped.into()).await.unwrap();
    let mut follower = Disk::new();
    follower.follow(&source);
    let reason = follower.trouble().await;
    assert!(reason.contains("other content than its name says"), "{reason}");
    assert_eq!(follower.shelf.current(), None);
    assert!(!follower.shelf.has(&better));
}

#[tokio::test]
async fn a_version_that_a_run_wants_is_fetched() {
    let source = Source::new();
    source.put("dags/a.py", "old").await;
    let mut resolver = Disk::new();
    resolver.resolve(&source);
    resolver.event(|event| matches!(event, DagEvent::Live(_))).await;
    let old = resolver.shelf.current().unwrap();
    source.put("dags/a.py", "new").await;
    resolver
        .event(|event| matches!(event, DagEvent::Live(digest) if *digest != old))
        .await;

    let mut late = Disk::new();
    late.follow(&source);
    late.event(|event| matches!(event, DagEvent::Live(_))).await;
    assert!(!late.shelf.has(&old));
    std::fs::write(late.path(&format!("dags/wanted/{old}")), "").unwrap();
    std::fs::write(late.path("dags/wanted/..%2fescape"), "").unwrap();
    eventually("the wanted version", || late.shelf.has(&old)).await;
    assert_eq!(late.live(), files(&[("a.py", "new")]));
}

#[tokio::test]
async fn a_source_that_makes_no_sense_leaves_the_last_good_version() {
    let source = Source::new();
    source.put("dags/a.py", "good").await;
    let mut disk = Disk::new();
    disk.resolve(&source);
    disk.event(|event| matches!(event, DagEvent::Live(_))).await;
    // An object store has no directories: both can be there.
    source.put("dags/a.py/b.py", "below a file").await;
    let reason = disk.trouble().await;
    assert!(reason.contains("`a.py`"), "{reason}");
    assert_eq!(disk.live(), files(&[("a.py", "good")]));
    source.store.delete(&Path::from("dags/a.py/b.py")).await.unwrap();
    disk.recovery().await;
}

#[tokio::test]
async fn versions_nobody_uses_are_collected_and_those_wanted_are_kept() {
    let source = Source::new();
    let mut disk = Disk::new();
    let versions = disk.path("dags/versions");
    let name = |number: u32| format!("{number:064x}");
    for number in 0..25 {
        std::fs::create_dir(versions.join(name(number))).unwrap();
        let then = std::time::SystemTime::now() - Duration::from_secs(3600 - u64::from(number));
        std::fs::File::open(versions.join(name(number)))
            .unwrap()
            .set_modified(then)
            .unwrap();
    }
    std::fs::write(disk.path(&format!("dags/wanted/{}", name(0))), "").unwrap();
    let used = format!(r#"["{}"]"#, name(2));
    source
        .store
        .put(&Path::from("updraft/dag-versions/in-use"), used.into())
        .await
        .unwrap();
    source.put("dags/a.py", "new").await;
    disk.resolve(&source);
    disk.event(|event| matches!(event, DagEvent::Live(_))).await;
    eventually("collection", || !versions.join(name(1)).exists()).await;
    assert!(versions.join(name(0)).exists(), "a wanted version was collected");
    assert!(versions.join(name(2)).exists(), "a version in use was collected");
    assert!(!versions.join(name(5)).exists());
    assert!(versions.join(name(6)).exists());
}

#[tokio::test]
async fn a_full_disk_leaves_the_last_good_version() {
    let Some(mount) = SmallDisk::new() else {
        assert!(
            !rustix::process::geteuid().is_root(),
            "root can make a small disk"
        );
        return;
    };
    let source = Source::new();
    source.put("dags/a.py", "good").await;
    let dir = tempfile::tempdir_in(&mount.path).unwrap();
    let mut disk = Disk::at(dir);
    disk.resolve(&source);
    disk.event(|event| matches!(event, DagEvent::Live(_))).await;
    let noise: Vec<u8> = (0..4_000_000_u64)
        .map(|n| (n.wrapping_mul(6_364_136_223_846_793_005) >> 56) as u8)
        .collect();
    source
        .store
        .put(&Path::from("dags/large.bin"), noise.into())
        .await
        .unwrap();
    let reason = disk.trouble().await;
    assert!(reason.contains("No space left"), "{reason}");
    assert_eq!(disk.live(), files(&[("a.py", "good")]));
    source.store.delete(&Path::from("dags/large.bin")).await.unwrap();
    source.put("dags/a.py", "small again").await;
    disk.event(|event| matches!(event, DagEvent::Live(_))).await;
    assert_eq!(disk.live(), files(&[("a.py", "small again")]));
    drop(disk);
}

/// A tmpfs of one MiB; needs root.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    fn new() -> Option<Self> {
        let path = std::env::temp_dir().join(format!("updraft-small-disk-{}", std::process::id()));
        std::fs::create_dir_all(&path).ok()?;
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "none"])
            .arg(&path)
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(Self { path })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.path)
            .status();
        let _ = std::fs::remove_dir(&self.path);
    }
}

fn bucket_source(folder: &str, prefix: &str) -> SourceDelivery {
    SourceDelivery {
        folder: folder.to_owned(),
        from: SourceFrom::ClusterBucket {
            prefix: prefix.to_owned(),
        },
    }
}

#[tokio::test]
async fn a_source_in_trouble_keeps_its_last_good_part_while_the_others_move_on() {
    let source = Source::new();
    source.put("one/a.py", "1").await;
    source.put("two/b.py", "1").await;
    let sources = || {
        delivery(vec![
            bucket_source("team_a", "one/"),
            bucket_source("team_b", "two/"),
        ])
    };
    let mut disk = Disk::new();
    disk.run(&source, sources());
    disk.serves(&[("team_a/a.py", "1"), ("team_b/b.py", "1")]).await;

    // An object store has no directories: both can be there.
    source.put("one/a.py/below.py", "x").await;
    let reason = disk.trouble().await;
    assert!(reason.contains("`a.py`"), "{reason}");
    source.put("two/b.py", "2").await;
    disk.serves(&[("team_a/a.py", "1"), ("team_b/b.py", "2")]).await;

    // Another node resolves from now on: it knows the good part from the last version.
    disk.task.take().unwrap().abort();
    let mut other = Disk::new();
    other.run(&source, sources());
    source.put("two/b.py", "3").await;
    other.serves(&[("team_a/a.py", "1"), ("team_b/b.py", "3")]).await;
    source
        .store
        .delete(&Path::from("one/a.py/below.py"))
        .await
        .unwrap();
    other.recovery().await;
    source.put("one/a.py", "4").await;
    other.serves(&[("team_a/a.py", "4"), ("team_b/b.py", "3")]).await;
}

#[tokio::test]
async fn a_source_that_was_removed_is_gone_with_the_next_version() {
    let source = Source::new();
    source.put("one/a.py", "1").await;
    source.put("two/b.py", "1").await;
    let mut disk = Disk::new();
    disk.run(
        &source,
        delivery(vec![bucket_source("a", "one/"), bucket_source("b", "two/")]),
    );
    disk.serves(&[("a/a.py", "1"), ("b/b.py", "1")]).await;
    disk.task.take().unwrap().abort();
    disk.run(&source, delivery(vec![bucket_source("a", "one/")]));
    disk.serves(&[("a/a.py", "1")]).await;
}

#[tokio::test]
async fn an_emptied_source_keeps_serving_what_it_had() {
    let source = Source::new();
    source.put("dags/a.py", "good").await;
    let mut disk = Disk::new();
    disk.resolve(&source);
    disk.serves(&[("a.py", "good")]).await;
    source.store.delete(&Path::from("dags/a.py")).await.unwrap();
    let reason = disk.trouble().await;
    assert!(reason.contains("empty"), "{reason}");
    assert_eq!(disk.live(), files(&[("a.py", "good")]));
}

#[tokio::test]
async fn names_that_differ_only_in_case_are_refused() {
    let source = Source::new();
    source.put("dags/a.py", "good").await;
    let mut disk = Disk::new();
    disk.resolve(&source);
    disk.serves(&[("a.py", "good")]).await;
    source.put("dags/A.py", "clash").await;
    let reason = disk.trouble().await;
    assert!(reason.contains("`A.py` and `a.py`"), "{reason}");
    assert_eq!(disk.live(), files(&[("a.py", "good")]));
}

#[tokio::test]
async fn a_pinned_version_is_live_until_it_no_longer_is_pinned() {
    let source = Source::new();
    source.put("dags/a.py", "old").await;
    let mut disk = Disk::new();
    disk.resolve(&source);
    disk.serves(&[("a.py", "old")]).await;
    let old = disk.shelf.current().unwrap();
    source.put("dags/a.py", "new").await;
    disk.serves(&[("a.py", "new")]).await;

    disk.wishes
        .send_modify(|wishes| wishes.pinned = Some(old.clone()));
    disk.serves(&[("a.py", "old")]).await;
    // What comes meanwhile is published and waits.
    source.put("dags/a.py", "newer").await;
    disk.event(|event| matches!(event, DagEvent::Published(version) if version.digest != old.as_str()))
        .await;
    assert_eq!(disk.live(), files(&[("a.py", "old")]));
    // A node that comes later fetches the pinned one.
    let mut late = Disk::new();
    late.wishes.send_modify(|wishes| wishes.pinned = Some(old));
    late.follow(&source);
    late.serves(&[("a.py", "old")]).await;
    disk.wishes.send_modify(|wishes| wishes.pinned = None);
    disk.serves(&[("a.py", "newer")]).await;
}

#[tokio::test]
async fn a_look_that_was_asked_for_is_told_when_it_is_done() {
    let source = Source::new();
    source.put("dags/a.py", "one").await;
    let mut disk = Disk::new();
    disk.resolve(&source);
    disk.event(|event| *event == DagEvent::Synced(0)).await;
    source.put("dags/a.py", "two").await;
    disk.wishes.send_modify(|wishes| wishes.sync = 7);
    disk.event(|event| *event == DagEvent::Synced(7)).await;
    // What came of it is live by then.
    assert_eq!(disk.live(), files(&[("a.py", "two")]));
}

pub(crate) fn push_delivery() -> DagDelivery {
    delivery(vec![SourceDelivery {
        folder: String::new(),
        from: SourceFrom::Push {
            prefix: "updraft/pushes/top/".to_owned(),
        },
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

#[tokio::test]
async fn what_was_pushed_is_live_and_hostile_archives_are_refused_by_name() {
    use tar::EntryType::{Fifo, Link, Regular, Symlink};
    let source = Source::new();
    let mut disk = Disk::new();
    disk.run(&source, push_delivery());
    // Nothing was pushed yet: the cluster starts without DAGs.
    disk.serves(&[]).await;
    push(&source, &[(Regular, b"./a.py", "1"), (Symlink, b"b.py", "a.py")]).await;
    disk.serves(&[("a.py", "1"), ("b.py", "1")]).await;
    for (bad, shown) in [
        ((Symlink, b"passwd".as_slice(), "/etc/passwd"), "`passwd`"),
        ((Symlink, b"up".as_slice(), "../../x"), "`up`"),
        ((Fifo, b"pipe".as_slice(), ""), "`pipe`"),
        ((Link, b"hard".as_slice(), ""), "`hard`"),
        ((Regular, b"caf\xe9.py".as_slice(), "x"), "caf\\xe9.py"),
        ((Regular, b"../escape.py".as_slice(), "x"), "escape.py"),
        ((Regular, b"/etc/cron.d/x".as_slice(), "x"), "cron.d"),
        ((Regular, b"A.py".as_slice(), "x"), "only in case"),
    ] {
        push(&source, &[(Regular, b"a.py", "2"), bad]).await;
        disk.wishes.send_modify(|wishes| wishes.sync += 1);
        let reason = disk.trouble().await;
        assert!(reason.contains(shown), "{shown}: {reason}");
        assert_eq!(disk.live(), files(&[("a.py", "1"), ("b.py", "1")]));
    }
    push(&source, &[(Regular, b"a.py", "3")]).await;
    disk.serves(&[("a.py", "3")]).await;
}
