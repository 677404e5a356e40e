//! A page of lines out of any number of files, in order of time.
//!
//! Files are merged by the time of their next line; an object is opened when no other file can have an earlier line (going
//! down: a later one) than it. So a page of the newest lines reads little more than those lines, however much there is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::ObjectStore;
use updraft_api::logs::{LogLine, LogOrder, LogPage, LogStop};

use crate::cursor::{Cursor, Stand};
use crate::lane::Lane;
use crate::scope::{Scope, label, place};
use crate::shelf::{self, Shelf};
use crate::stretch::Line;
use crate::{LogsError, Result};

/// What one request unpacks.
const MOST_BYTES: u64 = 64 << 20;
/// Objects it opens.
const MOST_OBJECTS: usize = 1_000;
/// How long it takes.
const LONGEST: Duration = Duration::from_secs(8);
/// How often objects may be packed under it.
const TRIES: usize = 3;

/// Only what lies below these places counts, by file; a file that is not named does not count at all.
pub(crate) type Ends = BTreeMap<Arc<str>, u64>;

/// The page that the scope asks for.
///
/// # Errors
/// [`LogsError::Bucket`], [`LogsError::TooMuch`].
pub async fn page(store: &dyn ObjectStore, scope: &Scope) -> Result<LogPage> {
    let mut tries = 0;
    loop {
        tries += 1;
        let shelves = shelf::list(store, scope).await?;
        match page_of(store, scope, shelves, None).await {
            Err(LogsError::Packed) if tries < TRIES => {}
            done => return done.map(|(page, _)| page),
        }
    }
}

/// The page, and where its lines stand.
pub(crate) async fn page_of(
    store: &dyn ObjectStore,
    scope: &Scope,
    shelves: Vec<Shelf>,
    ends: Option<&Ends>,
) -> Result<(LogPage, Vec<Stand>)> {
    let mut merge = Merge::new(store, scope, shelves, ends).await?;
    let stopped = merge.run(store, scope).await?;
    let (page, stands) = merge.page(scope, stopped);
    let asked = scope.cursor().map(ToString::to_string);
    if page.stopped.is_some() && page.lines.is_empty() && asked.is_some() && page.next == asked {
        return Err(LogsError::TooMuch(
            "Too many logs were written at once to be read together: name a service, a node, or a dag and a run.".to_owned(),
        ));
    }
    Ok((page, stands))
}

struct Merge {
    /// By where each one's next line stands, or can stand; what can only be before what is.
    lanes: BTreeMap<(Stand, bool, usize), Lane>,
    lines: Vec<(Line, usize)>,
    shelves: Vec<Shelf>,
    unpacked: u64,
    opened: usize,
    began: Instant,
}

// === impl Merge ===

impl Merge {
    async fn new(
        store: &dyn ObjectStore,
        scope: &Scope,
        shelves: Vec<Shelf>,
        ends: Option<&Ends>,
    ) -> Result<Self> {
        let mut merge = Self {
            lanes: BTreeMap::new(),
            lines: Vec::new(),
            shelves,
            unpacked: 0,
            opened: 0,
            began: Instant::now(),
        };
        for number in 0..merge.shelves.len() {
            let shelf = merge.shelves[number].clone();
            let below = match ends {
                None => u64::MAX,
                Some(ends) => ends.get(&shelf.name).copied().unwrap_or(0),
            };
            if let Some(lane) = Lane::new(store, scope, shelf, below).await? {
                merge.put(number, lane);
            }
        }
        Ok(merge)
    }

    fn put(&mut self, number: usize, lane: Lane) {
        if let Some(stand) = lane.stand() {
            self.lanes.insert((stand, lane.has_line(), number), lane);
        }
    }

    /// Until the page is full or the range is done (none), or enough was read: why.
    async fn run(&mut self, store: &dyn ObjectStore, scope: &Scope) -> Result<Option<String>> {
        while self.lines.len() < scope.limit() {
            let is_enough = self.is_enough();
            let next = match scope.order() {
                LogOrder::Oldest => self.lanes.first_entry(),
                LogOrder::Newest => self.lanes.last_entry(),
            };
            let Some(entry) = next else { return Ok(None) };
            let (_, has_line, _) = entry.key();
            if !has_line && is_enough {
                return Ok(Some(self.why()));
            }
            let ((_, has_line, number), mut lane) = entry.remove_entry();
            if has_line {
                self.lines.extend(lane.take().map(|line| (line, number)));
            } else {
                self.unpacked += lane.open(store, scope).await?;
                self.opened += 1;
            }
            self.put(number, lane);
        }
        Ok(None)
    }

    fn is_enough(&self) -> bool {
        self.unpacked >= MOST_BYTES || self.opened >= MOST_OBJECTS || self.began.elapsed() >= LONGEST
    }

    fn why(&self) -> String {
        format!(
            "{} MiB in {} objects were read: go on from here, or narrow it by time, service, node, dag or run.",
            self.unpacked >> 20,
            self.opened,
        )
    }

    fn page(mut self, scope: &Scope, stopped: Option<String>) -> (LogPage, Vec<Stand>) {
        let next = match scope.order() {
            LogOrder::Oldest => self.lanes.first_key_value(),
            LogOrder::Newest => self.lanes.last_key_value(),
        };
        let next = next.map(|((stand, ..), _)| Cursor {
            order: scope.order(),
            stand: stand.clone(),
        });
        if scope.order() == LogOrder::Newest {
            self.lines.reverse();
        }
        let stands = self.lines.iter().map(|(line, _)| line.stand.clone()).collect();
        let at = next.as_ref().map(|next| next.stand.at);
        let page = LogPage {
            lines: self
                .lines
                .into_iter()
                .map(|(line, number)| view(line, &self.shelves[number]))
                .collect(),
            next: next.map(|next| next.to_string()),
            stopped: stopped.map(|why| LogStop { at, why }),
        };
        (page, stands)
    }
}

pub(crate) fn view(line: Line, shelf: &Shelf) -> LogLine {
    let (service, task) = place(&shelf.source);
    LogLine {
        id: line.stand.line_id(),
        at: line.stand.at,
        node: label(&shelf.file.node).to_owned(),
        service,
        task,
        level: line.level,
        text: line.text,
        cut: line.cut,
    }
}
