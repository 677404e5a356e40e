//! Logs of a node in a real object store, whatever dies on the way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use updraft_model::AgentPhase;

use crate::support::shipping::{Dice, Growth, Shipping, append, write_for};
use crate::support::storage::{Content, Storage, Way};
use crate::support::{AgentProcess, eventually};

/// 5 MB/s while agents are killed at any moment and the store goes away.
async fn nothing_is_lost_or_doubled(shipping: Shipping) {
    // Seconds; the outage begins while much is under way.
    let outage: u64 = std::env::var("UPDRAFT_TEST_LONG").map_or(3, |text| text.parse().unwrap());
    let (away, writing) = (2 + outage / 20, outage + outage / 5 + 5);
    let (logs, growth) = (shipping.logs(), Growth::default());
    let mut agent = shipping.node.spawn_agent();
    shipping.control.phase(AgentPhase::Running).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watch = growth
        .clone()
        .watch(Arc::clone(&shipping.storage), Arc::clone(&seen));
    let watch = tokio::spawn(watch);
    let writer = tokio::task::spawn_blocking(move || {
        write_for(&logs, Duration::from_secs(writing), 5_000_000, &growth)
    });
    let (begun, mut dice, mut killed) = (Instant::now(), Dice(u64::from(std::process::id())), 0);
    while !writer.is_finished() {
        tokio::time::sleep(Duration::from_millis(200 + dice.roll(1_200))).await;
        let now = begun.elapsed();
        let gone = (away..away + outage).contains(&now.as_secs());
        shipping.road.make(if gone { Way::Away } else { Way::Open });
        AgentProcess::kill(agent);
        killed += 1;
        agent = shipping.node.spawn_agent();
    }
    let written = writer.await.unwrap();
    watch.abort();
    shipping.road.make(Way::Open);
    shipping.holds(&written).await;
    let bytes: u64 = written.values().map(|content| content.length).sum();
    eprintln!(
        "{} MB in {} files, {killed} agents killed, an outage of {outage} s: 0 missing, 0 doubled, all there {:.1} s after the end",
        bytes / 1_000_000,
        written.len(),
        (begun.elapsed().as_secs_f32() - writing as f32)
    );
    let seen = seen.lock().unwrap().split_off(0);
    tell_lag(
        &seen,
        begun + Duration::from_secs(away),
        Duration::from_secs(outage),
    );
    drop(agent);
}

