//! A cluster's own packages on its configuration page: what is wanted, and what became of it.

use updraft_api::rest::{ClusterView, EnvironmentState, EnvironmentView};

pub(crate) struct Packages {
    pub(crate) requirements: String,
    /// File of the DAGs that asks for packages too; empty for none.
    pub(crate) file: String,
    /// Separated by spaces.
    pub(crate) extras: String,
    pub(crate) index: String,
    pub(crate) index_credential: String,
    /// What is asked for there.
    pub(crate) found: String,
    pub(crate) allow_source_builds: bool,
    pub(crate) own_builds: bool,
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
        let file = wanted.from_dags.as_ref();
        let index = wanted.package_index.as_ref();
        let change = cluster
            .environment
            .as_ref()
            .filter(|change| change.live.key() != wanted.key());
        let failure = change.and_then(|change| change.failure.as_ref());
        Self {
            file: file.map(|file| file.path.clone()).unwrap_or_default(),
            extras: file.map(|file| file.extras.join(" ")).unwrap_or_default(),
            index: index.map(|index| index.url.clone()).unwrap_or_default(),
            index_credential: index
                .and_then(|index| Some(index.credential.as_ref()?.to_string()))
                .unwrap_or_default(),
            found: wanted
                .found_lines()
                .map(|(_, line)| format!("{line}\n"))
                .collect(),
            requirements: attempt.unwrap_or_else(|| wanted.requirements.clone()),
            allow_source_builds: wanted.allow_source_builds,
            own_builds: wanted.own_builds,
            note: change.map(note),
            reason: failure.map(|failure| format!("{}\n\n{}", failure.message, failure.remedy)),
        }
    }
}

/// The same where DAGs are looked at that ask for packages themselves.
pub(crate) fn of_dags(change: &EnvironmentView) -> String {
    let failure = change.failure.as_ref().map(|failure| failure.message.as_str());
    match change.state {
        EnvironmentState::Building => {
            "Packages and plugins that it brings are being built and checked.".to_owned()
        }
        EnvironmentState::RollingOut => {
            "Packages and plugins that it brings are built; nodes change over.".to_owned()
        }
        EnvironmentState::Refused => format!(
            "Packages and plugins that it brings were refused, and nodes run on with what they had. {}",
            failure.unwrap_or_default()
        ),
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
