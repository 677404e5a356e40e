//! The file that a master key lies in, alone or before the one whose place it takes.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rand::RngCore as _;
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;
use thiserror::Error;

use super::MasterKey;
use super::key::BYTES;

#[derive(Debug, Error)]
pub enum MasterKeyError {
    #[error("the master key's file {path} could not be read or written")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "the master key's file {path} holds neither 32 bytes, one key, nor 64, the key and the one whose place it takes: \
         put back what was there"
    )]
    Malformed { path: PathBuf },
}

impl MasterKey {
    /// # Errors
    /// When the file cannot be read, or is neither 32 nor 64 bytes long.
    pub fn load(path: &Path) -> Result<Self, MasterKeyError> {
        let file = File::open(path).map_err(|source| failed(path, source))?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 * BYTES + 1));
        file.take(2 * BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| failed(path, source))?;
        match bytes.as_chunks() {
            ([only], []) => Ok(Self::from_bytes(*only)),
            ([current, previous], []) if current != previous => Ok(Self::in_place_of(*previous, *current)),
            _ => Err(MasterKeyError::Malformed {
                path: path.to_owned(),
            }),
        }
    }

    /// Reads the key file; makes it (0600) on first use.
    ///
    /// # Errors
    /// When the file cannot be read or made, or is neither 32 nor 64 bytes long.
    pub fn load_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        match Self::load(path) {
            Err(MasterKeyError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Self::create(path).map_err(|source| failed(path, source))?;
                Self::load(path)
            }
            loaded => loaded,
        }
    }

    /// Written beside and linked into place: there is never half a key, and of two makers one wins.
    fn create(path: &Path) -> std::io::Result<()> {
        let draft = write_aside(path, random().as_slice())?;
        let linked = std::fs::hard_link(&draft, path);
        std::fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Puts another key before the one of this file, which stays as the one whose place it takes. The file has both, or
    /// what it had.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn begin_exchange(path: &Path) -> Result<Self, MasterKeyError> {
        let ring = Self::load(path)?.0.load_full();
        let both = Zeroizing::new([random().as_slice(), ring.current.bytes.expose_secret()].concat());
        put(path, &both)?;
        Self::load(path)
    }

    /// Leaves the current key alone in its file.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn end_exchange(path: &Path) -> Result<Self, MasterKeyError> {
        let ring = Self::load(path)?.0.load_full();
        put(path, ring.current.bytes.expose_secret())?;
        Self::load(path)
    }

    /// Writes the one key, or the one whose place is taken, to a file of its own.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn copy_oldest(&self, path: &Path) -> Result<(), MasterKeyError> {
        let ring = self.0.load_full();
        let oldest = ring.previous.as_ref().unwrap_or(&ring.current);
        put(path, oldest.bytes.expose_secret())
    }
}

fn failed(path: &Path, source: std::io::Error) -> MasterKeyError {
    MasterKeyError::Io {
        path: path.to_owned(),
        source,
    }
}

fn random() -> Zeroizing<[u8; BYTES]> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    rand::rng().fill_bytes(bytes.as_mut_slice());
    bytes
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), MasterKeyError> {
    let draft = write_aside(path, bytes).map_err(|source| failed(path, source))?;
    std::fs::rename(draft, path).map_err(|source| failed(path, source))?;
    // The name too has to outlive a power cut.
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| failed(path, source))
}

fn write_aside(path: &Path, bytes: &[u8]) -> std::io::Result<PathBuf> {
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(draft)
}
