//! What a version is called: a digest of its files' paths and contents, and of nothing else.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

const LONGEST_PATH: usize = 1024;
const LONGEST_NAME: usize = 255;

/// SHA-256 in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// The files of a version: path → length and SHA-256.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    files: BTreeMap<String, (u64, [u8; 32])>,
    bytes: u64,
}

// === impl Digest ===

impl Digest {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hex = text.len() == 64
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if hex {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Dags("that is no DAG version's digest".to_owned()))
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Manifest ===

impl Manifest {
    /// # Errors
    /// When the path is twice there, or is a directory of another.
    pub fn add(&mut self, path: &str, length: u64, sha256: [u8; 32]) -> Result<()> {
        let path = checked_path(path)?;
        let mut above = path;
        while let Some((parent, _)) = above.rsplit_once('/') {
            if self.files.contains_key(parent) {
                return Err(Error::Dags(format!("`{parent}` is both a file and a directory")));
            }
            above = parent;
        }
        let below = format!("{path}/");
        let is_directory = self
            .files
            .range(below.clone()..)
            .next()
            .is_some_and(|(next, _)| next.starts_with(&below));
        if is_directory || self.files.insert(path.to_owned(), (length, sha256)).is_some() {
            return Err(Error::Dags(format!("`{path}` is there twice")));
        }
        self.bytes += length;
        Ok(())
    }

    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        for (path, (length, sha256)) in &self.files {
            hash.update((path.len() as u64).to_be_bytes());
            hash.update(path.as_bytes());
            hash.update(length.to_be_bytes());
            hash.update(sha256);
        }
        Digest(hex::encode(hash.finalize()))
    }

    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Path, length and SHA-256 of each file.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, u64, [u8; 32])> {
        self.files
            .iter()
            .map(|(path, (length, sha256))| (path.as_str(), *length, *sha256))
    }

    /// What lies below a folder (everything for the empty one), named from there.
    pub(super) fn below(&self, folder: &str) -> Self {
        let files = self.files.iter().filter_map(|(path, file)| {
            let rest = match folder {
                "" => path.as_str(),
                folder => path.strip_prefix(folder)?.strip_prefix('/')?,
            };
            Some((rest.to_owned(), *file))
        });
        files.collect()
    }

    /// Without what lies below a folder.
    pub(super) fn without(mut self, folder: &str) -> Self {
        let below = format!("{folder}/");
        self.files.retain(|path, _| !path.starts_with(&below));
        self.files.into_iter().collect()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl FromIterator<(String, (u64, [u8; 32]))> for Manifest {
    fn from_iter<I: IntoIterator<Item = (String, (u64, [u8; 32]))>>(files: I) -> Self {
        let files: BTreeMap<_, _> = files.into_iter().collect();
        let bytes = files.values().map(|(length, _)| length).sum();
        Self { files, bytes }
    }
}

/// A path that stays where it is put, whoever wrote it.
pub(super) fn checked_path(path: &str) -> Result<&str> {
    let bad_name = |name: &str| {
        name.is_empty()
            || name == "."
            || name == ".."
            || name.len() > LONGEST_NAME
            || name.chars().any(|c| c.is_control() || c == '\\')
    };
    if path.len() > LONGEST_PATH || path.split('/').any(bad_name) {
        let shown: String = path.chars().take(120).flat_map(char::escape_default).collect();
        return Err(Error::Dags(format!(
            "`{shown}` can't be a file of a DAG version: rename it"
        )));
    }
    Ok(path)
}

/// Two names that differ only in case are one file on some disks, and a trap on all.
pub(super) fn check_case<'a>(paths: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for path in paths {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let part = path.get(..end).unwrap_or(path);
            let before = seen.entry(part.to_lowercase()).or_insert(part);
            if *before != part {
                return Err(Error::Dags(format!(
                    "`{before}` and `{part}` differ only in case: rename one"
                )));
            }
        }
    }
    Ok(())
}

/// What Python leaves behind is no DAG.
pub(super) fn is_litter(path: &str) -> bool {
    path.split('/').any(|name| name == "__pycache__") || path.ends_with(".pyc")
}

#[cfg(test)]
mod tests {
    use super::{Digest, Manifest, checked_path};

    fn manifest(files: &[(&str, u8)]) -> Manifest {
        let mut manifest = Manifest::default();
        for (path, content) in files {
            manifest.add(path, 1, [*content; 32]).unwrap();
        }
        manifest
    }

    #[test]
    fn a_digest_depends_on_files_and_not_on_their_order() {
        let one = manifest(&[("a.py", 1), ("b/c.py", 2)]).digest();
        assert_eq!(one, manifest(&[("b/c.py", 2), ("a.py", 1)]).digest());
        assert_ne!(one, manifest(&[("a.py", 1), ("b/c.py", 3)]).digest());
        assert_ne!(one, manifest(&[("a.py", 1), ("b/d.py", 2)]).digest());
        assert_eq!(one.as_str().parse::<Digest>().unwrap(), one);
    }

    #[test]
    fn names_that_differ_in_case_only_are_refused_by_name() {
        let check = |paths: &[&str]| super::check_case(paths.iter().copied());
        assert!(check(&["a.py", "b/a.py", "b/c.py"]).is_ok());
        let refused = check(&["Team/a.py", "team/b.py"]).unwrap_err().to_string();
        assert!(refused.contains("`Team` and `team`"), "{refused}");
        assert!(check(&["a.py", "A.py"]).is_err());
    }

    #[test]
    fn a_file_is_no_directory() {
        assert!(manifest(&[("a", 1)]).add("a/b", 1, [0; 32]).is_err());
        assert!(manifest(&[("a/b", 1)]).add("a", 1, [0; 32]).is_err());
        assert!(manifest(&[("a", 1)]).add("a", 1, [0; 32]).is_err());
        assert!(manifest(&[("a", 1), ("a.b", 2)]).add("a-c", 1, [0; 32]).is_ok());
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for bad in [
            "",
            "/a",
            "a//b",
            "../a",
            "a/../b",
            "a/.",
            "a\nb",
            "a\\b",
            &"x".repeat(256),
        ] {
            assert!(checked_path(bad).is_err(), "{bad:?}");
        }
        for good in ["a.py", "team/a b.sql", ".airflowignore", "ünïcode.py"] {
            assert!(checked_path(good).is_ok(), "{good:?}");
        }
    }
}
