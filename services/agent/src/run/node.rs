//! A node's state, and what each happening does to it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot, watch};
use updraft_api::agent::{Assignment, DagDelivery, DagReport, NodePower, Report};
use updraft_api::rest::Severity;
use updraft_api::task_load::TaskLoad;
use updraft_model::{AgentPhase, NodeId, ServiceName};

use super::happening::Happening;
use super::reporter;
use super::shipping::Shipping;
use crate::assignment;
use crate::builds::{Bringing, Builds};
use crate::control::ControlClient;
use crate::dags::{self, Shelf};
use crate::error::{Error, Result};
use crate::events::Outbox;
use crate::health;
use crate::layout::{self, Layout};
use crate::load;
use crate::metadata::Metadata;
use crate::place::{Owner, Place};
use crate::plan::{HOLD, Observed, Plan, Readiness, plan};
use crate::reencryption::Reencryption;
use crate::relay::Relays;
use crate::replace::Replacing;
use crate::scripts::Scripts;
use crate::supervise::{Membership, Parent, Slot};
use crate::tunnels::Tunnels;
use crate::usage::{Meter, Usage};

pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) layout: Layout,
    pub(super) address: IpAddr,
    pub(super) shared: Arc<Place>,
    pub(super) relays: Relays,
    pub(super) tunnels: Tunnels,
    pub(super) control: ControlClient,
    pub(super) tell: mpsc::UnboundedSender<Happening>,
    pub(super) health: health::Client,
    pub(super) assignment: Option<Assignment>,
    pub(super) slots: BTreeMap<ServiceName, Slot>,
    pub(super) readiness: Readiness,
    pub(super) parent: ParentState,
    /// Counts the parents that were asked for: what is heard of earlier ones is no longer news.
    pub(super) parent_attempt: u64,
    pub(super) membership: Option<Membership>,
    pub(super) builds: Builds,
    /// Who makes environments.
    pub(super) builder: Option<Owner>,
    /// What the node is to run with, while it is not there.
    pub(super) bringing: Option<Bringing>,
    pub(super) scripts: Scripts,
    pub(super) reencryption: Reencryption,
    pub(super) metadata: Metadata,
    /// The machine is the node's own, in the network of its account.
    pub(super) own_machine: bool,
    pub(super) replacing: Replacing,
    pub(super) outbox: Outbox,
    pub(super) delivery: watch::Sender<Option<DagDelivery>>,
    pub(super) dag_version: Option<String>,
    pub(super) dag_report: DagReport,
    pub(super) logs: Shipping,
    pub(super) usage: Usage,
    pub(super) load: Option<TaskLoad>,
    /// When the machine will be taken back, if it will.
    pub(super) reclaimed_at: Option<DateTime<Utc>>,
    pub(super) since: Since,
    pub(super) report: watch::Sender<Option<Report>>,
    pub(super) reported: String,
    meter: Arc<Mutex<Meter>>,
    /// When this agent began.
    pub(super) begun: DateTime<Utc>,
    leaving: bool,
    /// Since when the node is to stop.
    stopping: Option<Instant>,
}

/// Where the pre-imported parent is.
#[derive(Debug)]
pub(super) enum ParentState {
    /// No service asks for it, or the node is stopped.
    Absent,
    /// Dropped, it ends the wait.
    Starting {
        _wait: oneshot::Sender<()>,
    },
    Ready(Parent),
    /// Services are started as plain processes.
    Failed,
}

/// When steps of this run began and ended, for the timeline.
#[derive(Debug, Default)]
pub(super) struct Since {
    pub(super) assigned: Option<DateTime<Utc>>,
    pub(super) prepared: Option<DateTime<Utc>>,
    pub(super) parent_started: Option<DateTime<Utc>>,
    pub(super) parent_ready: Option<DateTime<Utc>>,
    pub(super) script: Option<DateTime<Utc>>,
    pub(super) script_done: Option<DateTime<Utc>>,
    pub(super) metadata: Option<DateTime<Utc>>,
    pub(super) metadata_done: Option<DateTime<Utc>>,
    pub(super) dags_live: Option<DateTime<Utc>>,
    pub(super) stopping: Option<DateTime<Utc>>,
}

// === impl Node ===

