//! Lines as they are shipped: each once, in order within its file.
//!
//! What is there at the beginning is remembered to the byte, so that nothing is told twice and nothing is lost between the
//! lines that were there and those that come.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use object_store::ObjectStore;
use object_store::path::Path;
use updraft_api::logs::{LogLine, LogOrder};

use crate::cursor::{Cursor, Stand};
use crate::page::{Ends, page_of, view};
use crate::scope::Scope;
use crate::shelf::{self, Shelf};
use crate::stretch;
use crate::{LogsError, Result};

/// A file that did not grow for so long grows no more, as a rule.
const ACTIVE: TimeDelta = TimeDelta::minutes(15);

/// Where to begin.
#[derive(Clone, Debug)]
pub enum Begin {
    /// With so many of the newest lines that are there.
    Tail(usize),
    /// With what was written since.
    Since(DateTime<Utc>),
    /// After the line of that id.
    After(String),
}

/// A line and its id, with which to begin again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    pub id: String,
    pub line: LogLine,
}

/// One reader's place in all files in question.
pub struct Follow {
    store: Arc<dyn ObjectStore>,
    scope: Scope,
    files: BTreeMap<Arc<str>, Seen>,
    begun_at: DateTime<Utc>,
    /// The past: told first.
    past: Option<Past>,
    ready: VecDeque<Followed>,
}

/// How much of a file was told.
#[derive(Clone, Debug)]
struct Seen {
    shelf: Shelf,
    /// None: it was old when this began; of what it may gain only the lines count that are younger than that.
    told: Option<u64>,
}

struct Past {
    begin: Begin,
    shelves: Vec<Shelf>,
    ends: Ends,
}

// === impl Follow ===

impl Follow {
    /// # Errors
    /// [`LogsError::Bucket`], [`LogsError::TooMuch`]; [`LogsError::Invalid`] for an id that is none.
    pub async fn begin(
        store: Arc<dyn ObjectStore>,
        scope: Scope,
        begin: Begin,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        if let Begin::After(id) = &begin {
            id.parse::<Cursor>()?;
        }
        let shelves = shelf::list(&*store, &scope).await?;
        let mut ends = Ends::new();
        let mut files = BTreeMap::new();
        for shelf in &shelves {
            let is_active = shelf.modified().is_some_and(|modified| modified + ACTIVE > now);
            let told = if is_active {
                Some(whole_to(&*store, shelf).await?)
            } else {
                None
            };
            ends.insert(Arc::clone(&shelf.name), told.unwrap_or(u64::MAX));
            let shelf = shelf.clone();
            files.insert(Arc::clone(&shelf.name), Seen { shelf, told });
        }
        Ok(Self {
            store,
            scope,
            files,
            begun_at: now,
            past: Some(Past { begin, shelves, ends }),
            ready: VecDeque::new(),
        })
    }

    /// The same bucket, opened anew: with keys that did not end.
    pub fn read_from(&mut self, store: Arc<dyn ObjectStore>) {
        self.store = store;
    }

    /// What is new; nothing, if nothing is. Look again in a second or two then.
    ///
    /// # Errors
    /// [`LogsError::Bucket`]: look again.
    pub async fn look(&mut self) -> Result<Vec<Followed>> {
        if let Some(past) = self.past.take() {
            self.tell_past(past).await?;
        }
        if self.ready.is_empty() {
            self.look_around().await?;
        }
        Ok(self.ready.drain(..).collect())
    }

    async fn tell_past(&mut self, past: Past) -> Result<()> {
        let (scope, more) = match &past.begin {
            Begin::Tail(0) => return Ok(()),
            Begin::Tail(lines) => (self.scope.newest(*lines), false),
            Begin::Since(since) => (self.scope.oldest_first(None, Some(*since)), true),
            Begin::After(id) => {
                let cursor = id.parse::<Cursor>()?;
                (self.scope.oldest_first(Some(cursor), None), true)
            }
        };
        let told = page_of(&*self.store, &scope, past.shelves.clone(), Some(&past.ends)).await;
        let (page, stands) = match told {
            // What was packed meanwhile is found anew.
            Err(LogsError::Packed) => {
                let shelves = shelf::list(&*self.store, &self.scope).await?;
                self.past = Some(Past { shelves, ..past });
                return Ok(());
            }
            told => told?,
        };
        let told = stands
            .iter()
            .zip(page.lines)
            .map(|(stand, line)| followed(stand, line));
        self.ready.extend(told);
        let id = page.next.unwrap_or_default();
        if more && !id.is_empty() {
            self.past = Some(Past {
                begin: Begin::After(id),
                ..past
            });
        }
        Ok(())
    }

