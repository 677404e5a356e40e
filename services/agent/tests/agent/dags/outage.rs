//! Object storage that goes away in the middle of things: the last good version serves, the reason is told, and what was
//! asked for happens when it is back. On real stores.

use std::time::Duration;

use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use super::{Disk, Source};
use crate::support::eventually;
use crate::support::storage::{Road, Storage, Way};

const SLOW: Way = Way::Slow(Duration::from_millis(60));

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_while_a_source_is_read_leaves_the_last_good_version() {
    while_a_source_is_read(Storage::seaweed().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_another_store_while_a_source_is_read_leaves_the_last_good_version() {
    while_a_source_is_read(Storage::moto().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_while_a_version_is_fetched_leaves_the_last_good_one() {
    while_a_version_is_fetched(Storage::seaweed().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_another_store_while_a_version_is_fetched_leaves_the_last_good_one() {
    while_a_version_is_fetched(Storage::moto().await).await;
}

async fn while_a_source_is_read(storage: Option<Storage>) {
    let Some(storage) = storage else { return };
    let road = storage.road().await;
    let source = Source::on(&storage, &road);
    source.put("dags/a.py", "good").await;
    let mut disk = Disk::new();
    disk.resolve(&source);
    disk.serves(&[("a.py", "good")]).await;

    road.make(SLOW);
    for number in 0..100 {
        source.put(&format!("dags/more/{number}.py"), "new").await;
    }
    look(&disk);
    goes_away_once_begun(&road, &disk, "dags/incoming").await;
    let reason = disk.lasting_trouble().await;
    assert!(reason.contains("read") || reason.contains("list"), "{reason}");
    disk.serves(&[("a.py", "good")]).await;

    road.make(Way::Open);
    look(&disk);
    disk.recovery().await;
    eventually("the new version", || disk.live().unwrap().len() == 101).await;
}

async fn while_a_version_is_fetched(storage: Option<Storage>) {
    let Some(storage) = storage else { return };
    let (open, road) = (storage.road().await, storage.road().await);
    let (near, far) = (Source::on(&storage, &open), Source::on(&storage, &road));
    near.put("dags/a.py", "good").await;
    let (mut resolver, mut follower) = (Disk::new(), Disk::new());
    resolver.resolve(&near);
    follower.follow(&far);
    follower.serves(&[("a.py", "good")]).await;

    road.make(SLOW);
    near.store
        .put(&Path::from("dags/large.txt"), noise().into())
        .await
        .unwrap();
    look(&resolver);
    goes_away_once_begun(&road, &follower, "dags/incoming").await;
    let reason = follower.lasting_trouble().await;
    assert!(
        reason.contains("fetch") || reason.contains("read the current"),
        "{reason}"
    );
    follower.serves(&[("a.py", "good")]).await;

    road.make(Way::Open);
    follower.recovery().await;
    eventually("the new version", || follower.live().unwrap().len() == 2).await;
    let left = || std::fs::read_dir(follower.path("dags/incoming")).unwrap().count();
    eventually("the half-fetched to be gone", || left() == 0).await;
}

/// Text that can't be made much smaller.
fn noise() -> Vec<u8> {
    let random = (0..200_000).map(|_| format!("{:016x}", rand::random::<u64>()));
    random.flat_map(String::into_bytes).collect()
}

fn look(disk: &Disk) {
    disk.wishes.send_modify(|wishes| wishes.sync += 1);
}

async fn goes_away_once_begun(road: &Road, disk: &Disk, place: &str) {
    let begun = || std::fs::read_dir(disk.path(place)).unwrap().count() > 0;
    eventually("something half-made", begun).await;
    road.make(Way::Away);
}
