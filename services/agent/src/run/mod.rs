//! The agent, composed: one event loop that observes, plans and executes, and tasks that only tell it things.

mod adopt;
mod delivered;
mod execute;
mod happening;
mod metadata;
mod node;
mod prepare;
mod publish;
mod remains;
mod reporter;
mod shipping;
mod successor;

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use updraft_api::agent::Bootstrap;
use updraft_model::AgentPhase;

use crate::bootstrap::Identity;
use crate::control::ControlClient;
use crate::error::{Error, Result};
use crate::layout::{self, Layout};
use crate::place::{Owner, Ownership, Place};
use crate::replace::Replacing;
use crate::supervise::Lock;
use crate::{assignment, bootstrap, certificate, reclaim, relay};
use happening::Happening;
use node::Node;

pub use remains::ship_remains;

/// How often the provider's `stop` file is looked for.
const LOOK_FOR_STOP: Duration = Duration::from_millis(200);
/// Usage is measured.
const HOUSEKEEPING: Duration = Duration::from_secs(5);

/// Runs a node until `shutdown` (services stay) or until the provider's `stop` file has stopped its services.
///
/// # Errors
/// When the node can't be begun at all; what happens later is reported and tried again.
pub async fn run(bootstrap_path: &Path, shutdown: impl Future<Output = ()>) -> Result<()> {
    // Fails only when it was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let bootstrap = bootstrap::read(bootstrap_path)?;
    let owner = Owner::resolve(bootstrap.service_user.as_deref())?;
    let builder = Owner::resolve(bootstrap.builder_user.as_deref())?;
    let layout = Layout::ensure(Place::open(Path::new(&bootstrap.node_dir), owner)?)?;
    let shared = Place::open(Path::new(&bootstrap.shared_dir), owner)?;
    shared.secure(0o1770, Ownership::Shared)?;
    let mut shutdown = pin!(shutdown);
    let begun = async {
        let lock = alone(&layout).await?;
        Ok::<_, Error>((lock, bootstrap::identify(&bootstrap, &layout).await?))
    };
    let (_lock, identity) = tokio::select! {
        begun = begun => begun?,
        () = &mut shutdown => return Ok(()),
    };
    let (tell, happenings) = mpsc::unbounded_channel();
    let machine_of_its_own = bootstrap.instance.is_some();
    let replacing = Replacing::new(layout.clone(), machine_of_its_own.then_some(bootstrap_path));
    let mut node = begin(&bootstrap, &identity, layout, shared, tell)?;
    tokio::spawn(certificate::renew_for_ever(
        identity,
        node.layout.clone(),
        node.control.clone(),
        node.relays.tls(),
    ));
    node.builder = builder;
    node.replacing = replacing;
    node.tell_of_predecessor();
    drive(node, happenings, shutdown).await
}

/// Two agents of one node would fight over its services: the second waits for the first to end.
async fn alone(layout: &Layout) -> Result<Lock> {
    let layout = layout.clone();
    let locked = tokio::task::spawn_blocking(move || Lock::wait(layout.place(), layout::LOCK, false)).await;
    locked.unwrap_or_else(|_| Err(Error::Dags("the agent's lock was broken off".to_owned())))
}

fn begin(
    bootstrap: &Bootstrap,
    identity: &Identity,
    layout: Layout,
    shared: Place,
    tell: mpsc::UnboundedSender<Happening>,
) -> Result<Node> {
    let registered = &identity.registered;
    let key = registered.key_pem.expose_secret();
    let relays = relay::open(&bootstrap.address, &registered.ca_pem, &registered.cert_pem, key)?;
    let control = ControlClient::new(&bootstrap.control_url, registered.node_token.clone())?;
    let stored = assignment::load(&layout)?;
    let (taken, mut assignments) = mpsc::channel(1);
    tokio::spawn(assignment::follow(
        control.clone(),
        identity.node,
        stored.clone(),
        taken,
    ));
    let forward = tell.clone();
    tokio::spawn(async move {
        while let Some(assignment) = assignments.recv().await {
            if forward.send(Happening::Assigned(Box::new(assignment))).is_err() {
                return;
            }
        }
    });
    if bootstrap.instance.is_some() {
        tokio::spawn(tell_of_reclaim(tell.clone()));
    }
    let address = bootstrap.address.parse().map_err(|_| Error::Listen {
        address: bootstrap.address.clone(),
        source: std::io::ErrorKind::InvalidInput.into(),
    })?;
    let mut node = Node::new(identity.node, layout, shared, address, relays, control, tell)?;
    node.own_machine = bootstrap.instance.is_some();
    if let Some(stored) = stored {
        node.resume(stored);
    }
    Ok(node)
}

async fn tell_of_reclaim(tell: mpsc::UnboundedSender<Happening>) {
    match reclaim::notice().await {
        Ok(at) => {
            tracing::warn!(%at, "This machine will be taken back");
            // Nobody listens when the agent is ending.
            let _ = tell.send(Happening::Reclaimed(at));
        }
        Err(error) => tracing::warn!(%error, "The metadata service can't be asked"),
    }
}

async fn drive(
    mut node: Node,
    mut happenings: mpsc::UnboundedReceiver<Happening>,
    mut shutdown: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> Result<()> {
    let mut look_for_stop = interval(LOOK_FOR_STOP);
    let mut housekeeping = interval(HOUSEKEEPING);
    look_for_stop.set_missed_tick_behavior(MissedTickBehavior::Delay);
    housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (phase, wake_at) = node.advance(Instant::now());
        if node.is_leaving() && phase == AgentPhase::Stopped {
            node.farewell().await;
            return Ok(());
        }
        node.look_for_successor(phase);
        if node.makes_way() {
            tracing::info!("The agent ends for the next one; its services stay");
            node.save();
            return Ok(());
        }
        let wake = async {
            match wake_at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = &mut shutdown => {
                tracing::info!("The agent ends; its services stay");
                node.save();
                return Ok(());
            }
            Some(happening) = happenings.recv() => {
                node.handle(happening);
                while let Ok(more) = happenings.try_recv() {
                    node.handle(more);
                }
            }
            () = wake => {}
            _ = look_for_stop.tick() => node.look_for_stop(),
            _ = housekeeping.tick() => node.keep_house(),
        }
    }
}
