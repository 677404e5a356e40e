//! Sources whose servers have their certificates from an authority of the tenant's own: trusted for that source, and there
//! instead of the public ones.

use updraft_api::agent::DagDelivery;

use crate::dags::{Disk, Source};
use crate::foreign::{foreign, put};
use crate::git::{HttpServer, Repository, look_again};
use crate::support::storage::{self, Storage};
use crate::support::tls::Front;

/// The same source behind a front, which `authority` is believed to vouch for.
fn behind(front: &Front, mut delivery: DagDelivery, authority: Option<&str>) -> DagDelivery {
    delivery.outbound_allow = vec![front.address.to_string()];
    delivery.sources[0].ca_certificate = authority.map(str::to_owned);
    delivery
}

#[tokio::test(flavor = "multi_thread")]
async fn git_over_https_with_a_private_authority_is_read_when_the_source_names_it() {
    let repository = Repository::new();
    repository.write("a.py", "1");
    repository.push("first");
    let mut server = HttpServer::serve(repository.dir.path(), Some("hunter2")).await;
    let front = Front::before(&server.url).await;
    let other = Front::before(&server.url).await;
    server.url = front.url();
    let with = |authority: Option<&str>| {
        let delivery = server.delivery("dags.git", |from| crate::git::show(from, "hunter2"));
        behind(&front, delivery, authority)
    };
    for authority in [None, Some(other.authority.as_str())] {
        let mut disk = Disk::new();
        disk.run(&Source::new(), with(authority));
        let reason = disk.trouble().await;
        assert!(reason.contains("valid certificate"), "{reason}");
        // The token was shown to nobody.
        assert!(server.asked.lock().unwrap().is_empty());
    }
    let mut disk = Disk::new();
    disk.run(&Source::new(), with(Some(&front.authority)));
    disk.serves(&[("a.py", "1")]).await;
    repository.write("a.py", "2");
    repository.push("second");
    look_again(&disk);
    disk.serves(&[("a.py", "2")]).await;
}

async fn is_read_when_named(storage: Option<Storage>) {
    let Some(storage) = storage else { return };
    put(&storage, "dags/a.py", "1").await;
    let front = Front::before(&storage.endpoint()).await;
    let with = |authority: Option<&str>| behind(&front, foreign(&front.url(), storage::KEY.1), authority);
    let mut stranger = Disk::new();
    stranger.run(&Source::new(), with(None));
    let reason = stranger.lasting_trouble().await;
    assert!(reason.contains("list the DAG source"), "{reason}");
    let mut disk = Disk::new();
    disk.run(&Source::new(), with(Some(&front.authority)));
    disk.serves(&[("a.py", "1")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_on_seaweedfs_with_a_private_authority_is_read_when_the_source_names_it() {
    is_read_when_named(Storage::seaweed().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_on_moto_with_a_private_authority_is_read_when_the_source_names_it() {
    is_read_when_named(Storage::moto().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_none_is_refused() {
    for wrong in ["MII!", "TUlJQg=="] {
        let mut delivery = foreign("https://127.0.0.1:9", "secret");
        delivery.sources[0].ca_certificate = Some(wrong.to_owned());
        let mut disk = Disk::new();
        disk.run(&Source::new(), delivery);
        let reason = disk.trouble().await;
        assert!(reason.contains("authority's certificate is none"), "{reason}");
    }
}
