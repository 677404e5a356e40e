//! Environments of the cluster, built on this node beside what runs.
//!
//! One is built aside and under limits by the runtime's own builder (`updraft_airflow.environment`), in two parts. It is made
//! by a user who does nothing else; when nothing of that runs any more, the agent takes it over, and packs nothing that
//! another has touched. Then the services' user, whose DAGs are imported for that, checks what it can't change, and it appears
//! by a rename. What is killed half-way leaves a directory that nobody uses. What control knows of already is fetched, not
//! built. Nothing is decided here but whether it is there.

mod archive;
mod aside;
mod bring;
mod enclosure;
mod index;
mod kept;
mod progress;
mod seal;
mod staging;
mod tidy;
mod watch;
mod work;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use updraft_api::agent::{BuildAssignment, BuildOutcome, BuildReport, DagDelivery};
use updraft_outbound::Outbound;

use crate::control::ControlClient;
use crate::layout::Layout;
use crate::place::Owner;
pub(crate) use bring::{Bringing, Errand};
pub(crate) use enclosure::{View, enclosed, is_possible, private_places};
use staging::Staging;
pub(crate) use staging::kernel_limit;
pub(crate) use watch::Watch;
pub(crate) use work::Processes;
use work::Work;

/// The build that is asked for, if one is.
#[derive(Debug, Default)]
pub(crate) struct Builds {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    report: BuildReport,
    /// Control knew of a copy.
    recorded: bool,
    /// Ends the build when it is dropped.
    _task: Ending,
}

#[derive(Debug)]
struct Ending(AbortHandle);

/// What a build runs with besides its assignment.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Airflow's configuration, without any secret.
    pub(crate) env: BTreeMap<String, String>,
    /// The node's own: its DAG versions have the plugins.
    pub(crate) layout: Layout,
    /// The cluster's bucket, where what was built is kept.
    pub(crate) bucket: DagDelivery,
    /// The DAG version that is live here.
    pub(crate) dags: Option<PathBuf>,
    /// What the cluster's services have on this machine, and no build sees.
    pub(crate) covered: Vec<PathBuf>,
    pub(crate) owner: Option<Owner>,
    /// Who makes environments and nothing else; none: the services' user.
    pub(crate) builder: Option<Owner>,
    /// Names what may be fetched.
    pub(crate) control: ControlClient,
    /// The node's own address.
    pub(crate) address: IpAddr,
    /// The way to an index of the tenant's own.
    pub(crate) outbound: Outbound,
    /// In the environment of each process of the build.
    pub(crate) mark: String,
}

// === impl Builds ===

impl Builds {
    /// Goes on with the build that is wanted, or ends the one that is not and begins it. Reports come over `tell`.
    pub(crate) fn want(
        &mut self,
        wanted: Option<&BuildAssignment>,
        surroundings: impl FnOnce() -> Surroundings,
        tell: impl Fn(BuildReport) + Send + Sync + 'static,
    ) {
        let Some(wanted) = wanted else {
            self.current = None;
            return;
        };
        if self
            .current
            .as_mut()
            .is_some_and(|current| current.goes_on(wanted))
        {
            return;
        }
        // The earlier one is over before its successor begins: they may share a directory.
        self.current = None;
        let report = BuildReport {
            digest: wanted.digest.clone(),
            attempt: wanted.attempt,
            stages: Vec::new(),
            outcome: BuildOutcome::Running,
            kept: None,
        };
        let (said, mut heard) = mpsc::unbounded_channel();
        let work = Work {
            staging: Staging::of(wanted, &surroundings()),
            wanted: wanted.clone(),
            report: report.clone(),
            said,
        };
        let task = tokio::spawn(work.run());
        tokio::spawn(async move {
            while let Some(report) = heard.recv().await {
                tell(report);
            }
        });
        self.current = Some(Current {
            report,
            recorded: wanted.recorded,
            _task: Ending(task.abort_handle()),
        });
    }

    /// Takes what the build said, unless it is of another.
    pub(crate) fn note(&mut self, report: BuildReport) {
        if let Some(current) = &mut self.current
            && (&report.digest, report.attempt) == (&current.report.digest, current.report.attempt)
        {
            current.report = report;
        }
    }

    pub(crate) fn report(&self) -> Option<&BuildReport> {
        self.current.as_ref().map(|current| &current.report)
    }
}

// === impl Current ===

impl Current {
    /// Not where it is another, or its copy in the bucket was lost.
    fn goes_on(&mut self, wanted: &BuildAssignment) -> bool {
        let same = (&self.report.digest, self.report.attempt) == (&wanted.digest, wanted.attempt);
        let lost = std::mem::replace(&mut self.recorded, wanted.recorded) && !wanted.recorded;
        same && !lost
    }
}

// === impl Ending ===

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}
