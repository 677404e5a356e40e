//! One file on its way into the bucket: where it stands, and what is due. It decides, and does nothing: time comes in.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use updraft_api::log_layout::{LogFile, LogSource};

use super::look::Identity;
use super::pack::Packed;
use super::put::There;
use super::segment::SEGMENT;
use super::send::{Sent, Turn};

/// A line without an end is sent after this long.
const UNFINISHED: Duration = Duration::from_secs(4);
/// How many moments of growth are remembered apart.
const MARKS: usize = 64;
/// Bytes before a place that tell whether the file is still the one that was read.
pub(crate) const ANCHOR: u64 = 64;

/// What must be known after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) source: String,
    pub(crate) file: LogFile,
    pub(crate) inode: u64,
    pub(crate) born: i64,
    /// Counts truncations.
    pub(crate) epoch: u32,
    /// Where the segment begins that is being filled.
    pub(crate) segment: u64,
    /// All below this place is in the bucket, or was given up.
    pub(crate) sent: u64,
    /// Digest of the bytes before that place.
    pub(crate) anchor: u64,
    /// Something was given up: its objects have gaps.
    pub(crate) gaps: bool,
    /// Ended, and in as few objects as can be, up to this length.
    pub(crate) packed: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) source: LogSource,
    pub(crate) standing: Standing,
    pub(crate) path: String,
    /// Open while it grows.
    pub(crate) file: Option<Arc<File>>,
    pub(crate) length: u64,
    pub(crate) taken: u64,
    pub(crate) modified: i64,
    /// When it grew to which length: of what is not sent.
    marks: VecDeque<(u64, Instant)>,
    /// The segment's objects so far, compressed; empty when it must be made anew.
    pub(crate) open: Vec<u8>,
    /// What is known of that segment's object.
    there: There,
    /// Failures in a row, and when to try again.
    pub(crate) failures: u32,
    pub(crate) not_before: Option<Instant>,
    /// Being sent or packed.
    pub(crate) busy: bool,
    /// Not found at so many looks in a row.
    pub(crate) missed: u32,
}

// === impl Standing ===

