//! Processes that write their heartbeat to the metadata database: a web node tells of them.
//!
//! Airflow tells of the latest process of a kind, which may be an earlier one: only a heartbeat later than this
//! process's start counts. When no web node answers, nothing is known; that is not the service's fault.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{Outcome, http};

/// Clocks of two nodes may differ a little.
const SLACK: TimeDelta = TimeDelta::seconds(1);

pub(super) async fn check(
    client: &reqwest::Client,
    url: &str,
    component: &str,
    heartbeat: &str,
    started_at: DateTime<Utc>,
) -> Outcome {
    match http::fetch(client, url).await {
        Ok(document) => judge(&document, component, heartbeat, started_at),
        Err(Outcome::Healthy) => Outcome::Unknown(format!("{url} answers nothing")),
        Err(Outcome::Unhealthy(reason) | Outcome::Unknown(reason)) => {
            Outcome::Unknown(format!("its heartbeat can't be asked for: {reason}"))
        }
    }
}

fn judge(document: &Value, component: &str, heartbeat: &str, started_at: DateTime<Utc>) -> Outcome {
    let Some(entry) = document.get(component) else {
        return Outcome::Unknown(format!("Airflow says nothing of {component}"));
    };
    let beat = entry
        .get(heartbeat)
        .and_then(Value::as_str)
        .and_then(|text| text.parse::<DateTime<Utc>>().ok());
    match (entry.get("status").and_then(Value::as_str), beat) {
        (Some("healthy"), Some(beat)) if beat + SLACK >= started_at => Outcome::Healthy,
        (Some("healthy"), _) => Outcome::Unhealthy("no heartbeat since it was started".to_owned()),
        (Some(status), _) => Outcome::Unhealthy(format!("Airflow calls it {status}")),
        (None, _) => Outcome::Unhealthy("no heartbeat yet".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Utc, judge};

    #[test]
    fn an_earlier_process_heartbeat_does_not_count() {
        let started = "2026-11-21T10:00:00Z".parse::<chrono::DateTime<Utc>>().unwrap();
        let told = |status: &str, beat: &str| {
            let document = serde_json::json!({ "triggerer": { "status": status, "beat": beat } });
            judge(&document, "triggerer", "beat", started)
        };
        assert_eq!(told("healthy", "2026-11-21T10:00:00.2+00:00"), Outcome::Healthy);
        assert!(matches!(
            told("healthy", "2026-11-21T09:59:50+00:00"),
            Outcome::Unhealthy(_)
        ));
        assert!(matches!(
            told("unhealthy", "2026-11-21T10:00:10+00:00"),
            Outcome::Unhealthy(_)
        ));
        assert!(matches!(
            judge(&serde_json::json!({}), "triggerer", "beat", started),
            Outcome::Unknown(_)
        ));
    }
}
