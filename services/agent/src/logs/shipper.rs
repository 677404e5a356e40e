//! The loop: look, send what is due, keep house. What is decided is decided by `stream`, `segment` and `room`; this carries it out.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use updraft_api::agent::{LogDelivery, LogReport};

use super::bucket::LogBucket;
use super::journal::Journal;
use super::look::{Identity, Seen, Walk, walk};
use super::pack::Packed;
use super::relief::Loss;
use super::send::{Outcome, Turned};
use super::stream::{Standing, Stream};
use super::trouble::{Trouble, pause};
use super::{Finish, LogEvent, pack};
use crate::error::Result;
use crate::layout::Layout;

/// Files being sent at once.
const AT_ONCE: usize = 4;
/// Attempts being packed at once: each takes some megabytes.
const PACKS: usize = 2;
const TICK: Duration = Duration::from_millis(250);
const HOUSE: Duration = Duration::from_secs(5);
/// Files that grow are kept open, so many of them.
const OPEN: usize = 512;
/// Compressed beginnings of segments kept in memory; others are made anew from the file.
const BEGINNINGS: usize = 16 << 20;
/// Looking may take this share of the time.
const SHARE: u32 = 50;
const LOOK: Duration = Duration::from_secs(1);
const LONGEST_LOOK: Duration = Duration::from_secs(10);

pub(crate) struct Shipper {
    pub(super) layout: Layout,
    pub(super) events: mpsc::Sender<LogEvent>,
    pub(super) node: String,
    pub(super) bucket: Option<LogBucket>,
    pub(super) disk_bytes: u64,
    pub(super) streams: BTreeMap<Identity, Stream>,
    /// Known from the journal and not found yet.
    pub(super) known: BTreeMap<Identity, Standing>,
    pub(super) journal: Journal,
    pub(super) trouble: Trouble,
    pub(super) report: LogReport,
    pub(super) loss: Loss,
    pub(super) behind: bool,
    pub(super) empty: Vec<(String, i64)>,
    pub(super) to_pack: VecDeque<Identity>,
    flights: JoinSet<(Identity, Turned)>,
    packs: JoinSet<(Identity, Result<Packed>)>,
    finishing: Option<Finishing>,
}

struct Finishing {
    answer: Finish,
    /// Whether a look began after it was asked for.
    looked: bool,
    /// Whether what ended was looked for, to be packed.
    packing: bool,
}

// === impl Finishing ===

impl Finishing {
    fn new(answer: Finish) -> Self {
        Self {
            answer,
            looked: false,
            packing: false,
        }
    }
}

// === impl Shipper ===

impl Shipper {
    pub(crate) fn open(layout: Layout, events: mpsc::Sender<LogEvent>) -> Result<Self> {
        let (journal, known) = Journal::open(layout.place())?;
        Ok(Self {
            layout,
            events,
            node: String::new(),
            bucket: None,
            disk_bytes: u64::MAX,
            streams: BTreeMap::new(),
            known,
            journal,
            trouble: Trouble::default(),
            report: LogReport::default(),
            loss: Loss::default(),
            behind: false,
            empty: Vec::new(),
            to_pack: VecDeque::new(),
            flights: JoinSet::new(),
            packs: JoinSet::new(),
            finishing: None,
        })
    }

    /// From now on. What is under way goes on.
    pub(crate) fn deliver_to(&mut self, delivery: Option<&LogDelivery>) {
        let Some(delivery) = delivery else {
            return;
        };
        self.node.clone_from(&delivery.node_name);
        self.disk_bytes = delivery.disk_bytes;
        match LogBucket::connect(delivery) {
            Ok(bucket) => self.use_bucket(bucket),
            Err(error) => tracing::error!(error = error.chain(), "Logs can't be shipped"),
        }
    }

    pub(crate) fn use_bucket(&mut self, bucket: LogBucket) {
        self.bucket = Some(bucket);
        self.trouble = Trouble::default();
    }

