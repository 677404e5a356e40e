//! What nodes say of DAG versions, written down: how far each version came, and when.
//!
//! A node is believed about itself. What a version is made of, and what Airflow read in it, is believed of the cluster's
//! scheduler node alone: workers run everybody's code.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use updraft_api::agent::{DagReport, KEPT_VERSIONS, ParsedVersion, PublishedVersion, SourceRevision};
use updraft_api::dags::short;
use updraft_model::{ClusterId, NodeRole, TenantId};
use updraft_store::dag_versions::{self, NewVersion, Reading};
use updraft_store::events::{self, EventSeverity, NewEvent};
use updraft_store::{PgConnection, StoreError};

/// A node's clock may be off by this much; later is now.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(60);

/// The part of a report that is about DAGs, bounded already.
pub(super) struct DagWords<'a> {
    pub(super) live: Option<&'a str>,
    pub(super) said: &'a DagReport,
}

/// Whose words they are.
struct Speaker {
    tenant: TenantId,
    cluster: ClusterId,
    now: DateTime<Utc>,
}

/// Writes down what is new in them.
pub(super) async fn keep(
    tx: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    label: &str,
    words: DagWords<'_>,
) -> Result<(), StoreError> {
    let speaker = Speaker {
        tenant,
        cluster,
        now: Utc::now(),
    };
    if let (Some(digest), Some(since)) = (
        words.live.filter(|digest| is_digest(digest)),
        words.said.live_since,
    ) {
        dag_versions::arrive(tx, cluster, digest, label, speaker.past(since)).await?;
    }
    if !is_scheduler(label) {
        return Ok(());
    }
    if let Some(version) = words
        .said
        .published
        .as_ref()
        .filter(|version| is_digest(&version.digest))
    {
        publish(tx, &speaker, version).await?;
    }
    if let Some(version) = words
        .said
        .parsed
        .as_ref()
        .filter(|version| is_digest(&version.digest))
    {
        read(tx, &speaker, version).await?;
    }
    Ok(())
}

async fn publish(
    tx: &mut PgConnection,
    speaker: &Speaker,
    version: &PublishedVersion,
) -> Result<(), StoreError> {
    let new = NewVersion {
        digest: &version.digest,
        published_at: speaker.past(version.at),
        files: i64::try_from(version.files).unwrap_or(i64::MAX),
        bytes: i64::try_from(version.bytes).unwrap_or(i64::MAX),
        sources: json!(version.sources),
    };
    if !dag_versions::publish(tx, speaker.cluster, &new).await? {
        return Ok(());
    }
    let kept = i64::try_from(KEPT_VERSIONS).unwrap_or(i64::MAX);
    dag_versions::tidy(tx, speaker.cluster, kept).await?;
    let mut message = format!("DAG version {}", short(&version.digest));
    for (number, revision) in version.sources.iter().enumerate() {
        message.push_str(if number == 0 { " of " } else { ", " });
        message.push_str(&named(revision));
    }
    speaker
        .tell(tx, "dag_version_published", EventSeverity::Info, &message)
        .await
}

async fn read(tx: &mut PgConnection, speaker: &Speaker, version: &ParsedVersion) -> Result<(), StoreError> {
    let reading = Reading {
        digest: &version.digest,
        at: speaker.past(version.at),
        dags: i32::try_from(version.dags).unwrap_or(i32::MAX),
        import_errors: json!(version.import_errors),
    };
    if !dag_versions::read(tx, speaker.cluster, &reading).await? {
        return Ok(());
    }
    let digest = short(&version.digest);
    match version.import_errors.first() {
        None => {
            let message = format!("Airflow read DAG version {digest}: {} DAGs", version.dags);
            speaker
                .tell(tx, "dag_version_parsed", EventSeverity::Info, &message)
                .await
        }
        Some(first) => {
            let mut message = format!(
                "Airflow read DAG version {digest}: {} DAGs, {} files cannot be imported, first {}",
                version.dags,
                version.import_errors.len(),
                first.file,
            );
            if let Some(line) = first.line {
                // Writing to a string cannot fail.
                let _ = write!(message, ":{line}");
            }
            speaker
                .tell(tx, "dag_import_errors", EventSeverity::Warning, &message)
                .await
        }
    }
}

/// `team_a: 3f9ac27bd0e1 by Ada`
fn named(revision: &SourceRevision) -> String {
    let mut text = match revision.folder.as_str() {
        "" => String::new(),
        folder => format!("{folder}: "),
    };
    text.push_str(&short(&revision.revision));
    if let Some(author) = &revision.author {
        text.push_str(" by ");
        text.push_str(author);
    }
    text
}

fn is_scheduler(label: &str) -> bool {
    label
        .strip_prefix(NodeRole::Scheduler.as_str())
        .is_some_and(|rest| rest.starts_with('-'))
}

/// SHA-256 in lower-case hex: it becomes part of keys and of what people type.
fn is_digest(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

// === impl Speaker ===

impl Speaker {
    /// Nobody has seen what is to come. Rounded as the database keeps it, so that the same word is the same again.
    fn past(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        let at = if at > self.now + CLOCKS_DIFFER {
            self.now
        } else {
            at
        };
        DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(self.now)
    }

    async fn tell(
        &self,
        tx: &mut PgConnection,
        kind: &str,
        severity: EventSeverity,
        message: &str,
    ) -> Result<(), StoreError> {
        let event = NewEvent {
            tenant: self.tenant,
            cluster: Some(self.cluster),
            node: None,
            service: None,
            kind,
            severity,
            message,
        };
        events::append(tx, &event).await
    }
}
