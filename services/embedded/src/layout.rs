//! Where everything lies under the one data directory.

use std::path::{Path, PathBuf};

/// The paths below a data directory. Making one touches nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

// === impl Layout ===

impl Layout {
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            root: data_dir.into(),
        }
    }

    /// `/var/lib/updraft` for root, whose home other users cannot pass; the user's data home for everyone else
    /// (`$XDG_DATA_HOME`, else `~/.local/share`, XDG Base Directory Specification).
    pub fn default_dir() -> PathBuf {
        if nix::unistd::geteuid().is_root() {
            return PathBuf::from("/var/lib/updraft");
        }
        let absolute = |key: &str| {
            std::env::var_os(key)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        absolute("XDG_DATA_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
            .unwrap_or_else(|| PathBuf::from("/var/tmp"))
            .join("updraft")
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The format this directory has; there from the moment it is Updraft's.
    pub fn version_file(&self) -> PathBuf {
        self.root.join("version")
    }

    pub fn lock_file(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Installed programs, by the digest of their lock.
    pub fn parts(&self) -> PathBuf {
        self.root.join("parts")
    }

    /// Airflow environments, by digest. World-readable.
    pub fn environments(&self) -> PathBuf {
        self.root.join("environments")
    }

    /// Downloads. May be removed at any time.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    pub fn postgres(&self, name: &str) -> PathBuf {
        self.root.join("postgres").join(name)
    }

    pub fn s3(&self) -> PathBuf {
        self.root.join("s3")
    }

    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub fn log(&self, service: &str) -> PathBuf {
        self.logs().join(format!("{service}.log"))
    }

    /// Which processes run: one record per service.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Generated passwords and keys, for the user who runs `up` only.
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// Every directory with its mode: closed unless services or clusters, running as others, must pass or read it.
    pub(crate) fn directories(&self) -> Vec<(PathBuf, u32)> {
        vec![
            (self.root.clone(), 0o711),
            (self.parts(), 0o755),
            (self.environments(), 0o755),
            (self.cache(), 0o700),
            (self.root.join("postgres"), 0o711),
            (self.logs(), 0o700),
            (self.run(), 0o700),
            (self.secrets(), 0o700),
        ]
    }
}
