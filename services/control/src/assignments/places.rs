//! Where a node's files are, which depends on where nodes come from.

use updraft_model::{ClusterId, NodeId};

/// Of Debian's package `rabbitmq-server`.
const RABBITMQ: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Known by whoever composes control with its provider.
pub trait Places: Send + Sync {
    /// The node's own directory.
    fn node_dir(&self, node: NodeId) -> String;

    /// Shared by the cluster's nodes on one machine.
    fn shared_dir(&self, cluster: ClusterId) -> String;

    /// The runtime's environment on the node, if it is ready there.
    fn environment_dir(&self, runtime: &str) -> Option<String>;

    /// Where a cluster's own environments are, each in a directory named by its digest. It outlives the cluster's nodes.
    fn environments_dir(&self, cluster: ClusterId) -> String;

    /// `uv`, absolute.
    fn uv_binary(&self) -> String;

    /// The package index that clusters are built from; none: the public one.
    fn package_index(&self) -> Option<String>;

    /// Removes what was kept of a cluster that is deleted.
    fn forget(&self, cluster: ClusterId);

    /// `valkey-server`, absolute.
    fn broker_binary(&self) -> String;

    /// `rabbitmq-server`, absolute: where Debian's package has the program itself. The one in `PATH` wants to be root.
    fn rabbitmq_binary(&self) -> String {
        RABBITMQ.to_owned()
    }

    /// The metadata server's migrated template of a runtime.
    fn template_database(&self, runtime: &str) -> String;
}
