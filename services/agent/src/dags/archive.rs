//! `<digest>.tar.zst`: packed deterministically, unpacked as if somebody hostile had packed it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::digest::{Digest, Manifest, checked_path, is_litter};
use crate::error::{Error, Result};

/// Of one version, unpacked.
pub(super) const MOST_FILES: usize = 50_000;
pub(super) const MOST_BYTES: u64 = 2 << 30;
const LEVEL: i32 = 3;
/// On the stack: most files are smaller, and there are thousands.
const BUFFER: usize = 16 << 10;

/// Packs the files of a directory; the same files make the same bytes.
pub(super) fn pack(directory: &Path, manifest: &Manifest, archive: &Path) -> Result<()> {
    let write = || -> io::Result<()> {
        let mut encoder = zstd::Encoder::new(BufWriter::new(File::create(archive)?), LEVEL)?;
        encoder.include_checksum(true)?;
        let mut tar = Builder::new(encoder);
        for path in manifest.paths() {
            let file = File::open(directory.join(path))?;
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::Regular);
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_size(file.metadata()?.len());
            tar.append_data(&mut header, path, file)?;
        }
        tar.into_inner()?
            .finish()?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_data()
    };
    write().map_err(Error::file("pack", archive))
}

/// Unpacks into an empty directory, and refuses what is not exactly the version `expected`.
pub(super) fn unpack(archive: impl Read, directory: &Path, expected: &Digest) -> Result<Manifest> {
    let broken = Error::file("unpack", directory);
    let mut manifest = Manifest::default();
    let decoder = zstd::Decoder::new(archive).map_err(Error::file("unpack", directory))?;
    let mut tar = tar::Archive::new(decoder);
    let entries = match tar.entries() {
        Ok(entries) => entries,
        Err(error) => return Err(broken(error)),
    };
    for entry in entries {
        let mut entry = entry.map_err(Error::file("unpack", directory))?;
        if entry.header().entry_type() != EntryType::Regular {
            return Err(Error::Dags(
                "a published version holds something that is not a file".to_owned(),
            ));
        }
        let path = entry.path_bytes().into_owned();
        let path =
            String::from_utf8(path).map_err(|_| Error::Dags("a published path is not UTF-8".to_owned()))?;
        let (length, sha256) = write_file(directory, checked_path(&path)?, &mut entry)?;
        manifest.add(&path, length, sha256)?;
        check_size(&manifest)?;
    }
    if manifest.digest() != *expected {
        return Err(Error::Dags(format!(
            "version {expected} was published with other content than its name says"
        )));
    }
    Ok(manifest)
}

/// Writes one file of a version; returns its length and SHA-256.
pub(super) fn write_file(directory: &Path, path: &str, mut content: impl Read) -> Result<(u64, [u8; 32])> {
    let target = directory.join(path);
    let mut write = || -> io::Result<(u64, [u8; 32])> {
        let mut file = create(directory, path, &target)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        let mut hash = Sha256::new();
        let mut length = 0;
        let mut buffer = [0; BUFFER];
        loop {
            let read = content.read(&mut buffer)?;
            if read == 0 {
                return Ok((length, hash.finalize().into()));
            }
            length += read as u64;
            if length > MOST_BYTES {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            hash.update(&buffer[..read]);
            file.write_all(&buffer[..read])?;
        }
    };
    write().map_err(Error::file("write", &target))
}

/// Nearly always the directory is there.
fn create(directory: &Path, path: &str, target: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o644);
    match options.open(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_parents(directory, path)?;
            options.open(target)
        }
        opened => opened,
    }
}

pub(super) fn check_size(manifest: &Manifest) -> Result<()> {
    if manifest.len() > MOST_FILES || manifest.bytes() > MOST_BYTES {
        return Err(too_large());
    }
    Ok(())
}

pub(super) fn too_large() -> Error {
    Error::Dags(format!(
        "the source is larger than a DAG version may be ({MOST_FILES} files, {} GiB): move data elsewhere",
        MOST_BYTES >> 30
    ))
}

/// The manifest of a directory that a version was unpacked to.
pub(super) fn manifest_of(directory: &Path) -> Result<Manifest> {
    let mut manifest = Manifest::default();
    let mut open = vec![directory.to_owned()];
    while let Some(at) = open.pop() {
        let failed = || Error::file("read", &at);
        for entry in std::fs::read_dir(&at).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            if entry.file_type().map_err(failed())?.is_dir() {
                open.push(entry.path());
                continue;
            }
            let path = entry.path();
            let name = path.strip_prefix(directory).ok().and_then(Path::to_str);
            let name =
                name.ok_or_else(|| Error::Dags("a version holds a path that is not UTF-8".to_owned()))?;
            if is_litter(name) {
                continue;
            }
            let (length, sha256) = File::open(&path).and_then(hash).map_err(failed())?;
            manifest.add(name, length, sha256)?;
        }
    }
    Ok(manifest)
}

