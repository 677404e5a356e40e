//! The parts of others that `up` runs: two Postgres servers, object storage; and their stopping, in order.

use std::sync::Arc;

use updraft_embedded::{Account, Layout, Parts, Postgres, PostgresSettings, S3, S3Ports};

use super::terminal::Terminal;
use crate::config::Ports;

/// Running and supervised.
pub struct Servers {
    pub control: Postgres,
    /// Separate, so that clusters go on while control's own is down (architecture, static stability).
    pub metadata: Postgres,
    pub s3: Arc<S3>,
}

// === impl Servers ===

impl Servers {
    /// Starts all three side by side.
    ///
    /// # Errors
    /// The first that does not start, with its remedy.
    pub async fn start(
        layout: &Layout,
        parts: &Parts,
        account: &Account,
        ports: &Ports,
        terminal: &Terminal,
    ) -> anyhow::Result<Self> {
        let settings = |name: &str, port, max_connections, shared_buffers_mib| PostgresSettings {
            name: name.to_owned(),
            port,
            max_connections,
            shared_buffers_mib,
        };
        let control = settings("control", ports.control_postgres, 100, 32);
        let metadata = settings("metadata", ports.metadata_postgres, 400, 128);
        let (control, metadata, s3) = tokio::join!(
            Postgres::start(layout, parts, account, &control, terminal),
            Postgres::start(layout, parts, account, &metadata, terminal),
            S3::start(layout, parts, account, S3Ports::starting_at(ports.s3), terminal),
        );
        Ok(Self { control: control?, metadata: metadata?, s3: Arc::new(s3?) })
    }

    /// Storage first, control's database last: nothing that is still needed goes.
    ///
    /// # Errors
    /// The first that could not be ended; the others were still tried.
    pub async fn stop(self) -> anyhow::Result<()> {
        let s3 = match Arc::try_unwrap(self.s3) {
            Ok(s3) => s3.stop().await,
            Err(_still_used) => Ok(()),
        };
        let metadata = self.metadata.stop().await;
        let control = self.control.stop().await;
        s3?;
        metadata?;
        control?;
        Ok(())
    }
}
