//! Puts the edge together and runs it until it is told to stop.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::cluster_uses;
use crate::config::EdgeConfig;
use crate::control::ControlClient;
use crate::error::EdgeError;
use crate::listeners::Listeners;
use crate::refusals;
use crate::serve::Workers;
use crate::snapshot::{SnapshotFile, follow};
use crate::state::State;
use crate::succession::{say_ended, succeed};
use crate::token_uses;
use crate::tunnels;

/// Serves until `shutdown` is cancelled; then balancers have [`crate::Limits::leave`] to take this edge out while it
/// serves, and open requests [`crate::Limits::drain`] to be done.
///
/// # Errors
/// When the edge cannot start. Once it runs, it goes on without control and without any one of its listeners.
pub async fn run(config: EdgeConfig, shutdown: CancellationToken) -> Result<(), EdgeError> {
    let control = connect(&config)?;
    make_private_dir(&config.state_dir)?;
    let file = SnapshotFile::new(&config.state_dir);
    let health = health_of(&config);
    let state = Arc::new(State::new(config, control));
    let before = succeed(&state.config.state_dir, state.tunnels.id());
    if let Some(snapshot) = file.load() {
        tracing::info!(
            snapshot.version = snapshot.version,
            "starting from the kept snapshot"
        );
        state.adopt(snapshot);
    }

    let draining = CancellationToken::new();
    let mut workers = Workers::start(&state, &draining)?;
    let stopped = workers.take_stopped();
    let mut listeners = Listeners::new(Arc::new(workers), draining.clone());
    let own = SocketAddr::from((state.config.listen_address, state.config.listen_port));
    listeners.open(health).await?;
    listeners.open(own).await?;
    let dialled = tunnels::bind(state.config.tunnel_listen).await?;

    let always = [health, own];
    tokio::join!(
        leave(&state, &shutdown, &draining),
        follow(&state, &file, before, &draining),
        listeners.follow(&state, &always),
        token_uses::report(&state, &draining),
        cluster_uses::report(&state, &draining),
        refusals::report(&state, &draining),
        tunnels::admit(&state, dialled, &draining),
    );
    tracing::info!("stopping: open requests are finished first");
    for stopped in stopped {
        let _ = stopped.await;
    }
    state.tunnels.close();
    say_ended(&state, state.tunnels.id()).await;
    Ok(())
}

/// Balancers are told first; what comes meanwhile is served, each connection for one more answer.
async fn leave(state: &State, asked: &CancellationToken, draining: &CancellationToken) {
    asked.cancelled().await;
    let leave = state.config.limits.leave;
    tracing::info!(
        leave_ms = leave.as_millis(),
        "told to stop: the health check says so first"
    );
    state.leave();
    sleep(leave).await;
    draining.cancel();
}

fn connect(config: &EdgeConfig) -> Result<ControlClient, EdgeError> {
    if !matches!(config.control_url.scheme(), "https" | "http") {
        return Err(EdgeError::ControlUrl(config.control_url.clone()));
    }
    let token = std::fs::read_to_string(&config.token_file).map_err(|source| EdgeError::Token {
        path: config.token_file.clone(),
        source,
    })?;
    ControlClient::new(
        &config.control_url,
        config.control_ca_file.as_deref(),
        SecretString::from(token.trim()),
    )
}

/// Where it is asked whether it works: on loopback, and where names are served, which a balancer asks by address.
fn health_of(config: &EdgeConfig) -> SocketAddr {
    let address = match config.listen_address.is_unspecified() {
        true => config.listen_address,
        false => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    (address, config.listen_port).into()
}

fn make_private_dir(path: &Path) -> Result<(), EdgeError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| EdgeError::StateDir {
            path: path.to_owned(),
            source,
        })
}
