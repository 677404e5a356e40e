//! What control relies on, as laws that each provider's tests check: [`check`] runs them all.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use updraft_model::{ClusterId, Generation, NodeId, NodeRole, TenantId};

use crate::{
    BootSecret, ClientToken, ClusterWanted, LaunchRequest, Launched, NetworkId, NodeProvider, NodeStatus,
    NodeWanted, ProviderError,
};

/// A provider under test, and how its time passes.
#[async_trait]
pub trait Subject: Send + Sync {
    fn provider(&self) -> &dyn NodeProvider;
    /// A node id never used before.
    fn fresh_node(&self) -> NodeId;
    /// Lets some of the provider's time pass.
    async fn pass_time(&self);
    fn boot(&self, node: NodeId) -> BootSecret {
        BootSecret(SecretString::from(format!(
            r#"{{"control_url":"http://127.0.0.1:1","node":"{node}","token":"t"}}"#
        )))
    }
}

/// A law that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    #[error("law broken: {0}")]
    Broken(String),
    #[error("the provider failed where it must not")]
    Failed(#[from] ProviderError),
}

type Verdict = Result<(), Violation>;

/// Checks every law, on two clusters of the subject's.
pub async fn check(subject: &dyn Subject, one: ClusterId, other: ClusterId) -> Verdict {
    a_cluster_is_prepared_once(subject, one, other).await?;
    what_nodes_are_in_outlives_them(subject, one).await?;
    a_token_makes_one_node(subject, one).await?;
    a_token_with_another_request_is_refused(subject, one).await?;
    a_node_is_listed_under_its_cluster_only(subject, one, other).await?;
    nodes_have_addresses_of_their_own(subject, one, other).await?;
    a_stopped_node_starts_again_as_the_same(subject, one).await?;
    an_ended_node_never_comes_back(subject, one).await?;
    ending_what_is_not_there_is_fine(subject, one).await
}

/// What a cluster needs before its nodes is made once, found again, and gone when it is forgotten.
pub async fn a_cluster_is_prepared_once(subject: &dyn Subject, one: ClusterId, other: ClusterId) -> Verdict {
    let provider = subject.provider();
    let (first, another) = (prepared(subject, one).await?, prepared(subject, other).await?);
    require(
        first.is_none() || first != another,
        "two clusters have the same network",
    )?;
    require(
        prepared(subject, one).await? == first,
        "preparing a cluster twice made two networks",
    )?;
    lists(subject, one, first.is_some()).await?;
    forgotten(subject, one).await?;
    provider.forget_cluster(one).await?;
    lists(subject, one, false).await?;
    lists(subject, other, another.is_some()).await?;
    forgotten(subject, other).await
}

/// Nothing is taken from under a node.
pub async fn what_nodes_are_in_outlives_them(subject: &dyn Subject, cluster: ClusterId) -> Verdict {
    let network = prepared(subject, cluster).await?;
    let node = New::within(subject, cluster, 1, network.clone()).await?;
    let launched = node.launch().await?;
    node.reaches(&launched, NodeStatus::Running).await?;
    if network.is_some() {
        require(
            subject.provider().forget_cluster(cluster).await.is_err(),
            "a network is gone while a node is in it",
        )?;
    }
    node.end(&launched).await?;
    forgotten(subject, cluster).await
}

async fn prepared(subject: &dyn Subject, cluster: ClusterId) -> Result<Option<NetworkId>, Violation> {
    let tenant = TenantId(subject.fresh_node().0);
    let wanted = ClusterWanted {
        cluster,
        tenant,
        control_url: "https://updraft.invalid".to_owned(),
        worker_types: BTreeSet::new(),
    };
    for _ in 0..200 {
        match subject.provider().prepare_cluster(&wanted).await {
            Err(ProviderError::Unclear(_)) => subject.pass_time().await,
            answer => return Ok(answer?),
        }
    }
    Err(Violation::Broken("a cluster could not be prepared".to_owned()))
}

