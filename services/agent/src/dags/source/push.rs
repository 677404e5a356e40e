//! What was last pushed: an archive in the cluster's own bucket that somebody else packed, so it is unpacked as hostile.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path as FilePath;
use std::sync::Arc;

use flate2::read::GzDecoder;
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{Error as StoreError, GetOptions, ObjectStore, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};
use tar::EntryType;
use tokio::io::AsyncWriteExt as _;
use updraft_api::agent::{CurrentPush, SourceRevision};

use super::gather::check;
use super::links::resolved;
use super::{Look, Snapshot, key};
use crate::dags::archive::{self, MOST_BYTES, MOST_FILES};
use crate::dags::digest::{Digest, Manifest, is_litter};
use crate::dags::part::{Part, Revision};
use crate::dags::shelf::{Aside, Shelf, blocking};
use crate::error::{Error, Result};

/// Of the object `current`, in bytes.
const LONGEST_CURRENT: u64 = 16 << 10;
const LONGEST_LINK: usize = 1024;
const BUFFER: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Push {
    folder: String,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The object `current` as it was when the last part was made of it.
    known: Option<(String, String)>,
    /// What made no sense is not fetched again and again.
    refused: Option<(String, String)>,
}

// === impl Push ===

impl Push {
    pub(super) fn new(folder: String, store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        Self {
            folder,
            store,
            prefix: Path::from(prefix),
            known: None,
            refused: None,
        }
    }

    pub(super) async fn look(&mut self, shelf: &Shelf, last: Option<&Part>) -> Result<Look> {
        let tag = last.and_then(|part| match &self.known {
            Some((key, tag)) if *key == part.revision.key => Some(tag.clone()),
            _ => None,
        });
        let Some((pushed, tag)) = self.latest(tag).await? else {
            return Ok(match last {
                Some(_) => Look::Same,
                // Nothing was pushed yet: the cluster starts without DAGs.
                None => Look::Fresh(self.snapshot(shelf.aside_directory()?, Manifest::default(), None)),
            });
        };
        let key = self.key(&pushed.sha256);
        if last.is_none_or(|part| part.revision.key != key) {
            if let Some((refused, reason)) = &self.refused
                && *refused == key
            {
                return Err(Error::Dags(reason.clone()));
            }
            let fresh = self.fetch(shelf, &pushed).await;
            if let Err(error @ Error::Dags(_)) = &fresh {
                self.refused = Some((key.clone(), error.to_string()));
            }
            self.known = tag.map(|tag| (key, tag));
            return fresh.map(Look::Fresh);
        }
        self.known = tag.map(|tag| (key, tag));
        Ok(Look::Same)
    }

    /// What `current` names, unless it is the one with this tag.
    async fn latest(&self, known: Option<String>) -> Result<Option<(CurrentPush, Option<String>)>> {
        let options = GetOptions {
            if_none_match: known,
            ..GetOptions::default()
        };
        let failed = || Error::store("read what was pushed");
        let answer = match self
            .store
            .get_opts(&self.prefix.clone().join("current"), options)
            .await
        {
            Ok(answer) => answer,
            Err(StoreError::NotFound { .. } | StoreError::NotModified { .. }) => return Ok(None),
            Err(error) => return Err(failed()(error)),
        };
        let nothing = || Error::Dags("the object `current` names no push: push again".to_owned());
        if answer.meta.size > LONGEST_CURRENT {
            return Err(nothing());
        }
        let tag = answer.meta.e_tag.clone();
        let bytes = answer.bytes().await.map_err(failed())?;
        let pushed: CurrentPush = serde_json::from_slice(&bytes).map_err(|_| nothing())?;
        // It becomes part of a key.
        pushed.sha256.parse::<Digest>().map_err(|_| nothing())?;
        Ok(Some((pushed, tag)))
    }

    async fn fetch(&self, shelf: &Shelf, pushed: &CurrentPush) -> Result<Snapshot> {
        let packed = shelf.aside("pushed");
        self.download(&pushed.sha256, packed.path()).await?;
        let files = shelf.aside_directory()?;
        let raw = shelf.aside_directory()?;
        let (files, manifest) = blocking(move || {
            let manifest = unpack(packed.path(), raw.path(), files.path())?;
            Ok((files, manifest))
        })
        .await?;
        Ok(self.snapshot(files, manifest, Some(pushed)))
    }

