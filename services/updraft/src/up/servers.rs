//! The parts of others that `up` runs: two Postgres servers, object storage; and their stopping, in order.

use std::sync::Arc;

use tokio::task::JoinHandle;
use updraft_embedded::{Account, Layout, Parts, Postgres, PostgresSettings, S3, S3Ports};

use super::storage_socket;
use super::terminal::Terminal;
use crate::config::Ports;

/// Running and supervised.
pub(crate) struct Servers {
    pub(crate) control: Postgres,
    /// Separate, so that clusters go on while control's own is down (architecture, static stability).
    pub(crate) metadata: Postgres,
    pub(crate) s3: Arc<S3>,
    /// Where control asks for buckets.
    socket: JoinHandle<()>,
}

// === impl Servers ===

impl Servers {
    /// Starts all three side by side.
    ///
    /// # Errors
    /// The first that does not start, with its remedy.
    pub(crate) async fn start(
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
        let s3 = Arc::new(s3?);
        let socket = storage_socket::serve(&storage_socket::path(layout), s3.clone())?;
        Ok(Self {
            control: control?,
            metadata: metadata?,
            s3,
            socket,
        })
    }

    /// Storage first, control's database last: nothing that is still needed goes.
    ///
    /// # Errors
    /// The first that could not be ended; the others were still tried.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.socket.abort();
        let _ = self.socket.await;
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
