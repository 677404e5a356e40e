//! Logs: pages of lines, and lines as they are written, going on where the stream broke off.

use std::collections::VecDeque;
use std::time::Duration;

use futures::{Stream, stream};
use reqwest::Response;
use tokio::time::{sleep, timeout};
use updraft_api::logs::{FollowQuery, LogLine, LogOrder, LogPage, LogQuery};
use updraft_model::ClusterId;

use crate::call::Call;
use crate::sse::{SseEvent, SseParser};
use crate::{Client, ClientError};

/// Five of the server's heartbeats: a silent stream is a dead one.
const SILENCE: Duration = Duration::from_secs(75);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

struct Follower {
    client: Client,
    cluster: ClusterId,
    query: FollowQuery,
    last: Option<String>,
    connection: Option<(Response, SseParser)>,
    ready: VecDeque<LogLine>,
    pause: Duration,
    over: bool,
}

impl Client {
    /// `GET /clusters/{id}/logs`: one page.
    pub async fn logs(&self, cluster: ClusterId, query: &LogQuery) -> Result<LogPage, ClientError> {
        let time =
            |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let order = query.order.map(|order| match order {
            LogOrder::Newest => "newest",
            LogOrder::Oldest => "oldest",
        });
        let call = Call::get(format!("clusters/{cluster}/logs"))
            .query("service", query.service.clone())
            .query("node", query.node.clone())
            .query("dag", query.dag.clone())
            .query("run", query.run.clone())
            .query("task", query.task.clone())
            .query("map_index", query.map_index)
            .query("attempt", query.attempt)
            .query("since", query.since.map(time))
            .query("until", query.until.map(time))
            .query("search", query.search.clone())
            .query("order", order)
            .query("limit", query.limit)
            .query("cursor", query.cursor.clone());
        self.fetch(call).await
    }

    /// `GET /clusters/{id}/logs/stream`. Reconnects for ever; ends only with an error that no waiting can mend.
    pub fn follow_logs(
        &self,
        cluster: ClusterId,
        query: FollowQuery,
    ) -> impl Stream<Item = Result<LogLine, ClientError>> + Send + use<> {
        let follower = Follower {
            client: self.clone(),
            cluster,
            query,
            last: None,
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
    async fn next(&mut self) -> Result<LogLine, ClientError> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(line);
            }
            match self.connection.take() {
                Some((response, parser)) => self.read(response, parser).await,
                None => self.connect().await?,
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        match self
            .client
            .open(&self.call(), "text/event-stream", self.last.clone())
            .await
        {
            Ok(response) => {
                self.pause = FIRST_PAUSE;
                self.connection = Some((response, SseParser::default()));
                Ok(())
            }
            Err(error) if error.is_transient() => {
                sleep(self.pause).await;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn call(&self) -> Call {
        let query = &self.query;
        let time =
            |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        Call::get(format!("clusters/{}/logs/stream", self.cluster))
            .query("service", query.service.clone())
            .query("node", query.node.clone())
            .query("dag", query.dag.clone())
            .query("run", query.run.clone())
            .query("task", query.task.clone())
            .query("map_index", query.map_index)
            .query("attempt", query.attempt)
            .query("search", query.search.clone())
            .query("since", query.since.map(time))
            .query("tail", query.tail)
    }

    /// Keeps the connection only while it delivers.
    async fn read(&mut self, mut response: Response, mut parser: SseParser) {
        if let Ok(Ok(Some(chunk))) = timeout(SILENCE, response.chunk()).await {
            for event in parser.push(&chunk) {
                self.take(&event);
            }
            self.connection = Some((response, parser));
        } else {
            sleep(self.pause).await;
        }
    }

    fn take(&mut self, event: &SseEvent) {
        if event.id.is_some() {
            self.last.clone_from(&event.id);
        }
        let line = serde_json::from_str(&event.data);
        self.ready.extend(
            line.inspect_err(|error| tracing::debug!(%error, "not a line of ours"))
                .ok(),
        );
    }
}
