//! What is known of a cluster: its records, what the provider says, what agents reported.

use chrono::{DateTime, TimeDelta, Utc};
use updraft_model::{
    AgentPhase, Failure, Generation, NodeId, NodeRole, Phase, QueueName, ServiceStatus, Step,
};

use crate::limits;

#[derive(Clone, Debug)]
pub struct Observed {
    /// As last recorded.
    pub phase: Phase,
    pub secrets: Resource,
    pub database: Resource,
    pub storage: Resource,
    /// What its nodes need where they are started; looked at anew by each start from nothing. None: nothing.
    pub network: Option<Resource>,
    /// What became of the wanted environment so far, as the node that builds it says; none before it says so.
    pub build: Option<Build>,
    /// Whether what Airflow keeps encrypted is written anew, as the scheduler's node says; none before it says so.
    pub reencryption: Option<Reencryption>,
    /// How well nodes of this account are heard.
    pub hearing: Hearing,
    /// Every node whose record is not `gone`.
    pub nodes: Vec<Node>,
    /// Places whose nodes were lost lately.
    pub losses: Vec<PlaceHistory>,
    /// Tasks by queue, as the scheduler's node says; none when that is not known now.
    pub load: Option<Vec<QueueLoad>>,
    /// Of queues that scale by themselves, as last recorded.
    pub sizes: Vec<QueueSize>,
    /// What the provider lists for this cluster beyond its nodes.
    pub orphans: Vec<Orphan>,
    /// How long after a launch the provider's list may still lack the node.
    pub listing_lag: TimeDelta,
}

/// How well control hears agents now, those of all clusters in the same account: where many are quiet at once, it is
/// hardly they who fail. Another account's say nothing: what is in it is not in Updraft's hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hearing {
    #[default]
    Well,
    /// More than a tenth is quiet: a zone of the provider, or a control with more to do than it can.
    Poorly,
    /// More than half is: nobody is replaced for what control cannot hear.
    Hardly,
}

/// Something of the cluster's own outside its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    Absent,
    /// It may exist in part: making it was begun.
    Intended {
        attempts: u32,
        failure: Option<String>,
        /// Waiting does not help: somebody has to change something.
        refused: bool,
        attempted_at: DateTime<Utc>,
    },
    Ready {
        since: DateTime<Utc>,
    },
}

/// What is tried before any node is given it, in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// What it consists of, in order.
    pub planned: Vec<BuildStageKind>,
    /// Those that were begun, in order.
    pub stages: Vec<BuildStage>,
    pub outcome: BuildOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildStage {
    pub kind: BuildStageKind,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildStageKind {
    Solve,
    Install,
    Check,
    /// The bootstrap script is tried.
    Script,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildOutcome {
    Running,
    Ready,
    Refused(Failure),
}

/// How far what Airflow keeps encrypted is written anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reencryption {
    Running,
    Done,
    Failed(Failure),
}

/// One node's record with what is known of it now.
#[derive(Clone, Debug)]
pub struct Node {
    pub id: NodeId,
    pub role: NodeRole,
    pub ordinal: u32,
    /// Whose tasks it takes, if it is a worker.
    pub queue: Option<QueueName>,
    /// What was asked for it; none: the installation's.
    pub instance_type: Option<String>,
    /// Tasks that run on it, if it is a worker and that is known.
    pub tasks: Option<u32>,
    pub generation: Generation,
    pub state: NodeState,
    /// When it was last asked to stop, if it was.
    pub stop_asked_at: Option<DateTime<Utc>>,
    /// Why it was given up, if it was.
    pub loss: Option<Loss>,
    pub created_at: DateTime<Utc>,
    pub provider: ProviderView,
    /// What its machine was asked, to stand still or to start again.
    pub switch: Switch,
    /// The assignment it should have taken up; 0: there was none yet.
    pub assignment_version: i64,
    /// What its agent last said since the node was last started.
    pub report: Option<Report>,
    /// For how long nothing was heard of it while control was listening.
    pub silence: TimeDelta,
}

/// How far the node's record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Recorded; the provider may or may not have been asked.
    Intended {
        attempts: u32,
        attempted_at: Option<DateTime<Utc>>,
        failure: Option<LaunchFailure>,
    },
    Launched {
        at: DateTime<Utc>,
    },
    /// Its machine stands still until the cluster is started again.
    Kept {
        launched_at: Option<DateTime<Utc>>,
    },
    /// The provider was, or is about to be, asked to end it.
    Terminating {
        launched_at: Option<DateTime<Utc>>,
    },
}

/// What is known of switching a node's machine off and on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switch {
    /// Whether its provider can do that with this machine.
    pub works: bool,
    /// When it was last asked to stand still.
    pub asked_at: Option<DateTime<Utc>>,
    /// How often, in a row, the provider said that it will not: to stand still or to start.
    pub refusals: u32,
}

/// What the provider says of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderView {
    /// The provider could not be asked. Nothing is concluded from that.
    Unknown,
    /// It does not list the node, which proves nothing before the listing lag is over.
    Unlisted,
    Pending,
    Running,
    /// It runs, and has failed the provider's own checks for some minutes.
    Impaired,
    /// It stands still and can be started again as the same node.
    Stopped,
    /// It is ending.
    Ending,
    Gone,
}

