//! What must be there before services start: the pre-imported parent, which takes longest and goes first; files; the
//! environment; relays and DAGs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use tokio::sync::oneshot;
use updraft_api::agent::{Assignment, NodePower, ScriptOutcome, ScriptReport};
use updraft_api::rest::Severity;

use super::happening::Happening;
use super::node::{Node, ParentState};
use crate::builds::{Bringing, Errand, Surroundings, is_possible, private_places};
use crate::dags::outbound;
use crate::error::Result;
use crate::scripts::Ground;
use crate::supervise::{Membership, Parent, ParentName, Slot, bring_parent_up, write_files};

impl Node {
    /// Carries out an assignment: what it needs is begun here, services are the plan's.
    pub(super) fn adopt_assignment(&mut self, assignment: Assignment) {
        let restarted = self
            .assignment
            .as_ref()
            .is_none_or(|before| before.generation != assignment.generation);
        if restarted {
            self.since.assigned = Some(Utc::now());
            self.since.prepared = None;
        }
        self.readiness.environment = Path::new(&assignment.environment_dir).is_dir();
        self.shorten_graces(&assignment);
        self.assignment = Some(assignment);
        self.join_parent();
        // It takes longest, so it goes first.
        self.ensure_parent_if_needed();
        self.apply_rest();
        self.ensure_build();
        self.ensure_scripts();
        self.ensure_metadata();
        self.ensure_reencryption();
        self.ensure_environment();
    }

    /// What ends already is given a shorter grace whole: how long it took so far was within a longer one.
    fn shorten_graces(&mut self, assignment: &Assignment) {
        let Some(before) = &self.assignment else { return };
        let now = Instant::now();
        for service in &assignment.services {
            let was = before.services.iter().find(|was| was.name == service.name);
            let is_shorter = was.is_some_and(|was| was.stop.grace_s > service.stop.grace_s);
            if let Some(slot) = self.slots.get_mut(&service.name).filter(|_| is_shorter) {
                slot.count_grace_from(now);
            }
        }
    }

    /// The cluster's own is fetched, unless it is what this node builds.
    fn ensure_environment(&mut self) {
        let Some(assignment) = self.assignment.as_ref().filter(|_| !self.readiness.environment) else {
            self.bringing = None;
            return;
        };
        let built = assignment.build.as_ref().map(|build| &build.digest);
        let errand = Errand {
            directory: assignment.environment_dir.clone(),
            wanted: assignment
                .environment
                .clone()
                .filter(|wanted| self.power() == NodePower::Run && built != Some(&wanted.digest)),
            owner: self.layout.place().owner(),
            control: self.control.clone(),
            node: self.id.to_string(),
        };
        if self
            .bringing
            .as_ref()
            .is_some_and(|bringing| bringing.is_of(&errand))
        {
            return;
        }
        let tell = self.tell.clone();
        self.bringing = Some(Bringing::begin(errand, move |directory| {
            let _ = tell.send(Happening::EnvironmentFound(directory));
        }));
    }

    /// Unless it is another that is waited for now.
    pub(super) fn environment_found(&mut self, directory: &str) {
        let wanted = self
            .assignment
            .as_ref()
            .map(|assignment| assignment.environment_dir.as_str());
        if wanted == Some(directory) {
            self.readiness.environment = true;
            self.bringing = None;
            self.ensure_reencryption();
        }
    }

    /// Beside all that runs: what becomes of it changes nothing here.
    fn ensure_build(&mut self) {
        let Some(assignment) = &self.assignment else {
            return;
        };
        let wanted = assignment
            .build
            .as_ref()
            .filter(|_| self.power() == NodePower::Run);
        let surroundings = || Surroundings {
            env: assignment.parent.env.clone(),
            layout: self.layout.clone(),
            bucket: assignment.dags.clone(),
            dags: self
                .dag_version
                .as_ref()
                .map(|digest| self.layout.path(&format!("dags/versions/{digest}"))),
            covered: private_places(self.layout.place().path(), self.shared.path()),
            owner: self.layout.place().owner(),
            // It reads what it is shown in the enclosure alone.
            builder: self.builder.filter(|_| is_possible()),
            control: self.control.clone(),
            address: self.address,
            outbound: outbound(&assignment.dags),
            mark: format!("{}/environment", self.id),
        };
        let tell = self.tell.clone();
        let tell = move |report| {
            let _ = tell.send(Happening::Built(report));
        };
        self.builds.want(wanted, surroundings, tell);
    }

