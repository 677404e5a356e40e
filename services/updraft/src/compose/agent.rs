//! `updraft agent`.

use super::shutdown;
use crate::cli::AgentArgs;

/// # Errors
/// When the bootstrap file is unreadable, control refuses this node, or a gone node's logs could not all be shipped.
pub(crate) async fn agent(args: &AgentArgs) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let stopped = async move { stop.cancelled().await };
    if args.remains {
        updraft_agent::ship_remains(&args.bootstrap, stopped).await?;
    } else {
        updraft_agent::run(&args.bootstrap, stopped).await?;
    }
    Ok(())
}
