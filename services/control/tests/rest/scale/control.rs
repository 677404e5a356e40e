//! A control process in this one, with its agents and an edge.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::Utc;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use updraft_control::agents::{Identities, follow};
use updraft_control::assignments::{Desk, News};
use updraft_control::edges::{Picture, SnapshotSettings, keep_current};
use updraft_control::installation_keys::InstallationKeys;
use updraft_control::reconciler::{Liveness, Parts, Reconciler, Reports, Settings};
use updraft_provider::NodeProvider;
use updraft_runtimes::Catalogue;
use updraft_store::metadata::MetadataServer;

use super::agents::{Endpoint, REPORTS};
use super::nowhere::Nowhere;
use super::world::{Installation, key};

/// Ends when it is dropped.
pub(super) struct Control {
    _shutdown: DropGuard,
    pub(super) liveness: Arc<Liveness>,
    sent: Arc<AtomicU64>,
}

// === impl Control ===

impl Control {
    /// What the one edge was sent so far, in bytes.
    pub(super) fn told(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

// === impl Installation ===

impl Installation {
    /// Reconciler, agents' endpoint's listener, and edges' picture.
    pub(super) fn control(&self) -> Control {
        self.control_over(self.provider.clone(), Settings::default())
    }

    pub(super) fn control_over(&self, provider: Arc<dyn NodeProvider>, settings: Settings) -> Control {
        let store = self.world.database.store().clone();
        let liveness = Arc::new(Liveness::new(Utc::now()));
        let news = Arc::new(News::default());
        let desk = Arc::new(self.desk(&news));
        let shutdown = CancellationToken::new();
        let reconciler = Reconciler::new(Parts {
            store: store.clone(),
            master_key: key(),
            metadata: MetadataServer::new(self.world.database.url()),
            provider,
            storage: Arc::new(Nowhere),
            assignments: desk.clone(),
            liveness: liveness.clone(),
            settings,
        });
        let endpoint = self.endpoint(desk, reconciler.reports(), &shutdown);
        tokio::spawn(Arc::new(reconciler).run(shutdown.clone()));
        tokio::spawn(follow(store.clone(), news, shutdown.clone()));
        let agents = endpoint.report_for_ever();
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(agents));
        let (sender, pictures) = watch::channel(None);
        tokio::spawn(keep_current(store, edges(), sender, shutdown.clone()));
        let sent = Arc::<AtomicU64>::default();
        tokio::spawn(follow_as_edge(pictures, sent.clone()));
        Control {
            _shutdown: shutdown.drop_guard(),
            liveness,
            sent,
        }
    }

    fn endpoint(&self, desk: Arc<Desk>, reports: Reports, shutdown: &CancellationToken) -> Endpoint {
        let identities = Arc::<Identities>::default();
        let (store, shutdown) = (self.world.database.store().clone(), shutdown.clone());
        let kept = identities.clone();
        tokio::spawn(async move { kept.keep_true(&store, shutdown).await });
        Endpoint::new(desk, reports, identities)
    }

    fn desk(&self, news: &Arc<News>) -> Desk {
        Desk {
            store: self.world.database.store().clone(),
            master_key: key(),
            catalogue: Arc::new(Catalogue::embedded().unwrap()),
            places: Arc::new(Nowhere),
            keys: edges().keys,
            outbound_allow: Vec::new(),
            log_disk_bytes: 1 << 30,
            metadata_authority: None,
            base_url: Box::new(|_, cluster| format!("https://c{cluster}.example.com")),
            tunnels: None,
            news: news.clone(),
        }
    }

    /// What agents' reports alone cost.
    pub(super) async fn reports_alone(&self) -> (f64, f64) {
        let store = self.world.database.store().clone();
        let reports = Reports::new(store, Arc::new(Liveness::new(Utc::now())));
        let shutdown = CancellationToken::new();
        let desk = Arc::new(self.desk(&Arc::default()));
        let endpoint = self.endpoint(desk, reports, &shutdown);
        let agents = tokio::spawn(endpoint.report_for_ever());
        tokio::time::sleep(3 * REPORTS).await;
        let load = self.load(4 * REPORTS).await;
        agents.abort();
        shutdown.cancel();
        load
    }
}

fn edges() -> SnapshotSettings {
    let signing = updraft_authz::SigningKey::from_seed("edges", &[9; 32]).unwrap();
    SnapshotSettings {
        session_keys: updraft_app::SessionKeys::fixed(signing.clone()),
        keys: InstallationKeys::fixed(signing),
        console_url: "http://localhost:7700".into(),
        host_of: Box::new(|_, cluster| format!("c{cluster}.example.com")),
        tunnels: None,
    }
}

/// One edge: is sent everything, and then what changes.
async fn follow_as_edge(mut pictures: watch::Receiver<Option<Arc<Picture>>>, sent: Arc<AtomicU64>) {
    let mut known = 0;
    while pictures.changed().await.is_ok() {
        let Some(picture) = pictures.borrow_and_update().clone() else {
            continue;
        };
        let body = match picture.change_since(known) {
            Some(change) => serde_json::to_vec(&change),
            None => serde_json::to_vec(&picture.snapshot()),
        };
        sent.fetch_add(body.unwrap().len() as u64, Ordering::Relaxed);
        known = picture.version();
    }
}
