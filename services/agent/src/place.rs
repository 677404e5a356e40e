//! Files below one directory that is shared with less trusted users.
//!
//! The agent may be root while services, which run tenants' code, own some of these directories. Every path is
//! therefore walked component by component without following symbolic links, and ownership is changed on open
//! descriptors only.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::process::{Gid, Uid};

use crate::error::{Error, Result};

/// The user services run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// Who owns what is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The agent alone.
    Agent,
    /// The agent; the services' group has what the mode gives a group.
    Shared,
    /// The services' user.
    Service,
}

/// One directory, kept open.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    root: OwnedFd,
    owner: Option<Owner>,
}

// === impl Owner ===

impl Owner {
    /// The user of that name; `None` when services run as the agent does.
    ///
    /// # Errors
    /// When there is no such user, or the agent may not change to it.
    pub fn resolve(name: Option<&str>) -> Result<Option<Self>> {
        let Some(name) = name else { return Ok(None) };
        let user = nix::unistd::User::from_name(name)
            .map_err(|errno| Error::File {
                action: "look up user",
                path: name.into(),
                source: errno.into(),
            })?
            .ok_or_else(|| Error::NoSuchUser(name.to_owned()))?;
        let me = rustix::process::geteuid();
        if user.uid.as_raw() == me.as_raw() {
            return Ok(None);
        }
        if !me.is_root() {
            return Err(Error::NotRoot(name.to_owned()));
        }
        Ok(Some(Self {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
        }))
    }
}

// === impl Place ===

