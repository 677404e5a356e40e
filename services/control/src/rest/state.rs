//! What the handlers hold.

use std::sync::Arc;

use axum::extract::FromRef;
use tokio_util::sync::CancellationToken;
use updraft_app::App;

use super::audit::{Actions, actions};

/// How REST is reached.
#[derive(Clone, Debug)]
pub struct RestConfig {
    /// Authorities (`localhost:7700`) requests may name; any other is refused, so that a name that was rebound to
    /// this machine reaches nothing.
    pub allowed_hosts: Vec<String>,
    /// Origins (`http://localhost:7700`) whose pages may use the session cookie.
    pub allowed_origins: Vec<String>,
}

#[derive(Clone)]
pub struct RestState {
    pub(crate) app: App,
    pub(crate) config: Arc<RestConfig>,
    pub(crate) openapi: Arc<utoipa::openapi::OpenApi>,
    pub(crate) actions: Actions,
    pub(crate) shutdown: CancellationToken,
}

// === impl RestState ===

impl RestState {
    /// Event streams end when `shutdown` is cancelled, so that a graceful stop need not wait for them.
    #[must_use]
    pub fn new(app: App, config: RestConfig, shutdown: CancellationToken) -> Self {
        let openapi = Arc::new(crate::routes::openapi_document());
        Self {
            app,
            config: Arc::new(config),
            actions: actions(&openapi),
            openapi,
            shutdown,
        }
    }
}

impl FromRef<RestState> for App {
    fn from_ref(state: &RestState) -> Self {
        state.app.clone()
    }
}
