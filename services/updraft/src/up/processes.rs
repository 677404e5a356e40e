//! Control and edge as processes of this same binary, restarted when they end unasked.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use updraft_embedded::{Account, Layout, Ready, Service, StopStage, Supervised};

use super::terminal::Terminal;
use crate::config::Ports;

pub(crate) struct Processes {
    control: tokio::sync::Mutex<Option<Supervised>>,
    edge: tokio::sync::Mutex<Option<Supervised>>,
}

// === impl Processes ===

impl Processes {
    /// # Errors
    /// When one of them does not come up; its log is named.
    pub(crate) async fn start(layout: &Layout, ports: &Ports, terminal: &Terminal) -> anyhow::Result<Self> {
        let control = service(layout, "control", &[ports.console, ports.internal])?;
        let edge = service(layout, "edge", &[ports.edge])?;
        let run = layout.run();
        let control = terminal
            .step("Control", async {
                Ok(Supervised::start(control, run.clone()).await?)
            })
            .await?;
        let edge = terminal
            .step("Edge", async { Ok(Supervised::start(edge, run).await?) })
            .await?;
        Ok(Self {
            control: Some(control).into(),
            edge: Some(edge).into(),
        })
    }

    pub(crate) async fn stop_control(&self) -> anyhow::Result<()> {
        end(&self.control).await
    }

    pub(crate) async fn stop_edge(&self) -> anyhow::Result<()> {
        end(&self.edge).await
    }
}

/// Among the secrets: it holds addresses with passwords.
pub(crate) fn config_file(layout: &Layout, name: &str) -> PathBuf {
    layout.secrets().join(format!("{name}.json"))
}

async fn end(slot: &tokio::sync::Mutex<Option<Supervised>>) -> anyhow::Result<()> {
    if let Some(supervised) = slot.lock().await.take() {
        supervised.stop().await?;
    }
    Ok(())
}

fn service(layout: &Layout, name: &str, ports: &[u16]) -> anyhow::Result<Service> {
    let program = std::env::current_exe().context("this program's own file is not to be found")?;
    let config = config_file(layout, name);
    Ok(Service {
        name: name.to_owned(),
        program,
        args: vec![name.into(), "--config".into(), config.into_os_string()],
        env: environment(),
        directory: Path::new("/").to_owned(),
        account: Account::current(),
        log: layout.log(name),
        ports: ports.to_vec(),
        ready: Ready::Ports(ports.to_vec()),
        patience: Duration::from_secs(30),
        stop: vec![StopStage::terminate(15.0)],
        prepare: None,
    })
}

/// Only what they need of ours.
fn environment() -> Vec<(OsString, OsString)> {
    [
        "PATH",
        "HOME",
        "LANG",
        "RUST_LOG",
        "RUST_BACKTRACE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ]
    .iter()
    .filter_map(|key| std::env::var_os(key).map(|value| ((*key).into(), value)))
    .collect()
}