    /// Never ends, unless nobody is left who could ask for an end. May be dropped and begun again.
    pub(crate) async fn run(&mut self, finishes: &mut mpsc::Receiver<Finish>) {
        let mut tick = interval(TICK);
        let mut house = interval(HOUSE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        house.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_look = Instant::now();
        loop {
            self.send_due();
            self.pack_next();
            tokio::select! {
                Some(landed) = self.flights.join_next() => match landed {
                    Ok((identity, turned)) => self.landed(identity, turned),
                    Err(error) => self.broken_off(&error),
                },
                Some(packed) = self.packs.join_next() => match packed {
                    Ok((identity, packed)) => self.packed(identity, packed),
                    Err(error) => self.broken_off(&error),
                },
                finish = finishes.recv() => match finish {
                    Some(answer) => {
                        self.finishing = Some(Finishing::new(answer));
                        next_look = Instant::now();
                    }
                    None => return,
                },
                _ = house.tick() => self.keep_house().await,
                _ = tick.tick() => {
                    self.look_at_open();
                    if Instant::now() >= next_look {
                        next_look = self.look().await;
                    }
                    self.finish().await;
                }
            }
        }
    }

    /// Returns when to look again.
    async fn look(&mut self) -> Instant {
        let begun = Instant::now();
        let layout = self.layout.clone();
        if let Ok(found) = tokio::task::spawn_blocking(move || walk(layout.place())).await {
            self.found(found, begun);
        }
        if let Some(finishing) = &mut self.finishing {
            finishing.looked = true;
        }
        Instant::now() + (begun.elapsed() * SHARE).clamp(LOOK, LONGEST_LOOK)
    }

    pub(super) fn found(&mut self, walk: Walk, now: Instant) {
        for stream in self.streams.values_mut() {
            stream.missed += u32::from(walk.complete);
        }
        let known = self.streams.len();
        for seen in walk.files {
            self.meet(seen, now);
        }
        if self.streams.len() > known {
            // Before anything of it is sent: it may have another name the next time.
            self.settle();
        }
        self.empty = walk.empty;
        let gone = self.streams.values().filter(|stream| stream.is_gone());
        let mut gone: Vec<_> = gone.map(|stream| stream.standing.identity()).collect();
        if walk.complete {
            gone.extend(std::mem::take(&mut self.known).into_keys());
        }
        for identity in gone {
            self.forget(identity);
        }
    }

    fn meet(&mut self, seen: Seen, now: Instant) {
        if !self.streams.contains_key(&seen.identity) {
            let Some(stream) = self.acquaint(&seen) else {
                return;
            };
            self.streams.insert(seen.identity, stream);
        }
        let Some(stream) = self.streams.get_mut(&seen.identity) else {
            return;
        };
        stream.missed = 0;
        stream.path = seen.path;
        stream.taken = seen.taken;
        stream.modified = seen.modified;
        self.measured(seen.identity, seen.length, now);
    }

    /// What the journal says of it; else it is new, if it is named as a log is.
    fn acquaint(&mut self, seen: &Seen) -> Option<Stream> {
        if let Some(standing) = self.known.remove(&seen.identity)
            && let Ok(source) = standing.source.parse()
        {
            return Some(Stream::new(source, standing, seen.path.clone()));
        }
        // Named only when the node knows its own name.
        if self.node.is_empty() {
            return None;
        }
        let source = seen.source()?;
        let standing = Standing::new(&source, &self.node, seen.identity, Utc::now());
        self.note(&standing);
        Some(Stream::new(source, standing, seen.path.clone()))
    }

    fn look_at_open(&mut self) {
        let now = Instant::now();
        let lengths: Vec<_> = self
            .streams
            .iter()
            .filter_map(|(identity, stream)| Some((*identity, stream.file.as_ref()?.metadata().ok()?.len())))
            .collect();
        for (identity, length) in lengths {
            self.measured(identity, length, now);
        }
    }

    fn measured(&mut self, identity: Identity, length: u64, now: Instant) {
        let Some(stream) = self.streams.get_mut(&identity) else {
            return;
        };
        if length < stream.standing.sent && !stream.busy {
            self.truncated(identity);
        }
        if let Some(stream) = self.streams.get_mut(&identity) {
            stream.grown_to(length, now);
        }
    }

    fn truncated(&mut self, identity: Identity) {
        let Some(stream) = self.streams.get_mut(&identity) else {
            return;
        };
        stream.truncated(Utc::now());
        let standing = stream.standing.clone();
        self.note(&standing);
        self.settle();
    }

    fn send_due(&mut self) {
        let Some(bucket) = self.bucket.clone() else { return };
        let now = Instant::now();
        let room = self.trouble.room(AT_ONCE, now).saturating_sub(self.flights.len());
        if room == 0 {
            return;
        }
        let growing = self
            .streams
            .values()
            .filter(|stream| stream.waiting() > 0)
            .count();
        let hurry = self.finishing.as_ref().is_some_and(|finishing| finishing.looked);
        let is_due = |stream: &&mut Stream| stream.is_due(now, growing) || (hurry && stream.can_go(now));
        let mut due: Vec<_> = self.streams.values_mut().filter(is_due).collect();
        // The longest waiting first, so that none starves.
        due.sort_by_key(|stream| std::cmp::Reverse(stream.behind(now)));
        for stream in due.into_iter().take(room) {
            let turn = stream.turn(hurry || stream.is_impatient(now));
            let (identity, layout, bucket) =
                (stream.standing.identity(), self.layout.clone(), bucket.clone());
            self.flights
                .spawn(async move { (identity, turn.run(layout, bucket).await) });
        }
    }

    /// It panicked, which nothing here should: whatever it was, it is free again.
    fn broken_off(&mut self, error: &JoinError) {
        tracing::error!(%error, "Sending a log was broken off");
        self.streams.values_mut().for_each(|stream| stream.busy = false);
    }

    fn landed(&mut self, identity: Identity, turned: Turned) {
        let now = Instant::now();
        let crowded = self
            .streams
            .values()
            .filter(|stream| stream.file.is_some())
            .count()
            >= OPEN;
        let Some(stream) = self.streams.get_mut(&identity) else {
            return;
        };
        stream.busy = false;
        stream.file = turned.file.filter(|_| !crowded);
        match turned.outcome {
            Outcome::Nothing => stream.not_before = Some(now + TICK),
            Outcome::Gone => stream.put_off(now + pause(5)),
            Outcome::Truncated => self.truncated(identity),
            Outcome::Sent(sent, error) => {
                for sent in sent {
                    self.report.shipped_bytes += sent.cut.end - stream.standing.sent;
                    stream.acknowledge(sent);
                    self.trouble.worked();
                }
                if let Some(error) = error {
                    stream.failures += 1;
                    stream.put_off(now + pause(stream.failures));
                    self.trouble.failed(reason(&error), now);
                    tracing::debug!(error = error.chain(), "A log was not sent");
                }
                let standing = stream.standing.clone();
                self.note(&standing);
                self.forget_beginnings(identity);
            }
        }
    }

    fn packed(&mut self, identity: Identity, packed: Result<Packed>) {
        let Some(stream) = self.streams.get_mut(&identity) else {
            return;
        };
        stream.busy = false;
        match packed {
            Ok(packed) => {
                let merged = packed == Packed::Merged;
                stream.packed(packed);
                let standing = stream.standing.clone();
                self.note(&standing);
                if merged {
                    self.settle();
                }
            }
            Err(error) => {
                tracing::debug!(error = error.chain(), "An ended attempt's log was not packed");
                stream.put_off(Instant::now() + Duration::from_secs(30));
            }
        }
    }

    fn pack_next(&mut self) {
        let Some(bucket) = self.bucket.clone() else { return };
        while self.packs.len() < PACKS
            && let Some(identity) = self.to_pack.pop_front()
        {
            let Some(stream) = self.streams.get_mut(&identity).filter(|stream| !stream.busy) else {
                continue;
            };
            if pack::is_packed_already(&stream.standing) {
                self.packed(identity, Ok(Packed::AsItWas));
                continue;
            }
            let (turn, layout, bucket) = (stream.turn(false), self.layout.clone(), bucket.clone());
            self.packs
                .spawn(async move { (identity, pack::pack(turn, layout, bucket).await) });
        }
    }

    /// Memory has its limit: of many files at once, the later ones' beginnings are read again.
    fn forget_beginnings(&mut self, latest: Identity) {
        let held: usize = self.streams.values().map(|stream| stream.open.len()).sum();
        if held > BEGINNINGS
            && let Some(stream) = self.streams.get_mut(&latest)
        {
            stream.open = Vec::new();
        }
    }

    /// Answers when all is sent, and what ended is packed as far as that works.
    async fn finish(&mut self) {
        let sent = self.flights.is_empty() && self.streams.values().all(|stream| stream.waiting() == 0);
        let Some(finishing) = &mut self.finishing else {
            return;
        };
        if self.bucket.is_some() && !(finishing.looked && sent) {
            return;
        }
        if !std::mem::replace(&mut finishing.packing, true) {
            self.pack_ended(0).await;
        }
        if self.to_pack.is_empty()
            && self.packs.is_empty()
            && let Some(finishing) = self.finishing.take()
        {
            self.settle();
            // Whoever asked may have gone.
            let _ = finishing.answer.send(());
        }
    }

    pub(super) fn forget(&mut self, identity: Identity) {
        self.streams.remove(&identity);
        if let Err(error) = self.journal.forget(identity) {
            tracing::warn!(error = error.chain(), "A log's end could not be noted");
        }
    }

    pub(super) fn note(&mut self, standing: &Standing) {
        if let Err(error) = self.journal.note(standing) {
            tracing::warn!(error = error.chain(), "Where a log stands could not be noted");
        }
    }

    pub(super) fn settle(&mut self) {
        if let Err(error) = self.journal.settle() {
            tracing::warn!(
                error = error.chain(),
                "Where logs stand is not sure to be on the disk"
            );
        }
    }
}

/// For people, without the store's own words, which may quote a request.
fn reason(error: &crate::Error) -> String {
    use object_store::Error as StoreError;
    let crate::Error::ObjectStore { source, .. } = error else {
        return error.to_string();
    };
    let why = match source {
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            "the bucket refuses the agent's key"
        }
        StoreError::NotFound { .. } => "the bucket is not there",
        _ => "the object store does not answer as it should",
    };
    why.to_owned()
}

