//! What is the same in all sources: what was seen there when it was last whole, so that only what differs is brought.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::archive;
use super::super::digest::{Manifest, check_case, checked_path};
use super::super::part::Part;
use crate::error::Result;

/// Path → what tells a file's content from any other (an ETag, a blob's id).
pub(super) type Tags = BTreeMap<String, String>;

/// A state of the source that was read.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) key: String,
    pub(super) tags: Tags,
}

// === impl Seen ===

impl Seen {
    /// Where on this node's disk this content of the file is, if it is the last part's.
    pub(super) fn here(&self, last: Option<&Part>, path: &str, tag: &str) -> Option<PathBuf> {
        let part = last.filter(|part| part.revision.key == self.key)?;
        let same = self.tags.get(path).is_some_and(|before| before == tag);
        same.then(|| part.root.join(path))
    }
}

/// All that names and sizes alone can tell, before anything is read.
pub(super) fn check<'a>(files: impl Iterator<Item = (&'a str, u64)> + Clone) -> Result<()> {
    let mut manifest = Manifest::default();
    for (path, size) in files.clone() {
        checked_path(path)?;
        manifest.add(path, size, [0; 32])?;
        archive::check_size(&manifest)?;
    }
    check_case(files.map(|(path, _)| path))
}
