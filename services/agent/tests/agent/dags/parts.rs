//! Several sources, each in its folder and on its own.

use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use super::{Disk, Source, bucket_source, delivery};

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