impl Node {
    pub(super) fn new(
        id: NodeId,
        layout: Layout,
        shared: Place,
        address: IpAddr,
        relays: Relays,
        control: ControlClient,
        tell: mpsc::UnboundedSender<Happening>,
    ) -> Result<Self> {
        let outbox = Outbox::load(&layout)?;
        let replacing = Replacing::new(layout.clone(), None);
        let (delivery, deliveries) = watch::channel(None);
        let (report, reports) = watch::channel(None);
        tokio::spawn(reporter::run(control.clone(), reports, tell.clone()));
        spawn_dags(&layout, address, deliveries, tell.clone());
        let logs = Shipping::spawn(&layout, &tell);
        let dag_version = Shelf::new(layout.clone())
            .current()
            .map(|digest| digest.to_string());
        let since = Since {
            dags_live: dag_version.as_ref().map(|_| Utc::now()),
            ..Since::default()
        };
        Ok(Self {
            id,
            layout,
            address,
            shared: Arc::new(shared),
            relays,
            tunnels: Tunnels::default(),
            control,
            tell,
            health: health::Client::new().map_err(Error::ControlUnreachable)?,
            assignment: None,
            slots: BTreeMap::new(),
            readiness: Readiness::default(),
            parent: ParentState::Absent,
            parent_attempt: 0,
            membership: None,
            builds: Builds::default(),
            builder: None,
            bringing: None,
            scripts: Scripts::default(),
            reencryption: Reencryption::default(),
            metadata: Metadata::default(),
            own_machine: false,
            replacing,
            outbox,
            delivery,
            dag_version,
            dag_report: DagReport::default(),
            logs,
            usage: Usage::default(),
            load: None,
            reclaimed_at: None,
            since,
            report,
            reported: String::new(),
            meter: Arc::default(),
            begun: Utc::now(),
            leaving: false,
            stopping: None,
        })
    }

    /// Plans, executes, reports; returns the phase and when to come again.
    pub(super) fn advance(&mut self, now: Instant) -> (AgentPhase, Option<Instant>) {
        let Some(assignment) = self.assignment.clone() else {
            self.publish(None);
            let phase = if self.leaving {
                AgentPhase::Stopped
            } else {
                AgentPhase::Preparing
            };
            return (phase, None);
        };
        self.stopping = match self.power() {
            NodePower::Stop => Some(self.stopping.unwrap_or(now)),
            NodePower::Run => None,
        };
        self.ensure_parent_if_needed();
        let first = self.plan(&assignment, now);
        for action in &first.actions {
            self.execute(*action, now);
        }
        let mut settled = if first.actions.is_empty() {
            first
        } else {
            self.plan(&assignment, now)
        };
        self.hold_for_logs(&mut settled, now);
        self.note_phase(settled.phase);
        self.publish(Some(&settled));
        (settled.phase, settled.wake_at)
    }

    pub(super) fn power(&self) -> NodePower {
        match &self.assignment {
            Some(assignment) if !self.leaving => assignment.power,
            _ => NodePower::Stop,
        }
    }

    pub(super) fn handle(&mut self, happening: Happening) {
        let now = Instant::now();
        match happening {
            Happening::Assigned(assignment) => self.take(*assignment),
            Happening::EnvironmentFound(directory) => self.environment_found(&directory),
            Happening::ParentReady(attempt, ready) => self.parent_ready(attempt, ready),
            Happening::ParentEnded(attempt) => self.parent_ended(attempt),
            Happening::Launched(name, launched) => self.launched(name, launched, now),
            Happening::Ended(name, process, ended) => self.ended(name, process, ended, now),
            Happening::Checked(name, process, outcome) => self.checked(name, process, &outcome, now),
            Happening::Dags(event) => self.dags(event),
            Happening::Plugins(report) => self.plugins_read(report),
            Happening::Logs(event) => self.logs(event),
            Happening::LogsSent => self.logs.finished(),
            Happening::Built(report) => self.builds.note(report),
            Happening::Script(report) => self.script_ended(report),
            Happening::Metadata(report) => self.metadata_looked_at(report),
            Happening::Trial(report) => self.scripts.note_trial(report),
            Happening::Reencrypted(report) => self.reencryption.note(report),
            Happening::Reported(sequence) => self.outbox.confirm(sequence),
            Happening::Heard => self.heard(),
            Happening::SuccessorFetched(told, fetched) => self.successor_fetched(told, fetched),
            Happening::Measured(usage, load) => (self.usage, self.load) = (usage, load),
            Happening::Reclaimed(at) => self.reclaimed_at = Some(at),
        }
    }