/// Before the outage, and when what waited was there.
fn tell_lag(seen: &[(Instant, Duration)], away: Instant, outage: Duration) {
    let back = away + outage;
    let current = |(_, lag): &&(Instant, Duration)| *lag < Duration::from_secs(5);
    let caught_up = seen.iter().filter(|(at, _)| *at > back).find(current);
    let Some((caught_up, _)) = caught_up else {
        return eprintln!("the scheduler's log had not caught up when the writing ended");
    };
    let usual = seen.iter().filter(|(at, _)| *at < away || at >= caught_up);
    let mut lags: Vec<_> = usual.map(|(_, lag)| *lag).collect();
    lags.sort();
    eprintln!(
        "lag without the outage: p50 {:.1?}, p95 {:.1?}, most {:.1?} of {}; caught up {:.1?} after the outage",
        lags[lags.len() / 2],
        lags[lags.len() * 95 / 100],
        lags[lags.len() - 1],
        lags.len(),
        *caught_up - back
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_in_seaweedfs_when_agents_are_killed_and_it_goes_away() {
    if let Some(shipping) = Shipping::to(Storage::seaweed().await).await {
        nothing_is_lost_or_doubled(shipping).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_in_moto_when_agents_are_killed_and_it_goes_away() {
    if let Some(shipping) = Shipping::to(Storage::moto().await).await {
        nothing_is_lost_or_doubled(shipping).await;
    }
}

/// An agent dies with two requests under way, for an object that is there and for a new one; they are carried out when its successor
/// has put more.
async fn late_requests_are_refused(shipping: Shipping) {
    let of_task = |name: &str| format!("tasks/dag_id=d/run_id=r/task_id={name}/attempt=1.log");
    let (growing, new) = (&of_task("growing"), &of_task("new"));
    let logs = shipping.logs();
    let mut written: BTreeMap<_, Content> = BTreeMap::new();
    let mut say = |name: &str, words: &str| {
        append(&logs, name, words.as_bytes());
        written.entry(name.to_owned()).or_default().add(words.as_bytes());
        written.clone()
    };
    let agent = shipping.node.spawn_agent();
    shipping.control.phase(AgentPhase::Running).await;
    shipping.holds(&say(growing, "one\n")).await;
    shipping.road.make(Way::Held);
    say(growing, "two\n");
    say(new, "first\n");
    shipping.road.holds(2).await;
    AgentProcess::kill(agent);

    shipping.road.make(Way::Open);
    say(growing, "three, and longer\n");
    let all = say(new, "second\n");
    let agent = shipping.node.spawn_agent();
    shipping.holds(&all).await;
    for answer in shipping.road.let_go().await {
        assert!(answer.contains(" 412 "), "{answer}");
    }
    shipping.holds(&all).await;
    drop(agent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_agents_late_requests_are_refused_by_seaweedfs() {
    if let Some(shipping) = Shipping::to(Storage::seaweed().await).await {
        late_requests_are_refused(shipping).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_agents_late_requests_are_refused_by_moto() {
    if let Some(shipping) = Shipping::to(Storage::moto().await).await {
        late_requests_are_refused(shipping).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_files_arrive_as_they_are_through_a_slow_way() {
    let Some(shipping) = Shipping::to(Storage::seaweed().await).await else {
        return;
    };
    let (logs, mut written, mut dice) = (shipping.logs(), BTreeMap::new(), Dice(1));
    let agent = shipping.node.spawn_agent();
    shipping.control.phase(AgentPhase::Running).await;
    shipping.road.make(Way::Slow(Duration::from_millis(10)));
    let attempt = |name: &str| {
        format!("tasks/dag_id=ü d/run_id=manual__2026-11-22T00:00:00+00:00/task_id={name}/attempt=1.log")
    };
    written.insert("empty.log".to_owned(), Vec::new());
    written.insert("unfinished.log".to_owned(), b"one\ntwo without an end".to_vec());
    written.insert(
        "binary.log".to_owned(),
        (0..200_000)
            .map(|_| u8::try_from(dice.roll(256)).unwrap())
            .collect(),
    );
    written.insert(
        attempt("long"),
        [vec![b'x'; 1 << 20], b"\nshort\n".to_vec()].concat(),
    );
    written.insert(attempt("endless"), vec![b'y'; 9 << 20]);
    written.insert(
        "tasks/odd/place.txt".to_owned(),
        b"neither task nor service\n".to_vec(),
    );
    written.insert(
        "dag-processor/2026-11-22/a.py.log".to_owned(),
        b"parsed\n".to_vec(),
    );
    for number in 0..1_000 {
        let path = format!(
            "tasks/dag_id=many/run_id=r{}/task_id=t/map_index={number}/attempt=1.log",
            number % 7
        );
        written.insert(path, format!("task {number}\n").into_bytes());
    }
    for (name, content) in &written {
        append(&logs, name, content);
    }
    // What is not the node's own is not read, and nothing waits for it.
    let secret = shipping.node.root().join("secret.log");
    std::fs::write(&secret, "not a log\n").unwrap();
    std::os::unix::fs::symlink(&secret, logs.join("link.log")).unwrap();
    std::os::unix::fs::symlink("/etc", logs.join("tasks/etc")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        logs.join("pipe.log"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let written = written
        .iter()
        .map(|(name, content)| (name.clone(), Content::of(content)))
        .collect();
    shipping.holds(&written).await;
    drop(agent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_has_sent_its_last_words() {
    let Some(shipping) = Shipping::to(Storage::seaweed().await).await else {
        return;
    };
    let agent = shipping.node.spawn_agent();
    shipping.control.phase(AgentPhase::Running).await;
    let (words, mut attempt) = (b"the last line, and no newline".to_vec(), Vec::new());
    Dice(5).lines(3 << 20, &mut attempt);
    let path = "tasks/dag_id=d/run_id=r/task_id=t/attempt=1.log";
    append(&shipping.logs(), "scheduler.log", &words);
    append(&shipping.logs(), path, &attempt);
    std::fs::write(shipping.node.path("stop"), "").unwrap();
    assert!(agent.exit().await.success());
    let files = shipping.storage.files().await.unwrap();
    for (path, content) in [("services/scheduler", &words), (path, &attempt)] {
        assert_eq!(files[path].values().collect::<Vec<_>>(), [&Content::of(content)]);
    }
    let listing = shipping.storage.listing().await;
    let of_attempt = listing.iter().filter(|(key, _)| key.contains(path));
    assert_eq!(of_attempt.count(), 1, "it is packed: nobody else would do it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_away_fills_no_disk_and_what_was_given_up_is_told() {
    let Some(shipping) = Shipping::to(Storage::seaweed().await).await else {
        return;
    };
    let room = 24 << 20;
    shipping.control.change(|assignment| {
        assignment.logs.as_mut().unwrap().disk_bytes = room;
    });
    let agent = shipping.node.spawn_agent();
    shipping.control.phase(AgentPhase::Running).await;
    shipping.road.make(Way::Away);
    let (mut dice, mut written) = (Dice(3), Vec::new());
    dice.lines(40 << 20, &mut written);
    append(&shipping.logs(), "scheduler.log", &written);
    let told = shipping.control.event("logs_dropped").await;
    assert!(told.message.contains("were given up"), "{}", told.message);
    assert!(!told.message.contains("secret-of-the-store"));
    use std::os::unix::fs::MetadataExt as _;
    let log = shipping.logs().join("scheduler.log");
    let taken = || log.metadata().unwrap().blocks() * 512;
    eventually("the log to be shorter on the disk", || taken() <= room).await;
    assert_eq!(
        log.metadata().unwrap().len(),
        written.len() as u64,
        "places in it stay what they are"
    );

    shipping.road.make(Way::Open);
    let dropped = shipping
        .control
        .report_where("what was dropped", |report| report.logs.dropped_bytes > 0)
        .await;
    let dropped = usize::try_from(dropped.logs.dropped_bytes).unwrap();
    assert_eq!(written[dropped - 1], b'\n', "the rest begins with a line");
    let first = format!("{dropped:020}.log.gz");
    let mut keys = Vec::new();
    for _ in 0..300 {
        keys = shipping.storage.listing().await;
        if keys.iter().any(|(key, _)| key.ends_with(&first)) {
            return drop(agent);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing begins at {first}: {keys:?}");
}
