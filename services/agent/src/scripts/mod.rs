//! A tenant's script that nodes run before their services start, and its trial on one node beside all that runs.
//!
//! Both run as the services' user, in the same enclosure and under the same kind of limits as builds of environments, each in
//! a directory of its own; what is said goes to the node's `bootstrap` log. Nothing is decided here but whether it worked.

mod output;
mod own;
mod run;
mod text;
mod trial;

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::task::AbortHandle;
use updraft_api::agent::{
    DagDelivery, ScriptAssignment, ScriptFailure, ScriptOutcome, ScriptReport, TrialAssignment, TrialReport,
};

use crate::layout::Layout;

/// Why a script did not do.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failed {
    cause: ScriptFailure,
    message: String,
}

/// What scripts have of the node that they run on.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) layout: Layout,
    /// The way to the cluster's own bucket, and what the installation opens of others.
    pub(crate) delivery: DagDelivery,
    /// What every script knows of its node.
    pub(crate) env: BTreeMap<String, String>,
    /// What the cluster's services have on this machine, and no script sees.
    pub(crate) covered: Vec<PathBuf>,
    /// In the environment of each process.
    pub(crate) mark: String,
}

/// The node's own script, and the one that is tried here.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    own: Option<Current<ScriptReport>>,
    trial: Option<Current<TrialReport>>,
}

#[derive(Debug)]
struct Current<R> {
    report: R,
    /// Ends what runs when it is dropped.
    _task: Option<Ending>,
}

#[derive(Debug)]
struct Ending(AbortHandle);

// === impl Scripts ===

impl Scripts {
    /// Goes on with the script that is wanted, or ends the one that is not and begins it. Reports come over `tell`.
    pub(crate) fn want(
        &mut self,
        wanted: Option<&ScriptAssignment>,
        ground: impl FnOnce() -> Ground,
        tell: impl Fn(ScriptReport) + Send + Sync + 'static,
    ) {
        let Some(wanted) = wanted else {
            self.own = None;
            return;
        };
        let is_it = |current: &Current<ScriptReport>| current.report.digest == wanted.digest;
        if self.own.as_ref().is_some_and(is_it) {
            return;
        }
        self.own = None;
        let ground = ground();
        let done = own::was_run(&ground.layout, &wanted.digest);
        let outcome = if done {
            ScriptOutcome::Done
        } else {
            ScriptOutcome::Running
        };
        let task = (!done).then(|| tokio::spawn(own::until_done(wanted.clone(), ground, tell)));
        self.own = Some(Current {
            report: ScriptReport {
                digest: wanted.digest.clone(),
                outcome,
            },
            _task: task.map(|task| Ending(task.abort_handle())),
        });
    }

    /// The same for a trial.
    pub(crate) fn want_trial(
        &mut self,
        wanted: Option<&TrialAssignment>,
        ground: impl FnOnce() -> Ground,
        tell: impl Fn(TrialReport) + Send + Sync + 'static,
    ) {
        let Some(wanted) = wanted else {
            self.trial = None;
            return;
        };
        let is_it = |current: &Current<TrialReport>| {
            (&current.report.digest, current.report.attempt) == (&wanted.script.digest, wanted.attempt)
        };
        if self.trial.as_ref().is_some_and(is_it) {
            return;
        }
        self.trial = None;
        let begun = trial::begun(wanted);
        let task = tokio::spawn(trial::run(wanted.clone(), begun.clone(), ground(), tell));
        self.trial = Some(Current {
            report: begun,
            _task: Some(Ending(task.abort_handle())),
        });
    }

    /// Takes what was said, unless it is of another; true when it is news.
    pub(crate) fn note(&mut self, report: ScriptReport) -> bool {
        let current = self.own.as_mut();
        let Some(current) = current.filter(|current| current.report.digest == report.digest) else {
            return false;
        };
        let news = current.report != report;
        current.report = report;
        news
    }

    pub(crate) fn note_trial(&mut self, report: TrialReport) {
        if let Some(current) = &mut self.trial
            && (&report.digest, report.attempt) == (&current.report.digest, current.report.attempt)
        {
            current.report = report;
        }
    }

    /// Whether services may start that wait for it.
    pub(crate) fn is_done(&self) -> bool {
        self.own
            .as_ref()
            .is_none_or(|current| current.report.outcome == ScriptOutcome::Done)
    }

    /// Of the node's own script.
    pub(crate) fn digest(&self) -> Option<String> {
        self.report().map(|report| report.digest.clone())
    }

    pub(crate) fn report(&self) -> Option<&ScriptReport> {
        self.own.as_ref().map(|current| &current.report)
    }

    pub(crate) fn trial_report(&self) -> Option<&TrialReport> {
        self.trial.as_ref().map(|current| &current.report)
    }
}

// === impl Ending ===

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// === impl Failed ===

impl Failed {
    fn new(cause: ScriptFailure, message: impl Into<String>) -> Self {
        Self {
            cause,
            message: message.into(),
        }
    }

    fn outcome(self) -> ScriptOutcome {
        ScriptOutcome::Failed {
            cause: self.cause,
            message: self.message,
        }
    }
}

impl From<crate::error::Error> for Failed {
    fn from(error: crate::error::Error) -> Self {
        Self::new(ScriptFailure::Failed, error.chain())
    }
}
