//! `updraft agent`.

use std::path::Path;

use super::shutdown;

/// # Errors
/// When the bootstrap file is unreadable or control refuses this node.
pub(crate) async fn agent(bootstrap: &Path) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    updraft_agent::run(bootstrap, async move { stop.cancelled().await }).await?;
    Ok(())
}
