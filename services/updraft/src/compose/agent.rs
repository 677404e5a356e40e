//! `updraft agent`.

use std::path::Path;

use super::shutdown;

/// # Errors
/// When the bootstrap file is unreadable or control refuses this node.
pub async fn agent(bootstrap: &Path) -> anyhow::Result<()> {
    updraft_agent::run(bootstrap, shutdown::on_signal()?).await?;
    Ok(())
}
