//! Events: as a list of what was, and as a stream that goes on where it broke off.

use futures::Stream;
use updraft_api::rest::EventView;
use updraft_model::{ClusterId, EventId};

use crate::call::Call;
use crate::{Client, ClientError};

/// Which events, and from where on.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventFilter {
    pub cluster: Option<ClusterId>,
    /// Only later ones.
    pub after: Option<EventId>,
}

impl Client {
    /// `GET /clusters/{id}/events`: newest first, at most `limit`.
    pub async fn past_events(&self, cluster: ClusterId, limit: u32) -> Result<Vec<EventView>, ClientError> {
        let call = Call::get(format!("clusters/{cluster}/events")).query("limit", Some(limit));
        self.fetch::<updraft_api::rest::Page<EventView>>(call)
            .await
            .map(|page| page.items)
    }

    /// `GET /events` as it happens. Reconnects for ever; ends only with an error that no waiting can mend.
    pub fn events(
        &self,
        filter: EventFilter,
    ) -> impl Stream<Item = Result<EventView, ClientError>> + Send + use<> {
        let call = Call::get("events").query("cluster", filter.cluster);
        self.follow(call, filter.after.map(|id| id.to_string()))
    }
}
