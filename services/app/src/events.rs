//! The event log: pages of the past, and streams that go on.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _, unfold};
use tokio::sync::watch;
use tokio::time::Instant;
use updraft_api::rest::{EventView, Page};
use updraft_authz::{Actor, ClusterAction, Credential};
use updraft_model::{ClusterId, EventId};
use updraft_store::PgConnection;
use updraft_store::event_log::{self, LoggedEvent, Scope};

use crate::authenticate;
use crate::page::{checked_limit, page};
use crate::rights::Sight;
use crate::{App, AppError, EventRange, access, view};

/// Streams look at the log at least this often, should an announcement be lost.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long what was read waits for its reader before the right to it is looked at again.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// Ids are given before a transaction commits, so a lower one may turn up after a higher one: streams look back so far.
const LOOK_BACK: i64 = 64;
const AT_ONCE: i64 = 200;

/// One stream's place in the log.
struct Watch {
    app: App,
    credential: Credential,
    cluster: Option<ClusterId>,
    /// Nothing up to here is sent.
    start: EventId,
    newest: EventId,
    sent: BTreeSet<i64>,
    ready: VecDeque<LoggedEvent>,
    changed: watch::Receiver<u64>,
    looked_at: Instant,
}

impl App {
    /// # Errors
    /// [`AppError::NotFound`]; [`AppError::Invalid`] on `limit`.
    pub async fn list_events(
        &self,
        actor: &Actor,
        cluster: Option<ClusterId>,
        range: EventRange,
    ) -> Result<Page<EventView>, AppError> {
        let limit = checked_limit(range.limit)?;
        let mut connection = self.store().connection().await?;
        if let Some(id) = cluster {
            access::cluster(&mut connection, actor, id, ClusterAction::View).await?;
        }
        let scope = scope(&mut connection, actor, cluster).await?;
        let events = match range.after {
            Some(after) => event_log::list_after(&mut connection, &scope, after, limit + 1).await?,
            None => event_log::list_before(&mut connection, &scope, range.before, limit + 1).await?,
        };
        let mut page = page(events, limit, |event| event.id.to_string(), view::event);
        // An event's id is its position: no need for an opaque one.
        if page.next.is_some() {
            page.next = page.items.last().map(|event| event.id.to_string());
        }
        Ok(page)
    }

    /// Events as they happen, from after `last` (or from now). Ends when the session does, or the actor loses the
    /// cluster; whoever may go on reconnects with the last id they saw.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for the cluster.
    pub async fn watch_events(
        &self,
        actor: &Actor,
        cluster: Option<ClusterId>,
        last: Option<EventId>,
    ) -> Result<BoxStream<'static, EventView>, AppError> {
        let changed = self.hub().subscribe();
        let mut connection = self.store().connection().await?;
        if let Some(id) = cluster {
            access::cluster(&mut connection, actor, id, ClusterAction::View).await?;
        }
        let start = match last {
            Some(last) => last,
            None => event_log::newest(&mut connection).await?,
        };
        let watch = Watch {
            app: self.clone(),
            credential: actor.credential,
            cluster,
            start,
            newest: start,
            sent: BTreeSet::new(),
            ready: VecDeque::new(),
            changed,
            looked_at: Instant::now(),
        };
        Ok(unfold(watch, Watch::step).boxed())
    }
}

// === impl Watch ===

impl Watch {
    async fn step(mut self) -> Option<(EventView, Self)> {
        loop {
            // What waits for a slow reader is not sent on a right that may be gone by now.
            if !self.is_stale()
                && let Some(event) = self.ready.pop_front()
            {
                return Some((view::event(event), self));
            }
            self.changed.borrow_and_update();
            let looked = self.look().await;
            self.looked_at = Instant::now();
            match looked {
                Ok(true) if self.ready.is_empty() => self.wait().await,
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "an event stream ended early"
                    );
                    return None;
                }
            }
        }
    }

    /// Gathers what is new; false when there is no right to see it any more.
    async fn look(&mut self) -> Result<bool, AppError> {
        let mut connection = self.app.store().connection().await?;
        let actor = authenticate::actor_again(&mut connection, self.credential, self.app.now()).await?;
        let Some(actor) = actor else {
            return Ok(false);
        };
        if let Some(id) = self.cluster {
            match access::past_cluster(&mut connection, &actor, id, ClusterAction::View).await {
                Ok(()) => {}
                Err(AppError::NotFound(_) | AppError::Forbidden { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        let from = EventId(self.start.0.max(self.newest.0 - LOOK_BACK));
        let limit = AT_ONCE + LOOK_BACK;
        let scope = scope(&mut connection, &actor, self.cluster).await?;
        let events = event_log::list_after(&mut connection, &scope, from, limit).await?;
        self.ready.retain(|event| is_in(&scope, event));
        self.take(events);
        Ok(true)
    }

    fn is_stale(&self) -> bool {
        self.looked_at.elapsed() > GOOD_FOR
    }

    fn take(&mut self, events: Vec<LoggedEvent>) {
        for event in events {
            if self.sent.insert(event.id.0) {
                self.newest = self.newest.max(event.id);
                self.ready.push_back(event);
            }
        }
        self.sent = self.sent.split_off(&(self.newest.0 - LOOK_BACK));
    }

    async fn wait(&mut self) {
        // Whether it was an announcement or the time: look again.
        let _ = tokio::time::timeout(LOOK_EVERY, self.changed.changed()).await;
    }
}

async fn scope(
    connection: &mut PgConnection,
    actor: &Actor,
    cluster: Option<ClusterId>,
) -> Result<Scope, AppError> {
    let clusters = match cluster {
        // Whoever asks for one may see it: that was made sure of.
        Some(id) => Some(vec![id]),
        None => Sight::of(connection, actor).await?.clusters(),
    };
    Ok(Scope {
        tenant: actor.tenant,
        clusters,
    })
}

/// Whether an event is in what may be seen.
fn is_in(scope: &Scope, event: &LoggedEvent) -> bool {
    let Some(clusters) = &scope.clusters else {
        return true;
    };
    event.cluster.is_some_and(|id| clusters.contains(&id))
}
