//! Takes a built environment over from the user who built it: from then on its services read it and change nothing.
//!
//! That user may still hold files open and run what it likes. So every step goes through descriptors, follows no link, and
//! refuses what a build has no use for: files with several names (they may lie elsewhere too) and devices.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::process::{Gid, getegid, geteuid};

use crate::error::{Error, Result};
use crate::place::Owner;

/// Deeper than any package's directories.
const DEPTH: u32 = 60;

/// # Errors
/// When something in it is no plain file, directory or link, or the disk refuses.
pub(super) fn seal(path: &Path, owner: Option<Owner>) -> Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let group = owner.map_or_else(getegid, |owner| Gid::from_raw(owner.gid));
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(io::Error::from)
        .and_then(|root| seal_directory(&root, group, DEPTH))
        .map_err(Error::file("take over", path))
}

fn seal_directory(directory: &OwnedFd, group: Gid, depth: u32) -> io::Result<()> {
    if depth == 0 {
        return Err(io::Error::other("its directories are too deep"));
    }
    own(directory, group, 0o750)?;
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    for name in names {
        let stat = rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        let flags = OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let inner = rustix::fs::openat(directory, &name, flags | OFlags::DIRECTORY, Mode::empty())?;
                seal_directory(&inner, group, depth - 1)?;
            }
            FileType::Symlink => rustix::fs::chownat(
                directory,
                &name,
                Some(geteuid()),
                Some(group),
                AtFlags::SYMLINK_NOFOLLOW,
            )?,
            FileType::RegularFile => {
                seal_file(
                    &rustix::fs::openat(directory, &name, flags, Mode::empty())?,
                    group,
                )?;
            }
            _ => return Err(io::Error::other("it holds something that is no file")),
        }
    }
    Ok(())
}

fn seal_file(file: &OwnedFd, group: Gid) -> io::Result<()> {
    let stat = rustix::fs::fstat(file)?;
    let plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1;
    if !plain {
        return Err(io::Error::other("it holds a file that has other names too"));
    }
    let executable = stat.st_mode & 0o111 != 0;
    own(file, group, if executable { 0o750 } else { 0o640 })
}

/// Also takes every special bit away.
fn own(file: &OwnedFd, group: Gid, mode: u32) -> io::Result<()> {
    rustix::fs::fchown(file.as_fd(), Some(geteuid()), Some(group))?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::seal;

    #[test]
    fn plain_files_lose_special_bits_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (made, outside) = (dir.path().join("made"), dir.path().join("outside"));
        std::fs::create_dir(&made).unwrap();
        std::fs::write(&outside, "kept").unwrap();
        std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&outside, made.join("link")).unwrap();
        std::fs::write(made.join("tool"), "").unwrap();
        std::fs::set_permissions(made.join("tool"), std::fs::Permissions::from_mode(0o4777)).unwrap();
        seal(&made, None).unwrap();
        let mode = |name| std::fs::metadata(name).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(made.join("tool")), mode(outside)), (0o750, 0o600));
    }

    #[test]
    fn a_file_that_lies_elsewhere_too_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().join("made");
        std::fs::create_dir(&made).unwrap();
        std::fs::write(dir.path().join("outside"), "kept").unwrap();
        std::fs::hard_link(dir.path().join("outside"), made.join("inside")).unwrap();
        assert!(seal(&made, None).is_err());
    }
}
