//! Which instances fail EC2's own checks of them: of its hardware, power and network (the system's), and of what runs on it
//! (the instance's). EC2 [looks each minute](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html),
//! and mends some of it itself.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::timeout;
use updraft_aws::Params;
use updraft_provider::{ProviderError, ProviderId};

use crate::answers::{Page, Set};
use crate::provider::{Ec2Provider, PAGE};

/// As often as EC2 looks.
const EACH: Duration = Duration::from_secs(60);
/// So long EC2 may take to say so.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long they have to fail: it may be mended, and one look may be wrong.
const LASTING: TimeDelta = TimeDelta::minutes(5);
/// One call for each: several filters of one call have to hold together.
const CHECKS: [&str; 2] = ["system-status.status", "instance-status.status"];

/// What was found last.
#[derive(Default)]
pub(crate) struct Checks {
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    asked_at: Option<Instant>,
    impaired: HashSet<ProviderId>,
    is_refused: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statuses {
    #[serde(default)]
    instance_status_set: Set<InstanceStatus>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstanceStatus {
    instance_id: String,
    #[serde(default)]
    system_status: Summary,
    #[serde(default)]
    instance_status: Summary,
}

#[derive(Debug, Default, Deserialize)]
struct Summary {
    #[serde(default)]
    details: Set<Detail>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    impaired_since: Option<DateTime<Utc>>,
}

// === impl Ec2Provider ===

impl Ec2Provider {
    /// Instances that have failed a check for some minutes. Where EC2 does not say, what it said last: a list of nodes is
    /// worth more than what is wrong with some of them.
    pub(crate) async fn impaired(&self) -> HashSet<ProviderId> {
        let mut found = self.checks.found.lock().await;
        if found.asked_at.is_none_or(|at| at.elapsed() >= EACH) {
            found.asked_at = Some(Instant::now());
            let late = |_| Err(ProviderError::Unclear("no answer in time".to_owned()));
            match timeout(PATIENCE, self.ask_for_impaired())
                .await
                .unwrap_or_else(late)
            {
                Ok(impaired) => (found.impaired, found.is_refused) = (impaired, false),
                Err(error) => {
                    if !std::mem::replace(&mut found.is_refused, true) {
                        tracing::warn!(%error, "EC2 does not tell which instances fail its checks");
                    }
                }
            }
        }
        found.impaired.clone()
    }

    async fn ask_for_impaired(&self) -> Result<HashSet<ProviderId>, ProviderError> {
        let now = Utc::now();
        let mut impaired = HashSet::new();
        for check in CHECKS {
            let asked = Params::default()
                .with("MaxResults", PAGE)
                .with_filter(check, ["impaired"]);
            let pages: Vec<Statuses> = self.pages("DescribeInstanceStatus", &asked).await?;
            let statuses = pages.into_iter().flat_map(|page| page.instance_status_set.items);
            let lasting = statuses.filter(|status| status.lasts(now));
            impaired.extend(lasting.map(|status| ProviderId(status.instance_id)));
        }
        Ok(impaired)
    }
}

// === impl Statuses ===

impl Page for Statuses {
    fn take_next(&mut self) -> Option<String> {
        self.next_token.take()
    }
}

// === impl InstanceStatus ===

impl InstanceStatus {
    fn lasts(&self, now: DateTime<Utc>) -> bool {
        let details = self.system_status.details.items.iter();
        let mut since = details
            .chain(&self.instance_status.details.items)
            .filter_map(|detail| detail.impaired_since);
        since.any(|since| since + LASTING <= now)
    }
}
