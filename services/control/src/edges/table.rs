//! Keeps the snapshot for edges current: read anew whenever the database announces a change, and each 30 s.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use updraft_api::edge::{Route, RouteState, Snapshot, Upstream};
use updraft_app::SessionKeys;
use updraft_authz::{Policy, SigningKey, TokenHash, TokenPolicy};
use updraft_model::{ClusterId, Phase, TenantId};
use updraft_store::api_tokens::{self, PushedToken};
use updraft_store::routes::{self, RoutedCluster};
use updraft_store::{Channel, Store, StoreError, access_rules, person_facts};

use super::effective;
use crate::tunnels::Tunnels;

const AT_LEAST_EACH: Duration = Duration::from_secs(30);
const AFTER_AN_ERROR: Duration = Duration::from_secs(1);
/// Announcements come in bursts: one picture for all of a burst.
const BURST: Duration = Duration::from_millis(20);
/// Of all clusters a picture takes its time, and while hundreds start there is always something new: at most a quarter of
/// the time is spent on it.
const REST: u32 = 3;
const LONGEST_REST: Duration = Duration::from_secs(5);
/// The port of a web node's Airflow.
const AIRFLOW_PORT: u16 = 8080;

/// What does not come from the database.
pub struct SnapshotSettings {
    pub airflow_key: SigningKey,
    pub session_keys: SessionKeys,
    pub console_url: String,
    /// The authority at which people reach a cluster.
    pub host_of: Box<dyn Fn(TenantId, ClusterId) -> String + Send + Sync>,
    /// None: edges reach web nodes directly.
    pub tunnels: Option<Arc<Tunnels>>,
}

/// Runs until shut down; a database that is away only delays news.
pub async fn keep_current(
    store: Store,
    settings: SnapshotSettings,
    sender: watch::Sender<Option<Arc<Snapshot>>>,
    shutdown: CancellationToken,
) {
    while !shutdown.is_cancelled() {
        let followed = follow(&store, &settings, &sender);
        tokio::select! {
            () = shutdown.cancelled() => return,
            outcome = followed => {
                if let Err(error) = outcome {
                    tracing::warn!(%error, "routes could not be read; edges go on with what they have");
                }
                sleep(AFTER_AN_ERROR).await;
            }
        }
    }
}

async fn follow(
    store: &Store,
    settings: &SnapshotSettings,
    sender: &watch::Sender<Option<Arc<Snapshot>>>,
) -> Result<(), StoreError> {
    let mut announcements = store.listen(&[Channel::Policy]).await?;
    loop {
        let began = Instant::now();
        let snapshot = read(store, settings).await?;
        let rest = (began.elapsed() * REST).clamp(BURST, LONGEST_REST);
        sender.send_if_modified(|current| {
            let changed = current
                .as_ref()
                .is_none_or(|current| current.version != snapshot.version);
            if changed {
                *current = Some(Arc::new(snapshot));
            }
            changed
        });
        if let Ok(announced) = timeout(AT_LEAST_EACH, announcements.next()).await {
            announced?;
            sleep(rest).await;
        }
    }
}

async fn read(store: &Store, settings: &SnapshotSettings) -> Result<Snapshot, StoreError> {
    let mut transaction = store.begin().await?;
    let clusters = routes::clusters(&mut transaction).await?;
    let people = person_facts::of_all_tenants(&mut transaction).await?;
    let grants = routes::grants(&mut transaction).await?;
    let rules = access_rules::of_all_tenants(&mut transaction).await?;
    let revoked_sessions = routes::revoked_sessions(&mut transaction).await?;
    let tokens = api_tokens::list_pushed(&mut transaction, Utc::now()).await?;
    transaction.commit().await.map_err(StoreError::from)?;

    let policy = Policy {
        clusters: effective::cluster_policies(&clusters, &people, grants, rules),
        members: effective::members(&people),
        revoked_sessions: revoked_sessions.into_iter().collect(),
        tokens: tokens.into_iter().map(token_policy).collect(),
    };
    let routes = clusters
        .into_iter()
        .map(|cluster| route(cluster, settings))
        .collect();
    Ok(numbered(Snapshot {
        version: 0,
        routes,
        policy,
        airflow_key: settings.airflow_key.clone(),
        session_keys: settings.session_keys.published(),
        console_url: settings.console_url.clone(),
    }))
}

