//! A folder that is swapped again and again, under an agent that is broken off at any moment, is never seen half.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tar::EntryType::Regular;

use crate::dags::{Disk, Source, push, push_delivery};

const FILES: usize = 200;
/// In CI; `UPDRAFT_SWAPS` says another number.
const SWAPS: usize = 24;

/// Reads live versions as a dag-processor does, and counts those that are no whole one.
fn read_until(root: &Path, done: &AtomicBool) -> (usize, usize) {
    let (mut read, mut mixed) = (0, 0);
    while !done.load(Ordering::Relaxed) {
        let Ok(current) = std::fs::read_to_string(root.join("current")) else {
            continue;
        };
        let version = root.join("versions").join(current.trim());
        let files = std::fs::read_dir(&version).unwrap();
        let marks: Vec<String> = files
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
            .collect();
        let whole = marks.is_empty() || (marks.len() == FILES && marks.iter().all(|mark| *mark == marks[0]));
        read += 1;
        mixed += usize::from(!whole);
    }
    (read, mixed)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_swap_is_ever_seen_half_however_the_agent_ends() {
    let swaps = std::env::var("UPDRAFT_SWAPS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(SWAPS);
    let source = Source::new();
    let mut disk = Disk::new();
    let (root, done) = (disk.path("dags"), Arc::new(AtomicBool::new(false)));
    let reading = {
        let done = Arc::clone(&done);
        std::thread::spawn(move || read_until(&root, &done))
    };
    let names: Vec<String> = (0..FILES).map(|number| format!("file_{number}.py")).collect();
    disk.run(&source, push_delivery());
    for swap in 0..swaps {
        let mark = format!("VERSION = {swap}");
        let entries: Vec<_> = names
            .iter()
            .map(|name| (Regular, name.as_bytes(), mark.as_str()))
            .collect();
        push(&source, &entries).await;
        disk.forget_events();
        disk.wishes.send_modify(|wishes| wishes.sync += 1);
        if swap % 2 == 0 {
            // At whatever it is doing now.
            tokio::time::sleep(Duration::from_millis(rand::random_range(0..120))).await;
            disk.task.take().unwrap().abort();
            disk.run(&source, push_delivery());
        } else {
            let expected: Vec<_> = names.iter().map(|name| (name.as_str(), mark.as_str())).collect();
            disk.serves(&expected).await;
        }
    }
    done.store(true, Ordering::Relaxed);
    let (read, mixed) = reading.join().unwrap();
    println!("{swaps} swaps, {read} readings, {mixed} mixed");
    assert!(
        read > swaps && mixed == 0,
        "{mixed} of {read} readings were no whole version"
    );
}
