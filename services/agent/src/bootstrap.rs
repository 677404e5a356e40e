//! How a node gets its identity: once, for its bootstrap token; after that from its own disk, with control or without.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use updraft_api::agent::{Bootstrap, Register, Registered};
use updraft_model::{NodeId, Protocol};

use crate::control::ControlClient;
use crate::error::{Error, Result};
use crate::layout::{IDENTITY, Layout};
use crate::place::Ownership;

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// Whoever is asked for more would be too late with a token that is good for minutes.
const LONGEST_ASKED_FOR: Duration = Duration::from_secs(60);

/// Who this node is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Identity {
    pub node: NodeId,
    #[serde(flatten)]
    pub registered: Registered,
    /// When another certificate is asked for. None: at once, as an agent did not that is older than certificates' end.
    #[serde(default)]
    pub renew_at: Option<DateTime<Utc>>,
}

/// Reads the file that the agent was started with.
///
/// # Errors
/// When it can't be read or understood.
pub fn read(path: &Path) -> Result<Bootstrap> {
    let bytes = std::fs::read(path).map_err(Error::file("read", path))?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Format {
        path: path.to_owned(),
        source,
    })
}

/// The identity on disk, or a new one from control, however long control takes to come.
///
/// # Errors
/// When control refuses the token, or the disk refuses.
pub async fn identify(bootstrap: &Bootstrap, layout: &Layout) -> Result<Identity> {
    if let Some(identity) = load(layout)?
        && identity.node == bootstrap.node
    {
        return Ok(identity);
    }
    let registered = register(bootstrap).await?;
    let identity = Identity {
        node: bootstrap.node,
        renew_at: registered.renew_after_s.map(after),
        registered,
    };
    keep(&identity, layout)?;
    Ok(identity)
}

pub(crate) fn keep(identity: &Identity, layout: &Layout) -> Result<()> {
    let text = serde_json::to_vec(identity).map_err(|source| Error::Format {
        path: layout.path(IDENTITY),
        source,
    })?;
    layout.place().write(IDENTITY, &text, 0o600, Ownership::Agent)
}

/// That much later than now.
pub(crate) fn after(seconds: u64) -> DateTime<Utc> {
    Utc::now() + Duration::from_secs(seconds)
}

pub(crate) fn load(layout: &Layout) -> Result<Option<Identity>> {
    let Some(bytes) = layout.place().read(IDENTITY)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| Error::Format {
            path: layout.path(IDENTITY),
            source,
        })
}

async fn register(bootstrap: &Bootstrap) -> Result<Registered> {
    let client = ControlClient::new(&bootstrap.control_url, SecretString::from(""))?;
    let request = Register {
        node: bootstrap.node,
        bootstrap_token: bootstrap.token.clone(),
        instance: bootstrap.instance.clone(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: Protocol::OWN.0,
        renews: true,
    };
    let mut pause = FIRST_RETRY;
    loop {
        let error = match client.register(&request).await {
            Ok(registered) => return Ok(registered),
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => error,
        };
        tracing::warn!(error = error.chain(), "The node can't be registered yet");
        tokio::time::sleep(pause.max(asked_for(&error))).await;
        pause = (pause * 2).min(LONGEST_RETRY);
    }
}

/// Whether asking again gets the same answer. Too slow (408) and too often (429), which balancers say too, pass. That
/// control is too far away is another error: somebody may upgrade it.
fn is_final(error: &Error) -> bool {
    match error {
        Error::ControlRefused {
            status: 408 | 429, ..
        } => false,
        Error::ControlRefused { status, .. } => (400..=499).contains(status),
        _ => false,
    }
}

/// The pause that control asked for.
fn asked_for(error: &Error) -> Duration {
    match error {
        Error::ControlRefused {
            retry_after: Some(pause),
            ..
        } => (*pause).min(LONGEST_ASKED_FOR),
        _ => Duration::ZERO,
    }
}
