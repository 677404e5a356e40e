//! A node whose agent ships to a real store, and what its services write: as much as a busy node, from a fixed dice.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use updraft_model::ServiceName;

use super::storage::{Content, Road, Storage};
use super::{Control, TestNode, service};

/// Gigabytes may wait at the end of a long outage.
const PATIENCE: Duration = Duration::from_secs(900);

/// Bytes of all files that a node wrote, by their path below `logs/`.
pub(crate) type Written = BTreeMap<String, Content>;

pub(crate) struct Shipping {
    pub(crate) control: Control,
    pub(crate) node: TestNode,
    pub(crate) storage: Arc<Storage>,
    pub(crate) road: Road,
}

/// When which log had grown how far.
#[derive(Clone, Default)]
pub(crate) struct Growth(Arc<Mutex<BTreeMap<String, Marks>>>);

/// Lengths, and when they were reached.
type Marks = Vec<(u64, Instant)>;

/// Numbers that look random and are the same each time.
pub(crate) struct Dice(pub(crate) u64);

// === impl Dice ===

impl Dice {
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    pub(crate) fn lines(&mut self, bytes: usize, into: &mut Vec<u8>) {
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

// === impl Growth ===

impl Growth {
    fn add(&self, name: &str, length: u64) {
        let mut marks = self.0.lock().unwrap();
        marks
            .entry(name.to_owned())
            .or_default()
            .push((length, Instant::now()));
    }

    /// How old the oldest byte beyond `there` was at that time.
    pub(crate) fn behind(&self, name: &str, there: u64, now: Instant) -> Duration {
        let marks = self.0.lock().unwrap();
        let marks = marks.get(name).map_or(&[][..], Vec::as_slice);
        let next = marks.partition_point(|(length, _)| *length <= there);
        marks
            .get(next)
            .map_or(Duration::ZERO, |(_, at)| now.saturating_duration_since(*at))
    }

    /// How far behind the store is, as anybody sees it who asks each second: when it was asked, and the answer. For ever.
    pub(crate) async fn watch(self, storage: Arc<Storage>, seen: Arc<Mutex<Vec<(Instant, Duration)>>>) {
        let mut last = None;
        loop {
            let there = storage.length("logs/services/scheduler", &mut last).await;
            let now = Instant::now();
            let behind = self.behind("scheduler.log", there, now);
            seen.lock().unwrap().push((now, behind));
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

// === impl Shipping ===

impl Shipping {
    pub(crate) async fn to(storage: Option<Storage>) -> Option<Self> {
        Some(Self::another(Arc::new(storage?)).await)
    }

    /// One more node.
    pub(crate) async fn another(storage: Arc<Storage>) -> Self {
        let road = storage.road().await;
        let control = Control::start().await;
        let node = TestNode::new(&control);
        let mut assignment = node.assignment(vec![service(ServiceName::Broker, "exec sleep 100000")]);
        assignment.logs = Some(road.delivery());
        control.assign(assignment);
        Self {
            control,
            node,
            storage,
            road,
        }
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.node.path("logs")
    }

    /// Until nothing that a killed agent had under way is carried out any more.
    pub(crate) async fn settles(&self) {
        let (mut before, mut same) = (Vec::new(), 0);
        while same < 10 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let listing = self.storage.listing().await;
            same = if listing == before { same + 1 } else { 0 };
            before = listing;
        }
    }

    /// Until what is in the store is exactly what was written.
    pub(crate) async fn holds(&self, written: &Written) {
        let begun = Instant::now();
        let (mut before, mut looked_at) = (Vec::new(), Vec::new());
        let mut different = vec!["it always changed".to_owned()];
        while begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let listing = self.storage.listing().await;
            // While it changes it is not looked into: that takes what the agent needs.
            if listing != std::mem::replace(&mut before, listing.clone()) || listing == looked_at {
                continue;
            }
            if let Some(files) = self.storage.files().await {
                different = differences(&files, written);
                if different.is_empty() {
                    return;
                }
                looked_at = listing;
            }
        }
        panic!("the store is not as written: {different:#?}");
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

pub(crate) fn source(path: &str) -> String {
    match (path.strip_suffix(".log"), path.split_once('/')) {
        (Some(service), None) => format!("services/{service}"),
        (_, Some(("tasks", rest))) if rest.starts_with("dag_id=") => format!("tasks/{rest}"),
        _ => format!("files/{path}"),
    }
}

pub(crate) fn append(logs: &Path, name: &str, bytes: &[u8]) {
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
pub(crate) fn write_for(logs: &Path, long: Duration, bytes_per_second: usize, growth: &Growth) -> Written {
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
            growth.add(name, content.length);
        }
        std::thread::sleep((Duration::from_millis(50) * tick).saturating_sub(begun.elapsed()));
    }
    written
}
