//! A queue that gets the bucket's event notifications: the source is looked at as soon as one concerns it.
//!
//! A message is deleted only when it is about this bucket and prefix (or is S3's test message for the bucket): a queue may
//! serve others too.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, header};
use object_store::aws::AwsAuthorizer;
use object_store::client::{HttpRequest, HttpRequestBody};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::sleep;
use updraft_api::agent::SourceFrom;
use url::Url;

use super::Ground;
use super::judged::Judged;
use super::keys::Keys;
use crate::error::{Error, Result};

/// How long a request waits for a message, in seconds: SQS's longest.
const WAIT: u8 = 20;
const WITHIN: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(15);
/// Of one answer, in bytes: ten messages of 256 KiB at most, and their envelope.
const LONGEST: usize = 4 << 20;

/// Listens until it is dropped.
#[derive(Debug)]
pub(super) struct Listening(AbortHandle);

struct Queue {
    client: Judged,
    url: Url,
    region: String,
    keys: Keys,
    bucket: String,
    prefix: String,
}

#[derive(Deserialize)]
struct Received {
    #[serde(default, rename = "Messages")]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    body: String,
    receipt_handle: String,
}

// === impl Listening ===

impl Listening {
    /// None when the source has no queue, or one that can't be asked: then it is polled.
    pub(super) fn begin(
        from: &SourceFrom,
        keys: Option<&Keys>,
        ground: &Ground,
        woken: &Arc<Notify>,
    ) -> Option<Self> {
        let queue = Queue::new(from, keys?, ground)?;
        let woken = Arc::clone(woken);
        let listening = tokio::spawn(async move {
            loop {
                match queue.receive().await {
                    Ok(true) => woken.notify_one(),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(
                            error = error.chain(),
                            "The source's queue can't be asked; it is polled"
                        );
                        // What was missed meanwhile.
                        woken.notify_one();
                        sleep(AGAIN).await;
                    }
                }
            }
        });
        Some(Self(listening.abort_handle()))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// === impl Queue ===

impl Queue {
    fn new(from: &SourceFrom, keys: &Keys, ground: &Ground) -> Option<Self> {
        let SourceFrom::S3 {
            region,
            bucket,
            prefix,
            queue_url: Some(queue_url),
            ..
        } = from
        else {
            return None;
        };
        let url = Url::parse(queue_url).ok()?;
        let client = Judged::new(&ground.outbound, &url, WITHIN);
        let client = client.inspect_err(|error| {
            tracing::warn!(
                error = error.chain(),
                "The source's queue is not asked; it is polled"
            );
        });
        Some(Self {
            client: client.ok()?,
            url,
            region: region.clone(),
            keys: keys.clone(),
            bucket: bucket.clone(),
            prefix: prefix.clone(),
        })
    }

    /// Waits for messages; whether one concerns the source.
    async fn receive(&self) -> Result<bool> {
        let asked =
            json!({"QueueUrl": self.url.as_str(), "MaxNumberOfMessages": 10, "WaitTimeSeconds": WAIT});
        let answer = self.ask("ReceiveMessage", &asked).await?;
        let received: Received = serde_json::from_slice(&answer)
            .map_err(|_| Error::Dags("the queue's answer is none of SQS".to_owned()))?;
        let mut concerned = false;
        for message in received.messages {
            if concerns(&message.body, &self.bucket, &self.prefix) {
                concerned = true;
                let asked = json!({"QueueUrl": self.url.as_str(), "ReceiptHandle": message.receipt_handle});
                self.ask("DeleteMessage", &asked).await?;
            }
        }
        Ok(concerned)
    }

    /// SQS's JSON protocol, signed.
    async fn ask(&self, action: &'static str, body: &Value) -> Result<Vec<u8>> {
        let failed = |what: &str| Error::Dags(format!("the source's queue {what}"));
        let mut root = self.url.clone();
        root.set_path("/");
        let request: Request<HttpRequestBody> = Request::post(root.as_str())
            .header(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/x-amz-json-1.0"),
            )
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .body(body.to_string().into())
            .map_err(|_| failed("has no address"))?;
        let mut request: HttpRequest = request;
        AwsAuthorizer::new(&self.keys.now(), "sqs", &self.region)
            .try_authorize(&mut request, None)
            .map_err(|_| failed("can't be asked: the request can't be signed"))?;
        let answer = self.client.store_client().execute(request).await;
        let answer = answer.map_err(|_| failed("can't be reached"))?;
        if !answer.status().is_success() {
            return Err(failed(&format!("answered {}", answer.status().as_u16())));
        }
        let body = http_body_util::Limited::new(answer.into_body(), LONGEST);
        let whole = http_body_util::BodyExt::collect(body).await;
        let whole = whole.map_err(|_| failed("broke its answer off"))?;
        Ok(whole.to_bytes().to_vec())
    }
}

/// Whether a notification (S3's own, or wrapped by SNS) is about an object of the source. Pure.
fn concerns(body: &str, bucket: &str, prefix: &str) -> bool {
    let Ok(told) = serde_json::from_str::<Value>(body) else {
        return false;
    };
    if let Some(inner) = told.get("Message").and_then(Value::as_str) {
        return concerns(inner, bucket, prefix);
    }
    if told.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
        return told.get("Bucket").and_then(Value::as_str) == Some(bucket);
    }
    let records = told.get("Records").and_then(Value::as_array);
    records.into_iter().flatten().any(|record| {
        let at = |pointer: &str| {
            record
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        at("/s3/bucket/name") == bucket && decoded(at("/s3/object/key")).starts_with(prefix)
    })
}

/// Keys are URL-encoded in notifications, spaces as `+`.
fn decoded(key: &str) -> String {
    let pair = format!("k={}", key.replace('&', "%26").replace('=', "%3D"));
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    pairs.next().map(|(_, key)| key.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::concerns;

    #[test]
    fn only_what_is_about_the_prefix_concerns_the_source() {
        let record = |bucket: &str, key: &str| {
            json!({"Records": [{"s3": {"bucket": {"name": bucket}, "object": {"key": key}}}]}).to_string()
        };
        assert!(concerns(&record("b", "dags/a.py"), "b", "dags/"));
        assert!(concerns(&record("b", "my+dags/a%26b.py"), "b", "my dags/a&"));
        assert!(!concerns(&record("b", "logs/a.py"), "b", "dags/"));
        assert!(!concerns(&record("other", "dags/a.py"), "b", "dags/"));
        let wrapped = json!({"Type": "Notification", "Message": record("b", "dags/a.py")}).to_string();
        assert!(concerns(&wrapped, "b", "dags/"));
        let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}).to_string();
        assert!(concerns(&test, "b", "dags/") && !concerns(&test, "c", "dags/"));
        for foreign in ["", "[]", "{}", "not json", r#"{"Records": 7}"#] {
            assert!(!concerns(foreign, "b", "dags/"), "{foreign}");
        }
    }
}