/// Why the provider did not launch a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchFailure {
    pub kind: LaunchFailureKind,
    /// The provider's words.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchFailureKind {
    /// An account's limit is reached.
    Quota,
    /// The provider has no machine to give just now.
    Capacity,
    Throttled,
    /// The request itself is wrong.
    Refused,
    /// No clear answer: the node may exist.
    Unclear,
}

/// What an agent said, reduced to what decisions need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub phase: AgentPhase,
    pub assignment_version: Option<i64>,
    pub generation: Option<Generation>,
    pub services: Vec<ServiceStatus>,
    /// Why services do not start with the node's script.
    pub script_failure: Option<Failure>,
    /// Why the tenant's own metadata database is not used.
    pub metadata_failure: Option<Failure>,
    /// Its provider will take it back within minutes.
    pub reclaimed: bool,
    pub steps: Vec<Step>,
}

/// Why a node counts as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The provider no longer has it.
    Vanished,
    /// Its agent fell silent although the provider says that it runs.
    Silent,
    /// Its agent was never heard of.
    NeverReported,
    /// The provider is about to take it back.
    Reclaimed,
    /// The provider's own checks of it fail.
    Impaired,
}

/// Nodes lost in one place during the last half hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceHistory {
    pub role: NodeRole,
    pub ordinal: u32,
    pub losses: u32,
    /// Of these, in a row up to the last, those whose agent was never heard of.
    pub never_reported: u32,
    /// Of these, in a row up to the last, those that the provider ended by itself while they started.
    pub late_failures: Option<LateFailures>,
    pub last_lost_at: DateTime<Utc>,
}

/// Launches that the provider took, and that failed all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateFailures {
    pub times: u32,
    /// The last one's.
    pub failure: LaunchFailure,
}

/// A queue's tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueLoad {
    pub queue: QueueName,
    /// Wait for a worker.
    pub queued: u32,
    pub running: u32,
}

/// How many workers a queue is to have that scales by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSize {
    pub queue: QueueName,
    pub count: u32,
    /// Since when its tasks need fewer.
    pub fewer: Option<Fewer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fewer {
    pub since: DateTime<Utc>,
    /// The most workers that were needed since then.
    pub most: u32,
}

/// A node at the provider that is no live record's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    pub provider_id: String,
    /// Whether there is (or was) a record of it.
    pub recorded: bool,
}

// === impl Hearing ===

impl Hearing {
    /// With so many of the running nodes quiet.
    #[must_use]
    pub fn of(running: usize, quiet: usize) -> Self {
        match quiet {
            _ if running < limits::MANY_NODES => Self::Well,
            quiet if quiet > running / 2 => Self::Hardly,
            quiet if quiet > running / 10 => Self::Poorly,
            _ => Self::Well,
        }
    }
}

// === impl BuildStageKind ===

impl BuildStageKind {
    pub const OF_PACKAGES: [Self; 3] = [Self::Solve, Self::Install, Self::Check];
}

// === impl Node ===

impl Node {
    /// `worker-2`
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}-{}", self.role, self.ordinal)
    }

    /// Whether its agent works on the newest assignment.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.report
            .as_ref()
            .is_some_and(|r| r.assignment_version >= Some(self.assignment_version))
    }

    /// Whether its agent said, of the newest assignment, that every service has ended.
    pub(crate) fn has_stopped(&self) -> bool {
        self.is_settled()
            && self
                .report
                .as_ref()
                .is_some_and(|r| r.phase == AgentPhase::Stopped)
    }

    /// Whether it is a worker that will soon be gone. Others have nothing to drain, and stay until they are.
    pub(crate) fn is_reclaimed(&self) -> bool {
        self.role == NodeRole::Worker && self.report.as_ref().is_some_and(|report| report.reclaimed)
    }

    pub(crate) fn is_launched(&self) -> bool {
        matches!(self.state, NodeState::Launched { .. })
    }
}

// === impl ProviderView ===

impl ProviderView {
    /// Whether its machine is on, in whatever state.
    pub(crate) fn runs(self) -> bool {
        matches!(self, Self::Running | Self::Impaired)
    }

    /// Whether the provider surely has this node, ending or not.
    pub(crate) fn is_there(self) -> bool {
        self.runs() || matches!(self, Self::Pending | Self::Stopped | Self::Ending)
    }
}

// === impl Resource ===

impl Resource {
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready { .. })
    }
}

// === impl Loss ===

impl Loss {
    pub const ALL: [Self; 5] = [
        Self::Vanished,
        Self::Silent,
        Self::NeverReported,
        Self::Reclaimed,
        Self::Impaired,
    ];

    /// Of a record's word; none: another version's.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|loss| loss.as_str() == word)
    }

    /// Stable, for records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vanished => "vanished",
            Self::Silent => "silent",
            Self::NeverReported => "never_reported",
            Self::Reclaimed => "reclaimed",
            Self::Impaired => "impaired",
        }
    }

    /// For people: `worker-2 <words>`.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Vanished => "ended unasked",
            Self::Silent => "stopped answering",
            Self::NeverReported => "never reported after its launch",
            Self::Reclaimed => "is being taken back by the provider and takes no new task",
            Self::Impaired => "fails its provider's status checks",
        }
    }
}
