//! Hundreds of clusters are asked to start at once, against a provider that limits the rate of launches as EC2 does.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use updraft_aws::{EC2, Pace};
use updraft_control::reconciler::Settings;
use updraft_model::ClusterId;
use updraft_provider::simulated::SimulatedProvider;
use updraft_provider::{
    BootSecret, ClientToken, LaunchRequest, Launched, ListedNode, NodeProvider, NodeStatus, NodeWanted,
    ProviderError, ProviderId,
};

use super::control::Control;
use super::world::{Installation, ROLES};

/// What EC2 documents for `RunInstances` (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>): what its
/// bucket holds, and what is added to it every second.
const BUCKET: u32 = 5;
const PER_SECOND: u32 = 2;
/// No request takes longer than this to get there, and hardly two as long as each other.
const LONGEST_WAY: Duration = Duration::from_millis(150);

/// The simulated provider with EC2's bucket before it, in a time that passes more quickly. Who asks waits for turns as the provider
/// on EC2 does, or not at all.
struct Limited {
    provider: Arc<SimulatedProvider>,
    pace: Option<Pace>,
    speed: u32,
    bucket: Mutex<Bucket>,
    calls: Mutex<Calls>,
}

struct Bucket {
    left: u32,
    filled: Instant,
}

#[derive(Clone, Copy, Default)]
struct Calls {
    first: Option<Instant>,
    last: Option<Instant>,
    made: u32,
    refused: u32,
}

// === impl Bucket ===

impl Bucket {
    /// A second's tokens come at its end and not one by one, which is the strictest reading of what is documented.
    fn take(&mut self, second: Duration) -> bool {
        while self.filled.elapsed() >= second {
            self.filled += second;
            self.left = (self.left + PER_SECOND).min(BUCKET);
        }
        let is_there = self.left > 0;
        self.left -= u32::from(is_there);
        is_there
    }
}

// === impl Limited ===

impl Limited {
    fn new(provider: &Arc<SimulatedProvider>, pace: Option<Pace>, speed: u32) -> Self {
        Self {
            provider: provider.clone(),
            pace,
            speed,
            bucket: Mutex::new(Bucket {
                left: BUCKET,
                filled: Instant::now(),
            }),
            calls: Mutex::default(),
        }
    }

    fn calls(&self) -> Calls {
        *self.calls.lock().unwrap()
    }

    fn is_let_in(&self) -> bool {
        let is_let_in = self
            .bucket
            .lock()
            .unwrap()
            .take(Duration::from_secs(1) / self.speed);
        let mut calls = self.calls.lock().unwrap();
        calls.first = calls.first.or(Some(Instant::now()));
        calls.last = Some(Instant::now());
        calls.made += 1;
        calls.refused += u32::from(!is_let_in);
        is_let_in
    }
}

// === impl Calls ===

impl Calls {
    /// What came of the rate that was allowed between the first call and the last, in percent.
    fn share(&self, speed: u32) -> f64 {
        let lasted = (self.last.unwrap() - self.first.unwrap()).as_secs_f64() * f64::from(speed);
        100.0 * f64::from(self.made - self.refused) / (f64::from(BUCKET) + f64::from(PER_SECOND) * lasted)
    }
}