    /// The node's own script, and one that is to be tried beside all that runs.
    fn ensure_scripts(&mut self) {
        let Some(assignment) = &self.assignment else {
            return;
        };
        let runs = self.power() == NodePower::Run;
        let before = self.scripts.digest();
        let ground = |of: &str| Ground {
            layout: self.layout.clone(),
            delivery: assignment.dags.clone(),
            env: script_env(assignment),
            covered: private_places(self.layout.place().path(), self.shared.path()),
            mark: format!("{}/{of}", self.id),
        };
        let (tell, tell_trial) = (self.tell.clone(), self.tell.clone());
        let script = assignment.script.as_ref().filter(|_| runs);
        self.scripts.want(
            script,
            || ground("bootstrap"),
            move |report| {
                let _ = tell.send(Happening::Script(report));
            },
        );
        let trial = assignment.trial.as_ref().filter(|_| runs);
        self.scripts.want_trial(
            trial,
            || ground("bootstrap-trial"),
            move |report| {
                let _ = tell_trial.send(Happening::Trial(report));
            },
        );
        if before != self.scripts.digest() {
            self.since.script = script.map(|_| Utc::now());
            self.since.script_done = None;
        }
        self.script_is_done();
    }

    fn ensure_reencryption(&mut self) {
        let runs = self.power() == NodePower::Run;
        let assignment = self.assignment.as_ref().filter(|_| runs);
        let wanted = assignment.and_then(|assignment| assignment.reencryption.as_ref());
        let ready = self.readiness.environment && self.readiness.files;
        let (mark, tell) = (format!("{}/reencryption", self.id), self.tell.clone());
        self.reencryption
            .want(wanted, ready, (&self.layout, mark), move |report| {
                let _ = tell.send(Happening::Reencrypted(report));
            });
    }

    /// What became of the node's own script; services that wait for it start, or are changed, once it is done.
    pub(super) fn script_ended(&mut self, report: ScriptReport) {
        let message = match &report.outcome {
            ScriptOutcome::Failed { message, .. } => Some(message.clone()),
            ScriptOutcome::Running | ScriptOutcome::Done => None,
        };
        if self.scripts.note(report)
            && let Some(message) = message
        {
            let message: String =
                format!("The bootstrap script failed, so no service starts with it. {message}")
                    .chars()
                    .take(500)
                    .collect();
            self.event(None, "bootstrap_failed", Severity::Error, &message);
        }
        self.script_is_done();
    }

    fn script_is_done(&mut self) {
        self.readiness.script = self.scripts.is_done();
        if self.readiness.script && self.since.script.is_some() {
            self.since.script_done.get_or_insert_with(Utc::now);
        }
    }

    /// As long as this node has forked services, or may have, others don't end the parent; adopted ones count too.
    fn join_parent(&mut self) {
        let Some(assignment) = &self.assignment else {
            return;
        };
        let forks = assignment.services.iter().any(|service| service.prefork);
        let name = ParentName::new(&assignment.environment_dir, &assignment.parent);
        if self
            .membership
            .as_ref()
            .is_some_and(|membership| *membership.name() != name)
        {
            // What the earlier one forked goes on without it.
            self.leave_parent();
        }
        if self.membership.is_some() || !forks || self.power() != NodePower::Run {
            return;
        }
        match Membership::join(&self.shared, name) {
            Ok(membership) => self.membership = Some(membership),
            Err(error) => tracing::warn!(error = error.chain(), "The pre-imported parent can't be shared"),
        }
    }

