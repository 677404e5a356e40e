//! What to do next with a node's services. Pure: no clock, no IO; the time comes in as a parameter.
//!
//! `plan(assignment, observed, readiness, now)` is called after everything that happens and always says all there is
//! to do. It refuses to start a service whose `after` is not healthy, to stop one that another still needs, and to
//! hurry a service that keeps failing.

mod backoff;
mod service;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use updraft_api::agent::{Assignment, NodePower, ServiceAssignment};
use updraft_model::{AgentPhase, ServiceName, ServiceState};

pub use backoff::{Attempts, CANNOT_START_AFTER};

/// A service that was healthy and definitely is not for this long is restarted.
pub const UNHEALTHY_RESTART: Duration = Duration::from_secs(120);
/// A service that was healthy and whose health can't be asked for this long is called unhealthy; never restarted.
pub const UNKNOWN_IS_UNHEALTHY: Duration = Duration::from_secs(30);

/// How long a stopping node waits for other nodes to let go of a service.
pub const HOLD: Duration = Duration::from_secs(30);

/// What is known of a service's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not proven yet.
    Unproven,
    Healthy,
    /// It was healthy; it definitely is not since then.
    Failing {
        since: Instant,
    },
    /// It was healthy; nobody can say since then.
    Unknown {
        since: Instant,
    },
}

/// Why a service is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// The node stops, or the service was disabled, or taken away.
    Unwanted,
    /// A restart was asked for, or what it runs with has changed.
    Changed,
    /// Not healthy within its time.
    FailedToStart,
    /// It was healthy, and has not been for long.
    Unhealthy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Process {
    None,
    /// Being spawned; there is no pid yet.
    Launching,
    Running {
        started: Instant,
        /// Of the assignment it was started with.
        digest: String,
        restart_nonce: i64,
        health: Health,
    },
    Stopping {
        since: Instant,
        because: Because,
        killed: bool,
    },
}

/// One service as the supervisor holds it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// What it was started with; for one that is no longer assigned, how to stop it.
    pub assignment: ServiceAssignment,
    pub process: Process,
    pub attempts: Attempts,
    /// Other nodes are connected to it: when the node stops, they are given until then to finish first.
    pub held_until: Option<Instant>,
}

/// What starting waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    pub files: bool,
    pub environment: bool,
    pub parent: bool,
    /// The node's script was run, or there is none.
    pub script: bool,
    /// The tenant's own metadata database was found good, or there is none.
    pub metadata: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Start(ServiceName),
    Stop(ServiceName, Because),
    /// Its grace is over.
    Kill(ServiceName),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub actions: Vec<Action>,
    pub states: BTreeMap<ServiceName, ServiceState>,
    pub phase: AgentPhase,
    /// When to plan again, if nothing happens before.
    pub wake_at: Option<Instant>,
}

/// All that is to be done now.
#[must_use]
pub fn plan(
    assignment: &Assignment,
    power: NodePower,
    observed: &BTreeMap<ServiceName, Observed>,
    readiness: Readiness,
    now: Instant,
) -> Plan {
    let situation = service::Situation {
        assignment,
        power,
        observed,
        readiness,
        now,
    };
    let mut plan = Plan {
        actions: Vec::new(),
        states: BTreeMap::new(),
        phase: AgentPhase::Preparing,
        wake_at: None,
    };
    let unassigned = observed
        .values()
        .map(|seen| &seen.assignment)
        .filter(|seen| !is_assigned(assignment, seen.name));
    for service in assignment.services.iter().chain(unassigned) {
        let decision = situation.decide(service);
        plan.actions.extend(decision.action);
        plan.states.insert(service.name, decision.state);
        plan.wake_at = [plan.wake_at, decision.wake_at].into_iter().flatten().min();
    }
    plan.states
        .retain(|name, state| *state != ServiceState::Stopped || is_assigned(assignment, *name));
    plan.phase = phase(power, readiness, observed, assignment, &plan.states);
    plan
}

fn is_assigned(assignment: &Assignment, name: ServiceName) -> bool {
    assignment.services.iter().any(|service| service.name == name)
}

fn phase(
    power: NodePower,
    readiness: Readiness,
    observed: &BTreeMap<ServiceName, Observed>,
    assignment: &Assignment,
    states: &BTreeMap<ServiceName, ServiceState>,
) -> AgentPhase {
    let every = |wanted: ServiceState| states.values().all(|state| *state == wanted);
    match power {
        NodePower::Stop if every(ServiceState::Stopped) => AgentPhase::Stopped,
        NodePower::Stop => AgentPhase::Stopping,
        NodePower::Run => {
            let settled = assignment
                .services
                .iter()
                .all(|service| !service.enabled || states.get(&service.name) == Some(&ServiceState::Healthy));
            let troubled = observed.values().any(|seen| {
                seen.attempts.is_troubled()
                    || states.get(&seen.assignment.name) == Some(&ServiceState::Unhealthy)
            });
            if waits_for_script(assignment, readiness)
                || waits_for_metadata(assignment, readiness)
                || waits_for_environment(assignment, readiness, observed)
            {
                AgentPhase::Preparing
            } else if settled {
                AgentPhase::Running
            } else if troubled {
                AgentPhase::Degraded
            } else if !readiness.files || !readiness.environment {
                AgentPhase::Preparing
            } else {
                AgentPhase::Starting
            }
        }
    }
}

/// Whether something here is still to be given what the script makes ready: the node is not what it is to be.
fn waits_for_script(assignment: &Assignment, readiness: Readiness) -> bool {
    let waits = |service: &ServiceAssignment| service.enabled && service.after_script;
    !readiness.script && assignment.services.iter().any(waits)
}

/// The same for the tenant's own metadata database.
fn waits_for_metadata(assignment: &Assignment, readiness: Readiness) -> bool {
    let waits = |service: &ServiceAssignment| service.enabled && service.after_metadata;
    !readiness.metadata && assignment.services.iter().any(waits)
}

/// Whether something here runs on as it was, since what it is to run with is not there.
fn waits_for_environment(
    assignment: &Assignment,
    readiness: Readiness,
    observed: &BTreeMap<ServiceName, Observed>,
) -> bool {
    let runs_on = |service: &ServiceAssignment| {
        let process = observed.get(&service.name).map(|seen| &seen.process);
        matches!(process, Some(Process::Running { digest, .. }) if *digest != service.digest)
    };
    !readiness.environment && assignment.services.iter().any(runs_on)
}
