//! One source, the same version on every node.

use std::time::{Duration, Instant};

use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use updraft_agent::dags::DagEvent;

use super::{Disk, Source, files};
use crate::foreign::foreign;
use crate::support::eventually;
use crate::support::storage::{self, Storage, Way};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_was_asked_for_during_another_is_not_forgotten() {
    let Some(storage) = Storage::moto().await else {
        return;
    };
    let road = storage.road().await;
    let source = Source::on(&storage, &road);
    source.put("dags/a.py", "one").await;
    let mut disk = Disk::new();
    let mut delivery = source.delivery();
    // Nobody would look again soon.
    delivery.sources = foreign(&road.endpoint, storage::KEY.1).sources;
    delivery.outbound_allow = vec![road.endpoint.trim_start_matches("http://").to_owned()];
    disk.run(&source, delivery);
    disk.serves(&[("a.py", "one")]).await;
    road.make(Way::Slow(Duration::from_millis(100)));
    let look = |number| disk.wishes.send_modify(|wishes| wishes.sync = number);
    look(1);
    // So that the first one has begun.
    tokio::time::sleep(Duration::from_millis(100)).await;
    look(2);
    let began = Instant::now();
    disk.event(|event| *event == DagEvent::Synced(2)).await;
    assert!(began.elapsed() < Duration::from_secs(8), "it waited for its turn");
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