    /// Starts or finds the pre-imported parent when the node runs and some service has to be forked.
    pub(super) fn ensure_parent_if_needed(&mut self) {
        let Some(assignment) = &self.assignment else {
            return;
        };
        let mut forked = assignment
            .services
            .iter()
            .filter(|service| service.prefork && service.enabled);
        let lacking = forked.any(|service| self.slots.get(&service.name).is_none_or(Slot::is_idle));
        let wanted_now = self.power() == NodePower::Run && lacking && self.readiness.environment;
        if !wanted_now || !matches!(self.parent, ParentState::Absent) {
            return;
        }
        let (environment, wanted) = (assignment.environment_dir.clone(), assignment.parent.clone());
        let (wait, no_longer) = oneshot::channel();
        self.parent = ParentState::Starting { _wait: wait };
        self.parent_attempt += 1;
        self.readiness.parent = false;
        self.since.parent_started = Some(Utc::now());
        self.since.parent_ready = None;
        let (shared, tell, attempt) = (Arc::clone(&self.shared), self.tell.clone(), self.parent_attempt);
        tokio::spawn(async move {
            let Some(ready) = bring_parent_up(shared, environment, wanted, no_longer).await else {
                return;
            };
            let watched = ready.as_ref().ok().cloned();
            let _ = tell.send(Happening::ParentReady(attempt, ready));
            if let Some(parent) = watched {
                parent.ended().await;
                let _ = tell.send(Happening::ParentEnded(attempt));
            }
        });
    }

    pub(super) fn parent_ready(&mut self, attempt: u64, ready: Result<Parent, String>) {
        if attempt != self.parent_attempt || !matches!(self.parent, ParentState::Starting { .. }) {
            return;
        }
        self.readiness.parent = true;
        match ready {
            Ok(parent) => {
                self.parent = ParentState::Ready(parent);
                self.since.parent_ready = Some(Utc::now());
            }
            Err(reason) => {
                self.parent = ParentState::Failed;
                let message = format!("Services are started one by one, which takes longer: {reason}");
                self.event(None, "prefork_failed", Severity::Warning, &message);
            }
        }
    }

    /// Another is started only when a service needs it: what this one forked goes on.
    pub(super) fn parent_ended(&mut self, attempt: u64) {
        if attempt == self.parent_attempt && matches!(self.parent, ParentState::Ready(_)) {
            self.parent = ParentState::Absent;
            self.readiness.parent = false;
        }
    }

    /// The last node of the machine that leaves ends the parent.
    pub(super) fn leave_parent(&mut self) {
        self.parent = ParentState::Absent;
        self.readiness.parent = false;
        let Some(membership) = self.membership.take() else {
            return;
        };
        if let Err(error) = membership.leave(&self.shared) {
            tracing::warn!(
                error = error.chain(),
                "The pre-imported parent could not be ended"
            );
        }
    }

    fn apply_rest(&mut self) {
        let Some(assignment) = self.assignment.clone() else {
            return;
        };
        self.relays.apply(&assignment);
        self.tunnels.apply(&assignment, self.address);
        self.deliver_dags(&assignment);
        self.forget_dag_sources();
        self.reread_requirements();
        self.logs.deliver_to(assignment.logs.clone());
        match write_files(self.layout.place(), &assignment.directories, &assignment.files) {
            Ok(()) => self.readiness.files = true,
            Err(error) => {
                self.readiness.files = false;
                let message = format!(
                    "The services' files could not be written, so none is started: {}",
                    error.chain()
                );
                self.event(None, "node_disk_failed", Severity::Error, &message);
            }
        }
    }

    fn deliver_dags(&self, assignment: &Assignment) {
        let wanted = (assignment.power == NodePower::Run).then(|| assignment.dags.clone());
        self.delivery.send_if_modified(|current| {
            let same = serde_json::to_string(&*current).ok() == serde_json::to_string(&wanted).ok();
            if !same {
                *current = wanted;
            }
            !same
        });
    }
}

/// What a script knows of its node.
fn script_env(assignment: &Assignment) -> BTreeMap<String, String> {
    let path = format!("/usr/local/bin:/usr/bin:/bin:{}/bin", assignment.environment_dir);
    [
        ("PATH", path),
        ("LANG", "C.UTF-8".to_owned()),
        ("TZ", "UTC".to_owned()),
        ("UPDRAFT_CLUSTER_ID", assignment.cluster.to_string()),
        ("UPDRAFT_NODE_ROLE", assignment.role.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
