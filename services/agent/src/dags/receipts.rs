//! What Airflow's dag-processor has recorded of versions: notes that our part of it writes, untrusted like everything that
//! runs as the services' user.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use rustix::fs::OFlags;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::sleep;
use updraft_api::agent::{ImportError, ParsedVersion};

use super::DagEvent;
use super::digest::Digest;
use crate::layout::Layout;

const PARSED: &str = "dags/notes/parsed.json";
const IN_USE: &str = "dags/notes/in-use.json";
const LOOK: Duration = Duration::from_millis(200);
const LONGEST: u64 = 4 << 20;
const MOST_ERRORS: usize = 50;
const LONGEST_MESSAGE: usize = 2000;
/// The dag-processor writes each 10 s.
const FRESH: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct InUse {
    versions: Vec<String>,
}

/// Tells each new receipt.
pub(super) async fn watch(layout: &Layout, events: &mpsc::Sender<DagEvent>) {
    let mut seen = None;
    loop {
        let now = std::fs::symlink_metadata(layout.path(PARSED)).ok();
        let now = now.map(|meta| (meta.ino(), meta.mtime(), meta.mtime_nsec()));
        if now != seen {
            seen = now;
            if let Some(parsed) = read::<ParsedVersion>(layout, PARSED).and_then(bounded) {
                let _ = events.send(DagEvent::Parsed(parsed)).await;
            }
        }
        sleep(LOOK).await;
    }
}

/// The versions of unfinished runs; none when that is not known now.
pub(super) fn in_use(layout: &Layout) -> Option<BTreeSet<Digest>> {
    let meta = std::fs::symlink_metadata(layout.path(IN_USE)).ok()?;
    let age = meta.modified().ok()?.elapsed().unwrap_or_default();
    let note: InUse = read(layout, IN_USE).filter(|_| age < FRESH)?;
    // One that can't be read may be one in use.
    note.versions.iter().map(|text| text.parse().ok()).collect()
}

fn read<T: DeserializeOwned>(layout: &Layout, path: &str) -> Option<T> {
    let file = layout.place().open_file(path, OFlags::RDONLY).ok()?;
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    let parsed = serde_json::from_slice(&bytes);
    parsed
        .inspect_err(|error| tracing::warn!(%error, path, "The dag-processor's note can't be read"))
        .ok()
}

/// What is too much is cut, what is no version is nothing.
fn bounded(parsed: ParsedVersion) -> Option<ParsedVersion> {
    parsed.digest.parse::<Digest>().ok()?;
    let cut = |error: ImportError| ImportError {
        file: error.file.chars().take(1024).collect(),
        line: error.line,
        message: last(&error.message, LONGEST_MESSAGE),
    };
    Some(ParsedVersion {
        import_errors: parsed
            .import_errors
            .into_iter()
            .take(MOST_ERRORS)
            .map(cut)
            .collect(),
        ..parsed
    })
}

fn last(text: &str, most: usize) -> String {
    let skip = text.chars().count().saturating_sub(most);
    text.chars().skip(skip).collect()
}
