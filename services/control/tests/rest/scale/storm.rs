//! Hundreds of clusters are asked to start at once, against a provider that limits the rate of launches as EC2 does.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use updraft_control::reconciler::Settings;
use updraft_model::ClusterId;
use updraft_provider::simulated::SimulatedProvider;
use updraft_provider::{
    BootSecret, ClientToken, LaunchRequest, Launched, ListedNode, NodeProvider, NodeStatus, NodeWanted,
    ProviderError, ProviderId,
};

use super::world::{Installation, ROLES};

/// EC2's documented buckets for `RunInstances`, in a time that passes more quickly: on this side who waits for their turn,
/// on the other one that refuses whoever did not.
struct Limited {
    provider: Arc<SimulatedProvider>,
    speed: f64,
    ours: Mutex<Tokens>,
    theirs: Mutex<Tokens>,
    calls: Mutex<Calls>,
}

struct Tokens {
    left: f64,
    at: Instant,
}

#[derive(Clone, Copy, Default)]
struct Calls {
    first: Option<Instant>,
    last: Option<Instant>,
    made: u32,
    refused: u32,
}

// === impl Limited ===

impl Limited {
    const BURST: f64 = 5.0;
    const PER_SECOND: f64 = 2.0;

    fn new(provider: &Arc<SimulatedProvider>, speed: f64) -> Self {
        let tokens = || {
            Mutex::new(Tokens {
                left: Self::BURST,
                at: Instant::now(),
            })
        };
        Self {
            provider: provider.clone(),
            speed,
            ours: tokens(),
            theirs: tokens(),
            calls: Mutex::default(),
        }
    }

    fn take(&self, of: &Mutex<Tokens>) -> bool {
        let mut tokens = of.lock().unwrap();
        let back = tokens.at.elapsed().as_secs_f64() * Self::PER_SECOND * self.speed;
        tokens.left = (tokens.left + back).min(Self::BURST);
        tokens.at = Instant::now();
        let is_there = tokens.left >= 1.0;
        tokens.left -= f64::from(u8::from(is_there));
        is_there
    }

    /// What came of the rate that was allowed between the first call and the last, in percent.
    fn share(&self) -> f64 {
        let calls = *self.calls.lock().unwrap();
        let lasted = (calls.last.unwrap() - calls.first.unwrap()).as_secs_f64();
        100.0 * f64::from(calls.made) / (Self::BURST + Self::PER_SECOND * self.speed * lasted)
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
        while !self.take(&self.ours) {
            tokio::time::sleep(Duration::from_secs_f64(0.1 / (Self::PER_SECOND * self.speed))).await;
        }
        let is_let_in = self.take(&self.theirs);
        {
            let mut calls = self.calls.lock().unwrap();
            calls.first = calls.first.or(Some(Instant::now()));
            calls.last = Some(Instant::now());
            calls.made += 1;
            calls.refused += u32::from(!is_let_in);
        }
        if !is_let_in {
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: tests/bench/scale/run"]
async fn a_storm_of_starts_uses_the_rate_that_ec2_allows() {
    let number = |name: &str, usual: f64| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let (clusters, speed) = (number("UPDRAFT_STORM", 100.0), number("UPDRAFT_STORM_SPEED", 4.0));
    let installation = Installation::without_nodes(clusters as usize).await;
    let limited = Arc::new(Limited::new(&installation.provider, speed));
    installation.start_all().await;
    let settings = Settings {
        queued: Settings::default().queued.div_f64(speed),
        ..Settings::default()
    };
    let control = installation.control_over(limited.clone(), settings);
    let pause = Duration::from_secs_f64(5.0 / speed).max(Duration::from_millis(500));
    let [mut list, mut show] = [0.0_f64, 0.0];
    while installation.running().await < installation.clusters {
        let [_, p99_list, _, p99_show] = installation.answers(20).await;
        (list, show) = (list.max(p99_list), show.max(p99_show));
        tokio::time::sleep(pause).await;
    }
    let calls = *limited.calls.lock().unwrap();
    println!(
        "{clusters} clusters started, {} calls of RunInstances, time passing {speed} times as quickly: {:.1} % of the allowed \
         rate, {} refused, slowest answers: list {list:.0} ms, show {show:.0} ms; an edge was sent {} KiB",
        calls.made,
        limited.share(),
        calls.refused,
        control.sent.load(Ordering::Relaxed) / 1024,
    );
    assert_eq!(calls.refused, 0);
    assert_eq!(
        installation.provider.machines().len(),
        installation.clusters * ROLES.len()
    );
    assert!(limited.share() >= 90.0, "{:.1} %", limited.share());
}
