//! One file on its way into a page: its lines one after the other, its objects opened only when their turn has come.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use object_store::ObjectStore;
use updraft_api::logs::LogOrder;

use crate::cursor::{Cursor, Stand};
use crate::scope::Scope;
use crate::shelf::{Object, SKEW, Shelf};
use crate::stretch::{self, Line, Stretch};
use crate::{LogsError, Result};

/// Objects below which looking for the first one that counts costs more than reading them.
const WORTH_LOOKING: usize = 3;

pub(crate) struct Lane {
    pub(crate) shelf: Shelf,
    order: LogOrder,
    /// Objects that are not opened yet: `start..end`, taken from one side.
    start: usize,
    end: usize,
    lines: VecDeque<Line>,
    /// Only bytes below this place count.
    below: u64,
    /// No line of what is not opened yet is earlier (going down: later).
    bound: DateTime<Utc>,
    /// Whether some of its lines were in the range: then those that follow are known by their place.
    entered: bool,
}

// === impl Lane ===

impl Lane {
    /// None when nothing of it can be in the range.
    pub(crate) async fn new(
        store: &dyn ObjectStore,
        scope: &Scope,
        shelf: Shelf,
        below: u64,
    ) -> Result<Option<Self>> {
        let (since, until) = range(scope);
        if !shelf.may_hold(since, until) {
            return Ok(None);
        }
        let early = |object: &Object| since.is_some_and(|since| object.modified + SKEW < since);
        let start = shelf.objects.iter().take_while(|object| early(object)).count();
        let mut lane = Self {
            order: scope.order(),
            start,
            end: shelf.objects.len(),
            lines: VecDeque::new(),
            below,
            bound: bound(&shelf, scope),
            entered: false,
            shelf,
        };
        lane.skip(store, scope).await?;
        Ok(Some(lane))
    }

    /// Where its next line stands, or can stand at the earliest (going down: at the latest). None: there is no more.
    pub(crate) fn stand(&self) -> Option<Stand> {
        if let Some(line) = self.lines.front() {
            return Some(line.stand.clone());
        }
        if self.start >= self.end {
            return None;
        }
        let offset = match (self.order, self.entered) {
            (LogOrder::Oldest, true) => self.shelf.objects[self.start].offset,
            (LogOrder::Newest, true) => self.shelf.end_of(self.end - 1).map_or(u64::MAX, |end| end - 1),
            (order, false) => by_time(order),
        };
        Some(Stand {
            at: self.bound,
            file: Arc::clone(&self.shelf.name),
            offset,
        })
    }

    pub(crate) fn has_line(&self) -> bool {
        !self.lines.is_empty()
    }

    pub(crate) fn take(&mut self) -> Option<Line> {
        self.lines.pop_front()
    }

    /// Opens the next object; how many bytes it was.
    ///
    /// # Errors
    /// [`LogsError::Packed`] when it is gone: what it held is in the one before by now.
    pub(crate) async fn open(&mut self, store: &dyn ObjectStore, scope: &Scope) -> Result<u64> {
        let object = match self.order {
            LogOrder::Oldest => self.start,
            LogOrder::Newest => self.end - 1,
        };
        let read = stretch::read(store, &self.shelf, object, 0).await?;
        let read = read.ok_or(LogsError::Packed)?;
        self.step(scope, &read);
        let below = self.below;
        let mut lines = read.lines;
        lines.retain(|line| line.stand.offset < below && within(scope, &line.stand));
        self.entered |= !lines.is_empty();
        lines.retain(|line| scope.matches(&line.text));
        if self.order == LogOrder::Newest {
            lines.reverse();
        }
        // A page is full before it needs more of them, and knows where the next one begins.
        lines.truncate(scope.limit() + 1);
        self.lines.extend(lines);
        Ok(read.unpacked)
    }

    /// On to the next object, if what follows can still be in the range.
    fn step(&mut self, scope: &Scope, read: &Stretch) {
        let (since, until) = range(scope);
        let (first, last) = (read.lines.first(), read.lines.last());
        match self.order {
            LogOrder::Oldest => {
                let over = last
                    .zip(until)
                    .is_some_and(|(last, until)| last.stand.at >= until + SKEW);
                self.start = if over { self.end } else { self.start + 1 };
                self.bound = last.map_or(self.bound, |last| self.bound.max(last.stand.at));
            }
            LogOrder::Newest => {
                let over = first
                    .zip(since)
                    .is_some_and(|(first, since)| first.stand.at < since - SKEW);
                self.end = if over { self.start } else { self.end - 1 };
                self.bound = first.map_or(self.bound, |first| self.bound.min(first.stand.at));
            }
        }
    }