    async fn look_around(&mut self) -> Result<()> {
        let mut new = Vec::new();
        for shelf in self.changed().await? {
            self.read_new(shelf, &mut new).await?;
        }
        new.sort_by(|(one, _), (other, _): &(Stand, LogLine)| one.cmp(other));
        self.ready
            .extend(new.into_iter().map(|(stand, line)| followed(&stand, line)));
        Ok(())
    }

    /// The files that have grown, or are new.
    async fn changed(&self) -> Result<Vec<Shelf>> {
        let mut shelves = Vec::new();
        if self.scope.grows_at_the_end() {
            for folder in self.scope.folders() {
                shelves.extend(self.listed(&folder).await?);
            }
        } else {
            shelves = shelf::list(&*self.store, &self.scope).await?;
        }
        shelves.retain(|shelf| {
            self.files
                .get(&shelf.name)
                .is_none_or(|seen| seen.shelf.objects != shelf.objects)
        });
        Ok(shelves)
    }

    /// Only what may have changed: names grow with time.
    async fn listed(&self, folder: &Path) -> Result<Vec<Shelf>> {
        let recent = self.begun_at - ACTIVE;
        let may_grow = |seen: &&Seen| {
            let first = seen.shelf.objects.first();
            first.is_some_and(|object| object.location.prefix_matches(folder))
                && seen.shelf.modified().is_some_and(|modified| modified > recent)
        };
        let oldest = self
            .files
            .values()
            .filter(may_grow)
            .find_map(|seen| seen.shelf.objects.first());
        let from = oldest.and_then(|object| {
            let (above, _) = object.location.as_ref().rsplit_once('/')?;
            Path::parse(above).ok()
        });
        let from = from.unwrap_or_else(|| folder.clone());
        shelf::list_from(&*self.store, &self.scope, folder, &from).await
    }

    async fn read_new(&mut self, shelf: Shelf, new: &mut Vec<(Stand, LogLine)>) -> Result<()> {
        let seen = self.files.get(&shelf.name);
        let mut told = seen.map_or(Some(0), |seen| seen.told);
        for object in 0..shelf.objects.len() {
            let from = told.unwrap_or(0);
            if shelf.end_of(object).is_some_and(|end| end <= from) {
                continue;
            }
            // Gone: it is in another one now, which the next look finds.
            let Some(read) = stretch::read(&*self.store, &shelf, object, from).await? else {
                return Ok(());
            };
            for line in read.lines {
                let is_new = told.is_some() || line.stand.at >= self.begun_at;
                let is_whole = line.stand.offset < read.whole_to;
                if is_new && is_whole && self.scope.matches(&line.text) {
                    new.push((line.stand.clone(), view(line, &shelf)));
                }
            }
            told = Some(read.whole_to);
        }
        self.files.insert(Arc::clone(&shelf.name), Seen { shelf, told });
        Ok(())
    }
}

/// A line whose id is where the next one may stand.
fn followed(stand: &Stand, line: LogLine) -> Followed {
    let cursor = Cursor {
        order: LogOrder::Oldest,
        stand: stand.after(),
    };
    Followed {
        id: cursor.to_string(),
        line,
    }
}

/// Where the last whole line of a file ends, now.
async fn whole_to(store: &dyn ObjectStore, shelf: &Shelf) -> Result<u64> {
    let Some(last) = shelf.objects.len().checked_sub(1) else {
        return Ok(0);
    };
    let read = stretch::read(store, shelf, last, 0).await?;
    Ok(read.map_or(shelf.objects[last].offset, |read| read.whole_to))
}
