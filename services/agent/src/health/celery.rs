//! A Celery worker: its own heartbeats, read where it publishes them.
//!
//! A heartbeat comes from the worker's event loop, the same that takes tasks from the broker, each 2 s and once when
//! the worker is on line. (`celery inspect ping` proves no more and costs 3 CPU seconds.) A broker that can't be
//! reached says nothing about the worker.

use std::time::Duration;

use base64::Engine as _;
use futures::StreamExt as _;
use serde::Deserialize;

use super::{Outcome, redis};
use crate::process::{ProcessId, Stat};

const RECONNECT: Duration = Duration::from_millis(200);
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

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

pub(super) async fn listen(
    broker: &str,
    password: Option<&str>,
    channel: &str,
    hostname: &str,
    within_s: u32,
    process: ProcessId,
    tell: impl Fn(Outcome),
) {
    let within = Duration::from_secs(within_s.max(1).into());
    // `worker.heartbeat`, and `worker.online` which comes first.
    let pattern = channel
        .strip_suffix("heartbeat")
        .map_or_else(|| channel.to_owned(), |stem| format!("{stem}*"));
    loop {
        if let Err(reason) = subscribe(broker, password, &pattern, hostname, within, process, &tell).await {
            tell(Outcome::Unknown(reason));
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn subscribe(
    broker: &str,
    password: Option<&str>,
    pattern: &str,
    hostname: &str,
    within: Duration,
    process: ProcessId,
    tell: &impl Fn(Outcome),
) -> Result<(), String> {
    let unreachable = |error: ::redis::RedisError| format!("the broker can't be asked: {}", error.category());
    let silent = |_| "the broker does not answer in time".to_owned();
    let client = redis::client(broker, password).map_err(unreachable)?;
    let mut subscription = tokio::time::timeout(CONNECT_WITHIN, client.get_async_pubsub())
        .await
        .map_err(silent)?
        .map_err(unreachable)?;
    tokio::time::timeout(CONNECT_WITHIN, subscription.psubscribe(pattern))
        .await
        .map_err(silent)?
        .map_err(unreachable)?;
    let mut messages = subscription.into_on_message();
    let mut heard = tokio::time::Instant::now();
    loop {
        match tokio::time::timeout_at(heard + within, messages.next()).await {
            Ok(Some(message)) => {
                if let Some(beat) = read(message.get_payload_bytes(), hostname, process) {
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
                    within.as_secs()
                )));
            }
        }
    }
}

/// A heartbeat of this very worker: its name can be taken by another, its process can't.
fn read(payload: &[u8], hostname: &str, process: ProcessId) -> Option<Heartbeat> {
    let envelope: Envelope = serde_json::from_slice(payload).ok()?;
    let body = base64::engine::general_purpose::STANDARD
        .decode(envelope.body)
        .ok()?;
    let beat: Heartbeat = serde_json::from_slice(&body).ok()?;
    let ours =
        beat.pid == process.pid || Stat::read(beat.pid).is_some_and(|stat| stat.session == process.pid);
    (beat.hostname == hostname && ours).then_some(beat)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::{ProcessId, read};

    #[test]
    fn only_this_workers_heartbeats_count() {
        let message = |hostname: &str, pid: i32| {
            let body = serde_json::json!({ "hostname": hostname, "pid": pid, "type": "worker-heartbeat" });
            let body = base64::engine::general_purpose::STANDARD.encode(body.to_string());
            serde_json::json!({ "body": body, "content-type": "application/json" }).to_string()
        };
        let worker = ProcessId {
            pid: 4_000_000,
            start_time: 1,
        };
        assert!(read(message("worker@a", 4_000_000).as_bytes(), "worker@a", worker).is_some());
        assert!(read(message("worker@b", 4_000_000).as_bytes(), "worker@a", worker).is_none());
        assert!(read(message("worker@a", 4_000_001).as_bytes(), "worker@a", worker).is_none());
        assert!(read(b"<html>", "worker@a", worker).is_none());
    }
}
