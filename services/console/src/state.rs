//! What the handlers work with.

use std::sync::Arc;

use updraft_app::App;
use url::Url;

/// How the console is reached.
#[derive(Clone, Debug)]
pub struct ConsoleConfig {
    /// `http://localhost:7700`, without a path. Its scheme decides whether cookies are `Secure`.
    pub console_url: Url,
}

#[derive(Clone, Debug)]
pub(crate) struct Console {
    pub(crate) app: App,
    pub(crate) config: Arc<ConsoleConfig>,
}
