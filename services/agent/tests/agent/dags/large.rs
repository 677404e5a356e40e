//! Sources at and beyond what a version may be, real ones: how long they take, and how much memory.

use std::time::{Duration, Instant};

use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use tar::EntryType::Regular;

use super::{Disk, Source, push, push_delivery};
use crate::git::{HttpServer, Repository, look_again};
use crate::support::storage::Storage;

const TOO_MANY: usize = 100_000;
/// Together a GiB.
const PIECES: usize = 128;
const PIECE: usize = 8 << 20;
const MIB: u64 = 1 << 20;
/// What a node may spend on them, beside the test's own: the objects are in its memory.
const ENOUGH: u64 = 400 * MIB;

/// The most memory that this process has had. nextest gives each test one of its own.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

/// Looks, and hears that it is too much.
async fn refuses(mut disk: Disk, what: &str) {
    let (before, began) = (peak(), Instant::now());
    look_again(&disk);
    let reason = disk.trouble().await;
    let took = began.elapsed();
    assert!(reason.contains("50000 files"), "{reason}");
    disk.serves(&[("a.py", "good")]).await;
    let more = peak() - before;
    println!(
        "{TOO_MANY} files {what}: refused after {took:.1?}, with {} MiB more",
        more / MIB
    );
    assert!(more < ENOUGH, "{} MiB more", more / MIB);
    let left = || std::fs::read_dir(disk.path("dags/incoming")).unwrap().count();
    crate::support::eventually("what was begun to be gone", || left() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_objects_are_refused() {
    let source = Source::new();
    source.put("dags/a.py", "good").await;
    let mut disk = Disk::new();
    disk.resolve(&source);
    disk.serves(&[("a.py", "good")]).await;
    disk.forget_events();
    for number in 0..TOO_MANY {
        source.put(&format!("dags/many/{number}.py"), "x").await;
    }
    refuses(disk, "in a bucket").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_files_in_a_repository_are_refused() {
    let repository = Repository::new();
    repository.write("a.py", "good");
    repository.push("good");
    let server = HttpServer::serve(repository.dir.path(), None).await;
    let mut disk = Disk::new();
    disk.run(&Source::new(), server.delivery("dags.git", |_| {}));
    disk.serves(&[("a.py", "good")]).await;
    repository.push_many(TOO_MANY);
    refuses(disk, "in a repository").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_pushed_files_are_refused() {
    let source = Source::new();
    let mut disk = Disk::new();
    disk.run(&source, push_delivery());
    push(&source, &[(Regular, b"a.py", "good")]).await;
    look_again(&disk);
    disk.serves(&[("a.py", "good")]).await;
    let names: Vec<String> = (0..TOO_MANY).map(|number| format!("many/{number}.py")).collect();
    let entries: Vec<_> = names.iter().map(|name| (Regular, name.as_bytes(), "x")).collect();
    push(&source, &entries).await;
    refuses(disk, "pushed").await;
}

/// Minutes: `tests/run --long`.
#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_is_served_on_every_node() {
    if std::env::var_os("UPDRAFT_TEST_LONG").is_none() {
        return;
    }
    let Some(storage) = Storage::seaweed().await else {
        return;
    };
    let road = storage.road().await;
    let source = Source::on(&storage, &road);
    let mut noise = vec![0; PIECE];
    rand::fill(&mut noise[..]);
    for number in 0..PIECES {
        let mut piece = noise.clone();
        piece[0] = u8::try_from(number).unwrap();
        let path = Path::from(format!("dags/{number}.bin"));
        source.store.put(&path, piece.into()).await.unwrap();
    }
    let (mut resolver, mut follower) = (Disk::new(), Disk::new());
    let began = Instant::now();
    resolver.resolve(&source);
    follower.follow(&source);
    for (disk, whose) in [(&resolver, "resolver"), (&follower, "follower")] {
        while disk.live_files() != PIECES {
            assert!(began.elapsed() < Duration::from_secs(900), "it never came");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        println!("1 GiB: live on the {whose} after {:.0?}", began.elapsed());
    }
    println!("both within {} MiB", peak() / MIB);
    assert!(peak() < ENOUGH, "{} MiB", peak() / MIB);
}
