//! A cluster's own packages on its configuration page: what is wanted, and what became of it.

use updraft_api::rest::{ClusterView, EnvironmentState, EnvironmentView};

pub(crate) struct Packages {
    pub(crate) requirements: String,
    pub(crate) allow_source_builds: bool,
    /// How far a change is.
    pub(crate) note: Option<&'static str>,
    /// Why it was refused, in the tool's own words.
    pub(crate) reason: Option<String>,
}

// === impl Packages ===

impl Packages {
    /// `attempt` is what was refused at once, to be corrected.
    pub(crate) fn of(cluster: &ClusterView, attempt: Option<String>) -> Self {
        let wanted = &cluster.spec.environment;
        let failure = cluster
            .environment
            .as_ref()
            .and_then(|change| change.failure.as_ref());
        Self {
            requirements: attempt.unwrap_or_else(|| wanted.requirements.clone()),
            allow_source_builds: wanted.allow_source_builds,
            note: cluster.environment.as_ref().map(note),
            reason: failure.map(|failure| format!("{}\n\n{}", failure.message, failure.remedy)),
        }
    }
}

fn note(change: &EnvironmentView) -> &'static str {
    match change.state {
        EnvironmentState::Building => {
            "These are being solved, installed and checked. No node has changed yet."
        }
        EnvironmentState::RollingOut => "These are built. Workers change over first, then scheduler and web.",
        EnvironmentState::Refused => {
            "These were refused: the cluster runs on with the packages that it had. Correct them, or take them back."
        }
    }
}
