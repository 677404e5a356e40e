//! What makes no sense, or no room: the last good version keeps serving, and the reason is told.

use std::path::PathBuf;

use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use updraft_agent::dags::DagEvent;

use super::{Disk, Source, files};

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

#[tokio::test]
async fn a_disk_that_is_full_while_a_version_is_fetched_leaves_the_last_good_one() {
    let Some(mount) = SmallDisk::new() else {
        assert!(
            !rustix::process::geteuid().is_root(),
            "root can make a small disk"
        );
        return;
    };
    let source = Source::new();
    source.put("dags/a.py", "good").await;
    let mut resolver = Disk::new();
    resolver.resolve(&source);
    let mut follower = Disk::at(tempfile::tempdir_in(&mount.path).unwrap());
    follower.follow(&source);
    follower.serves(&[("a.py", "good")]).await;
    let mut noise = vec![0; 4 << 20];
    rand::fill(&mut noise[..]);
    let large = Path::from("dags/large.bin");
    source.store.put(&large, noise.into()).await.unwrap();
    let reason = follower.trouble().await;
    assert!(reason.contains("No space left"), "{reason}");
    assert_eq!(follower.live(), files(&[("a.py", "good")]));
    source.store.delete(&large).await.unwrap();
    source.put("dags/a.py", "small again").await;
    follower.recovery().await;
    follower.serves(&[("a.py", "small again")]).await;
    drop(follower);
}

/// A tmpfs of one MiB; needs root.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    fn new() -> Option<Self> {
        let path = tempfile::tempdir().ok()?.keep();
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
