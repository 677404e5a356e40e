//! A directory of a git repository at a branch, tag or commit.
//!
//! Looking is `ls-remote`, two small requests; only a new commit is fetched, without its history. Nothing is ever checked
//! out: names and modes come from `ls-tree`, contents from `cat-file`, so neither filters nor hooks nor links of the
//! repository are run or followed.

mod command;
mod door;
mod ssh;
mod submodules;
mod tree;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use updraft_api::agent::{GitCredential, SourceFrom, SourceRevision};
use updraft_outbound::Outbound;
use url::Url;

use super::gather::{Seen, Tags, check};
use super::links::resolved;
use super::{Ground, Look, Snapshot, key};
use crate::dags::archive;
use crate::dags::digest::Manifest;
use crate::dags::part::{Part, Revision};
use crate::dags::shelf::{Shelf, blocking};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::place::Ownership;
use command::{Git as Commands, Remote};
use tree::Blob;

/// Each fetch leaves a pack; so many, and it is cheaper to begin anew.
const MOST_PACKS: usize = 40;
const FETCH_WITHIN: Duration = Duration::from_secs(300);
const LOOK_WITHIN: Duration = Duration::from_secs(30);
/// Larger ones are no pointers.
const LONGEST_POINTER: u64 = 1024;
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";

#[derive(Debug)]
pub(super) struct Git {
    folder: String,
    repository: Repository,
    reference: String,
    path: String,
    submodules: bool,
    seen: Option<Seen>,
}

/// One repository: where it is, who we are there, and where its objects are kept here.
#[derive(Clone, Debug)]
struct Repository {
    url: Url,
    credential: Option<GitCredential>,
    outbound: Outbound,
    address: IpAddr,
    layout: Layout,
    /// Below the node's directory.
    directory: String,
}

/// A commit, as people know it.
#[derive(Debug)]
struct Commit {
    author: Option<String>,
    message: Option<String>,
    at: Option<DateTime<Utc>>,
}

// === impl Git ===

impl Git {
    pub(super) fn new(folder: String, from: &SourceFrom, ground: &Ground) -> Result<Self> {
        let SourceFrom::Git {
            url,
            reference,
            path,
            submodules,
            credential,
        } = from
        else {
            return Err(Error::Dags("that is no repository".to_owned()));
        };
        let url =
            Url::parse(url).map_err(|_| Error::Dags("the repository's address is no URL".to_owned()))?;
        if reference.starts_with('-')
            || reference.is_empty()
            || reference.contains(['\0', ' ', '\n', ':', '*', '+', '^'])
        {
            return Err(Error::Dags(
                "the reference is no branch, tag or commit".to_owned(),
            ));
        }
        let path = path.trim_matches('/').to_owned();
        Ok(Self {
            repository: Repository::new(url, credential.clone(), ground)?,
            folder,
            reference: reference.clone(),
            path,
            submodules: *submodules,
            seen: None,
        })
    }

    pub(super) async fn look(&mut self, shelf: &Shelf, last: Option<&Part>) -> Result<Look> {
        let commits = self.repository.commands()?;
        let remote = self.repository.remote().await?;
        let (wanted, commit) = self.find(&commits, &remote).await?;
        let key = self.key(&commit);
        if last.is_some_and(|part| part.revision.key == key) {
            return Ok(Look::Same);
        }
        // What was pushed since we looked is as good.
        let commit = commits.fetch(&remote, &wanted).await?;
        drop(remote);
        let key = self.key(&commit);
        let (snapshot, tags) = self.read(shelf, &commits, &commit, last, &key).await?;
        self.seen = Some(Seen { key, tags });
        Ok(Look::Fresh(snapshot))
    }

    /// The full name to fetch, and the commit that it is now.
    async fn find(&self, git: &Commands, remote: &Remote) -> Result<(String, String)> {
        if is_commit(&self.reference) {
            return Ok((self.reference.clone(), self.reference.clone()));
        }
        let names = match self.reference.as_str() {
            "HEAD" => vec!["HEAD".to_owned()],
            full if full.starts_with("refs/") => vec![full.to_owned()],
            short => vec![format!("refs/heads/{short}"), format!("refs/tags/{short}")],
        };
        let found = git.ls_remote(remote, &names).await?;
        for name in &names {
            // An annotated tag is followed by the commit that it is of.
            let peeled = found.get(&format!("{name}^{{}}"));
            if let Some(commit) = peeled.or_else(|| found.get(name)) {
                return Ok((name.clone(), commit.clone()));
            }
        }
        Err(Error::Dags(format!(
            "the repository has no branch or tag `{}`: was it deleted or renamed?",
            self.reference
        )))
    }

    fn key(&self, commit: &str) -> String {
        let deep = if self.submodules {
            "with submodules"
        } else {
            "alone"
        };
        key(["git", self.repository.url.as_str(), &self.path, deep, commit])
    }