fn hash(mut file: File) -> io::Result<(u64, [u8; 32])> {
    let mut hash = Sha256::new();
    let length = io::copy(&mut file, &mut hash)?;
    Ok((length, hash.finalize().into()))
}

/// Readable by the services whatever the agent's umask is.
pub(super) fn readable(directory: &Path) -> io::Result<()> {
    std::fs::set_permissions(directory, Permissions::from_mode(0o755))
}

/// Readable by the services whatever the agent's umask is.
pub(super) fn make_parents(directory: &Path, path: &str) -> io::Result<()> {
    let mut at = directory.to_owned();
    let mut names: Vec<&str> = path.split('/').collect();
    names.pop();
    for name in names {
        at.push(name);
        match DirBuilder::new().mode(0o755).create(&at) {
            Ok(()) => std::fs::set_permissions(&at, Permissions::from_mode(0o755))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tar::{Builder, EntryType, Header};

    use super::super::digest::{Digest, Manifest};
    use super::{pack, unpack, write_file};

    fn version(directory: &Path, files: &[(&str, &str)]) -> Manifest {
        let mut manifest = Manifest::default();
        for (path, content) in files {
            let (length, sha256) = write_file(directory, path, content.as_bytes()).unwrap();
            manifest.add(path, length, sha256).unwrap();
        }
        manifest
    }

    #[test]
    fn what_is_packed_is_what_is_unpacked_and_packs_to_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let [source, target] = ["source", "target"].map(|name| dir.path().join(name));
        std::fs::create_dir(&source).unwrap();
        std::fs::create_dir(&target).unwrap();
        let long = format!("{}/{}.py", "d".repeat(150), "f".repeat(150));
        let manifest = version(&source, &[("a.py", "print()"), (&long, "x"), ("b/c.sql", "")]);
        pack(&source, &manifest, &dir.path().join("1")).unwrap();
        let bytes = std::fs::read(dir.path().join("1")).unwrap();
        assert_eq!(
            unpack(bytes.as_slice(), &target, &manifest.digest()).unwrap(),
            manifest
        );
        pack(&target, &manifest, &dir.path().join("2")).unwrap();
        assert_eq!(std::fs::read(dir.path().join("2")).unwrap(), bytes);
        assert_eq!(std::fs::read_to_string(target.join("a.py")).unwrap(), "print()");
    }

    #[test]
    fn other_content_than_the_name_says_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let [source, target] = ["source", "target"].map(|name| dir.path().join(name));
        std::fs::create_dir(&source).unwrap();
        std::fs::create_dir(&target).unwrap();
        let manifest = version(&source, &[("a.py", "print()")]);
        pack(&source, &manifest, &dir.path().join("1")).unwrap();
        let other: Digest = "0".repeat(64).parse().unwrap();
        let bytes = std::fs::read(dir.path().join("1")).unwrap();
        assert!(
            unpack(bytes.as_slice(), &target, &other)
                .unwrap_err()
                .to_string()
                .contains("other content")
        );
    }

    #[test]
    fn links_and_escapes_are_refused() {
        let hostile = |kind: EntryType, path: &str| {
            let mut tar = Builder::new(Vec::new());
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(kind);
            header.set_size(0);
            if kind == EntryType::Symlink {
                header.set_link_name("/etc").unwrap();
            }
            header.set_cksum();
            tar.append(&header, std::io::empty()).unwrap();
            zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap()
        };
        let expected: Digest = "0".repeat(64).parse().unwrap();
        for (kind, path) in [
            (EntryType::Symlink, "a"),
            (EntryType::Link, "a"),
            (EntryType::Directory, "a"),
            (EntryType::Fifo, "a"),
            (EntryType::Regular, "../a"),
            (EntryType::Regular, "/tmp/a"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("target");
            std::fs::create_dir(&target).unwrap();
            let refused = unpack(hostile(kind, path).as_slice(), &target, &expected).unwrap_err();
            assert!(!refused.to_string().contains("other content"), "{kind:?} {path}");
            assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0);
        }
    }
}
