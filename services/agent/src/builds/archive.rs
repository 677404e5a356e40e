//! An environment as one file: packed where it was built, unpacked where it is missing.
//!
//! Unpacked as if somebody hostile had packed it: plain files alone, below the directory, in bounds. The one link that an
//! environment has, its interpreter, is made here and taken from nobody.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

const LEVEL: i32 = 3;
const MOST_FILES: usize = 200_000;
const LINKS: [&str; 2] = ["bin/python", "bin/python3"];

/// What reads through it is counted in a digest.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

/// Packs a sealed environment.
///
/// # Errors
/// When it has links of its own, or the disk refuses.
pub(super) fn pack(environment: &Path, archive: &Path) -> io::Result<()> {
    let options = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(archive)?;
    let mut encoder = zstd::Encoder::new(BufWriter::new(options), LEVEL)?;
    encoder.include_checksum(true)?;
    let mut tar = Builder::new(encoder);
    let mut open = vec![environment.to_owned()];
    while let Some(directory) = open.pop() {
        let mut entries = std::fs::read_dir(&directory)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let name = path.strip_prefix(environment).map_err(io::Error::other)?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                append(&mut tar, &path, name)?;
            } else if !LINKS.iter().any(|link| name == Path::new(link)) {
                return Err(io::Error::other("it has links of its own"));
            }
        }
    }
    let written = tar.into_inner()?.finish()?;
    written
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_data()
}

fn append(tar: &mut Builder<impl io::Write>, path: &Path, name: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(meta.mode() & 0o777);
    // Compiled modules name the time of their source.
    header.set_mtime(u64::try_from(meta.mtime()).unwrap_or(0));
    header.set_size(meta.len());
    tar.append_data(&mut header, name, file)
}

/// SHA-256 of a file, in lower-case hex.
pub(super) fn digest(archive: &Path) -> io::Result<String> {
    let mut read = Hashing {
        inner: File::open(archive)?,
        hash: Sha256::new(),
    };
    io::copy(&mut read, &mut io::sink())?;
    Ok(hex::encode(read.hash.finalize()))
}

/// Unpacks into a directory that is made for it; `most_bytes` in all.
///
/// # Errors
/// When it holds anything but an environment's plain files, too much of them, or the disk refuses.
pub(super) fn unpack(archive: &Path, into: &Path, base: &Path, most_bytes: u64) -> io::Result<()> {
    std::fs::create_dir(into)?;
    let decoder = zstd::Decoder::new(BufReader::new(File::open(archive)?))?;
    let mut tar = tar::Archive::new(decoder);
    let (mut files, mut bytes) = (0, 0);
    for entry in tar.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type() != EntryType::Regular {
            return Err(io::Error::other("it holds something that is no plain file"));
        }
        (files, bytes) = (files + 1, bytes + entry.size());
        if files > MOST_FILES || bytes > most_bytes {
            return Err(io::Error::other("it is larger than an environment may be"));
        }
        write(&mut entry, into)?;
    }
    let interpreter = std::fs::canonicalize(base.join(LINKS[0]))?;
    LINKS
        .iter()
        .try_for_each(|link| symlink(&interpreter, into.join(link)))
}

fn write(entry: &mut tar::Entry<'_, impl Read>, into: &Path) -> io::Result<()> {
    let name = entry.path()?.into_owned();
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if name.as_os_str().is_empty() || !name.components().all(is_plain) {
        return Err(io::Error::other("it holds a file that would lie elsewhere"));
    }
    let (mode, at) = (entry.header().mode()?, entry.header().mtime()?);
    let target: PathBuf = into.join(&name);
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&target)?;
    io::copy(entry, &mut file)?;
    file.flush()?;
    let executable = mode & 0o111 != 0;
    file.set_permissions(std::fs::Permissions::from_mode(if executable {
        0o750
    } else {
        0o640
    }))?;
    file.set_modified(UNIX_EPOCH + Duration::from_secs(at))
}

