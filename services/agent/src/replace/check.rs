//! Whether an agent could take over a node: asked of it by the one that runs there, before it makes way.

use std::path::Path;

use secrecy::SecretString;

use crate::control::ControlClient;
use crate::error::Result;
use crate::events::Outbox;
use crate::layout::Layout;
use crate::place::{Owner, Place};
use crate::{assignment, bootstrap};

/// Reads all that an agent before this one has written down for the next. Changes nothing.
///
/// # Errors
/// With the first thing that it can't read.
pub fn check(bootstrap_path: &Path) -> Result<()> {
    // Fails only when it was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let bootstrap = bootstrap::read(bootstrap_path)?;
    let owner = Owner::resolve(bootstrap.service_user.as_deref())?;
    Owner::resolve(bootstrap.builder_user.as_deref())?;
    let layout = Layout::as_it_is(Place::open(Path::new(&bootstrap.node_dir), owner)?);
    bootstrap::load(&layout)?;
    assignment::load(&layout)?;
    Outbox::load(&layout)?;
    ControlClient::new(&bootstrap.control_url, SecretString::from(""))?;
    Ok(())
}