impl Standing {
    pub(crate) fn new(source: &LogSource, node: &str, identity: Identity, now: DateTime<Utc>) -> Self {
        let born = if identity.born == 0 {
            now
        } else {
            DateTime::from_timestamp_nanos(identity.born)
        };
        Self {
            source: source.to_string(),
            file: LogFile {
                born: to_the_millisecond(born),
                mark: mark(identity, 0),
                node: node.to_owned(),
            },
            inode: identity.inode,
            born: identity.born,
            epoch: 0,
            segment: 0,
            sent: 0,
            anchor: 0,
            gaps: false,
            packed: None,
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity {
            inode: self.inode,
            born: self.born,
        }
    }

    /// The file was emptied and begins anew: for readers it is another.
    pub(crate) fn truncated(&mut self, now: DateTime<Utc>) {
        self.epoch += 1;
        self.file.mark = mark(self.identity(), self.epoch);
        self.file.born = to_the_millisecond(now);
        (self.segment, self.sent, self.anchor) = (0, 0, 0);
        (self.gaps, self.packed) = (false, None);
    }
}

/// Of the open segment's object, by an agent that has just begun.
fn expected(standing: &Standing) -> There {
    if standing.sent > standing.segment {
        There::Something
    } else {
        There::Nothing
    }
}

fn to_the_millisecond(time: DateTime<Utc>) -> DateTime<Utc> {
    time - TimeDelta::nanoseconds(i64::from(time.timestamp_subsec_nanos() % 1_000_000))
}

fn mark(identity: Identity, epoch: u32) -> u32 {
    let mut hash = Sha256::new();
    hash.update(identity.inode.to_be_bytes());
    hash.update(identity.born.to_be_bytes());
    hash.update(epoch.to_be_bytes());
    let digest = hash.finalize();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// What tells the bytes before a place from others.
pub(crate) fn anchor(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest[..8]
        .iter()
        .fold(0, |all, byte| all << 8 | u64::from(*byte))
}

// === impl Stream ===

impl Stream {
    pub(crate) fn new(source: LogSource, standing: Standing, path: String) -> Self {
        let there = expected(&standing);
        Self {
            source,
            standing,
            path,
            there,
            file: None,
            length: 0,
            taken: 0,
            modified: 0,
            marks: VecDeque::new(),
            open: Vec::new(),
            failures: 0,
            not_before: None,
            busy: false,
            missed: 0,
        }
    }

    /// It has this length now. Returns whether it grew.
    pub(crate) fn grown_to(&mut self, length: u64, now: Instant) -> bool {
        let grew = length > self.length.max(self.standing.sent);
        if length < self.length {
            self.marks.clear();
        }
        self.length = length;
        if grew {
            if self.marks.len() >= MARKS {
                // The newest two become one, with the older's time: lag is never told too small.
                if let Some(newest) = self.marks.back_mut() {
                    newest.0 = length;
                }
            } else {
                self.marks.push_back((length, now));
            }
        }
        grew
    }

    pub(crate) fn truncated(&mut self, now: DateTime<Utc>) {
        self.standing.truncated(now);
        self.marks.clear();
        self.begin_segment();
        self.length = 0;
    }

    fn begin_segment(&mut self) {
        self.open = Vec::new();
        self.there = There::Nothing;
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.length.saturating_sub(self.standing.sent)
    }

    /// Since when its oldest unsent byte was seen.
    pub(crate) fn behind(&self, now: Instant) -> Duration {
        match self.marks.front() {
            Some((_, at)) if self.waiting() > 0 => now.saturating_duration_since(*at),
            _ => Duration::ZERO,
        }
    }

    /// Nothing is under way with it, and it need not wait after a failure.
    pub(crate) fn can_begin(&self, now: Instant) -> bool {
        !self.busy && self.not_before.is_none_or(|at| now >= at)
    }

    /// Whether something could be sent now.
    pub(crate) fn can_go(&self, now: Instant) -> bool {
        self.waiting() > 0 && self.can_begin(now)
    }

    /// Whether something should be sent now. Requests cost money: the more files grow at once, the longer each may wait.
    pub(crate) fn is_due(&self, now: Instant, growing: usize) -> bool {
        let full = self.length >= self.standing.segment + SEGMENT;
        self.can_go(now) && (full || self.behind(now) >= self.linger(growing))
    }

    fn linger(&self, growing: usize) -> Duration {
        let share = Duration::from_millis(250) * u32::try_from(growing).unwrap_or(u32::MAX).min(1_000);
        let (least, most) = match self.source {
            LogSource::Attempt(_) => (1, 4),
            LogSource::Service(_) => (3, 4),
            // One per DAG file, written at each parse: requests would cost more than anybody reads.
            LogSource::File(_) => (4, 30),
        };
        share.clamp(Duration::from_secs(least), Duration::from_secs(most))
    }

    /// Takes it on: busy until that is over.
    pub(crate) fn turn(&mut self, unfinished: bool) -> Turn {
        self.busy = true;
        Turn {
            source: self.source.clone(),
            standing: self.standing.clone(),
            path: self.path.clone(),
            file: self.file.clone(),
            open: self.open.clone(),
            there: self.there.clone(),
            unfinished,
        }
    }

    pub(crate) fn put_off(&mut self, until: Instant) {
        self.not_before = Some(until);
    }

    /// An attempt's file is needed whole until it is packed.
    pub(crate) fn is_to_be_packed(&self) -> bool {
        matches!(self.source, LogSource::Attempt(_)) && !self.standing.gaps && !self.is_packed()
    }

    /// Whether even the beginning of a line should be sent.
    pub(crate) fn is_impatient(&self, now: Instant) -> bool {
        self.behind(now) >= UNFINISHED
    }

    /// The bucket has all up to there.
    pub(crate) fn acknowledge(&mut self, sent: Sent) {
        self.standing.sent = sent.cut.end;
        self.standing.anchor = sent.anchor;
        self.standing.packed = None;
        if sent.cut.closes {
            self.standing.segment = sent.cut.end;
            self.begin_segment();
        } else {
            (self.open, self.there) = (sent.gzip, sent.there);
        }
        self.forget_marks();
        (self.failures, self.not_before) = (0, None);
    }

    /// All up to there is lost to readers; the next segment begins there.
    pub(crate) fn give_up(&mut self, to: u64, anchor: u64) {
        self.standing.gaps = true;
        self.standing.sent = to;
        self.standing.segment = to;
        self.standing.anchor = anchor;
        self.begin_segment();
        self.forget_marks();
    }

    /// Packed; what comes after it begins a segment of its own, unless one object holds it all.
    pub(crate) fn packed(&mut self, packed: Packed) {
        self.standing.packed = Some(self.standing.sent);
        self.open = Vec::new();
        match packed {
            Packed::AsItWas => {}
            Packed::Anew(there) => self.there = there,
            Packed::Merged => {
                self.standing.segment = self.standing.sent;
                self.begin_segment();
            }
        }
    }

    pub(crate) fn is_packed(&self) -> bool {
        self.standing.packed == Some(self.length)
    }

    /// Removed or out of reach, and nothing more to be had of it.
    pub(crate) fn is_gone(&self) -> bool {
        self.missed >= 2 && !self.busy && (self.file.is_none() || self.waiting() == 0)
    }

    fn forget_marks(&mut self) {
        while self
            .marks
            .front()
            .is_some_and(|(end, _)| *end <= self.standing.sent)
        {
            self.marks.pop_front();
        }
    }
}