    /// Passes over objects that end before the range begins (going down: begin after it ends).
    async fn skip(&mut self, store: &dyn ObjectStore, scope: &Scope) -> Result<()> {
        if let Some(cursor) = scope
            .cursor()
            .filter(|cursor| knows_place(cursor, &self.shelf.name))
        {
            self.entered = true;
            let offset = cursor.stand.offset;
            let begun = self
                .shelf
                .objects
                .iter()
                .take_while(|object| object.offset <= offset)
                .count();
            match self.order {
                LogOrder::Oldest => self.start = begun.saturating_sub(1),
                LogOrder::Newest => self.end = begun,
            }
            return Ok(());
        }
        match (self.order, range(scope)) {
            (LogOrder::Oldest, (Some(since), _)) => {
                let begun = self.begun_before(store, since - SKEW).await?;
                self.start = self.start.max(begun.saturating_sub(1));
            }
            (LogOrder::Newest, (_, Some(until))) => self.end = self.begun_before(store, until + SKEW).await?,
            _ => {}
        }
        Ok(())
    }

    /// How many objects begin before that time: they are in order of time.
    async fn begun_before(&self, store: &dyn ObjectStore, time: DateTime<Utc>) -> Result<usize> {
        let (mut low, mut high) = (self.start, self.end);
        if high.saturating_sub(low) <= WORTH_LOOKING {
            return Ok(match self.order {
                LogOrder::Oldest => low,
                LogOrder::Newest => high,
            });
        }
        // All below `low` begin before it.
        while low < high {
            let middle = low + (high - low) / 2;
            match stretch::first_time(store, &self.shelf, middle).await? {
                Some(first) if first >= time => high = middle,
                _ => low = middle + 1,
            }
        }
        Ok(low)
    }
}

/// The earliest (going down: the latest) that a line of this file can have been written, as far as the range is concerned.
fn bound(shelf: &Shelf, scope: &Scope) -> DateTime<Utc> {
    let (since, until) = range(scope);
    match scope.order() {
        LogOrder::Oldest => since.map_or(shelf.file.born - SKEW, |since| since.max(shelf.file.born - SKEW)),
        LogOrder::Newest => {
            let latest = shelf.modified().unwrap_or(shelf.file.born) + SKEW;
            until.map_or(latest, |until| until.min(latest))
        }
    }
}

/// The part of time that is left of the question where its cursor is.
fn range(scope: &Scope) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
    let stand = scope.cursor().map(|cursor| cursor.stand.at);
    match scope.order() {
        LogOrder::Oldest => (stand.into_iter().chain(scope.since()).max(), scope.until()),
        LogOrder::Newest => (scope.since(), stand.into_iter().chain(scope.until()).min()),
    }
}

/// The place that stands for all lines of a time.
fn by_time(order: LogOrder) -> u64 {
    match order {
        LogOrder::Oldest => 0,
        LogOrder::Newest => u64::MAX,
    }
}

/// In the cursor's own file the place decides, for there times may go back where objects meet.
fn knows_place(cursor: &Cursor, file: &str) -> bool {
    *cursor.stand.file == *file && cursor.stand.offset != by_time(cursor.order)
}

fn within(scope: &Scope, stand: &Stand) -> bool {
    let beyond_cursor = scope.cursor().is_none_or(|cursor| {
        let own = knows_place(cursor, &stand.file);
        match cursor.order {
            LogOrder::Oldest if own => stand.offset >= cursor.stand.offset,
            LogOrder::Newest if own => stand.offset <= cursor.stand.offset,
            LogOrder::Oldest => *stand >= cursor.stand,
            LogOrder::Newest => *stand <= cursor.stand,
        }
    });
    beyond_cursor
        && scope.since().is_none_or(|since| stand.at >= since)
        && scope.until().is_none_or(|until| stand.at < until)
}
