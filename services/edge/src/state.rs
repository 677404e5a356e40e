//! What all serving threads of one edge share, and what each has for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use chrono::{DateTime, Utc};
use http::StatusCode;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use updraft_api::edge::Snapshot;
use updraft_authz::Visitor;
use updraft_model::{ClusterId, ClusterRole};
use updraft_tunnel::{NearEnd, Pace};

use crate::alarm::Clock;
use crate::assets::Assets;
use crate::cluster_uses;
use crate::config::EdgeConfig;
use crate::control::ControlClient;
use crate::pool::Pool;
use crate::refusals;
use crate::table::Table;
use crate::token::Sessions;
use crate::token_uses::Pending;
use crate::tunnels;

pub(crate) struct State {
    pub(crate) config: EdgeConfig,
    pub(crate) control: ControlClient,
    pub(crate) assets: Assets,
    pub(crate) counts: Counts,
    pub(crate) token_uses: Pending,
    pub(crate) cluster_uses: cluster_uses::Pending,
    pub(crate) refusals: refusals::Pending,
    pub(crate) tunnels: Arc<NearEnd>,
    table: ArcSwap<Table>,
    /// The authority of the certificate for tunnels, by name.
    certified_by: ArcSwapOption<String>,
    change_count: AtomicU64,
    changes: watch::Sender<()>,
    control_reachable: AtomicBool,
    leaving: AtomicBool,
}

/// One serving thread's own: nothing in here is contended.
pub(crate) struct Worker {
    pub(crate) state: Arc<State>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) pool: Pool,
    pub(crate) sessions: Sessions,
    /// Connections and websockets: what is waited for in the end.
    pub(crate) tasks: TaskTracker,
}

/// Answers since the start, by class of status.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    by_class: [AtomicU64; 6],
}

// === impl State ===

impl State {
    pub(crate) fn new(config: EdgeConfig, control: ControlClient) -> Self {
        let assets = Assets::new(config.asset_dir.clone());
        Self {
            config,
            control,
            assets,
            counts: Counts::default(),
            token_uses: Pending::default(),
            cluster_uses: cluster_uses::Pending::default(),
            refusals: refusals::Pending::default(),
            tunnels: Arc::new(NearEnd::new(Pace::default())),
            table: ArcSwap::default(),
            certified_by: ArcSwapOption::default(),
            change_count: AtomicU64::new(0),
            changes: watch::Sender::new(()),
            control_reachable: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
        }
    }

    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    pub(crate) fn adopt(&self, snapshot: Snapshot) {
        let change = self.change_count() + 1;
        self.tunnels.await_nodes(tunnels::guests(&snapshot));
        self.table.store(Arc::new(Table::new(snapshot, change)));
        self.change_count.store(change, Ordering::Release);
        self.changes.send_replace(());
    }

    /// Names of the installation's keys that this edge goes by now. Control waits for them before it forgets others.
    pub(crate) fn keys(&self) -> Vec<String> {
        let table = self.table();
        let signs = table.airflow_key.iter().map(|key| key.kid.clone());
        let shows = self.certified_by.load_full();
        let shows = shows.iter().map(|name| name.to_string());
        signs.chain(shows).chain(table.tunnel_tokens.clone()).collect()
    }

    /// What is shown to agents from now on is under this authority.
    pub(crate) fn show_certificate_of(&self, authority: Option<String>) {
        self.certified_by.store(authority.map(Arc::new));
    }

    /// Resolves whenever the table was replaced.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// [`Table::change`] of the table that is in force.
    pub(crate) fn change_count(&self) -> u64 {
        self.change_count.load(Ordering::Acquire)
    }

    pub(crate) fn control_reachable(&self) -> bool {
        self.control_reachable.load(Ordering::Relaxed)
    }

    /// Returns what it was before.
    pub(crate) fn set_control_reachable(&self, reachable: bool) -> bool {
        self.control_reachable.swap(reachable, Ordering::Relaxed)
    }

    /// Told to stop: it serves, and whoever is served comes by another edge next time.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether a session or token still has this role on this cluster.
    pub(crate) fn still_allows(
        &self,
        visitor: &Visitor,
        cluster: ClusterId,
        role: ClusterRole,
        now: DateTime<Utc>,
    ) -> bool {
        let held = self
            .table
            .load()
            .policy
            .role_on(visitor, cluster)
            .map(|(role, _)| role);
        visitor.expires_at > now.timestamp() && held == Some(role)
    }
}

// === impl Worker ===

impl Worker {
    pub(crate) fn new(state: Arc<State>) -> Self {
        let pool = Pool::new(state.config.limits.connect, Arc::clone(&state.tunnels));
        Self {
            state,
            clock: Clock::new(),
            pool,
            sessions: Sessions::default(),
            tasks: TaskTracker::new(),
        }
    }
}

// === impl Counts ===

impl Counts {
    pub(crate) fn record(&self, status: StatusCode) {
        if let Some(count) = self.by_class.get(usize::from(status.as_u16() / 100)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.by_class.iter().map(|c| c.load(Ordering::Relaxed)).sum()
    }
}