    async fn read(
        &self,
        shelf: &Shelf,
        git: &Commands,
        commit: &str,
        last: Option<&Part>,
        key: &str,
    ) -> Result<(Snapshot, Tags)> {
        let described = git.describe(commit).await?;
        let tree = git.tree(commit, &self.path).await?;
        let mut blobs = tree.files(git)?;
        if self.submodules {
            submodules::add(&self.repository, git, commit, &self.path, &tree, &mut blobs.files).await?;
        }
        let files = resolved(&blobs.files, &blobs.links)?;
        check(files.iter().map(|(path, blob)| (path.as_str(), blob.size)))?;
        if files.is_empty() {
            return Err(Error::Dags(format!(
                "the directory `{}` of the repository is empty",
                self.path
            )));
        }
        let tags: Tags = files
            .iter()
            .map(|(path, blob)| (path.clone(), blob.id.clone()))
            .collect();
        let here = |(path, blob): (&String, &Blob)| {
            let here = self.seen.as_ref()?.here(last, path, &blob.id)?;
            Some((path.clone(), here))
        };
        let here: BTreeMap<String, PathBuf> = files.iter().filter_map(here).collect();
        let aside = shelf.aside_directory()?;
        let (aside, manifest) = blocking(move || {
            let manifest = bring(&files, &here, aside.path())?;
            Ok((aside, manifest))
        })
        .await?;
        let shown = SourceRevision {
            folder: self.folder.clone(),
            revision: commit.to_owned(),
            author: described.author,
            message: described.message,
            pushed_at: described.at,
        };
        let revision = Revision {
            shown,
            key: key.to_owned(),
        };
        let snapshot = Snapshot {
            files: aside,
            manifest,
            revision,
        };
        Ok((snapshot, tags))
    }
}

// === impl Repository ===

impl Repository {
    fn new(url: Url, credential: Option<GitCredential>, ground: &Ground) -> Result<Self> {
        let name = key(["git", url.as_str()]);
        let refused = |error: updraft_outbound::OutboundError| Error::Dags(error.to_string());
        match url.scheme() {
            "ssh" => ground.outbound.ssh_door(&url).map(drop).map_err(refused)?,
            // http only where the installation opened the destination.
            "https" | "http" => ground.outbound.web_door(&url).map(drop).map_err(refused)?,
            _ => {
                return Err(Error::Dags(
                    "a repository is reached by https:// or ssh://, and by nothing else".to_owned(),
                ));
            }
        }
        Ok(Self {
            url,
            credential,
            outbound: ground.outbound.clone(),
            address: ground.address,
            layout: ground.layout.clone(),
            directory: format!("dags/git/{}", name.get(..16).unwrap_or(&name)),
        })
    }

    /// Its objects here, ready to be fetched into.
    fn commands(&self) -> Result<Commands> {
        let place = self.layout.place();
        place.directory("dags/git", 0o750, Ownership::Shared)?;
        let path = self.layout.path(&self.directory);
        let packs = std::fs::read_dir(path.join("objects/pack")).map_or(0, Iterator::count);
        if packs > MOST_PACKS * 3 {
            std::fs::remove_dir_all(&path).map_err(Error::file("clear", &path))?;
        }
        place.directory(&self.directory, 0o700, Ownership::Service)?;
        Commands::open(path, place.owner())
    }

    async fn remote(&self) -> Result<Remote> {
        match self.url.scheme() {
            "ssh" => ssh::remote(self).await,
            _ => door::remote(self).await,
        }
    }

    /// Another repository that this one names; credential and authority go along only to the same host.
    fn beside(&self, url: Url) -> Result<Self> {
        let same = |url: &Url| {
            (
                url.scheme().to_owned(),
                url.host_str().map(str::to_owned),
                url.port(),
            )
        };
        let same = same(&url) == same(&self.url);
        let credential = self.credential.clone().filter(|_| same);
        let ground = Ground {
            layout: self.layout.clone(),
            address: self.address,
            outbound: self.outbound.clone(),
        };
        // Who vouches for one host says nothing of another.
        let ground = if same { ground } else { ground.trusting(None)? };
        Self::new(url, credential, &ground)
    }
}

/// A repository, and what is to be read from it.
type Missing<'a> = (Commands, Vec<(&'a str, &'a Blob)>);

/// Writes each file, from the version on disk where it is unchanged.
fn bring(
    files: &BTreeMap<String, Blob>,
    here: &BTreeMap<String, PathBuf>,
    directory: &std::path::Path,
) -> Result<Manifest> {
    let mut manifest = Manifest::default();
    let mut missing: BTreeMap<PathBuf, Missing<'_>> = BTreeMap::new();
    for (path, blob) in files {
        if let Some(here) = here.get(path) {
            let file = std::fs::File::open(here).map_err(Error::file("read", here))?;
            let (length, sha256) = archive::write_file(directory, path, file)?;
            manifest.add(path, length, sha256)?;
        } else {
            let from = blob.from.clone();
            let group = missing
                .entry(from.path().to_owned())
                .or_insert_with(|| (from, Vec::new()));
            group.1.push((path, blob));
        }
    }
    for (git, wanted) in missing.into_values() {
        git.blobs(&wanted, |path, content, size| {
            let mut head = Vec::new();
            let mut content = content;
            if size <= LONGEST_POINTER {
                std::io::Read::read_to_end(&mut content, &mut head).map_err(Error::file("read", path))?;
                refuse_pointer(path, &head)?;
            }
            let whole = std::io::Read::chain(head.as_slice(), content);
            let (length, sha256) = archive::write_file(directory, path, whole)?;
            manifest.add(path, length, sha256)
        })?;
    }
    archive::check_size(&manifest)?;
    Ok(manifest)
}

/// What LFS leaves in a repository is not the file.
fn refuse_pointer(path: &str, content: &[u8]) -> Result<()> {
    if !content.starts_with(LFS_POINTER) {
        return Ok(());
    }
    Err(Error::Dags(format!(
        "`{path}` is a Git LFS pointer and not the file itself, which is kept outside the repository: commit the file \
         without LFS, or keep it out of the DAGs' directory"
    )))
}

fn is_commit(reference: &str) -> bool {
    matches!(reference.len(), 40 | 64) && reference.bytes().all(|byte| byte.is_ascii_hexdigit())
}
