//! A directory of the agent's alone beside the environments, where one is packed or unpacked.

use std::path::{Path, PathBuf};

use updraft_api::agent::EnvironmentOffer;

use super::{archive, seal};
use crate::control::ControlClient;
use crate::error::{Error, Result};
use crate::place::{Owner, Ownership, Place};

const ARCHIVE: &str = "archive";
const ENVIRONMENT: &str = "environment";

#[derive(Clone, Debug)]
pub(super) struct Aside {
    /// Of all environments of this cluster on this machine.
    home: PathBuf,
    /// Within it.
    name: String,
    /// Whose services read what is unpacked.
    owner: Option<Owner>,
}

// === impl Aside ===

impl Aside {
    pub(super) fn new(home: PathBuf, name: String, owner: Option<Owner>) -> Self {
        Self { home, name, owner }
    }

    fn path(&self) -> PathBuf {
        self.home.join(&self.name)
    }

    pub(super) fn archive(&self) -> PathBuf {
        self.path().join(ARCHIVE)
    }

    /// Makes it, empty.
    pub(super) fn begin(&self) -> Result<()> {
        self.end()?;
        let place = Place::open(&self.home, self.owner)?;
        place.directory(&self.name, 0o700, Ownership::Agent).map(drop)
    }

    pub(super) fn end(&self) -> Result<()> {
        remove(&self.path())
    }

    /// Packs an environment that its services can't change.
    pub(super) fn pack(&self, directory: &Path) -> Result<()> {
        self.begin()?;
        archive::pack(directory, &self.archive()).map_err(Error::file("pack", directory))
    }

    /// Downloads what control offers; none: it offers nothing.
    ///
    /// # Errors
    /// When it can't be had, is too large, or is not what was offered.
    pub(super) async fn download(
        &self,
        control: &ControlClient,
        digest: &str,
        most_bytes: u64,
    ) -> Result<Option<EnvironmentOffer>> {
        let Some(offer) = control.environment(digest).await? else {
            return Ok(None);
        };
        if offer.bytes > most_bytes {
            return Err(Error::Environment("what is kept of it is too large".to_owned()));
        }
        self.begin()?;
        let found = control.download(&offer, &self.archive()).await?;
        if found == offer.sha256 {
            return Ok(Some(offer));
        }
        Err(Error::Environment(
            "what came is not what control named".to_owned(),
        ))
    }

    /// Unpacks what was downloaded and moves it, whole, to where it is to be.
    pub(super) fn unpack(&self, base: &Path, most_bytes: u64, into: &Path) -> Result<()> {
        let (archive, fetched) = (self.archive(), self.path().join(ENVIRONMENT));
        archive::unpack(&archive, &fetched, base, most_bytes).map_err(Error::file("unpack", &archive))?;
        seal::seal(&fetched, self.owner)?;
        move_in(&fetched, into)
    }
}

/// Who comes second finds the same.
pub(super) fn move_in(made: &Path, directory: &Path) -> Result<()> {
    match std::fs::rename(made, directory) {
        Err(_) if directory.is_dir() => remove(made),
        moved => moved.map_err(Error::file("move", made)),
    }
}

pub(super) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}
