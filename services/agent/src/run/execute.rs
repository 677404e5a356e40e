//! One arm per action, and what a started process tells later. No decisions: those are `plan`'s.

use std::time::{Duration, Instant};

use chrono::Utc;
use rustix::process::Signal;
use updraft_api::agent::{HealthCheck, ServiceAssignment};
use updraft_api::rest::Severity;
use updraft_model::ServiceName;

use super::happening::Happening;
use super::node::{Node, ParentState};
use crate::error::Result;
use crate::health::{Outcome, Subject};
use crate::layout::{self, Layout};
use crate::plan::{Action, Because};
use crate::process::{Handle, MARK, ProcessId, kill_tree};
use crate::supervise::{
    Ended, HealthChange, Launch, Launched, Origin, Slot, boot, redacted_tail, service_uid,
};

/// The parent writes how a fork ended a moment after it ended.
const STATUS_WITHIN: Duration = Duration::from_millis(300);

impl Node {
    pub(super) fn execute(&mut self, action: Action, now: Instant) {
        match action {
            Action::Start(name) => self.start(name),
            Action::Stop(name, because) => self.stop(name, because, now),
            Action::Kill(name) => self.kill(name),
        }
    }

    fn start(&mut self, name: ServiceName) {
        let service = self
            .assignment
            .as_ref()
            .and_then(|assignment| assignment.services.iter().find(|service| service.name == name));
        let Some(mut service) = service.cloned() else {
            return;
        };
        service.env.insert(MARK.to_owned(), self.mark(name));
        let parent = match &self.parent {
            ParentState::Ready(parent) => Some(parent.clone()),
            ParentState::Absent | ParentState::Starting { .. } | ParentState::Failed => None,
        };
        let launch = Launch {
            service: service.clone(),
            layout: self.layout.clone(),
            parent,
        };
        let log = self.layout.path(&layout::log(name));
        let slot = self
            .slots
            .entry(name)
            .or_insert_with(|| Slot::new(service.clone(), None));
        slot.assignment = service;
        slot.record.boot = boot();
        slot.record.started_at = Utc::now();
        slot.record.origin = launch.origin();
        slot.record.digest.clone_from(&slot.assignment.digest);
        slot.record.restart_nonce = slot.assignment.restart_nonce;
        slot.record.proven = false;
        slot.record.log_offset = std::fs::metadata(log).map_or(0, |meta| meta.len());
        slot.launch();
        self.save_record(name);
        let tell = self.tell.clone();
        tokio::spawn(async move {
            let launched = launch.run().await;
            let _ = tell.send(Happening::Launched(name, launched));
        });
    }

    fn stop(&mut self, name: ServiceName, because: Because, now: Instant) {
        let Some(slot) = self.slots.get_mut(&name) else {
            return;
        };
        let Some(process) = slot.process() else { return };
        let signal = signal(&slot.assignment.stop.signal);
        slot.stop(because, now);
        tracing::info!(
            service = name.as_str(),
            process.pid = process.pid,
            ?because,
            "A service is stopped"
        );
        if let Err(error) = process.signal(signal) {
            tracing::warn!(service = name.as_str(), %error, "A service could not be told to stop");
        }
    }

    fn kill(&mut self, name: ServiceName) {
        let Some(slot) = self.slots.get_mut(&name) else {
            return;
        };
        let Some(process) = slot.process() else { return };
        slot.kill();
        let killed = kill_tree(
            process,
            &self.mark(name),
            service_uid(self.layout.place().owner()),
        );
        let message = format!("{name} did not end within its grace and was killed ({killed} processes).");
        self.event(Some(name), "service_killed", Severity::Warning, &message);
    }

    pub(super) fn launched(&mut self, name: ServiceName, launched: Result<Launched>, now: Instant) {
        match launched {
            Ok(launched) => {
                let process = launched.handle.id();
                let Some(slot) = self.slots.get_mut(&name) else {
                    return;
                };
                slot.record.process = Some(process);
                slot.record.origin = launched.origin;
                slot.run(launched.handle.clone(), launched.child, now);
                self.save_record(name);
                self.watch(name, launched.handle);
            }
            Err(error) => {
                let how = error.to_string();
                self.failed(name, &how, now);
            }
        }
    }

    /// Watches a process's end and health until it ends.
    pub(super) fn watch(&mut self, name: ServiceName, handle: Handle) {
        let Some(slot) = self.slots.get_mut(&name) else {
            return;
        };
        let process = handle.id();
        let subject = Subject {
            service: slot.assignment.clone(),
            process,
            started_at: slot.record.started_at,
            proven: slot.record.proven,
            password: password(
                self.assignment
                    .as_ref()
                    .map_or(&[], |assignment| &assignment.files),
                &slot.assignment,
            ),
        };
        let (client, tell) = (self.health.clone(), self.tell.clone());
        let check = tokio::spawn(client.check(subject, move |outcome| {
            let _ = tell.send(Happening::Checked(name, process, outcome));
        }));
        slot.watch(check.abort_handle());
        let (origin, layout, tell) = (slot.record.origin, self.layout.clone(), self.tell.clone());
        tokio::spawn(async move {
            handle.ended().await;
            let ended = match origin {
                Origin::Direct => Ended::Unknown,
                Origin::Prefork => exit_status(&layout, name).await,
            };
            let _ = tell.send(Happening::Ended(name, process, ended));
        });
    }

