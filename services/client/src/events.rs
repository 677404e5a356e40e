//! Events: as a list of what was, and as a stream that goes on where it broke off.

use std::collections::VecDeque;
use std::time::Duration;

use futures::Stream;
use futures::stream;
use reqwest::Response;
use tokio::time::{sleep, timeout};
use updraft_api::rest::EventView;
use updraft_model::{ClusterId, EventId};

use crate::call::Call;
use crate::sse::{SseEvent, SseParser};
use crate::{Client, ClientError};

/// Five of the server's heartbeats: a silent stream is a dead one.
const SILENCE: Duration = Duration::from_secs(75);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Which events, and from where on.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventFilter {
    pub cluster: Option<ClusterId>,
    /// Only later ones.
    pub after: Option<EventId>,
}

struct Follower {
    client: Client,
    filter: EventFilter,
    connection: Option<(Response, SseParser)>,
    ready: VecDeque<EventView>,
    pause: Duration,
    over: bool,
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
        let follower = Follower {
            client: self.clone(),
            filter,
            connection: None,
            ready: VecDeque::new(),
            pause: FIRST_PAUSE,
            over: false,
        };
        stream::unfold(follower, |mut follower| async move {
            if follower.over {
                return None;
            }
            let next = follower.next().await;
            follower.over = next.is_err();
            Some((next, follower))
        })
    }
}

// === impl Follower ===

impl Follower {
    async fn next(&mut self) -> Result<EventView, ClientError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.filter.after = Some(event.id);
                return Ok(event);
            }
            match self.connection.take() {
                Some((response, parser)) => self.read(response, parser).await,
                None => self.connect().await?,
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        let call = Call::get("events").query("cluster", self.filter.cluster);
        let last = self.filter.after.map(|id| id.to_string());
        match self.client.open(&call, "text/event-stream", last).await {
            Ok(response) => {
                self.pause = FIRST_PAUSE;
                self.connection = Some((response, SseParser::default()));
                Ok(())
            }
            Err(error) if error.is_transient() => {
                tracing::debug!(
                    pause_ms = self.pause.as_millis(),
                    "the event stream is away; trying again"
                );
                sleep(self.pause).await;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps the connection only while it delivers.
    async fn read(&mut self, mut response: Response, mut parser: SseParser) {
        if let Ok(Ok(Some(chunk))) = timeout(SILENCE, response.chunk()).await {
            let events = parser.push(&chunk);
            self.ready.extend(events.iter().filter_map(parse));
            self.connection = Some((response, parser));
        } else {
            sleep(self.pause).await;
        }
    }
}

/// A kind of event that this version does not know is passed over.
fn parse(event: &SseEvent) -> Option<EventView> {
    serde_json::from_str(&event.data)
        .inspect_err(|error| tracing::debug!(%error, "not an event of ours"))
        .ok()
}
