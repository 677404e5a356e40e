//! One object: fetched, unpacked, cut into lines.

use std::io::Read as _;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use flate2::read::MultiGzDecoder;
use object_store::{GetOptions, ObjectStore};
use updraft_api::logs::LogLevel;

use crate::cursor::Stand;
use crate::line;
use crate::shelf::{SKEW, Shelf};
use crate::{LogsError, Result};

/// Agents pack up to 32 MiB; what unpacks to more is not theirs, and is read so far.
const MOST_UNPACKED: u64 = 40 << 20;
/// Of an object's beginning, to learn when it was written.
const BEGINNING: u64 = 64 << 10;

/// A line, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) stand: Stand,
    pub(crate) level: Option<LogLevel>,
    pub(crate) text: String,
    pub(crate) cut: bool,
}

/// What an object holds for its part of the file.
#[derive(Debug, Default)]
pub(crate) struct Stretch {
    pub(crate) lines: Vec<Line>,
    /// Bytes that were unpacked.
    pub(crate) unpacked: u64,
    /// Place after the last whole line.
    pub(crate) whole_to: u64,
}

/// The lines of one object that lie at or beyond `from`. None: it is gone, packed with others.
pub(crate) async fn read(
    store: &dyn ObjectStore,
    shelf: &Shelf,
    object: usize,
    from: u64,
) -> Result<Option<Stretch>> {
    let Some(bytes) = fetch(store, shelf, object, None).await? else {
        return Ok(None);
    };
    let shelf = shelf.clone();
    let stretch = tokio::task::spawn_blocking(move || cut(&shelf, object, from, &bytes));
    stretch.await.map(Some).map_err(|_| LogsError::Interrupted)
}

/// When the first line was written that says so.
pub(crate) async fn first_time(
    store: &dyn ObjectStore,
    shelf: &Shelf,
    object: usize,
) -> Result<Option<DateTime<Utc>>> {
    let Some(bytes) = fetch(store, shelf, object, Some(BEGINNING)).await? else {
        return Ok(None);
    };
    let text = unpack(&bytes, BEGINNING * 8);
    let latest = shelf.objects.get(object).map(|object| object.modified);
    Ok(text
        .split(|byte| *byte == b'\n')
        .find_map(|raw| believed(line::parse(raw).at, shelf, latest)))
}

async fn fetch(
    store: &dyn ObjectStore,
    shelf: &Shelf,
    object: usize,
    first: Option<u64>,
) -> Result<Option<Vec<u8>>> {
    let Some(object) = shelf.objects.get(object) else {
        return Ok(None);
    };
    let range = first
        .filter(|first| *first < object.size)
        .map(|first| (0..first).into());
    let options = GetOptions {
        range,
        ..GetOptions::default()
    };
    let got = match store.get_opts(&object.location, options).await {
        Ok(got) => got,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Packed objects of agents are small; a larger one is not theirs.
    if got.meta.size > MOST_UNPACKED {
        return Ok(Some(Vec::new()));
    }
    Ok(Some(got.bytes().await?.to_vec()))
}

/// As much as can be unpacked: an object that is damaged ends where it is.
fn unpack(bytes: &[u8], most: u64) -> Vec<u8> {
    let mut text = Vec::new();
    // What was unpacked before an error stays in `text`.
    let _ = MultiGzDecoder::new(bytes).take(most).read_to_end(&mut text);
    text
}

fn cut(shelf: &Shelf, object: usize, from: u64, bytes: &[u8]) -> Stretch {
    let Some(meta) = shelf.objects.get(object) else {
        return Stretch::default();
    };
    let text = unpack(bytes, MOST_UNPACKED);
    let end = shelf.end_of(object).unwrap_or(u64::MAX);
    let mut stretch = Stretch {
        unpacked: text.len() as u64,
        whole_to: meta.offset.max(from),
        ..Stretch::default()
    };
    let mut at = meta.offset;
    for raw in text.split_inclusive(|byte| *byte == b'\n') {
        let place = at;
        at += raw.len() as u64;
        if place >= end {
            break;
        }
        let whole = raw.strip_suffix(b"\n");
        if whole.is_some() {
            stretch.whole_to = stretch.whole_to.max(at);
        }
        stretch
            .lines
            .push(said(shelf, meta.modified, place, whole.unwrap_or(raw)));
    }
    give_times(&mut stretch.lines, shelf, meta.modified);
    stretch.lines.retain(|line| line.stand.offset >= from);
    stretch
}

/// A line whose time may still be unknown: then it is the earliest there is.
fn said(shelf: &Shelf, modified: DateTime<Utc>, offset: u64, raw: &[u8]) -> Line {
    let said = line::parse(raw);
    Line {
        stand: Stand {
            at: believed(said.at, shelf, Some(modified)).unwrap_or(DateTime::<Utc>::MIN_UTC),
            file: Arc::clone(&shelf.name),
            offset,
        },
        level: said.level,
        text: said.text,
        cut: said.cut,
    }
}

/// A time that the line can have been written at; what a line prints need not be one.
fn believed(
    at: Option<DateTime<Utc>>,
    shelf: &Shelf,
    modified: Option<DateTime<Utc>>,
) -> Option<DateTime<Utc>> {
    let latest = modified.map(|modified| modified + SKEW);
    at.filter(|at| *at >= shelf.file.born - SKEW * 60 && latest.is_none_or(|latest| *at <= latest))
        // As precise as cursors are.
        .and_then(|at| DateTime::from_timestamp_micros(at.timestamp_micros()))
}

/// Times never go back within a file, and a line without one has its predecessor's; those before the first that says its
/// time have that one's.
fn give_times(lines: &mut [Line], shelf: &Shelf, modified: DateTime<Utc>) {
    let known = lines
        .iter()
        .map(|line| line.stand.at)
        .find(|at| *at != DateTime::<Utc>::MIN_UTC);
    let from_the_start = lines.first().is_some_and(|line| line.stand.offset == 0);
    let mut latest = match known {
        Some(known) => known,
        None if from_the_start => shelf.file.born,
        None => modified,
    };
    for line in lines {
        latest = latest.max(line.stand.at);
        line.stand.at = latest;
    }
}
