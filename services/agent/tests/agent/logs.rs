//! Logs of a node in a real object store, whatever dies on the way.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use updraft_model::{AgentPhase, ServiceName};

use crate::support::storage::{Content, Road, Storage, Way};
use crate::support::{AgentProcess, Control, TestNode, eventually, service};

/// Gigabytes may wait at the end of a long outage.
const PATIENCE: Duration = Duration::from_secs(900);

/// Bytes of all files that a node wrote, by their path below `logs/`.
type Written = BTreeMap<String, Content>;

struct Shipping {
    control: Control,
    node: TestNode,
    storage: Storage,
    road: Road,
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

// === impl Dice ===

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn lines(&mut self, bytes: usize, into: &mut Vec<u8>) {
        let end = into.len() + bytes;
        while into.len() < end {
            let (level, noise) = (self.roll(4), self.roll(1 << 31));
            let line = format!(
                "2026-11-22T03:45:12.{:06}Z [level {level}] task {noise:x} said {:x} after {} tries{}\n",
                into.len() % 1_000_000,
                self.roll(1 << 31),
                self.roll(10),
                " and more".repeat(usize::try_from(self.roll(20)).unwrap())
            );
            into.extend_from_slice(line.as_bytes());
        }
    }
}

// === impl Shipping ===

impl Shipping {
    async fn to(storage: Option<Storage>) -> Option<Self> {
        let storage = storage?;
        let road = storage.road().await;
        let control = Control::start().await;
        let node = TestNode::new(&control);
        let mut assignment = node.assignment(vec![service(ServiceName::Broker, "exec sleep 1000")]);
        assignment.logs = Some(road.delivery());
        control.assign(assignment);
        Some(Self {
            control,
            node,
            storage,
            road,
        })
    }

    fn logs(&self) -> PathBuf {
        self.node.path("logs")
    }

    /// Until what is in the store is exactly what was written.
    async fn holds(&self, written: &Written) {
        let begun = Instant::now();
        let mut looked_at = Vec::new();
        loop {
            let listing = self.storage.listing().await;
            if listing != looked_at {
                let different = match self.storage.files().await {
                    Some(files) => differences(&files, written),
                    None => vec!["packed meanwhile".to_owned()],
                };
                if different.is_empty() {
                    return;
                }
                assert!(
                    begun.elapsed() < PATIENCE,
                    "the store is not as written: {different:#?}"
                );
                looked_at = listing;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "the store does not become what was written"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn differences(files: &BTreeMap<String, BTreeMap<String, Content>>, written: &Written) -> Vec<String> {
    let mut different = Vec::new();
    for (path, content) in written.iter().filter(|(_, content)| content.length > 0) {
        let found: Vec<_> = files
            .get(&source(path))
            .into_iter()
            .flat_map(BTreeMap::values)
            .collect();
        if found != [content] {
            different.push(format!("{path}: {content:?} were written, there are {found:?}"));
        }
    }
    let known: Vec<_> = written
        .iter()
        .filter(|(_, content)| content.length > 0)
        .map(|(path, _)| source(path))
        .collect();
    let broker = "services/broker".to_owned();
    different.extend(
        files
            .keys()
            .filter(|name| !known.contains(name) && **name != broker)
            .cloned(),
    );
    different.truncate(5);
    different
}

fn source(path: &str) -> String {
    match (path.strip_suffix(".log"), path.split_once('/')) {
        (Some(service), None) => format!("services/{service}"),
        (_, Some(("tasks", rest))) if rest.starts_with("dag_id=") => format!("tasks/{rest}"),
        _ => format!("files/{path}"),
    }
}

fn append(logs: &Path, name: &str, bytes: &[u8]) {
    let path = logs.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
        .write_all(bytes)
        .unwrap();
}

/// Writes like a busy node, so long, and says what it wrote: services, a large attempt and many small ones.
fn write_for(logs: &Path, long: Duration, bytes_per_second: usize) -> Written {
    let (begun, mut dice, mut written) = (Instant::now(), Dice(7), Written::new());
    let mut tick = 0_u32;
    while begun.elapsed() < long {
        tick += 1;
        let attempt = format!("tasks/dag_id=d/run_id=r{}/task_id=t/attempt=1.log", tick / 5);
        let share = bytes_per_second / 20;
        for (name, bytes) in [
            ("scheduler.log", share / 2),
            ("worker.log", share / 5),
            ("tasks/dag_id=d/run_id=large/task_id=t/attempt=1.log", share / 5),
            (attempt.as_str(), share / 10),
        ] {
            let content = written.entry(name.to_owned()).or_default();
            let mut lines = Vec::new();
            dice.lines(bytes, &mut lines);
            content.add(&lines);
            // In pieces that end anywhere: a writer's buffer does not know lines.
            let (first, second) = lines.split_at(lines.len() / 3);
            append(logs, name, first);
            append(logs, name, second);
        }
        std::thread::sleep((Duration::from_millis(50) * tick).saturating_sub(begun.elapsed()));
    }
    written
}

/// 5 MB/s while agents are killed at any moment and the store goes away.
async fn nothing_is_lost_or_doubled(shipping: Shipping) {
    // Seconds; the outage begins while much is under way.
    let outage: u64 = std::env::var("UPDRAFT_TEST_LONG").map_or(3, |text| text.parse().unwrap());
    let (away, writing) = (2, outage + outage / 15 + 5);
    let logs = shipping.logs();
    let mut agent = shipping.node.spawn_agent();
    shipping.control.phase(AgentPhase::Running).await;
    let writer =
        tokio::task::spawn_blocking(move || write_for(&logs, Duration::from_secs(writing), 5_000_000));
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
    shipping.road.make(Way::Open);
    let bytes: u64 = written.values().map(|content| content.length).sum();
    shipping.holds(&written).await;
    eprintln!(
        "{} MB in {} files, {killed} agents killed, an outage of {outage} s: 0 missing, 0 doubled, all there {:.1} s after the end",
        bytes / 1_000_000,
        written.len(),
        (begun.elapsed().as_secs_f32() - writing as f32)
    );
    drop(agent);
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
    let words = b"the last line, and no newline".to_vec();
    append(&shipping.logs(), "scheduler.log", &words);
    std::fs::write(shipping.node.path("stop"), "").unwrap();
    assert!(agent.exit().await.success());
    let files = shipping.storage.files().await.unwrap();
    assert_eq!(
        files["services/scheduler"].values().collect::<Vec<_>>(),
        [&Content::of(&words)]
    );
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
