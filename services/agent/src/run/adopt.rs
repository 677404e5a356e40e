//! After an agent's restart: its services are found again, never started twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::Utc;
use updraft_api::agent::{Assignment, HealthCheck, ServiceAssignment, StopPolicy};
use updraft_model::ServiceName;

use super::node::Node;
use crate::layout;
use crate::process::{Handle, ProcessId};
use crate::supervise::{Record, Slot, boot, find_stray, service_uid};

impl Node {
    /// Goes on with the assignment on disk, and with the processes that an earlier agent left.
    pub(super) fn resume(&mut self, stored: Assignment) {
        let boot = boot();
        for record in Record::load_all(&self.layout) {
            // Another kernel's processes are gone without anybody's fault.
            let known = record.boot == boot;
            let service = stored.services.iter().find(|service| service.name == record.name);
            let service = service.cloned().unwrap_or_else(|| stranger(record.name));
            let name = record.name;
            let before = record.process.filter(|_| known);
            let living = if known { self.find(&record) } else { None };
            self.slots.insert(name, Slot::new(service, Some(record)));
            match (living, before) {
                (Some(handle), _) => self.adopt(name, &handle),
                (None, Some(process)) => self.lost(name, process),
                (None, None) => {}
            }
        }
        self.adopt_assignment(stored);
        let handles: Vec<_> = self
            .slots
            .iter()
            .filter_map(|(name, slot)| Some((*name, slot.handle()?)))
            .collect();
        for (name, handle) in handles {
            self.watch(name, handle);
        }
    }

    fn find(&self, record: &Record) -> Option<Handle> {
        let uid = service_uid(self.layout.place().owner());
        let id = match record.process {
            Some(id) => Some(id),
            // The agent died between starting it and noting its pid.
            None => find_stray(&self.layout.path(&layout::log(record.name))),
        };
        let id = id.filter(|id| id.is_alive() && id.uid() == Some(uid))?;
        Handle::open(id).ok().flatten()
    }

    fn adopt(&mut self, name: ServiceName, handle: &Handle) {
        let Some(slot) = self.slots.get_mut(&name) else {
            return;
        };
        let age = (Utc::now() - slot.record.started_at)
            .to_std()
            .unwrap_or(Duration::ZERO);
        let now = Instant::now();
        slot.record.process = Some(handle.id());
        slot.adopt(handle.clone(), now.checked_sub(age).unwrap_or(now), now);
        tracing::info!(
            service = name.as_str(),
            process.pid = handle.id().pid,
            "A running service was adopted"
        );
    }

    /// It ended while no agent watched.
    fn lost(&mut self, name: ServiceName, process: ProcessId) {
        let Some(slot) = self.slots.get_mut(&name) else {
            return;
        };
        slot.launch();
        self.failed_process(name, process, "ended while no agent watched", Instant::now());
    }
}

/// A service that is not assigned any more: enough of it to be stopped.
fn stranger(name: ServiceName) -> ServiceAssignment {
    ServiceAssignment {
        name,
        argv: Vec::new(),
        env: BTreeMap::new(),
        secrets: Vec::new(),
        prefork: false,
        after_script: false,
        after_metadata: false,
        after: Vec::new(),
        health: HealthCheck::Process,
        warm: Vec::new(),
        interval_s: 5,
        start_within_s: 120,
        ports: Vec::new(),
        stop: StopPolicy {
            signal: "TERM".to_owned(),
            grace_s: 30,
        },
        restart_nonce: 0,
        enabled: false,
        digest: String::new(),
    }
}
