//! Control is killed at each boundary of each operation in turn, and another process completes what it began.
//!
//! The driver is the product's own. It dies before and after each call that changes something at the provider or in the
//! storage, each commit, and each statement of its own on either database. What an undisturbed operation passes is counted
//! first, and then there is a fresh cluster for each boundary, whose driver dies there. The process that follows has heard
//! nothing yet: it goes by the world alone.

mod boundaries;
mod mortal;
mod wire;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures::future::join_all;
use updraft_control::reconciler::{Parts, Reconciler};
use updraft_model::{OperationKind, OperationState, Phase, Power};
use updraft_store::Store;
use updraft_store::metadata::MetadataServer;

use crate::stage::Stage;
use boundaries::{Boundaries, Boundary};
use mortal::Mortal;
use wire::Wire;

/// Looks after which an operation goes round in circles.
const LOOKS: usize = 60;
/// Times that a boundary may not be come to, since something was done in fewer looks than before.
const TRIES: usize = 3;
/// Databases that clusters are killed in beside each other.
const STAGES: usize = 2;

/// An operation, what goes before it and what must hold after it, whoever died meanwhile.
pub(crate) struct Operation<Before, Ask, Whole> {
    pub(crate) name: &'static str,
    /// So many boundaries it has at least.
    pub(crate) boundaries: usize,
    /// These are among the changes that it makes.
    pub(crate) changes: &'static [&'static str],
    pub(crate) ends: OperationState,
    pub(crate) before: Before,
    pub(crate) ask: Ask,
    /// Whatever is asserted here is so before the cluster is deleted.
    pub(crate) whole: Whole,
}

/// A driver that may die.
struct Doomed {
    reconciler: Reconciler,
    boundaries: Arc<Boundaries>,
    _wires: [Wire; 2],
}

/// Says where a driver had died if what follows fails.
struct Told<'a>(&'static str, Option<&'a Boundary>);

// === impl Operation ===

impl<T, Before, Ask, Whole> Operation<Before, Ask, Whole>
where
    Before: AsyncFn(&Stage) -> T,
    Ask: AsyncFn(&Stage),
    Whole: AsyncFn(&Stage, T),
{
    pub(crate) async fn survives_death_anywhere(self) {
        let mut stage = Stage::still().await;
        let all = self.run(&mut stage, None).await;
        drop(stage);
        self.assert_is_whole(&all);
        let left = boundaries::moments(&all);
        println!("{}: {} boundaries, {} deaths", self.name, all.len(), left.len());
        let left = Mutex::new(left.into_iter().map(|boundary| (boundary, 0)).collect());
        join_all((0..STAGES).map(|_| self.die_at_each(&left))).await;
    }

    fn assert_is_whole(&self, all: &[Boundary]) {
        let listed = || {
            all.iter()
                .map(|boundary| format!("\n  {boundary}"))
                .collect::<String>()
        };
        for change in self.changes {
            assert!(
                all.iter().any(|boundary| boundary.change.contains(change)),
                "{} does not come by `{change}`:{}",
                self.name,
                listed()
            );
        }
        assert!(
            all.len() >= self.boundaries,
            "{} has only:{}",
            self.name,
            listed()
        );
    }

    async fn die_at_each(&self, left: &Mutex<VecDeque<(Boundary, usize)>>) {
        let mut stage = Stage::still().await;
        loop {
            let next = left.lock().unwrap().pop_front();
            let Some((boundary, tries)) = next else {
                return;
            };
            let passed = self.run(&mut stage, Some(&boundary)).await;
            if passed.last() != Some(&boundary) {
                assert!(tries < TRIES, "{} no longer comes to {boundary}", self.name);
                left.lock().unwrap().push_back((boundary, tries + 1));
            }
        }
    }

    /// From a cluster that never ran to one that is deleted. Returns the boundaries that were passed until a death.
    async fn run(&self, stage: &mut Stage, fatal: Option<&Boundary>) -> Vec<Boundary> {
        let _told = Told(self.name, fatal);
        stage.anew().await;
        let remembered = (self.before)(stage).await;
        (self.ask)(stage).await;
        let doomed = Doomed::of(stage, fatal).await;
        let died = tokio::select! {
            biased;
            () = doomed.boundaries.death() => true,
            () = stage.settles_by(&doomed.reconciler) => false,
        };
        let passed = doomed.boundaries.passed();
        drop(doomed);
        if died {
            stage.is_heard_by_another_process();
            stage.settles().await;
        }
        stage.operation_ends(self.ends).await;
        (self.whole)(stage, remembered).await;
        if !stage.deleted().await {
            stage.ask(OperationKind::Delete, Power::Deleted).await;
            stage.settles().await;
        }
        stage.assert_nothing_is_left().await;
        passed
    }
}