async fn forgotten(subject: &dyn Subject, cluster: ClusterId) -> Verdict {
    for _ in 0..200 {
        match subject.provider().forget_cluster(cluster).await {
            Err(ProviderError::Unclear(_)) => subject.pass_time().await,
            answer => return Ok(answer?),
        }
    }
    Err(Violation::Broken("a cluster could not be forgotten".to_owned()))
}

async fn lists(subject: &dyn Subject, cluster: ClusterId, wanted: bool) -> Verdict {
    for _ in 0..200 {
        if subject.provider().prepared_clusters().await?.contains(&cluster) == wanted {
            return Ok(());
        }
        subject.pass_time().await;
    }
    Err(Violation::Broken(format!(
        "whether {cluster} is prepared is not listed as {wanted}"
    )))
}

async fn a_token_makes_one_node(subject: &dyn Subject, cluster: ClusterId) -> Verdict {
    let node = New::of(subject, cluster, 1).await?;
    let (first, second) = (node.launch().await?, node.launch().await?);
    require(first == second, "the second launch gave another node")?;
    node.reaches(&first, NodeStatus::Running).await?;
    let listed = subject.provider().list(Some(cluster)).await?;
    require(
        listed.iter().filter(|n| n.node == node.id).count() == 1,
        "one token made two nodes",
    )?;
    node.end(&first).await
}

async fn a_token_with_another_request_is_refused(subject: &dyn Subject, cluster: ClusterId) -> Verdict {
    let node = New::of(subject, cluster, 1).await?;
    let launched = node.launch().await?;
    let wanted = || node.wanted.clone();
    let others = [
        NodeWanted {
            ordinal: 2,
            ..wanted()
        },
        NodeWanted {
            tenant: Some(TenantId(subject.fresh_node().0)),
            ..wanted()
        },
        NodeWanted {
            generation: Some(Generation::FIRST.next()),
            ..wanted()
        },
    ];
    for other in others {
        let other = subject.provider().prepare(&other).await?;
        let boot = subject.boot(node.id);
        let answer = subject.provider().launch(&other, &node.token, &boot).await;
        require(
            matches!(answer, Err(ProviderError::Refused(_))),
            "a token was taken with another request",
        )?;
    }
    node.end(&launched).await
}

async fn a_node_is_listed_under_its_cluster_only(
    subject: &dyn Subject,
    one: ClusterId,
    other: ClusterId,
) -> Verdict {
    let node = New::of(subject, one, 1).await?;
    let launched = node.launch().await?;
    node.reaches(&launched, NodeStatus::Running).await?;
    let provider = subject.provider();
    let (here, there, all) = (
        provider.list(Some(one)).await?,
        provider.list(Some(other)).await?,
        provider.list(None).await?,
    );
    let is_it =
        |n: &crate::ListedNode| n.node == node.id && n.id == launched.id && n.address == launched.address;
    require(
        here.iter().any(is_it) && all.iter().any(is_it),
        "a launched node is not listed",
    )?;
    require(!there.iter().any(is_it), "a node is listed under another cluster")?;
    node.end(&launched).await
}

async fn nodes_have_addresses_of_their_own(
    subject: &dyn Subject,
    one: ClusterId,
    other: ClusterId,
) -> Verdict {
    let (a, b) = (New::of(subject, one, 1).await?, New::of(subject, other, 1).await?);
    let (at_a, at_b) = (a.launch().await?, b.launch().await?);
    require(at_a.address != at_b.address, "two nodes share an address")?;
    a.end(&at_a).await?;
    b.end(&at_b).await
}

async fn a_stopped_node_starts_again_as_the_same(subject: &dyn Subject, cluster: ClusterId) -> Verdict {
    let node = New::of(subject, cluster, 1).await?;
    let launched = node.launch().await?;
    node.reaches(&launched, NodeStatus::Running).await?;
    let provider = subject.provider();
    provider.stop(&launched.id).await?;
    node.reaches(&launched, NodeStatus::Stopped).await?;
    let started = provider.start(&launched.id, &subject.boot(node.id)).await?;
    require(started == launched, "the node came back as another")?;
    node.reaches(&launched, NodeStatus::Running).await?;
    require(
        provider.start(&launched.id, &subject.boot(node.id)).await? == launched,
        "starting it twice changed it",
    )?;
    // Whoever keeps it asks again, should the first answer be lost.
    for _ in 0..2 {
        provider.stop(&launched.id).await?;
        node.reaches(&launched, NodeStatus::Stopped).await?;
    }
    node.end(&launched).await
}

