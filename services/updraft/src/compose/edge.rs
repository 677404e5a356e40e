//! `updraft edge`.

use std::path::Path;

use updraft_edge::EdgeConfig;

use super::shutdown;
use crate::config::{self, EdgeFile};

/// # Errors
/// When the configuration is unreadable or the port taken.
pub(crate) async fn edge(path: &Path) -> anyhow::Result<()> {
    let file: EdgeFile = config::read(path)?;
    let mut settings = EdgeConfig::new(
        file.control_url.parse()?,
        file.edge_token_file,
        file.state_dir,
        file.asset_dir,
    );
    settings.listen_port = file.port;
    settings.tunnel_listen = file.tunnel_listen;
    updraft_edge::run(settings, shutdown::on_signal()?).await?;
    Ok(())
}
