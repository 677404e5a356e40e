//! What the event loop is told.

use chrono::{DateTime, Utc};
use updraft_api::agent::{
    AgentAssignment, Assignment, BuildReport, MetadataReport, PluginsReport, ReencryptionReport,
    ScriptReport, TrialReport,
};
use updraft_api::task_load::TaskLoad;
use updraft_model::ServiceName;

use crate::dags::DagEvent;
use crate::error::Result;
use crate::health::Outcome;
use crate::logs::LogEvent;
use crate::process::ProcessId;
use crate::supervise::{Ended, Launched, Parent};
use crate::usage::Usage;

#[derive(Debug)]
pub(super) enum Happening {
    Assigned(Box<Assignment>),
    /// The environment's directory is there.
    EnvironmentFound(String),
    /// It answers; or why services are started without it. Of the attempt with this number.
    ParentReady(u64, Result<Parent, String>),
    ParentEnded(u64),
    Launched(ServiceName, Result<Launched>),
    /// `Ended` is unknown for this agent's own children: they are asked when they are reaped.
    Ended(ServiceName, ProcessId, Ended),
    Checked(ServiceName, ProcessId, Outcome),
    Dags(DagEvent),
    /// What the version that went live brings of plugins.
    Plugins(PluginsReport),
    Logs(LogEvent),
    /// All that was written is in the bucket.
    LogsSent,
    /// What became so far of the environment that is being built here.
    Built(BuildReport),
    /// What became of the node's script.
    Script(ScriptReport),
    /// What became of the tenant's own metadata database.
    Metadata(MetadataReport),
    /// What became so far of the script that is tried here.
    Trial(TrialReport),
    /// What became of what Airflow keeps encrypted.
    Reencrypted(ReencryptionReport),
    /// Control has all events up to this one.
    Reported(u64),
    /// Control took this agent's first report.
    Heard,
    /// The agent that is to run here is there; or why it will not be.
    SuccessorFetched(AgentAssignment, Result<(), String>),
    /// And how many tasks there are, where that is asked for.
    Measured(Usage, Option<TaskLoad>),
    /// The machine will be taken back then.
    Reclaimed(DateTime<Utc>),
}