async fn an_ended_node_never_comes_back(subject: &dyn Subject, cluster: ClusterId) -> Verdict {
    let node = New::of(subject, cluster, 1).await?;
    let launched = node.launch().await?;
    node.reaches(&launched, NodeStatus::Running).await?;
    node.end(&launched).await?;
    let again = node.launch().await;
    require(
        again.is_err() || again == Ok(launched.clone()),
        "a spent token made another node",
    )?;
    for _ in 0..3 {
        subject.pass_time().await;
    }
    let status = subject.provider().describe(&launched.id).await?;
    require(
        matches!(status, NodeStatus::Gone | NodeStatus::Unknown),
        "an ended node came back",
    )?;
    require(
        !subject
            .provider()
            .list(None)
            .await?
            .iter()
            .any(|n| n.node == node.id),
        "an ended node is listed",
    )
}

async fn ending_what_is_not_there_is_fine(subject: &dyn Subject, cluster: ClusterId) -> Verdict {
    let node = New::of(subject, cluster, 1).await?;
    let launched = node.launch().await?;
    node.reaches(&launched, NodeStatus::Running).await?;
    node.end(&launched).await?;
    subject.provider().terminate(&launched.id).await?;
    Ok(())
}

fn require(holds: bool, law: &str) -> Verdict {
    if holds {
        Ok(())
    } else {
        Err(Violation::Broken(law.to_owned()))
    }
}

/// A node of one law.
struct New<'a> {
    subject: &'a dyn Subject,
    id: NodeId,
    wanted: NodeWanted,
    request: LaunchRequest,
    token: ClientToken,
}

// === impl New ===

impl<'a> New<'a> {
    async fn of(subject: &'a dyn Subject, cluster: ClusterId, ordinal: u32) -> Result<Self, Violation> {
        Self::within(subject, cluster, ordinal, None).await
    }

    async fn within(
        subject: &'a dyn Subject,
        cluster: ClusterId,
        ordinal: u32,
        network: Option<NetworkId>,
    ) -> Result<Self, Violation> {
        let id = subject.fresh_node();
        let wanted = NodeWanted {
            tenant: Some(TenantId(id.0)),
            generation: Some(Generation::FIRST),
            network,
            ..NodeWanted::plain(cluster, id, NodeRole::Worker, ordinal)
        };
        let request = subject.provider().prepare(&wanted).await?;
        require(
            request == subject.provider().prepare(&wanted).await?,
            "preparing twice gave two requests",
        )?;
        Ok(Self {
            subject,
            id,
            wanted,
            request,
            token: ClientToken::of(id),
        })
    }

    async fn launch(&self) -> Result<Launched, ProviderError> {
        self.subject
            .provider()
            .launch(&self.request, &self.token, &self.subject.boot(self.id))
            .await
    }

    async fn reaches(&self, launched: &Launched, wanted: NodeStatus) -> Verdict {
        for _ in 0..200 {
            if self.subject.provider().describe(&launched.id).await? == wanted {
                return Ok(());
            }
            self.subject.pass_time().await;
        }
        Err(Violation::Broken(format!("the node did not become {wanted:?}")))
    }

    async fn end(&self, launched: &Launched) -> Verdict {
        for _ in 0..200 {
            let ended = self.subject.provider().terminate(&launched.id).await;
            let status = self.subject.provider().describe(&launched.id).await?;
            if ended.is_ok() && matches!(status, NodeStatus::Gone | NodeStatus::Unknown) {
                return Ok(());
            }
            self.subject.pass_time().await;
        }
        Err(Violation::Broken("the node did not end".to_owned()))
    }
}

/// How long [`Subject::pass_time`] may take for providers whose time is the clock's.
pub const MOMENT: Duration = Duration::from_millis(20);