    pub(super) fn checked(&mut self, name: ServiceName, process: ProcessId, outcome: &Outcome, now: Instant) {
        let Some(slot) = self.slots.get_mut(&name) else {
            return;
        };
        match slot.note(process, outcome, now) {
            HealthChange::None => {}
            HealthChange::Proven => {
                slot.record.proven = true;
                self.save_record(name);
            }
            HealthChange::Recovered => {
                self.event(
                    Some(name),
                    "service_recovered",
                    Severity::Info,
                    &format!("{name} is healthy again."),
                );
            }
            HealthChange::Lost(reason) => {
                let message = format!("{name} runs but is not healthy: {reason}");
                self.event(Some(name), "service_unhealthy", Severity::Warning, &message);
            }
        }
    }

    pub(super) fn ended(&mut self, name: ServiceName, process: ProcessId, ended: Ended, now: Instant) {
        let Some(slot) = self.slots.get_mut(&name) else {
            return;
        };
        if slot.process() != Some(process) {
            return;
        }
        let ended = slot.reap().unwrap_or(ended);
        self.failed_process(name, process, &ended.to_string(), now);
    }

    /// A process is gone: what it left behind is dealt with, and it is told of unless it was asked for.
    pub(super) fn failed_process(&mut self, name: ServiceName, process: ProcessId, how: &str, now: Instant) {
        let uid = service_uid(self.layout.place().owner());
        let crashed = self.failed(name, how, now);
        let mark = self.mark(name);
        let Some(slot) = self.slots.get_mut(&name) else {
            return;
        };
        // A crashed worker's tasks go on without it and finish; all else would be in the next process's way.
        if crashed && name == ServiceName::Worker {
            slot.record.orphaned.push(process);
        } else {
            for root in slot.record.orphaned.drain(..).chain([process]) {
                let left = kill_tree(root, &mark, uid);
                if left > 0 {
                    tracing::info!(
                        service = name.as_str(),
                        processes = left,
                        "What a service left behind was killed"
                    );
                }
            }
        }
        self.save_record(name);
    }

    /// Returns whether that was a failure.
    fn failed(&mut self, name: ServiceName, how: &str, now: Instant) -> bool {
        let Some(slot) = self.slots.get_mut(&name) else {
            return false;
        };
        let was_healthy = slot.record.proven;
        let Some(attempts) = slot.end(now) else {
            return false;
        };
        slot.record.restarts += 1;
        let tail = redacted_tail(
            self.layout.place(),
            &layout::log(name),
            slot.record.log_offset,
            &slot.assignment.env,
            &slot.assignment.secrets,
        );
        let told = if tail.is_empty() {
            how.to_owned()
        } else {
            format!("{how}. Its last words:\n{tail}")
        };
        slot.detail = Some(told.chars().take(500).collect());
        if attempts.just_became_hopeless() {
            let message = format!("{name} cannot start: {told}");
            self.event(Some(name), "service_cannot_start", Severity::Error, &message);
        } else if was_healthy {
            let message = format!("{name} {how} and is started again.");
            self.event(Some(name), "service_restarted", Severity::Warning, &message);
        }
        true
    }

    /// Names the service among all processes of the machine.
    fn mark(&self, name: ServiceName) -> String {
        format!("{}/{name}", self.id)
    }

    pub(super) fn save_record(&mut self, name: ServiceName) {
        let Some(slot) = self.slots.get(&name) else { return };
        if let Err(error) = slot.record.save(&self.layout) {
            let message = format!("{name} could not be noted on disk: {}", error.chain());
            self.event(Some(name), "node_disk_failed", Severity::Error, &message);
        }
    }
}

async fn exit_status(layout: &Layout, name: ServiceName) -> Ended {
    #[derive(serde::Deserialize)]
    struct Status {
        code: Option<i32>,
        signal: Option<i32>,
    }
    let deadline = Instant::now() + STATUS_WITHIN;
    while Instant::now() < deadline {
        let read = layout.place().read(&layout::exit_status(name)).ok().flatten();
        if let Some(status) = read.and_then(|bytes| serde_json::from_slice::<Status>(&bytes).ok()) {
            return match (status.code, status.signal) {
                (_, Some(signal)) => Ended::Signal(signal),
                (Some(code), None) => Ended::Code(code),
                (None, None) => Ended::Unknown,
            };
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ended::Unknown
}

fn signal(name: &str) -> Signal {
    match name.trim_start_matches("SIG") {
        "INT" => Signal::INT,
        "QUIT" => Signal::QUIT,
        _ => Signal::TERM,
    }
}

/// From the assignment, not from the disk, where a service could have put another's file.
fn password(files: &[updraft_api::agent::FileAssignment], service: &ServiceAssignment) -> Option<String> {
    let (HealthCheck::Redis { password_file, .. }
    | HealthCheck::CeleryWorker { password_file, .. }
    | HealthCheck::Amqp { password_file, .. }
    | HealthCheck::CeleryWorkerAmqp { password_file, .. }) = &service.health
    else {
        return None;
    };
    let file = files.iter().find(|file| file.path == *password_file)?;
    Some(file.content.trim().to_owned())
}
