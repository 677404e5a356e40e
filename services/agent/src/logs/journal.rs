//! Where each file stands, on disk: a line per change, the last one of a file counts.
//!
//! Written after the bucket has answered, without waiting for the disk: an agent that is killed loses nothing of it. After a
//! power cut it may be some seconds old; then what follows is sent again, under the same keys, for files are cut by their bytes
//! alone. Only what bytes can't tell waits for the disk: which files there are and how they were first called, that one was
//! emptied, given up or packed, and all of it before anything is removed from the node.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;

use serde::{Deserialize, Serialize};

use super::look::Identity;
use super::stream::Standing;
use crate::error::{Error, Result};
use crate::place::{Ownership, Place};

const JOURNAL: &str = "agent/logs.jsonl";
/// Lines beyond twice the files before it is written anew.
const SLACK: usize = 2_000;

#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    lines: usize,
    /// How much of it a power cut would leave.
    #[cfg(test)]
    pub(super) settled: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line<'a> {
    Gone { gone: Identity },
    Stands(Cow<'a, Standing>),
}

// === impl Journal ===

impl Journal {
    /// What the last agent knew. A torn last line is forgotten.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn open(place: &Place) -> Result<(Self, BTreeMap<Identity, Standing>)> {
        let bytes = place.read(JOURNAL)?.unwrap_or_default();
        let mut standings = BTreeMap::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Line::Gone { gone }) => {
                    standings.remove(&gone);
                }
                Ok(Line::Stands(standing)) => {
                    standings.insert(standing.identity(), standing.into_owned());
                }
                Err(_) => {}
            }
        }
        let journal = Self::write_anew(place, standings.values())?;
        Ok((journal, standings))
    }

    fn write_anew<'a>(place: &Place, standings: impl Iterator<Item = &'a Standing>) -> Result<Self> {
        let mut text = Vec::new();
        let mut lines = 0;
        for standing in standings {
            lines += 1;
            write_line(&mut text, &Line::Stands(Cow::Borrowed(standing)));
        }
        place.write(JOURNAL, &text, 0o600, Ownership::Agent)?;
        let file = place.append(JOURNAL, 0o600, Ownership::Agent)?;
        Ok(Self {
            file,
            lines,
            #[cfg(test)]
            settled: text.len() as u64,
        })
    }

    /// # Errors
    /// When the disk refuses.
    pub(crate) fn note(&mut self, standing: &Standing) -> Result<()> {
        self.write(&Line::Stands(Cow::Borrowed(standing)))
    }

    /// # Errors
    /// When the disk refuses.
    pub(crate) fn forget(&mut self, identity: Identity) -> Result<()> {
        self.write(&Line::Gone { gone: identity })
    }

    /// All that was noted is on the disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.file.sync_data().map_err(Error::file("write", JOURNAL))?;
        #[cfg(test)]
        {
            self.settled = self
                .file
                .metadata()
                .map_err(Error::file("look at", JOURNAL))?
                .len();
        }
        Ok(())
    }

    /// Keeps it short. What `standings` lacks is forgotten.
    ///
    /// # Errors
    /// When the disk refuses; then it stays as it is.
    pub(crate) fn tidy<'a>(
        &mut self,
        place: &Place,
        standings: impl Iterator<Item = &'a Standing> + Clone,
    ) -> Result<()> {
        if self.lines > standings.clone().count() * 2 + SLACK {
            *self = Self::write_anew(place, standings)?;
        }
        Ok(())
    }

    fn write(&mut self, line: &Line<'_>) -> Result<()> {
        let mut text = Vec::new();
        write_line(&mut text, line);
        self.lines += 1;
        self.file.write_all(&text).map_err(Error::file("write", JOURNAL))
    }
}

fn write_line(text: &mut Vec<u8>, line: &Line<'_>) {
    // Numbers and strings: it does not fail.
    if serde_json::to_writer(&mut *text, line).is_ok() {
        text.push(b'\n');
    }
}