fn token_policy(token: PushedToken) -> (TokenHash, TokenPolicy) {
    let PushedToken {
        token_hash,
        token,
        expires_at,
    } = token;
    let policy = TokenPolicy {
        id: token.id,
        tenant: token.tenant,
        user: token.user,
        limit: token.limit,
        expires_at: expires_at.map(|at| at.timestamp()),
        email: token.email,
        name: token.name,
    };
    (TokenHash(token_hash), policy)
}

fn route(cluster: RoutedCluster, settings: &SnapshotSettings) -> Route {
    let tunnels = settings.tunnels.as_deref();
    let web_node = cluster.web_nodes.first();
    Route {
        cluster: cluster.facts.id,
        tenant: cluster.tenant,
        host: (settings.host_of)(cluster.tenant, cluster.facts.id),
        state: route_state(&cluster, tunnels.is_some()),
        tunnel: tunnels.zip(web_node).map(|(tunnels, node)| tunnels.guest(*node)),
        tells_uses: cluster.stops_when_idle,
        name: cluster.name,
        runtime: cluster.runtime,
    }
}

/// How its first web node is reached.
fn upstream(cluster: &RoutedCluster, through_tunnels: bool) -> Option<Upstream> {
    if through_tunnels {
        let node = cluster.web_nodes.first()?;
        return Some(Upstream::Tunnel { node: *node });
    }
    if cluster.in_tenants_account {
        // The tenant says which address its nodes have: it may be one of ours, or another tenant's.
        return None;
    }
    let address = cluster.web_addresses.first()?.parse::<IpAddr>().ok()?;
    Some(Upstream::Direct((address, AIRFLOW_PORT).into()))
}

fn route_state(cluster: &RoutedCluster, through_tunnels: bool) -> RouteState {
    let up = || upstream(cluster, through_tunnels);
    let replaced = || RouteState::Starting {
        waiting_for: Some("its web node to be replaced".to_owned()),
    };
    match &cluster.phase {
        Phase::Running | Phase::Degraded { .. } => {
            up().map_or_else(replaced, |upstream| RouteState::Up { upstream })
        }
        // Airflow's pages are there before the last worker is.
        Phase::Starting { waiting_for } => match up() {
            Some(upstream) if cluster.web_running => RouteState::Up { upstream },
            _ => RouteState::Starting {
                waiting_for: waiting_for.clone(),
            },
        },
        Phase::Stopped => RouteState::Stopped,
        Phase::Stopping | Phase::Deleting => RouteState::Stopping,
        Phase::Failed { reason } => RouteState::Failed {
            reason: reason.clone(),
        },
    }
}

/// The version is a digest of the content: every control process gives the same picture the same number.
fn numbered(mut snapshot: Snapshot) -> Snapshot {
    let digest = Sha256::digest(canonical(&snapshot));
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    snapshot.version = i64::from_be_bytes(first) & i64::MAX;
    snapshot
}

/// `serde_json::Value` sorts the keys of its objects; the one set is sorted here.
fn canonical(snapshot: &Snapshot) -> String {
    let mut revoked: Vec<_> = snapshot.policy.revoked_sessions.iter().collect();
    revoked.sort();
    let mut value = serde_json::to_value(snapshot).unwrap_or_default();
    value["policy"]["revoked_sessions"] = serde_json::json!(revoked);
    value.to_string()
}

#[cfg(test)]
mod tests {
    use updraft_authz::ClusterFacts;
    use updraft_model::NodeId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_address_in_a_tenants_account_is_never_connected_to() {
        let cluster = |in_tenants_account| RoutedCluster {
            facts: ClusterFacts {
                id: ClusterId(1),
                tags: std::iter::empty::<(String, String)>().collect(),
            },
            tenant: TenantId(Uuid::nil()),
            name: "demo".parse().unwrap(),
            runtime: "airflow-3.3.2".to_owned(),
            phase: Phase::Running,
            web_addresses: vec!["10.0.0.1".to_owned()],
            web_nodes: vec![NodeId(Uuid::nil())],
            web_running: true,
            in_tenants_account,
            stops_when_idle: false,
        };
        assert!(upstream(&cluster(false), false).is_some());
        assert_eq!(upstream(&cluster(true), false), None);
        let through = upstream(&cluster(true), true);
        assert!(matches!(through, Some(Upstream::Tunnel { .. })));
    }
}