// === impl Doomed ===

impl Doomed {
    async fn of(stage: &Stage, fatal: Option<&Boundary>) -> Self {
        let boundaries = Boundaries::with(fatal);
        // As each process does when it starts: what is done once for a server is no part of an operation.
        let metadata = MetadataServer::new(stage.url());
        metadata.close_to_clusters().await.unwrap();
        let control = Wire::to(&stage.url(), "control's database", &boundaries).await;
        let metadata = Wire::to(&stage.url(), "metadata server", &boundaries).await;
        let store = Store::connect(&control.url(), 3).await.unwrap();
        let reconciler = Reconciler::new(Parts {
            assignments: stage.assignments(&store),
            store,
            metadata: MetadataServer::new(metadata.url()).reached_at(Some(metadata.server().to_owned())),
            provider: Arc::new(Mortal {
                inner: Arc::clone(&stage.provider),
                boundaries: Arc::clone(&boundaries),
            }),
            storage: Arc::new(Mortal {
                inner: Arc::clone(&stage.storage),
                boundaries: Arc::clone(&boundaries),
            }),
            ..stage.parts_at_once()
        });
        Self {
            reconciler,
            boundaries,
            _wires: [control, metadata],
        }
    }
}

// === impl Stage ===

impl Stage {
    pub(crate) async fn settles(&self) {
        self.settles_by(&self.reconciler_at_once()).await;
    }

    /// Looks until the operation has ended and once more. Between two looks a moment passes for machines and agents.
    async fn settles_by(&self, reconciler: &Reconciler) {
        self.expire_leases().await;
        for _ in 0..LOOKS {
            let is_last = self.operation_state().await != "running";
            self.wake().await;
            reconciler.look_at_one_due().await.unwrap();
            self.a_moment_passes().await;
            if is_last {
                return;
            }
        }
        panic!("never done: {:?} {:#?}", self.phase().await, self.steps().await);
    }

    pub(crate) async fn starts(&self) {
        self.ask(OperationKind::Start, Power::Running).await;
        self.settles().await;
    }

    /// What takes longest of a start is left out where it does not matter.
    async fn starts_with_a_database_of_its_own(&self) {
        self.brings_a_database().await;
        self.starts().await;
    }

    async fn assert_nothing_is_left(&self) {
        assert!(self.deleted().await);
        assert!(self.provider.live().is_empty(), "{:?}", self.provider.live());
        assert_eq!(self.provider.networks(), []);
        assert_eq!(self.left_on_metadata_server().await, 0, "databases and roles");
        assert!(!self.storage.has(self.cluster), "its storage is left");
        assert_eq!(self.secrets().await, 0, "secrets");
    }

    /// So many machines there are, and so many were ever made.
    pub(crate) async fn assert_runs_on(&self, live: usize, ever: usize) {
        assert_eq!(self.phase().await, Phase::Running);
        let machines = self.provider.machines();
        assert_eq!(machines.len(), ever, "launched: {machines:#?}");
        assert_eq!(self.provider.live().len(), live, "live: {machines:#?}");
    }
}

