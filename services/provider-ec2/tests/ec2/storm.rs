//! Many launches at once, before an endpoint that keeps EC2's documented request limits (`tests/datacentre/limits.py`), at
//! EC2's own rate.

use futures::StreamExt as _;
use futures::future::join;
use futures::stream;
use serde_json::json;
use updraft_model::NodeRole;
use updraft_provider::ProviderError;
use updraft_provider_ec2::Ec2Provider;

use crate::datacentre::{DataCentre, launch, wanted};

/// What EC2 allows of `RunInstances`: what its bucket holds, and what comes back.
const BUCKET: f64 = 5.0;
const PER_SECOND: f64 = 2.0;
/// As many as a control process launches.
const AT_ONCE: usize = 16;

/// When calls of `RunInstances` came, in seconds, and whether they were let in.
struct Came(Vec<(f64, bool)>);

// === impl Came ===

impl Came {
    async fn to(centre: &DataCentre) -> Self {
        let came = centre.ask("came", json!({"action": "RunInstances"})).await;
        Self(serde_json::from_value(came).unwrap())
    }

    fn refused(&self) -> usize {
        self.0.iter().filter(|(_, is_let_in)| !is_let_in).count()
    }

    /// What came of the rate that was allowed between the first call and the last, in percent.
    fn share(&self) -> f64 {
        let let_in: Vec<f64> = self.0.iter().filter(|call| call.1).map(|call| call.0).collect();
        let lasted = let_in.last().unwrap() - let_in[0];
        100.0 * let_in.len() as f64 / (BUCKET + PER_SECOND * lasted)
    }
}

async fn that_keeps_limits() -> Option<DataCentre> {
    let centre = DataCentre::open().await?;
    centre.ask("keep-limits", json!({})).await;
    Some(centre)
}

/// How many were launched.
async fn launch_all(provider: &Ec2Provider, nodes: usize) -> usize {
    let launches = (0..nodes).map(async |_| launch(provider, &wanted(1, NodeRole::Worker)).await);
    let launched: Vec<Result<_, ProviderError>> =
        stream::iter(launches).buffer_unordered(AT_ONCE).collect().await;
    launched.iter().filter(|launched| launched.is_ok()).count()
}

#[tokio::test]
async fn a_storm_of_launches_is_never_refused() {
    let Some(centre) = that_keeps_limits().await else {
        return;
    };
    let asked = std::env::var("UPDRAFT_STORM_LAUNCHES").ok();
    let nodes = asked.as_ref().map_or(20, |number| number.parse().unwrap());
    let launched = launch_all(&centre.provider().await, nodes).await;
    let came = Came::to(&centre).await;
    println!(
        "{launched} launches at EC2's own rate: {} refused, {:.1} % of the allowed rate",
        came.refused(),
        came.share()
    );
    assert_eq!((came.refused(), came.0.len(), launched), (0, nodes, nodes));
    assert_eq!(centre.live().await, nodes);
    // Of a few, on a machine that is busy with other tests, it says nothing.
    assert!(
        asked.is_none() || came.share() >= 90.0,
        "{:.1} %: {:?}",
        came.share(),
        came.0
    );
}

/// The endpoint does refuse: two that do not know of each other ask twice as often as is allowed.
#[tokio::test]
async fn twice_the_pace_is_refused() {
    let Some(centre) = that_keeps_limits().await else {
        return;
    };
    let (one, other) = (centre.provider().await, centre.provider().await);
    join(launch_all(&one, 6), launch_all(&other, 6)).await;
    assert!(Came::to(&centre).await.refused() > 0);
}
