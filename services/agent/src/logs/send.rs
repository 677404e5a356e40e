//! Sending what is due of one file: read, compress, put, up to four segments in a row.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use updraft_api::log_layout::{LogKey, LogSource};

use super::bucket::LogBucket;
use super::look::{Identity, Seen};
use super::put::{Placed, There, place};
use super::segment::{Cut, LONGEST, cut};
use super::stream::{ANCHOR, Standing, anchor};
use crate::error::{Error, Result};
use crate::layout::Layout;

/// A third of the CPU of the usual 6, and a tenth more bytes.
const QUICK: Compression = Compression::new(3);

/// One file's turn.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) source: LogSource,
    pub(crate) standing: Standing,
    pub(crate) path: String,
    pub(crate) file: Option<Arc<File>>,
    /// What the open segment's object holds, if that is still known.
    pub(crate) open: Vec<u8>,
    pub(crate) there: There,
    /// The beginning of a line may go too.
    pub(crate) unfinished: bool,
}

/// How it went. The file stays open for the next turn.
#[derive(Debug)]
pub(crate) struct Turned {
    pub(crate) file: Option<Arc<File>>,
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    /// No whole line yet.
    Nothing,
    /// The bytes before where we stand are others now.
    Truncated,
    /// Nobody can read it any more.
    Gone,
    /// These are in the bucket. With an error when more should have been.
    Sent(Vec<Sent>, Option<Error>),
}

/// One segment's new end.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) cut: Cut,
    pub(crate) anchor: u64,
    pub(crate) gzip: Vec<u8>,
    /// What its object is known by from now on.
    pub(crate) there: There,
}

struct Piece {
    key: LogKey,
    sent: Sent,
}

enum Cutting {
    Pieces(Vec<Piece>),
    Truncated,
}

// === impl Turn ===

impl Turn {
    pub(crate) async fn run(self, layout: Layout, bucket: LogBucket) -> Turned {
        let prepared = tokio::task::spawn_blocking(move || self.prepare(&layout)).await;
        let Ok((file, prepared)) = prepared else {
            return Turned {
                file: None,
                outcome: Outcome::Nothing,
            };
        };
        let outcome = match (prepared, &file) {
            (Ok(Cutting::Pieces(pieces)), Some(file)) => put_all(pieces, &bucket, file).await,
            (Ok(Cutting::Pieces(_)), None) => Outcome::Nothing,
            (Ok(Cutting::Truncated), _) => Outcome::Truncated,
            (Err(error), _) => {
                tracing::debug!(error = error.chain(), "A log can't be read");
                Outcome::Gone
            }
        };
        Turned { file, outcome }
    }

    fn prepare(self, layout: &Layout) -> (Option<Arc<File>>, Result<Cutting>) {
        let opened = match self.file.clone() {
            Some(file) => Ok(file),
            None => open_known(layout, &self.path, self.standing.identity()).map(Arc::new),
        };
        match opened {
            Ok(file) => {
                let path = self.path.clone();
                let cutting = self.cut_all(&file).map_err(Error::file("read", path));
                (Some(file), cutting)
            }
            Err(error) => (None, Err(error)),
        }
    }

    fn cut_all(mut self, file: &File) -> io::Result<Cutting> {
        let (mut segment, mut from) = (self.standing.segment, self.standing.sent);
        let mut base = if self.open.is_empty() { segment } else { from };
        let data = read(file, base, LONGEST)?;
        // After reading: what was read before a truncation can't have been read after it.
        if !is_anchored(file, &self.standing)? {
            return Ok(Cutting::Truncated);
        }
        let at = |place: u64, base: u64| usize::try_from(place - base).unwrap_or(usize::MAX);
        let start = base;
        let mut pieces = Vec::new();
        while let Some(cut) = data
            .get(at(from, start)..)
            .and_then(|rest| cut(segment, from, rest, self.unfinished))
        {
            let mut gzip = std::mem::take(&mut self.open);
            compress(&data[at(base, start)..at(cut.end, start)], QUICK, &mut gzip)?;
            pieces.push(Piece {
                key: self.key(segment),
                sent: Sent {
                    cut,
                    anchor: anchor_at(file, cut.end)?,
                    gzip,
                    there: std::mem::take(&mut self.there),
                },
            });
            if !cut.closes {
                break;
            }
            (segment, from, base) = (cut.end, cut.end, cut.end);
        }
        Ok(Cutting::Pieces(pieces))
    }

    fn key(&self, offset: u64) -> LogKey {
        LogKey {
            source: self.source.clone(),
            file: self.standing.file.clone(),
            offset,
        }
    }
}

/// One after the other: a reader must never see a later one before an earlier.
async fn put_all(pieces: Vec<Piece>, bucket: &LogBucket, file: &Arc<File>) -> Outcome {
    if pieces.is_empty() {
        return Outcome::Nothing;
    }
    let mut all = Vec::new();
    for Piece { key, mut sent } in pieces {
        let there = std::mem::take(&mut sent.there);
        match place(bucket, &key, (&sent.gzip, sent.cut.end), there, file).await {
            Ok(Placed::Done(there)) => all.push(Sent { there, ..sent }),
            // What was sent before it is looked at again at the next turn.
            Ok(Placed::Emptied) if all.is_empty() => return Outcome::Truncated,
            Ok(Placed::Emptied) => break,
            Err(error) => return Outcome::Sent(all, Some(error)),
        }
    }
    Outcome::Sent(all, None)
}

/// Opens the file, if it is still the one that is meant.
pub(crate) fn open_known(layout: &Layout, path: &str, identity: Identity) -> Result<File> {
    let file = layout.place().open_file(path, rustix::fs::OFlags::RDONLY)?;
    let found = Seen::of(&file, "", path.to_owned()).map(|seen| seen.identity);
    if found == Some(identity) {
        Ok(file)
    } else {
        Err(Error::Logs(format!("`{path}` is another file now")))
    }
}

/// Up to so many bytes from a place on.
pub(crate) fn read(file: &File, from: u64, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len().saturating_sub(from).min(most);
    let mut data = vec![0; usize::try_from(length).unwrap_or(0)];
    let mut filled = 0;
    while filled < data.len() {
        match file.read_at(&mut data[filled..], from + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    data.truncate(filled);
    Ok(data)
}

/// What tells that a file is still the one that was read up to there.
pub(crate) fn anchor_at(file: &File, place: u64) -> io::Result<u64> {
    let from = place.saturating_sub(ANCHOR);
    Ok(anchor(&read(file, from, place - from)?))
}

fn is_anchored(file: &File, standing: &Standing) -> io::Result<bool> {
    Ok(standing.sent == 0 || anchor_at(file, standing.sent)? == standing.anchor)
}

/// Adds one gzip member.
pub(crate) fn compress(data: &[u8], level: Compression, into: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = GzEncoder::new(into, level);
    encoder.write_all(data)?;
    encoder.finish().map(|_| ())
}