// === impl Told ===

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if let (true, Some(boundary)) = (std::thread::panicking(), self.1) {
            eprintln!("{}: its driver had died {boundary}", self.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_survives_death_anywhere() {
    Operation {
        name: "start",
        boundaries: 80,
        changes: &[
            "commit of insert into nodes",
            "commit of update nodes set launch_attempts",
            "provider: launch",
            "commit of update nodes set state",
            "provider: make a network",
            "metadata server: create database",
            "storage: make",
            "commit of insert into cluster_secrets",
            "update clusters set lease_owner",
        ],
        ends: OperationState::Succeeded,
        before: async |_: &Stage| {},
        ask: async |stage: &Stage| stage.ask(OperationKind::Start, Power::Running).await,
        whole: async |stage: &Stage, ()| stage.assert_runs_on(3, 3).await,
    }
    .survives_death_anywhere()
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_out_survives_death_anywhere() {
    Operation {
        name: "update that adds workers",
        boundaries: 40,
        changes: &["commit of insert into nodes", "provider: launch"],
        ends: OperationState::Succeeded,
        before: async |stage: &Stage| stage.starts_with_a_database_of_its_own().await,
        ask: async |stage: &Stage| stage.scale(3).await,
        whole: async |stage: &Stage, ()| stage.assert_runs_on(5, 5).await,
    }
    .survives_death_anywhere()
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_in_survives_death_anywhere() {
    Operation {
        name: "update that takes workers away",
        boundaries: 20,
        changes: &["commit of update nodes", "provider: terminate"],
        ends: OperationState::Succeeded,
        before: async |stage: &Stage| {
            stage.scale(2).await;
            stage.starts_with_a_database_of_its_own().await;
        },
        ask: async |stage: &Stage| stage.scale(0).await,
        whole: async |stage: &Stage, ()| stage.assert_runs_on(2, 4).await,
    }
    .survives_death_anywhere()
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_kind_of_machine_survives_death_anywhere() {
    Operation {
        name: "update that replaces workers",
        boundaries: 30,
        changes: &["provider: launch", "provider: terminate"],
        ends: OperationState::Succeeded,
        before: async |stage: &Stage| stage.starts_with_a_database_of_its_own().await,
        ask: async |stage: &Stage| stage.give_workers("r7i.xlarge").await,
        whole: async |stage: &Stage, ()| stage.assert_runs_on(3, 4).await,
    }
    .survives_death_anywhere()
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_survives_death_anywhere() {
    Operation {
        name: "restart",
        boundaries: 20,
        changes: &["commit of update nodes set assignment_version"],
        ends: OperationState::Succeeded,
        before: async |stage: &Stage| stage.starts_with_a_database_of_its_own().await,
        ask: async |stage: &Stage| stage.ask(OperationKind::Restart, Power::Running).await,
        whole: async |stage: &Stage, ()| stage.assert_runs_on(3, 3).await,
    }
    .survives_death_anywhere()
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_survives_death_anywhere() {
    Operation {
        name: "stop",
        boundaries: 30,
        changes: &["commit of update nodes", "provider: terminate"],
        ends: OperationState::Succeeded,
        before: async |stage: &Stage| stage.starts().await,
        ask: async |stage: &Stage| stage.ask(OperationKind::Stop, Power::Stopped).await,
        whole: async |stage: &Stage, ()| {
            assert_eq!(stage.phase().await, Phase::Stopped);
            assert_eq!(stage.provider.machines().len(), 3);
            assert!(stage.provider.live().is_empty());
            assert!(stage.has_metadata_database().await);
        },
    }
    .survives_death_anywhere()
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_survives_death_anywhere() {
    Operation {
        name: "delete",
        boundaries: 40,
        changes: &[
            "provider: terminate",
            "provider: remove a network",
            "metadata server: drop database",
            "metadata server: drop role",
            "storage: remove",
            "delete from cluster_secrets",
        ],
        ends: OperationState::Succeeded,
        before: async |stage: &Stage| stage.starts().await,
        ask: async |stage: &Stage| stage.ask(OperationKind::Delete, Power::Deleted).await,
        whole: async |stage: &Stage, ()| stage.assert_nothing_is_left().await,
    }
    .survives_death_anywhere()
    .await;
}
