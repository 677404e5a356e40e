//! From what a person types to what the API wants: clusters by name or id, nodes by label or id.

use updraft_api::rest::{ClusterView, NodeView};
use updraft_client::Client;
use updraft_model::{ClusterId, NodeId};

use super::error::{CliError, Exit};

/// A cluster by its number or its name. Names begin with a letter, so the two never meet.
pub(super) async fn cluster(client: &Client, given: &str) -> Result<ClusterView, CliError> {
    if let Ok(id) = given.parse::<ClusterId>() {
        return Ok(client.cluster(id).await?);
    }
    let clusters = client.clusters().await?;
    let names: Vec<_> = clusters.iter().map(|cluster| cluster.name.to_string()).collect();
    clusters
        .into_iter()
        .find(|cluster| cluster.name.as_str() == given)
        .ok_or_else(|| unknown("cluster", given, &names))
}

pub(super) async fn node(client: &Client, cluster: ClusterId, given: &str) -> Result<NodeId, CliError> {
    let nodes = client.nodes(cluster).await?;
    let id = given.parse::<NodeId>().ok();
    let is_meant = |node: &&NodeView| node.label == given || Some(node.id) == id;
    let found = nodes.iter().find(is_meant).map(|node| node.id);
    found.ok_or_else(|| {
        let labels: Vec<_> = nodes.iter().map(|node| node.label.clone()).collect();
        unknown("node", given, &labels)
    })
}

fn unknown(kind: &str, given: &str, known: &[String]) -> CliError {
    let next = match known {
        [] => format!("there is no {kind} that you may see"),
        known => format!("it is one of: {}", known.join(", ")),
    };
    CliError::new(Exit::NotFound, format!("there is no {kind} `{given}`")).next(next)
}
