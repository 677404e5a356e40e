//! How long the planner waits for what. One place, so that the figures can be judged together.

use chrono::TimeDelta;

use crate::observed::LaunchFailureKind;

/// A launched node's agent reports within this time, or the node is replaced.
pub const FIRST_REPORT: TimeDelta = TimeDelta::seconds(300);
/// Agents report each 5 s; after this long without a word people are told.
pub const QUIET: TimeDelta = TimeDelta::seconds(20);
/// After this long the node is given up. Providers restart a dead agent within seconds, so it is no mere crash.
pub const SILENT: TimeDelta = TimeDelta::seconds(90);
/// The same where not one node of the cluster is heard: then control's own ears are the likelier cause.
pub const SILENT_ALL: TimeDelta = TimeDelta::minutes(10);
/// Below so many running nodes of an account, nothing is concluded from how many of them are quiet.
pub const MANY_NODES: usize = 50;
/// A node asked to stop that says nothing for this long is terminated.
pub const SILENT_STOP: TimeDelta = TimeDelta::seconds(30);
/// A machine that was asked to stand still and still runs is asked again after this time.
pub const SWITCH_OFF: TimeDelta = TimeDelta::seconds(30);
/// Refusals in a row, to stand still or to start again, after which a machine is ended instead.
pub const SWITCH_REFUSALS: u32 = 3;
/// What the tasks of a worker are given that leaves a cluster which goes on running: a day, since what runs once a day takes no
/// longer. Then its agent kills what is left, and Airflow tries it again.
pub const TASKS: TimeDelta = TimeDelta::hours(24);
/// The longest drain of such a node. Its agent's own end comes first.
pub const DRAIN: TimeDelta = TimeDelta::minutes(24 * 60 + 10);
/// A worker that has drained for this long and has no task hangs.
pub const DRAIN_WITHOUT_TASKS: TimeDelta = TimeDelta::minutes(10);
/// The longest drain where the cluster stops. Agents end services by their own, shorter, limits.
pub const DRAIN_FOR_STOP: TimeDelta = TimeDelta::hours(2);
/// The same where the cluster is being deleted.
pub const DRAIN_FOR_DELETION: TimeDelta = TimeDelta::seconds(60);
/// An operation waits for nodes that drain until it is this old.
pub const OPERATION_FOR_DRAIN: TimeDelta = TimeDelta::minutes(30);
/// A start that takes longer has failed.
pub const START: TimeDelta = TimeDelta::minutes(30);
/// A build that its node does not end by itself within this time is given up.
pub const BUILD: TimeDelta = TimeDelta::minutes(30);
/// Nodes that do not work with a new environment within this time get the old one back. Workers drain first.
pub const ROLL_OUT: TimeDelta = TimeDelta::minutes(30);
/// A scheduler's node that says nothing for so long of what it is to write anew does not know how.
pub const REENCRYPTION: TimeDelta = TimeDelta::minutes(5);
/// Failed attempts at a database or storage before the operation fails; attempts go on.
pub const RESOURCE_ATTEMPTS: u32 = 5;
/// Nodes in a row that never reported before the operation fails.
pub const UNREPORTED_NODES: u32 = 2;
/// Unasked-for restarts after which a service that ended again cannot start.
pub const SERVICE_RESTARTS: u32 = 3;

/// People are told so long before a cluster stops for being idle. Control that comes back from an outage tells them anew: meanwhile
/// edges and nodes say what they know.
pub const IDLE_NOTICE: TimeDelta = TimeDelta::minutes(5);
/// Pause between looks whether a cluster is idle, at the most.
pub const LOOK_IDLE: TimeDelta = TimeDelta::minutes(5);
/// The same once people were told.
pub const LOOK_IDLE_TOLD: TimeDelta = TimeDelta::seconds(20);
/// Where nobody looked for this long, control was away.
pub const IDLE_UNWATCHED: TimeDelta = TimeDelta::minutes(2);

/// Pause between looks while something is changing at the provider; reports wake the driver at once.
pub const LOOK_CHANGING: TimeDelta = TimeDelta::seconds(1);
/// Pause between looks at a cluster that is as it should be. Whatever a plan depends on wakes the cluster when it changes,
/// so that this is but for what was missed.
pub const LOOK_STEADY: TimeDelta = TimeDelta::minutes(5);
/// The same while nodes finish their tasks, whose end wakes it.
pub const LOOK_DRAINING: TimeDelta = TimeDelta::seconds(20);
/// The same without nodes.
pub const LOOK_EMPTY: TimeDelta = TimeDelta::minutes(5);

/// Failed launches of one node before the operation fails; attempts go on.
pub(crate) fn launch_attempts(kind: LaunchFailureKind) -> u32 {
    match kind {
        LaunchFailureKind::Refused => 1,
        LaunchFailureKind::Quota => 2,
        LaunchFailureKind::Capacity => 5,
        LaunchFailureKind::Throttled | LaunchFailureKind::Unclear => 8,
    }
}

/// 1, 2, 4 … 60 s.
pub(crate) fn pause_after(attempts: u32) -> TimeDelta {
    TimeDelta::seconds((1_i64 << attempts.saturating_sub(1).min(6)).min(60))
}

/// How long a place stays empty after that many losses within half an hour: 0, 10, 20 … 300 s.
pub(crate) fn pause_after_losses(losses: u32) -> TimeDelta {
    match losses {
        0 | 1 => TimeDelta::zero(),
        more => TimeDelta::seconds((10_i64 << (more - 2).min(5)).min(300)),
    }
}