    async fn download(&self, pushed: &str, target: &FilePath) -> Result<()> {
        let failed = || Error::store("fetch what was pushed");
        let unwritable = || Error::file("write", target);
        let object = self.prefix.clone().join(format!("{pushed}.tar.gz"));
        let mut stream = self.store.get(&object).await.map_err(failed())?.into_stream();
        let mut file = tokio::fs::File::create(target).await.map_err(unwritable())?;
        let mut hash = Sha256::new();
        while let Some(chunk) = stream.try_next().await.map_err(failed())? {
            hash.update(&chunk);
            file.write_all(&chunk).await.map_err(unwritable())?;
        }
        file.flush().await.map_err(unwritable())?;
        if hex::encode(hash.finalize()) == pushed {
            return Ok(());
        }
        Err(Error::Dags(
            "what was pushed is not what its name says: push again".to_owned(),
        ))
    }

    fn snapshot(&self, files: Aside, manifest: Manifest, pushed: Option<&CurrentPush>) -> Snapshot {
        let sha256 = pushed.map(|pushed| pushed.sha256.clone()).unwrap_or_default();
        let shown = SourceRevision {
            folder: self.folder.clone(),
            revision: sha256.clone(),
            author: pushed.and_then(|pushed| pushed.author.clone()),
            message: pushed.and_then(|pushed| pushed.message.clone()),
            pushed_at: pushed.map(|pushed| pushed.pushed_at),
        };
        let revision = Revision {
            shown,
            key: self.key(&sha256),
        };
        Snapshot {
            files,
            manifest,
            revision,
        }
    }

    fn key(&self, pushed: &str) -> String {
        key(["push", self.prefix.as_ref(), pushed])
    }
}

/// Unpacks into `raw` under names of our own, then puts each file where it belongs in `files`.
fn unpack(packed: &FilePath, raw: &FilePath, files: &FilePath) -> Result<Manifest> {
    let broken = |_| Error::Dags("what was pushed is no tar.gz: push again".to_owned());
    let file = std::fs::File::open(packed).map_err(Error::file("read", packed))?;
    let mut tar = tar::Archive::new(GzDecoder::new(file).take(MOST_BYTES * 2));
    let (mut found, mut links) = (BTreeMap::new(), BTreeMap::new());
    let mut bytes = 0;
    for entry in tar.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = path_of(&entry.path_bytes())?;
        match entry.header().entry_type() {
            EntryType::Directory | EntryType::XGlobalHeader => continue,
            _ if path.is_empty() || is_litter(&path) => continue,
            EntryType::Regular | EntryType::Continuous => {
                let stored = raw.join(found.len().to_string());
                bytes += store(&mut entry, &stored, MOST_BYTES.saturating_sub(bytes))?;
                found.insert(path, stored);
            }
            EntryType::Symlink => {
                links.insert(path, target_of(&entry)?);
            }
            _ => {
                return Err(Error::Dags(format!(
                    "`{}` is neither a file nor a directory: leave it out",
                    path.escape_default()
                )));
            }
        }
        if found.len() + links.len() > MOST_FILES {
            return Err(archive::too_large());
        }
    }
    let all = resolved(&found, &links)?;
    check(all.keys().map(|path| (path.as_str(), 0)))?;
    let mut manifest = Manifest::default();
    for (path, stored) in &all {
        let file = std::fs::File::open(stored).map_err(Error::file("read", stored))?;
        let (length, sha256) = archive::write_file(files, path, file)?;
        manifest.add(path, length, sha256)?;
        archive::check_size(&manifest)?;
    }
    Ok(manifest)
}

/// Without the `./` that `tar` puts in front.
fn path_of(bytes: &[u8]) -> Result<String> {
    let not_text = || {
        Error::Dags(format!(
            "the name `{}` is not UTF-8: rename the file",
            bytes.escape_ascii()
        ))
    };
    let path = std::str::from_utf8(bytes).map_err(|_| not_text())?;
    Ok(path
        .trim_start_matches("./")
        .trim_end_matches('/')
        .trim_start_matches("./")
        .to_owned())
    .map(|path| if path == "." { String::new() } else { path })
}

fn target_of<R: Read>(entry: &tar::Entry<'_, R>) -> Result<String> {
    let bytes = entry.link_name_bytes().unwrap_or_default();
    match std::str::from_utf8(&bytes) {
        Ok(target) if bytes.len() <= LONGEST_LINK => Ok(target.to_owned()),
        _ => Err(Error::Dags("a symbolic link's target is no path".to_owned())),
    }
}

fn store(content: &mut impl Read, path: &FilePath, most: u64) -> Result<u64> {
    let mut write = || -> std::io::Result<u64> {
        let mut file = std::fs::File::create_new(path)?;
        let mut buffer = vec![0; BUFFER];
        let mut length = 0;
        loop {
            let read = content.read(&mut buffer)?;
            if read == 0 {
                return Ok(length);
            }
            length += read as u64;
            if length > most {
                return Err(std::io::ErrorKind::FileTooLarge.into());
            }
            std::io::Write::write_all(&mut file, &buffer[..read])?;
        }
    };
    write().map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => archive::too_large(),
        _ => Error::file("unpack", path)(error),
    })
}