impl Place {
    /// Opens the directory, made if need be.
    ///
    /// # Errors
    /// When it can't be made or opened.
    pub fn open(path: &Path, owner: Option<Owner>) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(Error::file("make directory", path))?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let root =
            rustix::fs::open(path, flags, Mode::empty()).map_err(|e| Error::file("open", path)(e.into()))?;
        Ok(Self {
            path: path.to_owned(),
            root,
            owner,
        })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        self.owner
    }

    /// Mode and owner of the place itself.
    ///
    /// # Errors
    /// When they can't be changed.
    pub fn secure(&self, mode: u32, ownership: Ownership) -> Result<()> {
        self.own(&self.root, mode, ownership)
            .map_err(Error::file("change owner of", &self.path))
    }

    /// Makes a directory and those above it.
    ///
    /// # Errors
    /// When a component is a symbolic link or no directory, or it can't be made.
    pub fn directory(&self, relative: &str, mode: u32, ownership: Ownership) -> Result<OwnedFd> {
        let parts = components(relative)?;
        self.walk(&parts, Some((mode, ownership)))
            .map_err(Error::file("make directory", self.path.join(relative)))
    }

    /// Makes what is missing of a path for the services; what is there stays as it is.
    ///
    /// # Errors
    /// As for `directory`.
    pub fn directory_above(&self, relative: &str) -> Result<()> {
        let parts = components(relative)?;
        let there = self.walk(&parts, None).is_ok();
        if there {
            Ok(())
        } else {
            self.directory(relative, 0o700, Ownership::Service).map(|_| ())
        }
    }

    /// Replaces a file in one step.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, relative: &str, content: &[u8], mode: u32, ownership: Ownership) -> Result<()> {
        self.replace(relative, content, mode, ownership, true)
    }

    /// The same for what is written anew after the machine restarts: it need not reach the disk now.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_soon(&self, relative: &str, content: &[u8], mode: u32, ownership: Ownership) -> Result<()> {
        self.replace(relative, content, mode, ownership, false)
    }

    /// The file's bytes; `None` when there is none.
    ///
    /// # Errors
    /// When it is there and can't be read, or is a symbolic link.
    pub fn read(&self, relative: &str) -> Result<Option<Vec<u8>>> {
        match self.open_file(relative, OFlags::RDONLY) {
            Ok(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)
                    .map_err(Error::file("read", self.path.join(relative)))?;
                Ok(Some(bytes))
            }
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Opens a file that exists, never through a link.
    ///
    /// # Errors
    /// When it can't be opened so.
    pub fn open_file(&self, relative: &str, flags: OFlags) -> Result<File> {
        let (parents, name) = split(relative)?;
        self.walk(&parents, None)
            .and_then(|parent| {
                let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
                Ok(File::from(rustix::fs::openat(
                    parent,
                    name,
                    flags,
                    Mode::empty(),
                )?))
            })
            .map_err(Error::file("open", self.path.join(relative)))
    }

    /// Opens a file of the agent's own for appending and reading. One that somebody else put there is thrown away.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn append(&self, relative: &str, mode: u32, ownership: Ownership) -> Result<File> {
        let (parents, name) = split(relative)?;
        self.walk(&parents, None)
            .and_then(|parent| self.append_in(&parent, name, mode, ownership))
            .map_err(Error::file("open", self.path.join(relative)))
    }

    /// Removes a file; one that is not there is fine.
    ///
    /// # Errors
    /// When it is there and can't be removed.
    pub fn remove(&self, relative: &str) -> Result<()> {
        let (parents, name) = split(relative)?;
        let removed = self
            .walk(&parents, None)
            .and_then(|parent| Ok(rustix::fs::unlinkat(parent, name, AtFlags::empty())?));
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file("remove", self.path.join(relative))(error))
            }
            _ => Ok(()),
        }
    }

    /// A directory to be read; the place itself for none.
    ///
    /// # Errors
    /// When a component is a symbolic link or no directory, or is not there.
    pub(crate) fn look_into(&self, relative: &str) -> Result<OwnedFd> {
        let parts = if relative.is_empty() {
            Vec::new()
        } else {
            components(relative)?
        };
        self.walk(&parts, None)
            .map_err(Error::file("look into", self.path.join(relative)))
    }

    /// Removes a directory, if it is empty.
    ///
    /// # Errors
    /// When it is not, or can't be removed.
    pub(crate) fn remove_directory(&self, relative: &str) -> Result<()> {
        let (parents, name) = split(relative)?;
        self.walk(&parents, None)
            .and_then(|parent| Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?))
            .map_err(Error::file("remove", self.path.join(relative)))
    }

    fn walk(&self, parts: &[&str], make: Option<(u32, Ownership)>) -> io::Result<OwnedFd> {
        let mut at = self.root.try_clone()?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        for (index, part) in parts.iter().enumerate() {
            let made = match make {
                Some((mode, _)) => match rustix::fs::mkdirat(&at, *part, Mode::from_raw_mode(mode)) {
                    Ok(()) => true,
                    Err(rustix::io::Errno::EXIST) => false,
                    Err(error) => return Err(error.into()),
                },
                None => false,
            };
            at = rustix::fs::openat(&at, *part, flags, Mode::empty())?;
            if let Some((mode, ownership)) = make
                && (made || index + 1 == parts.len())
            {
                self.own(&at, mode, ownership)?;
            }
        }
        Ok(at)
    }

    fn replace(
        &self,
        relative: &str,
        content: &[u8],
        mode: u32,
        ownership: Ownership,
        durable: bool,
    ) -> Result<()> {
        let (parents, name) = split(relative)?;
        let temporary = format!(".{name}.new");
        let replaced = self.walk(&parents, None).and_then(|parent| {
            let _ = rustix::fs::unlinkat(&parent, temporary.as_str(), AtFlags::empty());
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&parent, temporary.as_str(), flags, Mode::from_raw_mode(0o600))?;
            self.own(&file, mode, ownership)?;
            let mut file = File::from(file);
            file.write_all(content)?;
            if durable {
                file.sync_data()?;
            }
            rustix::fs::renameat(&parent, temporary.as_str(), &parent, name)?;
            Ok(())
        });
        replaced.map_err(Error::file("write", self.path.join(relative)))
    }

    fn append_in(&self, parent: &OwnedFd, name: &str, mode: u32, ownership: Ownership) -> io::Result<File> {
        let flags = OFlags::CREATE
            | OFlags::APPEND
            | OFlags::NOFOLLOW
            | OFlags::RDWR
            | OFlags::CLOEXEC
            | OFlags::NONBLOCK;
        let open = || rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600));
        let foreign = |fd: &OwnedFd| -> io::Result<bool> {
            let stat = rustix::fs::fstat(fd)?;
            let regular =
                rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile;
            Ok(!regular || stat.st_nlink != 1 || stat.st_uid != rustix::process::geteuid().as_raw())
        };
        let mut opened = open();
        let replace = match &opened {
            Ok(fd) => foreign(fd)?,
            Err(error) => *error == rustix::io::Errno::LOOP,
        };
        if replace {
            rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
            opened = open();
        }
        let fd = opened?;
        if foreign(&fd)? {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.own(&fd, mode, ownership)?;
        Ok(File::from(fd))
    }

    fn own(&self, fd: &OwnedFd, mode: u32, ownership: Ownership) -> io::Result<()> {
        if let Some(owner) = self.owner {
            let (uid, gid) = match ownership {
                Ownership::Agent => (rustix::process::geteuid(), rustix::process::getegid()),
                Ownership::Shared => (rustix::process::geteuid(), Gid::from_raw(owner.gid)),
                Ownership::Service => (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid)),
            };
            rustix::fs::fchown(fd.as_fd(), Some(uid), Some(gid))?;
        }
        rustix::fs::fchmod(fd, Mode::from_raw_mode(mode))?;
        Ok(())
    }
}

