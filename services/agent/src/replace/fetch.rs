//! Another agent, brought to the node's disk beside the one that runs, and asked whether it could take over.

use std::fs::{File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use flate2::read::GzDecoder;
use tar::{Archive, EntryType};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::kept::RELEASES;
use super::launch::DIGEST;
use crate::control::ControlClient;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::place::Ownership;

/// Of the archive, as `infra/agent/build` packs it.
pub(super) const PROGRAM: &str = "updraft-agent";
const ARCHIVE: &str = ".archive";
const UNPACKED: &str = ".unpacked";
/// 15 MB packed are 45.
const LARGEST: u64 = 512 << 20;
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// What does not come in this time is not coming.
const COMES_WITHIN: Duration = Duration::from_secs(10 * 60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Characters of what it said.
const WORDS: usize = 300;

#[derive(Clone, Debug)]
pub(super) struct Errand {
    pub(super) release: String,
    pub(super) bootstrap: PathBuf,
    pub(super) layout: Layout,
    pub(super) control: ControlClient,
}

/// Where a release is, below the node's directory.
pub(super) fn directory(release: &str) -> String {
    format!("{RELEASES}/{release}")
}

/// Removes every release but this one.
pub(super) fn forget_all_but(layout: &Layout, release: &str) {
    let entries = std::fs::read_dir(layout.path(RELEASES)).into_iter().flatten();
    for entry in entries.flatten().filter(|entry| entry.file_name() != release) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!(%error, "An agent that is not needed any more stays on the disk");
        }
    }
}

// === impl Errand ===

impl Errand {
    /// In the end it is there and could take over, or not: then the reason is for people.
    pub(super) async fn run(&self) -> Result<(), String> {
        if !is_digest(&self.release) {
            return Err("What control names is no SHA-256.".to_owned());
        }
        if !self.is_there() {
            self.bring().await?;
        }
        self.ask().await
    }

    /// It was moved there whole.
    fn is_there(&self) -> bool {
        self.layout.path(&directory(&self.release)).join(DIGEST).is_file()
    }

    async fn bring(&self) -> Result<(), String> {
        let (until, mut pause) = (Instant::now() + COMES_WITHIN, FIRST_PAUSE);
        loop {
            let error = match self.download().await {
                Ok(found) if found == self.release => return self.unpack().await,
                Ok(found) => {
                    return Err(format!(
                        "What came has another digest than control named: {found}."
                    ));
                }
                Err(error) => error.chain(),
            };
            if Instant::now() + pause > until {
                return Err(format!("It could not be fetched: {error}."));
            }
            tracing::warn!(error, "An agent could not be fetched yet");
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The SHA-256 of what came.
    async fn download(&self) -> Result<String> {
        let offer = self.control.agent(&self.release).await?;
        let place = self.layout.place();
        place.directory(RELEASES, 0o700, Ownership::Agent)?;
        let archive = self.layout.path(RELEASES).join(ARCHIVE);
        remove(std::fs::remove_file(&archive)).map_err(Error::file("remove", &archive))?;
        self.control.fetch(&offer.url, LARGEST, &archive).await
    }

    async fn unpack(&self) -> Result<(), String> {
        let home = self.layout.path(RELEASES);
        let release = self.release.clone();
        let unpacked = tokio::task::spawn_blocking(move || unpack(&home, &release)).await;
        let unpacked = unpacked.unwrap_or_else(|_| Err(io::Error::other("it was broken off")));
        unpacked.map_err(|error| format!("It could not be unpacked: {error}."))
    }

    async fn ask(&self) -> Result<(), String> {
        let program = self.layout.path(&directory(&self.release)).join(PROGRAM);
        let asked = Command::new(&program)
            .args(["--check", "--bootstrap"])
            .arg(&self.bootstrap)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let answer = timeout(ANSWERS_WITHIN, asked)
            .await
            .map_err(|_| {
                format!(
                    "Asked to read this node, it had no answer for {} s.",
                    ANSWERS_WITHIN.as_secs()
                )
            })?
            .map_err(|error| format!("It does not run here: {error}."))?;
        if answer.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&answer.stderr);
        let said: String = said.trim().chars().take(WORDS).collect();
        Err(format!(
            "Asked to read this node, it ended with {}: {said}",
            answer.status
        ))
    }
}

/// Whole or not at all, read-only, the agent's own.
fn unpack(home: &Path, release: &str) -> io::Result<()> {
    let (archive, aside, into) = (home.join(ARCHIVE), home.join(UNPACKED), home.join(release));
    remove(std::fs::remove_dir_all(&aside))?;
    std::fs::create_dir(&aside)?;
    std::fs::set_permissions(&aside, Permissions::from_mode(0o700))?;
    take_files(&archive, &aside)?;
    std::fs::write(aside.join(DIGEST), release)?;
    File::open(&aside)?.sync_all()?;
    remove(std::fs::remove_dir_all(&into))?;
    std::fs::rename(&aside, &into)?;
    std::fs::remove_file(&archive)
}

/// Plain files side by side, and nothing else: no name of theirs leads anywhere.
fn take_files(archive: &Path, into: &Path) -> io::Result<()> {
    let mut left = LARGEST;
    for entry in Archive::new(GzDecoder::new(File::open(archive)?)).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let name = path.file_name().filter(|name| Path::new(name) == path.as_path());
        let (Some(name), EntryType::Regular) = (name, entry.header().entry_type()) else {
            return Err(io::Error::other(format!(
                "it holds `{}`, which is no plain file",
                path.display()
            )));
        };
        left = left
            .checked_sub(entry.size())
            .ok_or_else(|| io::Error::other("it is too large"))?;
        let mode = if name == PROGRAM { 0o500 } else { 0o400 };
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(into.join(name))?;
        io::copy(&mut (&mut entry).take(LARGEST), &mut file)?;
        file.sync_all()?;
    }
    Ok(())
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn remove(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