// === impl Hashing ===

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::{Path, PathBuf};

    use tar::{Builder, EntryType, Header};

    use super::{pack, unpack};

    const MOST: u64 = 1 << 20;

    struct Places {
        _dir: tempfile::TempDir,
        base: PathBuf,
        made: PathBuf,
        archive: PathBuf,
        fetched: PathBuf,
    }

    fn places() -> Places {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("base/bin")).unwrap();
        std::fs::write(at("base/bin/python"), "").unwrap();
        Places {
            base: at("base"),
            made: at("made"),
            archive: at("archive"),
            fetched: at("fetched"),
            _dir: dir,
        }
    }

    fn environment(at: &Path) {
        std::fs::create_dir_all(at.join("bin")).unwrap();
        std::fs::create_dir_all(at.join("lib/ours")).unwrap();
        std::fs::write(at.join("lib/ours/word.py"), "WORD = 1").unwrap();
        std::fs::write(at.join("bin/tool"), "#!/bin/sh").unwrap();
        std::fs::set_permissions(at.join("bin/tool"), std::fs::Permissions::from_mode(0o750)).unwrap();
        symlink("/elsewhere/python", at.join("bin/python")).unwrap();
        symlink("/elsewhere/python", at.join("bin/python3")).unwrap();
    }

    #[test]
    fn what_is_unpacked_is_what_was_packed_with_this_nodes_interpreter() {
        let places = places();
        environment(&places.made);
        pack(&places.made, &places.archive).unwrap();
        unpack(&places.archive, &places.fetched, &places.base, MOST).unwrap();
        let read = |at: &Path| std::fs::read(at.join("lib/ours/word.py")).unwrap();
        assert_eq!(read(&places.fetched), read(&places.made));
        let modified = |at: &Path| {
            at.join("lib/ours/word.py")
                .metadata()
                .unwrap()
                .modified()
                .unwrap()
        };
        let seconds = |at: &Path| modified(at).duration_since(super::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(seconds(&places.fetched), seconds(&places.made));
        let tool = places.fetched.join("bin/tool").metadata().unwrap();
        assert_eq!(tool.permissions().mode() & 0o777, 0o750);
        let python = std::fs::read_link(places.fetched.join("bin/python")).unwrap();
        assert_eq!(python, places.base.join("bin/python").canonicalize().unwrap());
    }

    #[test]
    fn an_environment_with_links_of_its_own_is_not_packed() {
        let places = places();
        environment(&places.made);
        symlink("/etc/passwd", places.made.join("lib/ours/passwd")).unwrap();
        assert!(pack(&places.made, &places.archive).is_err());
    }

    fn packed(places: &Places, kind: EntryType, name: &str) {
        let encoder = zstd::Encoder::new(std::fs::File::create(&places.archive).unwrap(), 1).unwrap();
        let mut tar = Builder::new(encoder.auto_finish());
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o4777);
        header.set_size(if kind == EntryType::Regular { 3 } else { 0 });
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        if kind == EntryType::Symlink {
            header.set_link_name("/etc").unwrap();
        }
        header.set_cksum();
        let content: &[u8] = if kind == EntryType::Regular { b"abc" } else { b"" };
        tar.append(&header, content).unwrap();
        tar.into_inner().unwrap();
    }

    #[test]
    fn what_is_no_environment_is_refused_and_leads_nowhere() {
        for (kind, name) in [
            (EntryType::Regular, "../out"),
            (EntryType::Regular, "/tmp/updraft-out"),
            (EntryType::Regular, "lib/../../out"),
            (EntryType::Symlink, "lib"),
            (EntryType::Link, "lib"),
            (EntryType::Fifo, "lib"),
        ] {
            let places = places();
            packed(&places, kind, name);
            let refused = unpack(&places.archive, &places.fetched, &places.base, MOST);
            assert!(refused.is_err(), "{name}");
            assert!(!places.base.join("../out").exists());
        }
    }

    #[test]
    fn no_more_is_unpacked_than_an_environment_may_be() {
        let places = places();
        packed(&places, EntryType::Regular, "lib");
        assert!(unpack(&places.archive, &places.fetched, &places.base, 2).is_err());
    }
}
