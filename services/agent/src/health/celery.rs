//! A Celery worker: its own heartbeats, read where it publishes them.
//!
//! A heartbeat comes from the worker's event loop, the same that takes tasks from the broker, each 2 s and once when
//! the worker is on line. (`celery inspect ping` proves no more and costs 3 CPU seconds.) A broker that can't be
//! reached says nothing about the worker.

use std::time::Duration;

use base64::Engine as _;
use futures::{Stream, StreamExt as _};
use serde::Deserialize;
use updraft_api::agent::HealthCheck;

use super::{Outcome, Subject, amqp, redis};
use crate::process::{ProcessId, Stat};

const RECONNECT: Duration = Duration::from_millis(200);
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Whose heartbeats are listened for, and where.
pub(super) struct Worker<'a> {
    place: Place<'a>,
    password: &'a str,
    hostname: &'a str,
    within: Duration,
    process: ProcessId,
}

enum Place<'a> {
    Redis {
        broker: &'a str,
        channel: &'a str,
    },
    Amqp {
        broker: &'a str,
        user: &'a str,
        exchange: &'a str,
        routing_key: &'a str,
    },
}

#[derive(Debug, Deserialize)]
struct Envelope {
    body: String,
}

#[derive(Debug, Deserialize)]
struct Heartbeat {
    hostname: String,
    pid: i32,
    #[serde(rename = "type", default)]
    kind: String,
}

// === impl Worker ===

impl<'a> Worker<'a> {
    /// None: the service is no worker.
    pub(super) fn of(subject: &'a Subject) -> Option<Self> {
        let (place, hostname, within_s) = match &subject.service.health {
            HealthCheck::CeleryWorker {
                broker,
                channel,
                hostname,
                within_s,
                ..
            } => (Place::Redis { broker, channel }, hostname, within_s),
            HealthCheck::CeleryWorkerAmqp {
                broker,
                user,
                exchange,
                routing_key,
                hostname,
                within_s,
                ..
            } => {
                let place = Place::Amqp {
                    broker,
                    user,
                    exchange,
                    routing_key,
                };
                (place, hostname, within_s)
            }
            HealthCheck::HttpStatus { .. }
            | HealthCheck::HttpJson { .. }
            | HealthCheck::Redis { .. }
            | HealthCheck::Amqp { .. }
            | HealthCheck::MonitorHealth { .. }
            | HealthCheck::Process => return None,
        };
        Some(Self {
            place,
            password: subject.password.as_deref().unwrap_or_default(),
            hostname,
            within: Duration::from_secs((*within_s).max(1).into()),
            process: subject.process,
        })
    }

    pub(super) async fn listen(&self, tell: impl Fn(Outcome)) {
        loop {
            if let Err(reason) = self.subscribe(&tell).await {
                tell(Outcome::Unknown(reason));
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }

    async fn subscribe(&self, tell: &impl Fn(Outcome)) -> Result<(), String> {
        let silent = |_| "the broker does not answer in time".to_owned();
        match &self.place {
            Place::Redis { broker, channel } => {
                let messages = from_redis(broker, self.password, channel);
                let messages = tokio::time::timeout(CONNECT_WITHIN, messages).await;
                self.follow(std::pin::pin!(messages.map_err(silent)??), tell)
                    .await
            }
            Place::Amqp {
                broker,
                user,
                exchange,
                routing_key,
            } => {
                let messages = amqp::subscribe(broker, user, self.password, exchange, routing_key);
                let messages = tokio::time::timeout(CONNECT_WITHIN, messages).await;
                self.follow(std::pin::pin!(messages.map_err(silent)??), tell)
                    .await
            }
        }
    }

    async fn follow(
        &self,
        mut messages: impl Stream<Item = Vec<u8>> + Unpin,
        tell: &impl Fn(Outcome),
    ) -> Result<(), String> {
        let mut heard = tokio::time::Instant::now();
        loop {
            match tokio::time::timeout_at(heard + self.within, messages.next()).await {
                Ok(Some(message)) => {
                    if let Some(beat) = self.read(&message) {
                        heard = tokio::time::Instant::now();
                        tell(if beat.kind == "worker-offline" {
                            Outcome::Unhealthy("it went off line".to_owned())
                        } else {
                            Outcome::Healthy
                        });
                    }
                }
                Ok(None) => return Err("the broker broke off".to_owned()),
                Err(_) => {
                    heard = tokio::time::Instant::now();
                    tell(Outcome::Unhealthy(format!(
                        "no heartbeat for {} s",
                        self.within.as_secs()
                    )));
                }
            }
        }
    }

    /// A heartbeat of this very worker: its name can be taken by another, its process can't.
    fn read(&self, message: &[u8]) -> Option<Heartbeat> {
        let beat: Heartbeat = serde_json::from_slice(message).ok()?;
        let ours = beat.pid == self.process.pid
            || Stat::read(beat.pid).is_some_and(|stat| stat.session == self.process.pid);
        (beat.hostname == self.hostname && ours).then_some(beat)
    }
}

async fn from_redis(
    broker: &str,
    password: &str,
    channel: &str,
) -> Result<impl Stream<Item = Vec<u8>> + use<>, String> {
    let unreachable = |error: ::redis::RedisError| format!("the broker can't be asked: {}", error.category());
    // `worker.heartbeat`, and `worker.online` which comes first.
    let pattern = channel
        .strip_suffix("heartbeat")
        .map_or_else(|| channel.to_owned(), |stem| format!("{stem}*"));
    let client = redis::client(broker, Some(password).filter(|it| !it.is_empty())).map_err(unreachable)?;
    let mut subscription = client.get_async_pubsub().await.map_err(unreachable)?;
    subscription.psubscribe(pattern).await.map_err(unreachable)?;
    let messages = subscription.into_on_message();
    Ok(messages.map(|message| unwrapped(message.get_payload_bytes())))
}

/// What Celery wrote, without what Kombu wraps it in on its way through Redis; nothing, where it is something else.
fn unwrapped(payload: &[u8]) -> Vec<u8> {
    let envelope = serde_json::from_slice::<Envelope>(payload).ok();
    let body = envelope.and_then(|it| base64::engine::general_purpose::STANDARD.decode(it.body).ok());
    body.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine as _;

    use super::{Place, ProcessId, Worker, unwrapped};

    #[test]
    fn only_this_workers_heartbeats_count() {
        let message = |hostname: &str, pid: i32| {
            let body = serde_json::json!({ "hostname": hostname, "pid": pid, "type": "worker-heartbeat" });
            let body = base64::engine::general_purpose::STANDARD.encode(body.to_string());
            let message = serde_json::json!({ "body": body, "content-type": "application/json" });
            unwrapped(message.to_string().as_bytes())
        };
        let worker = Worker {
            place: Place::Redis {
                broker: "",
                channel: "",
            },
            password: "",
            hostname: "worker@a",
            within: Duration::from_secs(1),
            process: ProcessId {
                pid: 4_000_000,
                start_time: 1,
            },
        };
        assert!(worker.read(&message("worker@a", 4_000_000)).is_some());
        assert!(worker.read(&message("worker@b", 4_000_000)).is_none());
        assert!(worker.read(&message("worker@a", 4_000_001)).is_none());
        assert!(worker.read(&unwrapped(b"<html>")).is_none());
    }
}