fn components(relative: &str) -> Result<Vec<&str>> {
    let outside = || Error::OutsideNode(relative.chars().take(200).collect());
    let parts: Vec<&str> = Path::new(relative)
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str().ok_or_else(outside),
            _ => Err(outside()),
        })
        .collect::<Result<_>>()?;
    if parts.is_empty() {
        Err(outside())
    } else {
        Ok(parts)
    }
}

fn split(relative: &str) -> Result<(Vec<&str>, &str)> {
    let mut parts = components(relative)?;
    let name = parts
        .pop()
        .ok_or_else(|| Error::OutsideNode(relative.to_owned()))?;
    Ok((parts, name))
}

#[cfg(test)]
mod tests {
    use super::{Ownership, Place};

    #[test]
    fn paths_stay_below_the_node() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::open(&dir.path().join("node"), None).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("node/link")).unwrap();
        std::fs::write(dir.path().join("outside"), "kept").unwrap();
        std::os::unix::fs::symlink(dir.path().join("outside"), dir.path().join("node/file")).unwrap();
        for bad in ["../x", "/etc/x", "", "a/../../x", "link/x"] {
            assert!(
                place.write(bad, b"x", 0o600, Ownership::Service).is_err(),
                "{bad}"
            );
        }
        assert!(place.directory("link/sub", 0o700, Ownership::Service).is_err());
        assert!(place.read("file").is_err());
        place.write("file", b"new", 0o600, Ownership::Service).unwrap();
        assert_eq!(std::fs::read(dir.path().join("outside")).unwrap(), b"kept");
        assert_eq!(place.read("file").unwrap().unwrap(), b"new");
    }

    #[test]
    fn an_appended_file_is_never_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::open(&dir.path().join("node"), None).unwrap();
        std::fs::write(dir.path().join("outside"), "kept").unwrap();
        std::os::unix::fs::symlink(dir.path().join("outside"), dir.path().join("node/a.log")).unwrap();
        std::io::Write::write_all(
            &mut place.append("a.log", 0o640, Ownership::Shared).unwrap(),
            b"line",
        )
        .unwrap();
        assert_eq!(std::fs::read(dir.path().join("outside")).unwrap(), b"kept");
        assert_eq!(place.read("a.log").unwrap().unwrap(), b"line");
    }
}
