//! `updraft edge`.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use updraft_edge::{EdgeConfig, Scheme};
use url::Url;

use super::shutdown;
use crate::config::{self, EdgeFile};

/// # Errors
/// When the configuration is unreadable or the port taken.
pub(crate) async fn edge(path: &Path) -> anyhow::Result<()> {
    let file: EdgeFile = config::read(path)?;
    let control_url: Url = file
        .control_url
        .parse()
        .with_context(|| format!("`control_url` ({}) is no address", file.control_url))?;
    config::check_control_url("control_url", &control_url, file.plain_http)?;
    let mut settings = EdgeConfig::new(control_url, file.edge_token_file, file.state_dir, file.asset_dir);
    settings.listen_port = file.port;
    settings.tunnel_listen = file.tunnel_listen;
    settings.control_ca_file = file.ca_file;
    settings.trusted_proxies = file.trusted_proxies;
    settings.limits.leave = Duration::from_secs(file.leave_seconds);
    settings.limits.drain = Duration::from_secs(file.drain_seconds);
    if let Some(address) = file.listen {
        settings.listen_address = address;
    }
    if file.https {
        settings.scheme = Scheme::Https;
    }
    updraft_edge::run(settings, shutdown::on_signal()?).await?;
    Ok(())
}