    /// Events are written down as they come: an agent may be killed at any moment.
    pub(super) fn event(
        &mut self,
        service: Option<ServiceName>,
        kind: &str,
        severity: Severity,
        message: &str,
    ) {
        self.outbox.add(service, kind, severity, message);
        self.save();
    }

    pub(super) fn save(&self) {
        if let Err(error) = self.outbox.save(&self.layout) {
            tracing::warn!(error = error.chain(), "Events could not be written down");
        }
    }

    pub(super) fn look_for_stop(&mut self) {
        let asked = self.layout.path(layout::STOP).exists();
        if asked && !self.leaving {
            tracing::info!("The node is asked to stop its services and end");
            self.leaving = true;
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// The last thing before an asked-for end.
    pub(super) async fn farewell(&mut self) {
        self.leave_parent();
        self.save();
        let report = self.report.borrow().clone();
        if let Some(report) = report {
            let within = std::time::Duration::from_millis(500);
            let _ = tokio::time::timeout(within, self.control.report(&report)).await;
        }
    }

    pub(super) fn keep_house(&self) {
        let roots: Vec<_> = self
            .slots
            .values()
            .flat_map(|slot| {
                slot.process()
                    .into_iter()
                    .chain(slot.record.orphaned.iter().copied())
            })
            .collect();
        let (meter, tell) = (Arc::clone(&self.meter), self.tell.clone());
        let tells_load = self
            .assignment
            .as_ref()
            .is_some_and(|assignment| assignment.tells_load);
        let layout = tells_load.then(|| self.layout.clone());
        tokio::task::spawn_blocking(move || {
            if let Ok(mut meter) = meter.lock() {
                // Nobody listens when the agent is ending.
                let load = layout.as_ref().and_then(load::read);
                let _ = tell.send(Happening::Measured(meter.look(&roots, Instant::now()), load));
            }
        });
    }

    fn plan(&self, assignment: &Assignment, now: Instant) -> Plan {
        let held_until = self.stopping.map(|since| since + HOLD);
        let observe = |slot: &Slot| {
            let observed = slot.observed();
            let in_use = self.relays.is_in_use(&observed.assignment.ports);
            Observed {
                held_until: held_until.filter(|_| in_use),
                ..observed
            }
        };
        let observed = self
            .slots
            .iter()
            .map(|(name, slot)| (*name, observe(slot)))
            .collect();
        plan(assignment, self.power(), &observed, self.readiness, now)
    }

    fn take(&mut self, offered: Assignment) {
        if let Err(error) = assignment::save(&self.layout, &offered) {
            // It is still carried out: only a restart without control would miss it.
            let message = format!(
                "The new assignment could not be written to disk: {}",
                error.chain()
            );
            self.event(None, "node_disk_failed", Severity::Error, &message);
        }
        self.adopt_assignment(offered);
    }

    fn note_phase(&mut self, phase: AgentPhase) {
        match phase {
            AgentPhase::Stopping => {
                self.since.stopping.get_or_insert_with(Utc::now);
            }
            AgentPhase::Stopped => self.leave_parent(),
            AgentPhase::Preparing | AgentPhase::Starting | AgentPhase::Running | AgentPhase::Degraded => {
                self.since.stopping = None;
            }
        }
        if self.readiness.files && self.readiness.environment {
            self.since.prepared.get_or_insert_with(Utc::now);
        }
    }
}

fn spawn_dags(
    layout: &Layout,
    address: IpAddr,
    deliveries: watch::Receiver<Option<DagDelivery>>,
    tell: mpsc::UnboundedSender<Happening>,
) {
    let (events, mut told) = mpsc::channel(16);
    tokio::spawn(dags::deliver(layout.clone(), address, deliveries, events));
    tokio::spawn(async move {
        while let Some(event) = told.recv().await {
            if tell.send(Happening::Dags(event)).is_err() {
                return;
            }
        }
    });
}
