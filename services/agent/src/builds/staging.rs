//! Where one build does its work: a directory of its own beside the environments, the services' user's.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;
use updraft_api::agent::{BuildAssignment, BuildLimits};

use super::{Surroundings, archive, seal};
use crate::error::{Error, Result};
use crate::place::{Ownership, Place};
use crate::process::{ProcessId, Stat, kill_marked};
use crate::supervise::service_uid;

const PREFIX: &str = ".building-";
/// Where an environment is packed, or unpacked: the agent's alone.
const ASIDE: &str = ".kept-";
const ARCHIVE: &str = "archive";
const ENVIRONMENT: &str = "environment";
const REQUEST: &str = "request.json";
/// An environment that no assignment has named for this long is removed.
const UNUSED: Duration = Duration::from_secs(3600);

/// One build's directory, and what it runs with.
#[derive(Clone, Debug)]
pub(super) struct Staging {
    pub(super) surroundings: Surroundings,
    /// Of all environments of this cluster.
    home: PathBuf,
    /// Within it.
    name: String,
    keep: Vec<String>,
    /// Where the environment's plugins are taken from.
    pub(super) plugins: Option<PathBuf>,
    /// The door to the tenant's own index.
    pub(super) own_index: Option<String>,
}

// === impl Staging ===

impl Staging {
    pub(super) fn of(wanted: &BuildAssignment, surroundings: &Surroundings) -> Self {
        let directory = Path::new(&wanted.directory);
        let node: String = surroundings.mark.chars().take(8).collect();
        Self {
            surroundings: surroundings.clone(),
            home: directory.parent().unwrap_or(directory).to_owned(),
            name: format!("{PREFIX}{}-{node}", wanted.digest),
            keep: wanted.keep.iter().chain([&wanted.digest]).cloned().collect(),
            plugins: None,
            own_index: None,
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.home.join(&self.name)
    }

    pub(super) fn request(&self) -> PathBuf {
        self.path().join(REQUEST)
    }

    /// An empty directory with the request in it; what is long unused goes.
    pub(super) fn prepare(&self, wanted: &BuildAssignment) -> Result<()> {
        let place = Place::open(&self.home, self.surroundings.owner)?;
        place.secure(0o750, Ownership::Shared)?;
        self.end_earlier();
        self.tidy();
        self.remove()?;
        for directory in [self.name.clone(), format!("{}/tmp", self.name)] {
            place.directory(&directory, 0o700, Ownership::Service)?;
        }
        let request = json!({
            "staging": self.path(), "base": wanted.base_dir, "before": wanted.before_dir,
            "dags": self.surroundings.dags, "plugins": self.plugins, "requirements": wanted.requirements,
            "allow_source_builds": wanted.allow_source_builds, "uv": wanted.uv, "index_url": wanted.index_url,
            "own_index": self.own_index,
            "limits": self.limits(wanted.limits),
        });
        let name = format!("{}/{REQUEST}", self.name);
        place.write_soon(&name, request.to_string().as_bytes(), 0o600, Ownership::Service)
    }

    /// An empty directory of the agent's, for an archive of the environment: where that is to be.
    pub(super) fn aside(&self) -> Result<PathBuf> {
        remove(&self.aside_path())?;
        let place = Place::open(&self.home, self.surroundings.owner)?;
        drop(place.directory(&self.aside_name(), 0o700, Ownership::Agent)?);
        Ok(self.aside_path().join(ARCHIVE))
    }

    /// Packs an environment that is in its place.
    pub(super) fn pack(&self, directory: &Path) -> Result<PathBuf> {
        let archive = self.aside()?;
        archive::pack(directory, &archive).map_err(Error::file("pack", directory))?;
        Ok(archive)
    }

    /// Gives the builder an environment that was fetched: it has only to be checked.
    pub(super) fn take_fetched(&self, wanted: &BuildAssignment) -> Result<()> {
        let fetched = self.aside_path().join(ENVIRONMENT);
        let (archive, base) = (self.aside_path().join(ARCHIVE), Path::new(&wanted.base_dir));
        archive::unpack(&archive, &fetched, base, wanted.limits.disk_bytes)
            .map_err(Error::file("unpack", &archive))?;
        seal::seal(&fetched, self.surroundings.owner)?;
        std::fs::rename(&fetched, self.path().join(ENVIRONMENT)).map_err(Error::file("move", &fetched))?;
        remove(&self.aside_path())
    }

    pub(super) fn end_aside(&self) -> Result<()> {
        remove(&self.aside_path())
    }

    /// Environments that are kept.
    pub(super) fn keep(&self) -> &[String] {
        &self.keep
    }

    fn aside_path(&self) -> PathBuf {
        self.home.join(self.aside_name())
    }

    fn aside_name(&self) -> String {
        self.name.replacen(PREFIX, ASIDE, 1)
    }

    /// The kernel counts all that the user runs, the cluster's services too.
    fn limits(&self, limits: BuildLimits) -> BuildLimits {
        BuildLimits {
            processes: limits.processes + threads_of(service_uid(self.surroundings.owner)),
            ..limits
        }
    }

    /// An agent that was killed left its build running, in the directory that this one needs.
    fn end_earlier(&self) {
        let uid = service_uid(self.surroundings.owner);
        let killed = kill_marked(&self.surroundings.mark, uid);
        if killed > 0 {
            tracing::info!(processes = killed, "The build of an earlier agent was ended");
        }
    }

    /// Takes the environment away from its builder and moves it to where it is looked for.
    pub(super) fn publish(&self, directory: &Path) -> Result<()> {
        let place = Place::open(&self.home, self.surroundings.owner)?;
        // From here on only descriptors that were open before lead in.
        drop(place.directory(&self.name, 0o700, Ownership::Agent)?);
        let made = self.path().join(ENVIRONMENT);
        seal::seal(&made, self.surroundings.owner)?;
        std::fs::rename(&made, directory).map_err(Error::file("move", &made))
    }

    pub(super) fn remove(&self) -> Result<()> {
        remove(&self.path())
    }

    /// Removes environments, and what builds left, that nobody has named for long. Used ones are touched first.
    fn tidy(&self) {
        let entries = std::fs::read_dir(&self.home).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            if self.keep.contains(&name) {
                touch(&entry.path());
            } else if is_unused(&entry.path())
                && let Err(error) = remove(&entry.path())
            {
                tracing::warn!(
                    error = error.chain(),
                    "An unused environment could not be removed"
                );
            }
        }
    }
}

/// All that this user runs on the machine, as the kernel counts it.
pub(crate) fn threads_of(uid: u32) -> u32 {
    let processes = Stat::read_all()
        .into_iter()
        .filter_map(|stat| ProcessId::of(stat.pid));
    let threads = processes
        .filter(|process| process.uid() == Some(uid))
        .map(|process| std::fs::read_dir(format!("/proc/{}/task", process.pid)).map_or(0, Iterator::count));
    u32::try_from(threads.sum::<usize>()).unwrap_or(u32::MAX / 2)
}

fn touch(path: &Path) {
    let touched = std::fs::File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = touched {
        tracing::debug!(%error, "an environment could not be marked as used");
    }
}

fn is_unused(path: &Path) -> bool {
    let modified = path.symlink_metadata().and_then(|meta| meta.modified()).ok();
    let age = modified.and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age >= UNUSED)
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}
