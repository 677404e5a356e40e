//! A node that dies whole, `kill -9`: what is lost when its disk is gone too, and that nothing is when it is not.

use std::time::{Duration, Instant};

use updraft_model::{AgentPhase, ServiceName};

use crate::support::shipping::{Dice, Growth, Shipping, Written, append, source, write_for};
use crate::support::storage::{Content, Storage, Way};
use crate::support::{AgentProcess, service};

/// What the issue allows to be lost with a disk.
const TAIL: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Losses {
    bytes: u64,
    tails: Vec<Duration>,
}

// === impl Losses ===

impl Losses {
    async fn add(&mut self, shipping: &Shipping, written: &Written, growth: &Growth, died: Instant) {
        let files = shipping.storage.files().await.unwrap();
        let mut longest = Duration::ZERO;
        for (path, content) in written {
            let there = files
                .get(&source(path))
                .into_iter()
                .flat_map(|files| files.values());
            let there: u64 = there.map(|content| content.length).sum();
            self.bytes += content.length - there;
            longest = longest.max(growth.behind(path, there, died));
        }
        self.tails.push(longest);
    }

    fn tell(&mut self) {
        self.tails.sort();
        let tails = &self.tails;
        eprintln!(
            "{} nodes killed whole at 5 MB/s: lost with a disk p50 {:.1?}, p95 {:.1?}, at most {:.1?} of their tail, {} KB each; without: 0",
            tails.len(),
            tails[tails.len() / 2],
            tails[tails.len() * 95 / 100],
            tails[tails.len() - 1],
            self.bytes / 1_000 / tails.len() as u64
        );
        assert!(tails[tails.len() - 1] <= TAIL);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_whole_loses_its_tail_with_its_disk_and_nothing_without() {
    let Some(mut shipping) = Shipping::to(Storage::seaweed().await).await else {
        return;
    };
    let rounds = std::env::var("UPDRAFT_TEST_LONG").map_or(3, |_| 25);
    let (mut dice, mut losses) = (Dice(u64::from(std::process::id())), Losses::default());
    for _ in 0..rounds {
        let agent = shipping.node.spawn_agent();
        shipping.control.phase(AgentPhase::Running).await;
        let (logs, growth, long) = (shipping.logs(), Growth::default(), 2_000 + dice.roll(2_000));
        let writing = growth.clone();
        let writer = tokio::task::spawn_blocking(move || {
            write_for(&logs, Duration::from_millis(long), 5_000_000, &writing)
        });
        let written = writer.await.unwrap();
        let died = Instant::now();
        AgentProcess::kill(agent);
        losses.add(&shipping, &written, &growth, died).await;

        shipping.settles().await;
        assert!(shipping.node.spawn_for_remains().exit().await.success());
        shipping.holds(&written).await;
        let listing = shipping.storage.listing().await;
        for path in written.keys().filter(|path| path.starts_with("tasks/")) {
            let objects = listing.iter().filter(|(key, _)| key.contains(path.as_str()));
            assert_eq!(objects.count(), 1, "{path} is packed: nobody else would do it");
        }
        shipping.storage.empty().await;
        shipping = Shipping::another(shipping.storage).await;
    }
    losses.tell();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_has_left_waits_for_its_bucket() {
    let Some(shipping) = Shipping::to(Storage::seaweed().await).await else {
        return;
    };
    let agent = shipping.node.spawn_agent();
    shipping.control.phase(AgentPhase::Running).await;
    shipping.road.make(Way::Away);
    let words = b"said while the bucket was away\n";
    append(&shipping.logs(), "scheduler.log", words);
    AgentProcess::kill(agent);

    let ended_early = shipping.node.spawn_for_remains();
    ended_early.terminate();
    assert!(!ended_early.exit().await.success(), "not all of it is shipped");
    let patient = shipping.node.spawn_for_remains();
    shipping.road.make(Way::Open);
    assert!(patient.exit().await.success());
    let written = [("scheduler.log".to_owned(), Content::of(words))];
    shipping.holds(&written.into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_services_never_start_ships_its_own_log() {
    let Some(shipping) = Shipping::to(Storage::seaweed().await).await else {
        return;
    };
    let broken = service(ServiceName::Broker, "echo no such broker; exit 1");
    shipping
        .control
        .change(|assignment| assignment.services = vec![broken]);
    let why = b"why it does not start\n";
    append(&shipping.node.path(""), "agent.log", why);
    let agent = shipping.node.spawn_agent();
    shipping.control.event("service_cannot_start").await;
    loop {
        let files = shipping.storage.files().await.unwrap_or_default();
        if files.contains_key("services/agent") && files.contains_key("services/broker") {
            return drop(agent);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
