//! One list for all who ask at about the same time: a call is made for the installation, not for each of its clusters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use updraft_provider::{ListedNode, ProviderError};

/// So old a list may be for those who ask, if nothing was changed since by this process.
const FRESH: Duration = Duration::from_secs(1);

type Nodes = Arc<Vec<ListedNode>>;

#[derive(Default)]
pub(crate) struct Listing {
    held: Mutex<Option<Held>>,
    changes: AtomicU64,
}

struct Held {
    began: Instant,
    changes: u64,
    nodes: Nodes,
}

// === impl Listing ===

impl Listing {
    /// What was listed before no longer holds.
    pub(crate) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Those who wait while one fetches take what the next one gets, if that began after they asked.
    pub(crate) async fn get<F>(&self, fetch: impl FnOnce() -> F) -> Result<Nodes, ProviderError>
    where
        F: Future<Output = Result<Vec<ListedNode>, ProviderError>>,
    {
        let asked = Instant::now();
        let mut held = self.held.lock().await;
        let changes = self.changes.load(Ordering::SeqCst);
        let holds =
            |held: &&Held| held.began >= asked || (held.changes == changes && held.began.elapsed() < FRESH);
        if let Some(held) = held.as_ref().filter(holds) {
            return Ok(Arc::clone(&held.nodes));
        }
        let began = Instant::now();
        let nodes = Arc::new(fetch().await?);
        *held = Some(Held {
            began,
            changes,
            nodes: Arc::clone(&nodes),
        });
        Ok(nodes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    async fn fetched(calls: &AtomicUsize) -> Result<Vec<ListedNode>, ProviderError> {
        calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        Ok(Vec::new())
    }

    #[tokio::test]
    async fn hundreds_of_clusters_make_one_call() {
        let (listing, calls) = (Listing::default(), AtomicUsize::new(0));
        let all = (0..500).map(|_| listing.get(|| fetched(&calls)));
        futures::future::join_all(all).await;
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn after_a_change_the_list_is_a_new_one() {
        let (listing, calls) = (Listing::default(), AtomicUsize::new(0));
        listing.get(|| fetched(&calls)).await.unwrap();
        listing.get(|| fetched(&calls)).await.unwrap();
        listing.changed();
        listing.get(|| fetched(&calls)).await.unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_failure_is_kept_for_nobody() {
        let (listing, calls) = (Listing::default(), AtomicUsize::new(0));
        let failed = listing.get(async || Err(ProviderError::Throttled)).await;
        assert!(failed.is_err());
        assert!(listing.get(|| fetched(&calls)).await.is_ok());
    }
}
