//! What a node that is gone left in its directory: nothing runs there any more, but not all of its logs may be in the bucket.

use std::future::Future;
use std::path::Path;

use tokio::sync::{mpsc, oneshot, watch};

use super::alone;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::place::{Owner, Place};
use crate::{assignment, bootstrap, logs};

/// Sends the logs of a node that will never run again, packs them, and ends. With the right that the node had last: control is not asked.
///
/// # Errors
/// When they can't be read, or `enough` was over first.
pub async fn ship_remains(bootstrap_path: &Path, enough: impl Future<Output = ()>) -> Result<()> {
    // Fails only when it was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let bootstrap = bootstrap::read(bootstrap_path)?;
    let owner = Owner::resolve(bootstrap.service_user.as_deref())?;
    let layout = Layout::ensure(Place::open(Path::new(&bootstrap.node_dir), owner)?)?;
    let Some(delivery) = assignment::load(&layout)?.and_then(|assignment| assignment.logs) else {
        return Ok(());
    };
    let sent = async {
        let _lock = alone(&layout).await?;
        let (_delivery, deliveries) = watch::channel(Some(delivery));
        let (finish, finishes) = mpsc::channel(1);
        // Nobody listens to how it goes.
        let (events, _) = mpsc::channel(1);
        let (answer, answered) = oneshot::channel();
        // There is room for one.
        let _ = finish.try_send(answer);
        tokio::select! {
            () = logs::deliver(layout.clone(), deliveries, finishes, events) => Err(unsent()),
            answered = answered => answered.map_err(|_| unsent()),
        }
    };
    tokio::select! {
        sent = sent => sent,
        () = enough => Err(unsent()),
    }
}

fn unsent() -> Error {
    Error::Logs("some of the logs are not in the bucket yet".to_owned())
}
