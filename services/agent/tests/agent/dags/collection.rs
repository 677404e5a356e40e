//! Old versions go, those in use stay.

use std::time::Duration;

use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use tar::EntryType::Regular;
use updraft_agent::dags::DagEvent;

use super::{Disk, Source, push, push_delivery};
use crate::support::eventually;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_was_live_a_moment_ago_stays_however_many_came_after_it() {
    let source = Source::new();
    let nothing = Path::from("updraft/dag-versions/in-use");
    source.store.put(&nothing, "[]".into()).await.unwrap();
    let mut disk = Disk::new();
    disk.run(&source, push_delivery());
    let mut first = None;
    for number in 0..24 {
        let text = format!("VERSION = {number}");
        push(&source, &[(Regular, b"a.py", &text)]).await;
        disk.wishes.send_modify(|wishes| wishes.sync += 1);
        disk.serves(&[("a.py", &text)]).await;
        disk.forget_events();
        first = first.or_else(|| disk.shelf.current());
    }
    // A run may have begun with it, and nobody has told of it yet.
    assert!(disk.shelf.has(&first.unwrap()));
}