#[cfg(test)]
impl Shipper {
    /// Sends and is answered, whatever the bucket's whims, until all is there.
    pub(super) async fn ship_all(&mut self) {
        loop {
            self.found(walk(self.layout.place()), Instant::now());
            self.begin_all();
            if self.flights.is_empty() {
                return;
            }
            while let Some(Ok((identity, turned))) = self.flights.join_next().await {
                self.landed(identity, turned);
            }
        }
    }

    /// Begins to send all there is, at once.
    pub(super) fn begin_all(&mut self) {
        let (answer, _) = tokio::sync::oneshot::channel();
        self.finishing = Some(Finishing {
            looked: true,
            ..Finishing::new(answer)
        });
        self.trouble = Trouble::default();
        self.streams
            .values_mut()
            .for_each(|stream| stream.not_before = None);
        self.send_due();
    }

    /// Packs each attempt, as if it had ended.
    pub(super) async fn pack_all(&mut self) {
        self.ship_all().await;
        let attempts = self.streams.iter().filter(|(_, stream)| stream.is_to_be_packed());
        self.to_pack = attempts.map(|(identity, _)| *identity).collect();
        self.pack_next();
        while let Some(Ok((identity, packed))) = self.packs.join_next().await {
            self.packed(identity, packed);
        }
    }
}