#[async_trait]
impl NodeProvider for Limited {
    fn name(&self) -> &'static str {
        "limited"
    }

    fn listing_lag(&self) -> Duration {
        self.provider.listing_lag()
    }

    async fn prepare(&self, wanted: &NodeWanted) -> Result<LaunchRequest, ProviderError> {
        self.provider.prepare(wanted).await
    }

    async fn launch(
        &self,
        request: &LaunchRequest,
        token: &ClientToken,
        boot: &BootSecret,
    ) -> Result<Launched, ProviderError> {
        if let Some(pace) = &self.pace {
            pace.turn(EC2, "RunInstances").await;
        }
        let share = f64::from(token.0.bytes().last().unwrap() % 8) / 8.0;
        tokio::time::sleep(LONGEST_WAY.mul_f64(share) / self.speed).await;
        if !self.is_let_in() {
            return Err(ProviderError::Throttled);
        }
        self.provider.launch(request, token, boot).await
    }

    async fn start(&self, id: &ProviderId, boot: &BootSecret) -> Result<Launched, ProviderError> {
        self.provider.start(id, boot).await
    }

    async fn stop(&self, id: &ProviderId) -> Result<(), ProviderError> {
        self.provider.stop(id).await
    }

    async fn terminate(&self, id: &ProviderId) -> Result<(), ProviderError> {
        self.provider.terminate(id).await
    }

    async fn list(&self, cluster: Option<ClusterId>) -> Result<Vec<ListedNode>, ProviderError> {
        self.provider.list(cluster).await
    }

    async fn describe(&self, id: &ProviderId) -> Result<NodeStatus, ProviderError> {
        self.provider.describe(id).await
    }
}

struct Storm {
    installation: Installation,
    limited: Arc<Limited>,
    control: Control,
}

// === impl Storm ===

impl Storm {
    /// So many clusters are asked to start.
    async fn of(clusters: usize, pace: Option<Pace>, speed: u32) -> Self {
        let installation = Installation::without_nodes(clusters).await;
        let limited = Arc::new(Limited::new(&installation.provider, pace, speed));
        installation.start_all().await;
        let settings = Settings {
            queued: Settings::default().queued / speed,
            ..Settings::default()
        };
        let control = installation.control_over(limited.clone(), settings);
        Self {
            installation,
            limited,
            control,
        }
    }

    async fn is_over(&self) -> bool {
        self.installation.running().await == self.installation.clusters
    }

    /// None was thrown away.
    fn must_not_have_been_refused(&self) {
        assert_eq!(self.limited.calls().refused, 0);
        assert_eq!(
            self.installation.provider.machines().len(),
            self.installation.clusters * ROLES.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_storm_of_starts_is_never_refused() {
    // At EC2's own rate: what a busy machine delays is a small part of the second that is left free.
    let storm = Storm::of(6, Some(Pace::default()), 1).await;
    while !storm.is_over().await {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    storm.must_not_have_been_refused();
}

/// The other side does refuse: the storms above and below could fail.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_at_no_pace_is_refused() {
    let storm = Storm::of(4, None, 4).await;
    while storm.limited.calls().refused == 0 {
        assert!(
            !storm.is_over().await,
            "{} calls were let in",
            storm.limited.calls().made
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: tests/bench/scale/run"]
async fn a_storm_of_starts_uses_the_rate_that_ec2_allows() {
    let number = |name: &str, usual: u32| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let (clusters, speed) = (number("UPDRAFT_STORM", 100), number("UPDRAFT_STORM_SPEED", 4));
    let pace = Pace::where_time_passes(speed);
    let storm = Storm::of(usize::try_from(clusters).unwrap(), Some(pace), speed).await;
    let pause = (Duration::from_secs(5) / speed).max(Duration::from_millis(500));
    let [mut list, mut show] = [0.0_f64, 0.0];
    while !storm.is_over().await {
        let [_, p99_list, _, p99_show] = storm.installation.answers(20).await;
        (list, show) = (list.max(p99_list), show.max(p99_show));
        tokio::time::sleep(pause).await;
    }
    let calls = storm.limited.calls();
    println!(
        "{clusters} clusters started, {} calls of RunInstances, time passing {speed} times as quickly: {:.1} % of the allowed \
         rate, {} refused, slowest answers: list {list:.0} ms, show {show:.0} ms; an edge was sent {} KiB",
        calls.made,
        calls.share(speed),
        calls.refused,
        storm.control.told() / 1024,
    );
    storm.must_not_have_been_refused();
    assert!(calls.share(speed) >= 90.0, "{:.1} %", calls.share(speed));
}
