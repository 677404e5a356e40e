//! Who agents are, kept in memory: 40,000 of them report each 5 s, and nearly none of them is another than before.
//!
//! All are read when control begins, in one query: 40,000 agents do not ask for 40,000. From then on, what is kept counts
//! only while this process reads in the database which identities ended: each second, and not by announcements, which may be
//! lost. Where it has not read so for [`TRUSTED`], because the database is away or it stood still, every agent is looked up.
//! So a node that is gone or was given another identity is refused within a second, and in no case later than after
//! [`TRUSTED`].

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use updraft_model::NodeId;
use updraft_store::changes::{self, Interest, Mark};
use updraft_store::node_identity::{self, NodeIdentity};
use updraft_store::{PgConnection, Store, StoreError};

/// SHA-256 of an identity token.
type TokenHash = [u8; 32];

const EACH: Duration = Duration::from_secs(1);
const TRUSTED: Duration = Duration::from_secs(5);

/// Identities that are good.
#[derive(Default)]
pub struct Identities {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    good: HashMap<TokenHash, NodeIdentity>,
    /// Before it was last read which ones ended.
    read_at: Option<Instant>,
    /// How often that was read.
    reads: u64,
}

/// What was read of all identities.
enum News {
    Ended(BTreeSet<NodeId>),
    /// Which ended is not known: these are good.
    All(HashMap<TokenHash, NodeIdentity>),
}

// === impl Identities ===

impl Identities {
    /// The node with this identity token, unless it is gone.
    ///
    /// # Errors
    /// When the database has to be asked and cannot be.
    pub async fn find(&self, store: &Store, token: &TokenHash) -> Result<Option<NodeIdentity>, StoreError> {
        let reads = match self.remembered(token, Instant::now()) {
            Ok(identity) => return Ok(Some(identity)),
            Err(reads) => reads,
        };
        let mut connection = store.connection().await?;
        let found = node_identity::by_identity(&mut connection, token).await?;
        if let Some(identity) = found {
            self.keep(*token, identity, reads);
        }
        Ok(found)
    }

    /// How many nodes are not looked up when they ask.
    #[must_use]
    pub fn remembered_count(&self) -> usize {
        self.kept().good.len()
    }

    /// Reads all identities, and then for ever which of them ended.
    pub async fn keep_true(&self, store: &Store, shutdown: CancellationToken) {
        let mut mark = None;
        while !shutdown.is_cancelled() {
            mark = match self.read(store, mark).await {
                Ok(mark) => Some(mark),
                Err(error) => {
                    tracing::warn!(%error, "which agents' identities ended cannot be read; each agent is looked up");
                    None
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(EACH) => {}
            }
        }
    }

    async fn read(&self, store: &Store, mark: Option<Mark>) -> Result<Mark, StoreError> {
        let began = Instant::now();
        let mut transaction = store.snapshot().await?;
        let now = changes::mark(&mut transaction).await?;
        let changed = match mark {
            Some(mark) => changes::between(&mut transaction, mark, now, Interest::Identities).await?,
            None => None,
        };
        let news = match changed {
            Some(changes) => News::Ended(changes.identities),
            None => News::All(all(&mut transaction).await?),
        };
        transaction.commit().await.map_err(StoreError::from)?;
        self.take_in(news, began);
        Ok(now)
    }

    fn take_in(&self, news: News, read_at: Instant) {
        let mut kept = self.kept();
        match news {
            News::Ended(nodes) if nodes.is_empty() => {}
            News::Ended(nodes) => kept.good.retain(|_, identity| !nodes.contains(&identity.node)),
            News::All(identities) => kept.good = identities,
        }
        kept.read_at = Some(read_at);
        kept.reads += 1;
    }

    /// Who it is; else what [`Self::keep`] has to be told.
    fn remembered(&self, token: &TokenHash, now: Instant) -> Result<NodeIdentity, u64> {
        let kept = self.kept();
        let is_true = kept
            .read_at
            .is_some_and(|at| now.saturating_duration_since(at) < TRUSTED);
        let known = kept.good.get(token).filter(|_| is_true);
        known.copied().ok_or(kept.reads)
    }

    /// Not if it may have ended since it was looked up, and that been read: the next report is looked up again.
    fn keep(&self, token: TokenHash, identity: NodeIdentity, reads: u64) {
        let mut kept = self.kept();
        if kept.read_at.is_some() && kept.reads == reads {
            kept.good.insert(token, identity);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn all(connection: &mut PgConnection) -> Result<HashMap<TokenHash, NodeIdentity>, StoreError> {
    let identities = node_identity::all(connection).await?;
    let hashed = |(hash, identity): (Vec<u8>, _)| Some((TokenHash::try_from(hash).ok()?, identity));
    Ok(identities.into_iter().filter_map(hashed).collect())
}

#[cfg(test)]
mod tests {
    use updraft_model::{ClusterId, NodeRole};
    use uuid::Uuid;

    use super::*;

    const TOKEN: TokenHash = [1; 32];

    fn identity() -> NodeIdentity {
        NodeIdentity {
            node: NodeId(Uuid::from_u128(1)),
            cluster: ClusterId(1),
            role: NodeRole::Worker,
        }
    }

    fn ended(node: NodeId) -> News {
        News::Ended(BTreeSet::from([node]))
    }

    fn knowing(read_at: Instant) -> Identities {
        let identities = Identities::default();
        identities.take_in(News::All(HashMap::from([(TOKEN, identity())])), read_at);
        identities
    }

    #[test]
    fn nothing_is_believed_before_it_was_read_what_ended_nor_long_after() {
        let now = Instant::now();
        let identities = Identities::default();
        identities.keep(TOKEN, identity(), 0);
        assert!(identities.remembered(&TOKEN, now).is_err());
        let identities = knowing(now);
        assert_eq!(identities.remembered(&TOKEN, now), Ok(identity()));
        assert!(identities.remembered(&TOKEN, now + TRUSTED).is_err());
        assert!(identities.remembered(&[2; 32], now).is_err());
    }

    #[test]
    fn an_identity_that_ended_is_forgotten_and_no_other() {
        let now = Instant::now();
        let identities = knowing(now);
        identities.take_in(ended(NodeId(Uuid::from_u128(2))), now);
        assert!(identities.remembered(&TOKEN, now).is_ok());
        identities.take_in(ended(identity().node), now);
        assert!(identities.remembered(&TOKEN, now).is_err());
    }

    #[test]
    fn one_that_may_have_ended_while_it_was_looked_up_is_not_kept() {
        let now = Instant::now();
        let identities = Identities::default();
        identities.take_in(News::All(HashMap::new()), now);
        let reads = identities.remembered(&TOKEN, now).unwrap_err();
        identities.take_in(ended(identity().node), now);
        identities.keep(TOKEN, identity(), reads);
        assert!(identities.remembered(&TOKEN, now).is_err());
    }
}
