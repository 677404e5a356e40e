//! Where one build does its work, beside the environments: a directory for who makes the environment, one for who checks
//! it, and the environment itself between them, sealed. Whoever made it has no way to it any more when the cluster's own
//! code first sees it, and that code none to change it.

use std::path::{Path, PathBuf};

use serde_json::json;
use updraft_api::agent::{BuildAssignment, BuildLimits};

use super::aside::{Aside, move_in, remove};
use super::tidy::{open_home, tidy};
use super::{Surroundings, seal};
use crate::error::{Error, Result};
use crate::place::{Owner, Ownership, Place};
use crate::process::{ProcessId, Stat, kill_marked};
use crate::supervise::service_uid;

const SEALED: &str = ".sealed-";
/// Where an environment is packed, or unpacked.
const ASIDE: &str = ".kept-";
const ENVIRONMENT: &str = "environment";
const REQUEST: &str = "request.json";

/// What is run of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Solves and installs, as the builder.
    Make,
    /// Imports Airflow and the cluster's DAGs in what was made, as the cluster's services.
    Check,
}

/// One build's directories, and what it runs with.
#[derive(Clone, Debug)]
pub(super) struct Staging {
    pub(super) surroundings: Surroundings,
    pub(super) aside: Aside,
    /// Of all environments of this cluster.
    home: PathBuf,
    /// Of this build on this node.
    id: String,
    keep: Vec<String>,
    /// Where the environment's plugins are taken from.
    pub(super) plugins: Option<PathBuf>,
    /// The door to the tenant's own index.
    pub(super) own_index: Option<String>,
}

// === impl Part ===

impl Part {
    fn prefix(self) -> &'static str {
        match self {
            Self::Make => ".building-",
            Self::Check => ".checking-",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Make => "make",
            Self::Check => "check",
        }
    }
}

// === impl Staging ===

impl Staging {
    pub(super) fn of(wanted: &BuildAssignment, surroundings: &Surroundings) -> Self {
        let directory = Path::new(&wanted.directory);
        let home = directory.parent().unwrap_or(directory).to_owned();
        let node: String = surroundings.mark.chars().take(8).collect();
        let id = format!("{}-{node}", wanted.digest);
        Self {
            surroundings: surroundings.clone(),
            aside: Aside::new(home.clone(), format!("{ASIDE}{id}"), surroundings.owner),
            home,
            id,
            keep: wanted.keep.iter().chain([&wanted.digest]).cloned().collect(),
            plugins: None,
            own_index: None,
        }
    }

    pub(super) fn path(&self, part: Part) -> PathBuf {
        self.home.join(self.name(part))
    }

    pub(super) fn request(&self, part: Part) -> PathBuf {
        self.path(part).join(REQUEST)
    }

    pub(super) fn owner(&self, part: Part) -> Option<Owner> {
        match part {
            Part::Make => self.surroundings.builder.or(self.surroundings.owner),
            Part::Check => self.surroundings.owner,
        }
    }

    /// Whether nothing of the cluster's could touch what is made here before it is sealed. Where all is one user's, that
    /// user is the only one there is.
    pub(super) fn is_apart(&self) -> bool {
        self.surroundings.owner.is_none() || self.surroundings.builder.is_some()
    }

    /// A home in order; what an agent that was killed left of this build ends and goes.
    pub(super) fn prepare(&self) -> Result<()> {
        open_home(&self.home, self.surroundings.owner)?;
        self.end_earlier();
        tidy(&self.home, &self.keep);
        self.remove()
    }

    /// An empty directory with the request in it.
    pub(super) fn begin(&self, part: Part, wanted: &BuildAssignment) -> Result<()> {
        let (place, name) = (Place::open(&self.home, self.owner(part))?, self.name(part));
        for directory in [name.clone(), format!("{name}/tmp")] {
            place.directory(&directory, 0o700, Ownership::Service)?;
        }
        let environment = match part {
            Part::Make => self.made(),
            Part::Check => self.sealed(),
        };
        let request = json!({
            "part": part.word(), "environment": environment,
            "staging": self.path(part), "base": wanted.base_dir, "before": wanted.before_dir,
            "dags": self.surroundings.dags, "plugins": self.plugins, "requirements": wanted.requirements,
            "allow_source_builds": wanted.allow_source_builds, "uv": wanted.uv, "index_url": wanted.index_url,
            "own_index": self.own_index,
            "limits": self.limits(part, wanted.limits),
        });
        let file = format!("{name}/{REQUEST}");
        place.write_soon(&file, request.to_string().as_bytes(), 0o600, Ownership::Service)
    }

    /// Takes what was made away from its builder.
    pub(super) fn seal(&self) -> Result<()> {
        let place = Place::open(&self.home, self.surroundings.owner)?;
        // From here on only descriptors that were open before lead in.
        drop(place.directory(&self.name(Part::Make), 0o700, Ownership::Agent)?);
        let made = self.made();
        seal::seal(&made, self.surroundings.owner)?;
        std::fs::rename(&made, self.sealed()).map_err(Error::file("move", &made))?;
        remove(&self.path(Part::Make))
    }

    /// Puts what was fetched in the place of what would be made.
    pub(super) fn take_fetched(&self, wanted: &BuildAssignment) -> Result<()> {
        let base = Path::new(&wanted.base_dir);
        self.aside.unpack(base, wanted.limits.disk_bytes, &self.sealed())
    }

    /// Moves the environment to where it is looked for.
    pub(super) fn publish(&self, directory: &Path) -> Result<()> {
        move_in(&self.sealed(), directory)
    }

    pub(super) fn remove(&self) -> Result<()> {
        remove(&self.path(Part::Make))?;
        remove(&self.path(Part::Check))?;
        remove(&self.sealed())
    }

    /// Environments that are kept.
    pub(super) fn keep(&self) -> &[String] {
        &self.keep
    }

    fn made(&self) -> PathBuf {
        self.path(Part::Make).join(ENVIRONMENT)
    }

    fn sealed(&self) -> PathBuf {
        self.home.join(format!("{SEALED}{}", self.id))
    }

    fn name(&self, part: Part) -> String {
        format!("{}{}", part.prefix(), self.id)
    }

    fn limits(&self, part: Part, limits: BuildLimits) -> BuildLimits {
        BuildLimits {
            processes: kernel_limit(limits.processes, service_uid(self.owner(part))),
            ..limits
        }
    }

    /// An agent that was killed left its build running, in the directory that this one needs.
    fn end_earlier(&self) {
        let uids = [Part::Make, Part::Check].map(|part| service_uid(self.owner(part)));
        let killed: usize = uids
            .map(|uid| kill_marked(&self.surroundings.mark, uid))
            .iter()
            .sum();
        if killed > 0 {
            tracing::info!(processes = killed, "The build of an earlier agent was ended");
        }
    }
}

/// What the kernel may hold the user to whose build or script may have so many processes. It counts all that the user
/// runs, the cluster's services too; and it refuses half as many again, so that whoever has too many is seen to have them.
pub(crate) fn kernel_limit(processes: u32, uid: u32) -> u32 {
    processes + processes / 2 + threads_of(uid)
}

fn threads_of(uid: u32) -> u32 {
    let processes = Stat::read_all()
        .into_iter()
        .filter_map(|stat| ProcessId::of(stat.pid));
    let threads = processes
        .filter(|process| process.uid() == Some(uid))
        .map(|process| std::fs::read_dir(format!("/proc/{}/task", process.pid)).map_or(0, Iterator::count));
    u32::try_from(threads.sum::<usize>()).unwrap_or(u32::MAX / 2)
}
