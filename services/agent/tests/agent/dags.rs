//! DAG versions from an object store (in memory, with its real conditions) to two nodes' disks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::support::eventually;
use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use updraft_agent::dags::{self, Bucket, DagEvent, Digest, Shelf};
use updraft_agent::{Layout, Place};

struct Disk {
    _dir: tempfile::TempDir,
    layout: Layout,
    shelf: Shelf,
    events: mpsc::Receiver<DagEvent>,
    tell: mpsc::Sender<DagEvent>,
    task: Option<AbortHandle>,
}

impl Disk {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    fn at(dir: tempfile::TempDir) -> Self {
        let layout = Layout::ensure(Place::open(&dir.path().join("node"), None).unwrap()).unwrap();
        let (tell, events) = mpsc::channel(100);
        Self {
            shelf: Shelf::new(layout.clone()),
            _dir: dir,
            layout,
            events,
            tell,
            task: None,
        }
    }

    fn run(&mut self, bucket: &Bucket, resolver: bool) {
        let (shelf, bucket, tell) = (self.shelf.clone(), bucket.clone(), self.tell.clone());
        let task = tokio::spawn(async move { dags::run(&shelf, &bucket, resolver, &tell).await });
        self.task = Some(task.abort_handle());
    }

    async fn event(&mut self, wanted: impl Fn(&DagEvent) -> bool) -> DagEvent {
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
    fn live(&self) -> Option<BTreeMap<String, String>> {
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

    fn path(&self, relative: &str) -> PathBuf {
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

struct Source {
    store: Arc<InMemory>,
    bucket: Bucket,
}

impl Source {
    fn new() -> Self {
        let store = Arc::new(InMemory::new());
        let bucket = Bucket::new(Arc::clone(&store) as _, "dags/", "updraft/dag-versions/");
        Self { store, bucket }
    }

    async fn put(&self, path: &str, content: &'static str) {
        self.store.put(&Path::from(path), content.into()).await.unwrap();
    }

    async fn archive(&self, digest: &Digest) -> Path {
        let path = Path::from(format!("updraft/dag-versions/{digest}.tar.zst"));
        self.store.head(&path).await.unwrap();
        path
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
    resolver.run(&source.bucket, true);
    follower.run(&source.bucket, false);
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
    first.run(&source.bucket, true);
    first.event(|event| matches!(event, DagEvent::Live(_))).await;
    first.task.take().unwrap().abort();
    for _ in 0..20 {
        let mut disk = Disk::new();
        disk.run(&source.bucket, true);
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
    resolver.run(&source.bucket, true);
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
    follower.run(&source.bucket, false);
    let DagEvent::Failed(reason) = follower.event(|event| matches!(event, DagEvent::Failed(_))).await else {
        return;
    };
    assert!(reason.contains("other content than its name says"), "{reason}");
    assert_eq!(follower.shelf.current(), None);
    assert!(!follower.shelf.has(&better));
}

#[tokio::test]
async fn a_version_that_a_run_wants_is_fetched() {
    let source = Source::new();
    source.put("dags/a.py", "old").await;
    let mut resolver = Disk::new();
    resolver.run(&source.bucket, true);
    resolver.event(|event| matches!(event, DagEvent::Live(_))).await;
    let old = resolver.shelf.current().unwrap();
    source.put("dags/a.py", "new").await;
    resolver
        .event(|event| matches!(event, DagEvent::Live(digest) if *digest != old))
        .await;

    let mut late = Disk::new();
    late.run(&source.bucket, false);
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
    disk.run(&source.bucket, true);
    disk.event(|event| matches!(event, DagEvent::Live(_))).await;
    // An object store has no directories: both can be there.
    source.put("dags/a.py/b.py", "below a file").await;
    let DagEvent::Failed(reason) = disk.event(|event| matches!(event, DagEvent::Failed(_))).await else {
        return;
    };
    assert!(reason.contains("`a.py`"), "{reason}");
    assert_eq!(disk.live(), files(&[("a.py", "good")]));
    source.store.delete(&Path::from("dags/a.py/b.py")).await.unwrap();
    disk.event(|event| *event == DagEvent::Recovered).await;
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
    source.put("dags/a.py", "new").await;
    disk.run(&source.bucket, true);
    disk.event(|event| matches!(event, DagEvent::Live(_))).await;
    eventually("collection", || !versions.join(name(1)).exists()).await;
    assert!(versions.join(name(0)).exists(), "a wanted version was collected");
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
    disk.run(&source.bucket, true);
    disk.event(|event| matches!(event, DagEvent::Live(_))).await;
    let noise: Vec<u8> = (0..4_000_000_u64)
        .map(|n| (n.wrapping_mul(6_364_136_223_846_793_005) >> 56) as u8)
        .collect();
    source
        .store
        .put(&Path::from("dags/large.bin"), noise.into())
        .await
        .unwrap();
    let DagEvent::Failed(reason) = disk.event(|event| matches!(event, DagEvent::Failed(_))).await else {
        return;
    };
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
