//! Whom this process hears, told to the other processes of control, and whom they hear.
//!
//! A node is silent only if none of them hears it: the one that drives a cluster need not be the one whom its agents
//! talk to. A process that is alone tells nothing but that it lives, and one that hears the same nodes as before nothing
//! but that.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use updraft_model::NodeId;
use updraft_store::{controls, nodes};
use uuid::Uuid;

use super::{ReconcileError, Reconciler, steady};

/// Well within the time after which people are told that a node is quiet.
const PAUSE: Duration = Duration::from_secs(5);

/// What was said last, by this process and to it.
#[derive(Default)]
pub(super) struct Said {
    /// Sorted. None: nothing that counts.
    own: Option<Vec<NodeId>>,
    own_change: i64,
    others: HashMap<Uuid, Other>,
}

struct Other {
    change: Option<i64>,
    heard: Vec<NodeId>,
}

impl Reconciler {
    pub(super) async fn listen_for_ever(self: Arc<Self>, shutdown: CancellationToken) {
        let mut said = Said::default();
        loop {
            self.parts.liveness.attend(steady::now());
            if let Err(error) = self.exchange(&mut said).await {
                tracing::warn!(error = ?error, "what other processes hear is not known");
                said.own = None;
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Tells and asks.
    pub(super) async fn exchange(&self, said: &mut Said) -> Result<(), ReconcileError> {
        let liveness = &self.parts.liveness;
        let mut heard = Vec::new();
        let mut connection = self.parts.store.connection().await?;
        if !said.others.is_empty() {
            // A report that no record has, since its node was started anew by another process, is news again.
            for node in nodes::unreported(&mut connection).await? {
                liveness.forget(node);
            }
            heard = liveness.heard(steady::now());
            heard.sort_unstable();
        }
        let changed = said.changed(&heard);
        if !controls::tell(
            &mut connection,
            self.owner,
            changed.map(|change| (change, &heard[..])),
            &self.parts.master_key,
        )
        .await?
        {
            let all = Some((said.own_change, &heard[..]));
            controls::tell(&mut connection, self.owner, all, &self.parts.master_key).await?;
        }
        said.own = Some(heard);
        let others = controls::others(&mut connection, self.owner, &said.known()).await?;
        said.others
            .retain(|id, _| others.iter().any(|other| other.id == *id));
        for other in others {
            let age = TimeDelta::from_std(other.age).unwrap_or(TimeDelta::MAX);
            liveness.learn(said.heard_by(other), steady::now() - age);
        }
        Ok(())
    }
}

// === impl Said ===

impl Said {
    /// The number of what is heard, if it is not what was heard before.
    fn changed(&mut self, heard: &[NodeId]) -> Option<i64> {
        if self.own.as_deref() == Some(heard) {
            return None;
        }
        self.own_change += 1;
        Some(self.own_change)
    }

    /// What need not be read again.
    fn known(&self) -> Vec<(Uuid, i64)> {
        let counted = self
            .others
            .iter()
            .filter_map(|(id, other)| Some((*id, other.change?)));
        counted.collect()
    }

    fn heard_by(&mut self, told: controls::OtherControl) -> &[NodeId] {
        let other = self.others.entry(told.id).or_insert(Other {
            change: None,
            heard: Vec::new(),
        });
        other.change = told.change;
        if let Some(heard) = told.heard {
            other.heard = heard;
        }
        &other.heard
    }
}

#[cfg(test)]
mod tests {
    use updraft_store::controls::OtherControl;

    use super::*;

    fn node(id: u128) -> NodeId {
        NodeId(Uuid::from_u128(id))
    }

    #[test]
    fn only_what_is_heard_otherwise_than_before_is_told() {
        let mut said = Said::default();
        let mut hear = |heard: &[NodeId]| {
            let changed = said.changed(heard);
            said.own = Some(heard.to_vec());
            changed
        };
        assert_eq!(hear(&[]), Some(1));
        assert_eq!(hear(&[]), None);
        assert_eq!(hear(&[node(1)]), Some(2));
        assert_eq!(hear(&[node(1)]), None);
        assert_eq!(hear(&[node(2)]), Some(3));
    }

    #[test]
    fn a_control_that_tells_nothing_new_hears_whom_it_heard() {
        let mut said = Said::default();
        let told = |change, heard: Option<&[NodeId]>| OtherControl {
            id: Uuid::nil(),
            age: Duration::ZERO,
            change,
            heard: heard.map(<[NodeId]>::to_vec),
        };
        assert_eq!(said.heard_by(told(Some(4), Some(&[node(1)]))), [node(1)]);
        assert_eq!(said.known(), [(Uuid::nil(), 4)]);
        assert_eq!(said.heard_by(told(Some(4), None)), [node(1)]);
        // One of before counts nothing, and says everything each time.
        assert_eq!(said.heard_by(told(None, Some(&[node(2)]))), [node(2)]);
        assert!(said.known().is_empty());
    }
}
