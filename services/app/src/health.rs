//! Whether control works.

use updraft_api::rest::Health;

use crate::App;

impl App {
    /// Never fails: what does not work is what it says.
    pub async fn health(&self) -> Health {
        let database = self.store().ping().await.is_ok();
        Health {
            status: if database { "ok" } else { "degraded" }.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            database,
        }
    }
}
