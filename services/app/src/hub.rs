//! One listening connection for all event streams of this process.

use std::sync::{Arc, Once};
use std::time::Duration;

use tokio::sync::watch;
use updraft_store::{Channel, Store, StoreError};

const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Tells streams that there may be something new. Starts listening when the first stream asks.
#[derive(Debug)]
pub(crate) struct EventHub {
    store: Store,
    changed: Arc<watch::Sender<u64>>,
    started: Once,
}

// === impl EventHub ===

impl EventHub {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            changed: Arc::new(watch::Sender::new(0)),
            started: Once::new(),
        }
    }

    /// Must be called within a runtime.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        let receiver = self.changed.subscribe();
        self.started.call_once(|| {
            tokio::spawn(keep_listening(self.store.clone(), Arc::clone(&self.changed)));
        });
        receiver
    }
}

/// Listens for as long as the hub is held by anyone else.
async fn keep_listening(store: Store, changed: Arc<watch::Sender<u64>>) {
    while Arc::strong_count(&changed) > 1 {
        if let Err(error) = listen(&store, &changed).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "event streams lost their announcements"
            );
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }
}

async fn listen(store: &Store, changed: &Arc<watch::Sender<u64>>) -> Result<(), StoreError> {
    // Sessions are announced with the policy: a revoked one must end its streams at once.
    let mut announcements = store.listen(&[Channel::Events, Channel::Policy]).await?;
    changed.send_modify(|count| *count += 1);
    while Arc::strong_count(changed) > 1 {
        announcements.next().await?;
        changed.send_modify(|count| *count += 1);
    }
    Ok(())
}
