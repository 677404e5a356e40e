//! What a state looks like: a tone (colour) that never stands alone, an icon, and its word.

use askama::Template;
use askama::filters::HtmlSafe;
use updraft_api::rest::ClusterView;
use updraft_model::{AgentPhase, OperationState, Phase, Power, ServiceState, StepState};

use crate::icon::{Icon, icon};

/// The colours of the stylesheet, by meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tone {
    Good,
    Quiet,
    Busy,
    Warn,
    Bad,
}

/// A word with its icon and tone; `detail` says what it waits for or suffers from.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "pages/pill.html")]
pub(crate) struct Pill {
    pub(crate) tone: Tone,
    pub(crate) icon: Icon,
    pub(crate) word: &'static str,
    pub(crate) detail: Option<String>,
}

impl HtmlSafe for Pill {}

// === impl Tone ===

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Quiet => "quiet",
            Self::Busy => "busy",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    fn icon(self) -> Icon {
        icon(match self {
            Self::Good => "check",
            Self::Quiet => "pause",
            Self::Busy => "spin",
            Self::Warn => "warn",
            Self::Bad => "cross",
        })
    }
}

// === impl Pill ===

impl Pill {
    pub(crate) fn new(tone: Tone, word: &'static str) -> Self {
        Self {
            tone,
            icon: tone.icon(),
            word,
            detail: None,
        }
    }

    fn with(mut self, detail: Option<String>) -> Self {
        self.detail = detail;
        self
    }

    pub(crate) fn of_phase(phase: &Phase) -> Self {
        match phase {
            Phase::Stopped => Self::new(Tone::Quiet, "Stopped"),
            Phase::Starting { waiting_for } => Self::new(Tone::Busy, "Starting").with(waiting_for.clone()),
            Phase::Running => Self::new(Tone::Good, "Running"),
            Phase::Degraded { reasons } => Self::new(Tone::Warn, "Degraded").with(reasons.first().cloned()),
            Phase::Stopping => Self::new(Tone::Busy, "Stopping"),
            Phase::Deleting => Self::new(Tone::Busy, "Deleting"),
            Phase::Failed { reason } => Self::new(Tone::Bad, "Failed").with(Some(reason.message.clone())),
        }
    }

    /// The phase; where the reconciler has not yet looked at what was asked, what it is about to do.
    pub(crate) fn of_cluster(cluster: &ClusterView) -> Self {
        let asked = |word| Self::new(Tone::Busy, word).with(Some("asked for, about to begin".to_owned()));
        match (cluster.power, &cluster.phase) {
            (_, Phase::Deleting) => Self::of_phase(&cluster.phase),
            (Power::Deleted, _) => asked("Deleting"),
            (Power::Stopped, Phase::Running | Phase::Starting { .. } | Phase::Degraded { .. }) => {
                asked("Stopping")
            }
            (Power::Running, Phase::Stopped) => asked("Starting"),
            (Power::Running | Power::Stopped, phase) => Self::of_phase(phase),
        }
    }

    pub(crate) fn of_service(state: ServiceState) -> Self {
        match state {
            ServiceState::Waiting => Self {
                icon: icon("clock"),
                ..Self::new(Tone::Quiet, "Waiting")
            },
            ServiceState::Starting => Self::new(Tone::Busy, "Starting"),
            ServiceState::Healthy => Self::new(Tone::Good, "Healthy"),
            ServiceState::Unhealthy => Self::new(Tone::Bad, "Unhealthy"),
            ServiceState::BackingOff => Self::new(Tone::Warn, "Backing off"),
            ServiceState::Stopping => Self::new(Tone::Busy, "Stopping"),
            ServiceState::Stopped => Self::new(Tone::Quiet, "Stopped"),
        }
    }

    pub(crate) fn of_agent(phase: Option<AgentPhase>) -> Self {
        match phase {
            None => Self {
                icon: icon("clock"),
                ..Self::new(Tone::Quiet, "Not reported yet")
            },
            Some(AgentPhase::Preparing) => Self::new(Tone::Busy, "Preparing"),
            Some(AgentPhase::Starting) => Self::new(Tone::Busy, "Starting"),
            Some(AgentPhase::Running) => Self::new(Tone::Good, "Running"),
            Some(AgentPhase::Degraded) => Self::new(Tone::Warn, "Degraded"),
            Some(AgentPhase::Stopping) => Self::new(Tone::Busy, "Stopping"),
            Some(AgentPhase::Stopped) => Self::new(Tone::Quiet, "Stopped"),
        }
    }

    /// A machine that is kept while its cluster is stopped.
    pub(crate) fn off() -> Self {
        Self::new(Tone::Quiet, "Switched off")
    }

    pub(crate) fn of_operation(state: OperationState) -> Self {
        match state {
            OperationState::Running => Self::new(Tone::Busy, "Running"),
            OperationState::Succeeded => Self::new(Tone::Good, "Succeeded"),
            OperationState::Failed => Self::new(Tone::Bad, "Failed"),
            OperationState::Superseded => Self {
                icon: icon("skip"),
                ..Self::new(Tone::Quiet, "Superseded")
            },
        }
    }

    pub(crate) fn of_step(state: StepState) -> Self {
        match state {
            StepState::Pending => Self {
                icon: icon("clock"),
                ..Self::new(Tone::Quiet, "Pending")
            },
            StepState::Running => Self::new(Tone::Busy, "Running"),
            StepState::Done => Self::new(Tone::Good, "Done"),
            StepState::Failed => Self::new(Tone::Bad, "Failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use updraft_model::{Failure, Phase, Power};

    use super::Pill;
    use crate::fixtures;

    #[test]
    fn what_was_asked_shows_before_the_reconciler_looked() {
        let mut cluster = fixtures::cluster(1, "demo");
        for (power, phase, word) in [
            (Power::Running, Phase::Stopped, "Starting"),
            (Power::Stopped, Phase::Running, "Stopping"),
            (Power::Deleted, Phase::Running, "Deleting"),
            (Power::Running, Phase::Running, "Running"),
            (Power::Running, Phase::Stopping, "Stopping"),
            (Power::Stopped, Phase::Stopped, "Stopped"),
        ] {
            (cluster.power, cluster.phase) = (power, phase);
            assert_eq!(Pill::of_cluster(&cluster).word, word);
        }
    }

    #[test]
    fn a_phase_is_an_icon_and_a_word_and_its_reason() {
        let reason = Failure {
            code: "x".into(),
            message: "No <b>disk</b>".into(),
            remedy: "Free some".into(),
        };
        let html = Pill::of_phase(&Phase::Failed { reason }).render().unwrap();
        assert!(html.contains("i-cross") && html.contains("Failed"), "{html}");
        assert!(
            html.contains("No &#60;b&#62;disk") && !html.contains("<b>"),
            "{html}"
        );
    }
}
