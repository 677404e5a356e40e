//! Each few seconds: pack what ended, keep to the disk's limit, and say how it stands.

use std::time::{Duration, Instant};

use chrono::Utc;
use updraft_api::log_layout::LogSource;

use super::LogEvent;
use super::look::Identity;
use super::pack::held_open;
use super::relief::{give_up, limit, punch};
use super::room::{Holding, Relief, relieve};
use super::shipper::Shipper;
use super::stream::Stream;
use crate::supervise::service_uid;

/// Seconds after an attempt's last line before it is asked whether anybody still has its file open.
const QUIET: i64 = 5;
const BEHIND: Duration = Duration::from_secs(60);
const CAUGHT_UP: Duration = Duration::from_secs(15);
/// A growing file that rests is closed.
const REST: i64 = 30;
/// Seconds that an empty directory stays: a task that is about to begin may just have made sure of it.
const EMPTY_FOR: i64 = 86_400;

// === impl Shipper ===

impl Shipper {
    pub(super) async fn keep_house(&mut self) {
        self.rest();
        self.pack_ended(QUIET).await;
        self.relieve();
        self.prune();
        // An agent that has just begun knows files that it has not looked at yet.
        let met = self.streams.values().map(|stream| &stream.standing);
        let standings = met.chain(self.known.values());
        if let Err(error) = self.journal.tidy(self.layout.place(), standings) {
            tracing::warn!(
                error = error.chain(),
                "Where logs stand could not be written anew"
            );
        }
        self.tell();
    }

    fn rest(&mut self) {
        let now = Utc::now().timestamp();
        for stream in self.streams.values_mut() {
            if stream.waiting() == 0 && now - stream.modified > REST && !stream.busy {
                stream.file = None;
                stream.open = Vec::new();
            }
        }
    }

    /// Attempts that were quiet for so many seconds and that no process has open.
    pub(super) async fn pack_ended(&mut self, quiet_for: i64) {
        let now = Utc::now().timestamp();
        let quiet: Vec<Identity> = self
            .streams
            .iter()
            .filter(|(_, stream)| is_quiet(stream, now - quiet_for))
            .map(|(identity, _)| *identity)
            .collect();
        if quiet.is_empty() || self.bucket.is_none() || self.trouble.is_away() {
            return;
        }
        let uid = service_uid(self.layout.place().owner());
        let Ok(held) = tokio::task::spawn_blocking(move || held_open(uid)).await else {
            return;
        };
        self.to_pack = quiet
            .into_iter()
            .filter(|identity| !held.contains(&identity.inode))
            .collect();
    }

    fn relieve(&mut self) {
        let now = Utc::now().timestamp();
        let holdings: Vec<_> = self
            .streams
            .values()
            .filter(|stream| !stream.busy)
            .map(holding)
            .collect();
        let taken = self.streams.values().map(|stream| stream.taken).sum();
        let limit = limit(self.layout.place(), self.disk_bytes, taken);
        let reliefs = relieve(&holdings, limit, now);
        if reliefs.is_empty() {
            return;
        }
        // Nothing leaves the node before it is sure to be remembered that the bucket has it.
        self.settle();
        for relief in reliefs {
            if let Err(error) = self.carry_out(relief) {
                tracing::debug!(error = error.chain(), "A log could not be shortened");
            }
        }
    }

    fn carry_out(&mut self, relief: Relief) -> crate::Result<()> {
        let (Relief::Remove(identity) | Relief::Punch(identity, _) | Relief::GiveUp(identity, _)) = relief;
        let Some(stream) = self.streams.get_mut(&identity) else {
            return Ok(());
        };
        match relief {
            Relief::Remove(_) => {
                self.layout.place().remove(&stream.path)?;
                self.forget(identity);
            }
            Relief::Punch(_, to) => {
                if stream.is_to_be_packed() {
                    stream.standing.gaps = true;
                    let standing = stream.standing.clone();
                    self.note(&standing);
                    self.settle();
                }
                if let Some(stream) = self.streams.get(&identity) {
                    punch(self.layout.place(), stream, to)?;
                }
            }
            Relief::GiveUp(_, to) => {
                let loss = give_up(self.layout.place(), stream, to)?;
                self.loss.bytes += loss.bytes;
                self.loss.lines += loss.lines;
                self.report.dropped_bytes += loss.bytes;
                let standing = stream.standing.clone();
                self.note(&standing);
                self.settle();
                if let Some(stream) = self.streams.get(&identity) {
                    punch(self.layout.place(), stream, stream.standing.sent)?;
                }
            }
        }
        Ok(())
    }

    fn prune(&mut self) {
        let before = Utc::now().timestamp() - EMPTY_FOR;
        for (path, modified) in std::mem::take(&mut self.empty) {
            if modified < before {
                // In use again by now: then it is not empty.
                let _ = self.layout.place().remove_directory(&path);
            }
        }
    }

    fn tell(&mut self) {
        let now = Instant::now();
        let lag = self
            .streams
            .values()
            .map(|stream| stream.behind(now))
            .max()
            .unwrap_or_default();
        self.report.lag_s = lag.as_secs();
        self.report.waiting_bytes = self.streams.values().map(Stream::waiting).sum();
        self.say(LogEvent::Stands(self.report.clone()));
        if !self.behind && lag > BEHIND {
            self.behind = true;
            self.say(LogEvent::Behind(self.report.clone(), self.trouble.reason.clone()));
        } else if self.behind && lag < CAUGHT_UP {
            self.behind = false;
            self.say(LogEvent::CaughtUp);
        }
        if self.loss.bytes > 0 {
            let loss = std::mem::take(&mut self.loss);
            self.say(LogEvent::GivenUp {
                bytes: loss.bytes,
                lines: loss.lines,
            });
        }
    }

    fn say(&self, event: LogEvent) {
        if self.events.try_send(event).is_err() {
            tracing::debug!("News of logs found nobody who listens");
        }
    }
}

fn is_quiet(stream: &Stream, since: i64) -> bool {
    matches!(stream.source, LogSource::Attempt(_))
        && stream.waiting() == 0
        && stream.standing.sent > 0
        && !stream.is_packed()
        && stream.modified <= since
        && stream.can_begin(Instant::now())
}

fn holding(stream: &Stream) -> Holding {
    Holding {
        identity: stream.standing.identity(),
        length: stream.length,
        taken: stream.taken,
        settled: stream.standing.segment,
        waiting: stream.waiting(),
        whole: stream.is_to_be_packed(),
        finished: stream.is_packed(),
        modified: stream.modified,
    }
}
