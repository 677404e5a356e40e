//! How an agent makes way for another release of itself, on nodes that are machines of their own.
//!
//! What control names is fetched beside what runs, known by its digest, and asked whether it can read this node. Then the
//! agent ends, the unit starts it again, and [`launch`] becomes the new one, which has a time in which control must have
//! taken a report of it. If it ends before, hangs or is not heard, the one before it runs again, says so, and does not try
//! that release a second time. Services notice nothing of all that: they outlive every agent.
//!
//! A node on a machine that it shares never runs what somebody names over the network: there its agent is the file that it
//! was started from.

mod check;
mod fetch;
mod kept;
mod launch;

use std::path::{Path, PathBuf};

use tokio::task::AbortHandle;
use updraft_api::agent::{AgentAssignment, AgentStanding, RefusedAgent};
use updraft_model::Protocol;

use crate::control::ControlClient;
use crate::layout::Layout;
pub use check::check;
use kept::Kept;
pub use launch::launch;

/// What becomes of the agent that this node is to run.
#[derive(Debug)]
pub(crate) struct Replacing {
    /// None: this node's agent is not replaced.
    bootstrap: Option<PathBuf>,
    layout: Layout,
    /// SHA-256 of the archive that this agent came in.
    own: Option<String>,
    kept: Kept,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    /// Being fetched and asked.
    Fetching {
        wanted: AgentAssignment,
        _task: Ending,
    },
    /// It is there, and could take over.
    Ready(AgentAssignment),
}

#[derive(Debug)]
struct Ending(AbortHandle);

// === impl Replacing ===

impl Replacing {
    /// `bootstrap`: what agents of this node are started with, if it is a machine of its own.
    pub(crate) fn new(layout: Layout, bootstrap: Option<&Path>) -> Self {
        let kept = Kept::load(layout.place()).unwrap_or_else(|error| {
            tracing::warn!(
                error = error.chain(),
                "What was noted of other agents can't be read"
            );
            Kept::default()
        });
        Self {
            bootstrap: bootstrap.map(Path::to_owned),
            own: launch::own_release(),
            layout,
            kept,
            state: State::Idle,
        }
    }

    /// What is reported.
    pub(crate) fn standing(&self) -> AgentStanding {
        AgentStanding {
            protocol: Protocol::OWN,
            release: self.own.clone().filter(|_| self.bootstrap.is_some()),
            refused: self.kept.refused.clone(),
        }
    }

    /// Begins to fetch what is wanted, or forgets what is not wanted any more. `tell` is called when it is there, or why it
    /// is not.
    pub(crate) fn want(
        &mut self,
        wanted: Option<&AgentAssignment>,
        control: &ControlClient,
        tell: impl FnOnce(AgentAssignment, Result<(), String>) + Send + 'static,
    ) {
        let wanted = wanted.filter(|wanted| !self.is_settled(wanted));
        let (Some(wanted), Some(bootstrap)) = (wanted, &self.bootstrap) else {
            self.state = State::Idle;
            return;
        };
        if let State::Fetching { wanted: known, .. } | State::Ready(known) = &self.state
            && known == wanted
        {
            return;
        }
        let errand = fetch::Errand {
            release: wanted.release.clone(),
            bootstrap: bootstrap.clone(),
            layout: self.layout.clone(),
            control: control.clone(),
        };
        let told = wanted.clone();
        let task = tokio::spawn(async move { tell(told, errand.run().await) });
        self.state = State::Fetching {
            wanted: wanted.clone(),
            _task: Ending(task.abort_handle()),
        };
    }

    /// It is there; or it will not be, and somebody should know.
    pub(crate) fn fetched(&mut self, told: AgentAssignment, fetched: Result<(), String>) -> Option<String> {
        let State::Fetching { wanted, .. } = &self.state else {
            return None;
        };
        if *wanted != told {
            return None;
        }
        match fetched {
            Ok(()) => {
                self.state = State::Ready(told);
                None
            }
            Err(why) => {
                self.state = State::Idle;
                self.kept.refused = Some(RefusedAgent {
                    release: told.release,
                    attempt: told.attempt,
                    why: why.clone(),
                });
                self.save();
                Some(why)
            }
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// Notes that the next start is the other's. False: that can't be noted, and this one goes on.
    pub(crate) fn make_way(&mut self) -> bool {
        let State::Ready(wanted) = &self.state else {
            return false;
        };
        self.kept.begin_trial(wanted);
        self.save()
    }

    /// Control has taken a report: this agent stays. The release, if that was in question.
    pub(crate) fn heard(&mut self) -> Option<String> {
        let own = self.own.clone().filter(|_| self.bootstrap.is_some())?;
        if !self.kept.prove(&own) {
            return None;
        }
        nix::unistd::alarm::cancel();
        self.save();
        fetch::forget_all_but(&self.layout, &own);
        Some(own)
    }

    /// What was tried before this agent began, and failed, told once.
    pub(crate) fn news(&mut self) -> Option<String> {
        let why = self.kept.news()?;
        self.save();
        Some(why)
    }

    /// Nothing is to be done for it any more.
    fn is_settled(&self, wanted: &AgentAssignment) -> bool {
        let is_own = self.own.as_ref() == Some(&wanted.release);
        is_own || self.kept.has_refused(wanted)
    }

    fn save(&self) -> bool {
        let saved = self.kept.save(self.layout.place());
        if let Err(error) = &saved {
            tracing::warn!(error = error.chain(), "What becomes of the agent can't be noted");
        }
        saved.is_ok()
    }
}

// === impl Ending ===

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}
