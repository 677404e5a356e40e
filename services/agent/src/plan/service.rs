//! The decision for one service.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use updraft_api::agent::{Assignment, NodePower, ServiceAssignment};
use updraft_model::{ServiceName, ServiceState};

use super::{Action, Because, Health, Observed, Process, Readiness, UNHEALTHY_RESTART, UNKNOWN_IS_UNHEALTHY};

/// Other nodes letting go of a service tells nobody.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(super) struct Situation<'a> {
    pub(super) assignment: &'a Assignment,
    pub(super) power: NodePower,
    pub(super) observed: &'a BTreeMap<ServiceName, Observed>,
    pub(super) readiness: Readiness,
    pub(super) now: Instant,
}

pub(super) struct Decision {
    pub(super) action: Option<Action>,
    pub(super) state: ServiceState,
    pub(super) wake_at: Option<Instant>,
}

// === impl Decision ===

impl Decision {
    fn rest(state: ServiceState) -> Self {
        Self {
            action: None,
            state,
            wake_at: None,
        }
    }

    fn act(action: Action, state: ServiceState) -> Self {
        Self {
            action: Some(action),
            state,
            wake_at: None,
        }
    }

    fn until(state: ServiceState, wake_at: Instant) -> Self {
        Self {
            action: None,
            state,
            wake_at: Some(wake_at),
        }
    }
}

// === impl Situation ===

impl Situation<'_> {
    pub(super) fn decide(&self, service: &ServiceAssignment) -> Decision {
        match self.observed.get(&service.name) {
            None => self.decide_absent(service, None),
            Some(seen) => match &seen.process {
                Process::None => self.decide_absent(service, Some(seen)),
                Process::Launching => Decision::rest(ServiceState::Starting),
                Process::Stopping { since, killed, .. } => self.decide_stopping(service, *since, *killed),
                Process::Running {
                    started,
                    digest,
                    restart_nonce,
                    health,
                } => {
                    let changed = *digest != service.digest || *restart_nonce < service.restart_nonce;
                    self.decide_running(service, *started, changed, *health)
                }
            },
        }
    }

    fn is_wanted(&self, service: &ServiceAssignment) -> bool {
        let assigned = self
            .assignment
            .services
            .iter()
            .any(|other| other.name == service.name);
        self.power == NodePower::Run && service.enabled && assigned
    }

    fn decide_absent(&self, service: &ServiceAssignment, seen: Option<&Observed>) -> Decision {
        if !self.is_wanted(service) {
            return Decision::rest(ServiceState::Stopped);
        }
        if let Some(not_before) = seen.and_then(|seen| seen.attempts.not_before())
            && not_before > self.now
        {
            return Decision::until(ServiceState::BackingOff, not_before);
        }
        let ready = self.readiness.files
            && self.readiness.environment
            && (self.readiness.parent || !service.prefork)
            && self.is_after_script(service)
            && self.is_after_metadata(service);
        if ready
            && service
                .after
                .iter()
                .all(|name| self.is_healthy_or_not_wanted(*name))
        {
            Decision::act(Action::Start(service.name), ServiceState::Starting)
        } else {
            Decision::rest(ServiceState::Waiting)
        }
    }

    fn decide_stopping(&self, service: &ServiceAssignment, since: Instant, killed: bool) -> Decision {
        let patience = since + Duration::from_secs(service.stop.grace_s.into());
        if killed {
            Decision::rest(ServiceState::Stopping)
        } else if self.now >= patience {
            Decision::act(Action::Kill(service.name), ServiceState::Stopping)
        } else {
            Decision::until(ServiceState::Stopping, patience)
        }
    }

    fn decide_running(
        &self,
        service: &ServiceAssignment,
        started: Instant,
        changed: bool,
        health: Health,
    ) -> Decision {
        let stop = |because| Decision::act(Action::Stop(service.name, because), ServiceState::Stopping);
        if !self.is_wanted(service) {
            let stopping = self.power == NodePower::Stop;
            if stopping && self.is_needed(service.name) {
                return Decision::rest(ServiceState::Stopping);
            }
            let held = self.observed.get(&service.name).and_then(|seen| seen.held_until);
            return match held.filter(|until| stopping && *until > self.now) {
                Some(until) => Decision::until(ServiceState::Stopping, until.min(self.now + LOOK_AGAIN)),
                None => stop(Because::Unwanted),
            };
        }
        // Until its script was run, its database found good and its environment is there, what runs goes on.
        let ready = self.is_after_script(service) && self.is_after_metadata(service);
        if changed && ready && self.readiness.environment {
            return stop(Because::Changed);
        }
        let overdue = |since: Instant, limit: Duration| self.now >= since + limit;
        match health {
            Health::Healthy => Decision::rest(ServiceState::Healthy),
            Health::Unproven => {
                let limit = Duration::from_secs(service.start_within_s.into());
                if overdue(started, limit) && self.can_be_blamed(service) {
                    stop(Because::FailedToStart)
                } else {
                    Decision::until(ServiceState::Starting, later(started + limit, self.now))
                }
            }
            Health::Failing { since } if overdue(since, UNHEALTHY_RESTART) => stop(Because::Unhealthy),
            Health::Failing { since } => Decision::until(ServiceState::Unhealthy, since + UNHEALTHY_RESTART),
            Health::Unknown { since } if overdue(since, UNKNOWN_IS_UNHEALTHY) => {
                Decision::rest(ServiceState::Unhealthy)
            }
            Health::Unknown { since } => Decision::until(ServiceState::Healthy, since + UNKNOWN_IS_UNHEALTHY),
        }
    }

    fn is_after_script(&self, service: &ServiceAssignment) -> bool {
        self.readiness.script || !service.after_script
    }

    fn is_after_metadata(&self, service: &ServiceAssignment) -> bool {
        self.readiness.metadata || !service.after_metadata
    }

    /// Whether a late start is the service's own fault. One whose health is told by another node is given its time
    /// from when that node answers, which `Unproven` can't tell: it is never restarted for silence elsewhere.
    fn can_be_blamed(&self, service: &ServiceAssignment) -> bool {
        use updraft_api::agent::HealthCheck as Check;
        match &service.health {
            Check::HttpStatus { .. } | Check::HttpJson { .. } | Check::Redis { .. } | Check::Amqp { .. } => {
                true
            }
            Check::MonitorHealth { .. }
            | Check::CeleryWorker { .. }
            | Check::CeleryWorkerAmqp { .. }
            | Check::Process => false,
        }
    }

    fn is_healthy_or_not_wanted(&self, name: ServiceName) -> bool {
        let Some(service) = self
            .assignment
            .services
            .iter()
            .find(|service| service.name == name)
        else {
            return true;
        };
        let healthy = self.observed.get(&name).is_some_and(|seen| {
            matches!(
                seen.process,
                Process::Running {
                    health: Health::Healthy | Health::Unknown { .. },
                    ..
                }
            )
        });
        healthy || !self.is_wanted(service)
    }

    /// Another service that said it comes `after` this one still runs.
    fn is_needed(&self, name: ServiceName) -> bool {
        self.observed
            .values()
            .any(|other| other.process != Process::None && other.assignment.after.contains(&name))
    }
}

fn later(one: Instant, other: Instant) -> Instant {
    // Past deadlines that lead to nothing must not make the caller spin.
    if one > other {
        one
    } else {
        other + Duration::from_secs(5)
    }
}
