//! Why somebody may use a cluster, or may not: part of the access tab.

use updraft_api::access::{AccessExplanation, AccessReason};
use updraft_authz::Outcome;
use updraft_model::ClusterRole;

use super::access::{role, through};
use crate::tone::Pill;

pub(crate) struct Explanation {
    pub(crate) name: String,
    /// What it comes to.
    pub(crate) verdict: &'static str,
    pub(crate) reasons: Vec<Line>,
}

pub(crate) struct Line {
    pub(crate) through: String,
    pub(crate) role: Pill,
    pub(crate) outcome: &'static str,
    pub(crate) decides: bool,
}

// === impl Explanation ===

impl Explanation {
    pub(crate) fn new(explanation: &AccessExplanation) -> Self {
        let mut reasons: Vec<_> = explanation.reasons.iter().collect();
        // What decides first, what does not match last; otherwise as they come.
        reasons.sort_by_key(|reason| match reason.outcome {
            Outcome::Decides => 0,
            Outcome::Holds => 1,
            Outcome::AddressNotVouched | Outcome::OtherClusters | Outcome::OtherPeople => 2,
        });
        Self {
            name: explanation.name.clone(),
            verdict: match explanation.role {
                Some(ClusterRole::Admin) => "is admin of this cluster",
                Some(ClusterRole::User) => "is user of this cluster",
                None => "has no role on this cluster",
            },
            reasons: reasons.into_iter().map(Line::new).collect(),
        }
    }
}

// === impl Line ===

impl Line {
    fn new(reason: &AccessReason) -> Self {
        Self {
            through: through(&reason.through),
            role: role(reason.role),
            outcome: match reason.outcome {
                Outcome::Decides => "decides",
                Outcome::Holds => "holds too, and gives no more",
                Outcome::OtherPeople => "is about other people",
                Outcome::AddressNotVouched => "no identity provider vouched for the address",
                Outcome::OtherClusters => "is about other clusters",
            },
            decides: reason.outcome == Outcome::Decides,
        }
    }
}
