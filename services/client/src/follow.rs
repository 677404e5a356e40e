//! A stream of server-sent events that goes on where it broke off: reconnects for ever, each time with the last id it saw, and
//! ends only with an error that no waiting can mend.

use std::collections::VecDeque;
use std::time::Duration;

use futures::{Stream, stream};
use reqwest::Response;
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use crate::call::Call;
use crate::sse::{SseEvent, SseParser};
use crate::{Client, ClientError};

/// Five of the server's heartbeats: a silent stream is a dead one.
const SILENCE: Duration = Duration::from_secs(75);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

struct Follower<T> {
    client: Client,
    call: Call,
    last: Option<String>,
    connection: Option<(Response, SseParser)>,
    ready: VecDeque<T>,
    pause: Duration,
    over: bool,
}

// === impl Client ===

impl Client {
    /// What comes after the event with the id `last`. What is no `T` of this version is passed over.
    pub(crate) fn follow<T: DeserializeOwned + Send + 'static>(
        &self,
        call: Call,
        last: Option<String>,
    ) -> impl Stream<Item = Result<T, ClientError>> + Send + use<T> {
        let follower = Follower {
            client: self.clone(),
            call,
            last,
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

impl<T: DeserializeOwned> Follower<T> {
    async fn next(&mut self) -> Result<T, ClientError> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                return Ok(next);
            }
            match self.connection.take() {
                Some((response, parser)) => self.read(response, parser).await,
                None => self.connect().await?,
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        let opened = self
            .client
            .open(&self.call, "text/event-stream", self.last.clone());
        match opened.await {
            Ok(response) => {
                self.pause = FIRST_PAUSE;
                self.connection = Some((response, SseParser::default()));
                Ok(())
            }
            Err(error) if error.is_transient() => {
                tracing::debug!(
                    path = self.call.path,
                    pause_ms = self.pause.as_millis(),
                    "a stream is away; trying again"
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
            for event in parser.push(&chunk) {
                self.take(event);
            }
            self.connection = Some((response, parser));
        } else {
            sleep(self.pause).await;
        }
    }

    fn take(&mut self, event: SseEvent) {
        let parsed = serde_json::from_str(&event.data);
        let parsed = parsed.inspect_err(|error| tracing::debug!(%error, "nothing that this version knows"));
        self.ready.extend(parsed.ok());
        if event.id.is_some() {
            self.last = event.id;
        }
    }
}
