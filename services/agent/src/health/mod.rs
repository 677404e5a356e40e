//! Whether a service works, asked of the service itself. A process that merely runs is not healthy, nor is an answer
//! that merely came: it must say what a healthy one says.

mod amqp;
mod celery;
mod http;
mod monitor;
mod redis;
mod verdict;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use updraft_api::agent::{HealthCheck, ServiceAssignment};

use crate::process::ProcessId;

pub use verdict::{Outcome, Verdict};

/// Between checks until it is healthy.
const FAST: Duration = Duration::from_millis(200);
/// The same where each check costs the web node a query.
const FAST_REMOTE: Duration = Duration::from_millis(500);
/// After a check that did not succeed.
const AGAIN: Duration = Duration::from_secs(1);
/// A process that nothing can be asked of is called healthy at this age.
const SETTLED: TimeDelta = TimeDelta::milliseconds(300);
const WARM_WITHIN: Duration = Duration::from_secs(60);

/// What checks share.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
}

/// One process to be checked for as long as it lives.
#[derive(Clone, Debug)]
pub struct Subject {
    pub service: ServiceAssignment,
    pub process: ProcessId,
    pub started_at: DateTime<Utc>,
    /// It was healthy under an earlier agent: it need not be warmed.
    pub proven: bool,
    /// Of the broker, for the checks that need it.
    pub password: Option<String>,
}

// === impl Client ===

impl Client {
    /// # Errors
    /// When TLS can't be set up.
    pub fn new() -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            // A kept connection would look like use of the service to its node.
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(5))
            .build()?;
        Ok(Self { http })
    }

    /// Checks until aborted; tells each outcome.
    pub async fn check(self, subject: Subject, tell: impl Fn(Outcome)) {
        if let Some(worker) = celery::Worker::of(&subject) {
            return worker.listen(tell).await;
        }
        let mut warm = subject.proven;
        let mut proven = false;
        loop {
            let mut outcome = self.check_once(&subject).await;
            if outcome == Outcome::Healthy && !warm {
                outcome = self.warm(&subject.service.warm).await;
                warm = outcome == Outcome::Healthy;
            }
            let healthy = outcome == Outcome::Healthy;
            proven |= healthy;
            tell(outcome);
            tokio::time::sleep(interval(&subject.service, proven, healthy)).await;
        }
    }

    async fn check_once(&self, subject: &Subject) -> Outcome {
        match &subject.service.health {
            HealthCheck::HttpStatus { url } => http::status(&self.http, url).await,
            HealthCheck::HttpJson { url, paths, expect } => http::json(&self.http, url, paths, expect).await,
            HealthCheck::Redis { address, .. } => redis::ping(address, subject.password.as_deref()).await,
            HealthCheck::MonitorHealth {
                url,
                component,
                heartbeat,
            } => monitor::check(&self.http, url, component, heartbeat, subject.started_at).await,
            HealthCheck::Amqp { address, user, .. } => {
                amqp::open(address, user, subject.password.as_deref().unwrap_or_default()).await
            }
            HealthCheck::Process
            | HealthCheck::CeleryWorker { .. }
            | HealthCheck::CeleryWorkerAmqp { .. } => running(subject),
        }
    }

    /// The first requests are slow and belong to the start.
    async fn warm(&self, urls: &[String]) -> Outcome {
        for url in urls {
            let asked = self.http.get(url).timeout(WARM_WITHIN).send().await;
            match asked {
                Ok(answer) if answer.status().is_success() => {}
                Ok(answer) => {
                    return Outcome::Unhealthy(format!("warming up: {url} answered {}", answer.status()));
                }
                Err(error) => return Outcome::Unhealthy(format!("warming up: {}", http::describe(&error))),
            }
        }
        Outcome::Healthy
    }
}

/// Nothing can be asked of it: it is well when it has not ended at once.
fn running(subject: &Subject) -> Outcome {
    let age = Utc::now() - subject.started_at;
    if !subject.process.is_alive() {
        Outcome::Unhealthy("its process has ended".to_owned())
    } else if age < SETTLED {
        Outcome::Unhealthy("its process has only begun".to_owned())
    } else {
        Outcome::Healthy
    }
}

fn interval(service: &ServiceAssignment, proven: bool, healthy: bool) -> Duration {
    match (proven, healthy) {
        (true, true) => Duration::from_secs(service.interval_s.max(1).into()),
        (true, false) => AGAIN,
        (false, _) if matches!(service.health, HealthCheck::MonitorHealth { .. }) => FAST_REMOTE,
        (false, _) => FAST,
    }
}
