//! What lies in the bucket for a question: files of nodes, each with its objects. Only names, sizes and times are looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use updraft_api::log_layout::{LogFile, LogKey, LogSource};

use crate::scope::Scope;
use crate::{LogsError, Result};

/// Objects that one question may go through: some twenty requests.
const MOST: usize = 20_000;
/// What clocks of nodes and of the bucket may differ by.
pub(crate) const SKEW: TimeDelta = TimeDelta::seconds(60);

/// One file of one node.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    /// Source and file as the bucket names them.
    pub(crate) name: Arc<str>,
    pub(crate) source: LogSource,
    pub(crate) file: LogFile,
    /// By offset.
    pub(crate) objects: Vec<Object>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) location: Path,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// No line in it is younger.
    pub(crate) modified: DateTime<Utc>,
    pub(crate) etag: Option<String>,
}

/// The files in question, in order of their names.
pub(crate) async fn list(store: &dyn ObjectStore, scope: &Scope) -> Result<Vec<Shelf>> {
    let mut found = BTreeMap::new();
    let mut seen = 0;
    for folder in scope.folders() {
        let mut objects = store.list(Some(&folder));
        while let Some(meta) = objects.try_next().await? {
            seen += 1;
            if seen > MOST {
                return Err(LogsError::TooMuch(format!(
                    "There are more than {MOST} objects of logs to look through: name a service, or a dag and a run."
                )));
            }
            put(&mut found, scope, meta);
        }
    }
    Ok(sorted(found))
}

/// The same of one folder, from a name on.
pub(crate) async fn list_from(
    store: &dyn ObjectStore,
    scope: &Scope,
    folder: &Path,
    from: &Path,
) -> Result<Vec<Shelf>> {
    let mut found = BTreeMap::new();
    let mut objects = store.list_with_offset(Some(folder), from);
    while let Some(meta) = objects.try_next().await? {
        put(&mut found, scope, meta);
    }
    Ok(sorted(found))
}

type Found = BTreeMap<(LogSource, LogFile), Vec<Object>>;

fn put(found: &mut Found, scope: &Scope, meta: ObjectMeta) {
    let Some(LogKey { source, file, offset }) = scope.key(&meta.location) else {
        return;
    };
    let object = Object {
        location: meta.location,
        offset,
        size: meta.size,
        modified: meta.last_modified,
        etag: meta.e_tag,
    };
    found.entry((source, file)).or_default().push(object);
}

fn sorted(found: Found) -> Vec<Shelf> {
    let shelf = |((source, file), mut objects): ((LogSource, LogFile), Vec<Object>)| {
        objects.sort_by_key(|object| object.offset);
        Shelf {
            name: format!("{source}/{file}").into(),
            source,
            file,
            objects,
        }
    };
    found.into_iter().map(shelf).collect()
}

// === impl Shelf ===

impl Shelf {
    /// Where the object's part of the file ends: an object counts up to where the next begins, for while objects are packed
    /// bytes lie in two.
    pub(crate) fn end_of(&self, object: usize) -> Option<u64> {
        self.objects.get(object + 1).map(|next| next.offset)
    }

    pub(crate) fn modified(&self) -> Option<DateTime<Utc>> {
        self.objects.iter().map(|object| object.modified).max()
    }

    /// Whether some of it may have been written between these.
    pub(crate) fn may_hold(&self, since: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> bool {
        let late_enough =
            since.is_none_or(|since| self.modified().is_some_and(|modified| modified + SKEW >= since));
        let early_enough = until.is_none_or(|until| self.file.born - SKEW < until);
        late_enough && early_enough
    }
}
