//! `git`, run as somebody harmless: the services' user (never root), with no configuration but ours, no prompt, no hook, no
//! protocol but to the door that the agent opened for it, and limits on time, memory and file sizes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::tree::{Blob, Tree};
use super::{Commit, FETCH_WITHIN, LOOK_WITHIN};
use crate::dags::archive::MOST_BYTES;
use crate::error::{Error, Result};
use crate::place::Owner;

/// Of one command's answer, in bytes.
const LONGEST: u64 = 64 << 20;
const LONGEST_COMPLAINT: u64 = 16 << 10;
/// KiB of address space, 512-byte blocks of one file, CPU seconds: what `sh` limits git to.
const LIMITS: &str = r#"ulimit -c 0 -v 4194304 2>/dev/null; ulimit -f 4194304; ulimit -t 600; exec git "$@""#;
/// What every command is told.
const CONFIGURATION: [(&str, &str); 12] = [
    ("protocol.allow", "never"),
    ("protocol.http.allow", "always"),
    ("protocol.ssh.allow", "always"),
    ("protocol.version", "2"),
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("credential.helper", ""),
    ("http.followRedirects", "false"),
    ("fetch.unpackLimit", "1"),
    ("transfer.fsckObjects", "true"),
    ("pack.threads", "1"),
    ("gc.auto", "0"),
];

/// A bare repository on this node's disk.
#[derive(Clone, Debug)]
pub(super) struct Git {
    path: PathBuf,
    owner: Option<Owner>,
}

/// How a repository elsewhere is reached, for as long as this lives.
pub(super) struct Remote {
    /// What git is told; leads to a door on this node.
    pub(super) url: String,
    pub(super) env: Vec<(String, String)>,
    /// What the door met: better than what git makes of it.
    pub(super) said: Said,
    /// Words of ours and what they stand for.
    pub(super) hidden: Vec<(String, String)>,
    pub(super) _open: Box<dyn Send + Sync>,
}

/// The last thing that went wrong at a door.
#[derive(Clone, Debug, Default)]
pub(super) struct Said(Arc<Mutex<Option<String>>>);

// === impl Said ===

impl Said {
    pub(super) fn say(&self, what: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.into());
    }

    fn heard(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

// === impl Git ===

impl Git {
    /// Makes the repository unless it is there.
    pub(super) fn open(path: PathBuf, owner: Option<Owner>) -> Result<Self> {
        let git = Self { path, owner };
        if !git.path.join("HEAD").exists() {
            let made = git
                .command(&["init", "--bare", "--quiet", "--template=", "."], &[])
                .output();
            let made = made.map_err(|error| missing(&error))?;
            if !made.status.success() {
                return Err(git.complaint(&made.stderr, None));
            }
        }
        Ok(git)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Name → commit.
    pub(super) async fn ls_remote(
        &self,
        remote: &Remote,
        names: &[String],
    ) -> Result<BTreeMap<String, String>> {
        let mut arguments = vec!["ls-remote", "--quiet", "--", &remote.url];
        let peeled: Vec<String> = names.iter().map(|name| format!("{name}^{{}}")).collect();
        arguments.extend(names.iter().chain(&peeled).map(String::as_str));
        let answer = self.run(&arguments, Some(remote), LOOK_WITHIN).await?;
        let text = String::from_utf8_lossy(&answer);
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        Ok(lines
            .map(|(commit, name)| (name.to_owned(), commit.to_owned()))
            .collect())
    }

    /// Fetches one commit without its history, by a full name or by its id.
    pub(super) async fn fetch(&self, remote: &Remote, name: &str) -> Result<String> {
        let arguments = [
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--force",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--",
            &remote.url,
            &format!("+{name}:refs/updraft/latest"),
        ];
        self.run(&arguments, Some(remote), FETCH_WITHIN).await?;
        let found = self.run(
            &["rev-parse", "--verify", "refs/updraft/latest^{commit}"],
            None,
            LOOK_WITHIN,
        );
        Ok(String::from_utf8_lossy(&found.await?).trim().to_owned())
    }

    pub(super) async fn has(&self, commit: &str) -> Result<bool> {
        let tree = format!("{commit}^{{tree}}");
        Ok(self
            .run(&["cat-file", "-e", &tree], None, LOOK_WITHIN)
            .await
            .is_ok())
    }

    pub(super) async fn describe(&self, commit: &str) -> Result<Commit> {
        let arguments = [
            "show",
            "--no-patch",
            "--no-show-signature",
            "--format=%an%x00%s%x00%cI",
            commit,
        ];
        let answer = self.run(&arguments, None, LOOK_WITHIN).await?;
        let text = String::from_utf8_lossy(&answer);
        let mut parts = text
            .trim_end()
            .split('\0')
            .map(|part| part.chars().take(200).collect::<String>());
        let mut next = || parts.next().filter(|part| !part.is_empty());
        let (author, message) = (next(), next());
        let at = next().and_then(|text| chrono::DateTime::parse_from_rfc3339(&text).ok());
        Ok(Commit {
            author,
            message,
            at: at.map(|at| at.to_utc()),
        })
    }

    /// What lies below a directory of the commit.
    pub(super) async fn tree(&self, commit: &str, path: &str) -> Result<Tree> {
        let tree = format!("{commit}:{path}");
        let kind = self.run(&["cat-file", "-t", &tree], None, LOOK_WITHIN).await;
        if !kind.is_ok_and(|kind| kind.starts_with(b"tree")) {
            return Err(Error::Dags(format!(
                "the repository has no directory `{path}`: was it moved or renamed?"
            )));
        }
        let arguments = ["ls-tree", "-r", "-l", "-z", "--full-tree", &tree];
        Tree::parse(&self.run(&arguments, None, LOOK_WITHIN).await?)
    }

    /// Path → address of each submodule.
    pub(super) async fn module_urls(&self, commit: &str) -> Result<BTreeMap<String, String>> {
        let blob = format!("{commit}:.gitmodules");
        let answer = self
            .run(&["config", "--blob", &blob, "--list", "-z"], None, LOOK_WITHIN)
            .await?;
        let text = String::from_utf8_lossy(&answer);
        let (mut paths, mut urls) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in text.split('\0').filter_map(|entry| entry.split_once('\n')) {
            let Some(name) = name.strip_prefix("submodule.") else {
                continue;
            };
            if let Some(name) = name.strip_suffix(".path") {
                paths.insert(name.to_owned(), value.trim_matches('/').to_owned());
            } else if let Some(name) = name.strip_suffix(".url") {
                urls.insert(name.to_owned(), value.to_owned());
            }
        }
        let pair = |(name, path)| urls.get(&name).map(|url| (path, url.clone()));
        Ok(paths.into_iter().filter_map(pair).collect())
    }

    /// Reads blobs in the order given; blocking.
    pub(super) fn blobs(
        &self,
        wanted: &[(&str, &Blob)],
        mut each: impl FnMut(&str, &mut dyn Read, u64) -> Result<()>,
    ) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let mut child = self
            .command(&["cat-file", "--batch"], &[])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| missing(&error))?;
        let gone = || Error::Dags("git broke off while it was read".to_owned());
        let (mut input, output) = (
            child.stdin.take().ok_or_else(gone)?,
            child.stdout.take().ok_or_else(gone)?,
        );
        let asked: Vec<u8> = wanted
            .iter()
            .flat_map(|(_, blob)| format!("{}\n", blob.id).into_bytes())
            .collect();
        let asking = std::thread::spawn(move || input.write_all(&asked));
        let mut output = BufReader::new(output);
        let read = wanted.iter().try_for_each(|(path, blob)| {
            let mut head = String::new();
            output.read_line(&mut head).map_err(|_| gone())?;
            let size = head
                .trim()
                .rsplit(' ')
                .next()
                .and_then(|size| size.parse::<u64>().ok());
            let size = size
                .filter(|size| *size == blob.size && *size <= MOST_BYTES)
                .ok_or_else(gone)?;
            let mut content = (&mut output).take(size);
            each(path, &mut content, size)?;
            let left = content.limit();
            let mut end = [0];
            output.read_exact(&mut end).map_err(|_| gone())?;
            if left == 0 && end == *b"\n" {
                Ok(())
            } else {
                Err(gone())
            }
        });
        // Ends the writer too.
        drop(output);
        let _ = child.kill();
        let _ = child.wait();
        let _ = asking.join();
        read
    }

    async fn run(&self, arguments: &[&str], remote: Option<&Remote>, within: Duration) -> Result<Vec<u8>> {
        let env = remote.map_or(&[][..], |remote| &remote.env);
        let mut command = tokio::process::Command::from(self.command(arguments, env));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| missing(&error))?;
        // What git started goes with it.
        let _group = Group(child.id());
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let work = async {
            let (answer, complaint) = tokio::join!(read(output, LONGEST), read(errors, LONGEST_COMPLAINT));
            (child.wait().await, answer, complaint)
        };
        let Ok((status, answer, complaint)) = timeout(within, work).await else {
            return Err(self.late(remote, within));
        };
        if status.is_ok_and(|status| status.success()) {
            return Ok(answer);
        }
        Err(self.complaint(&complaint, remote))
    }

    fn late(&self, remote: Option<&Remote>, within: Duration) -> Error {
        let said = remote.and_then(|remote| remote.said.heard());
        Error::Dags(
            said.unwrap_or_else(|| format!("the repository did not answer within {} s", within.as_secs())),
        )
    }

    fn complaint(&self, complaint: &[u8], remote: Option<&Remote>) -> Error {
        if let Some(said) = remote.and_then(|remote| remote.said.heard()) {
            return Error::Dags(said);
        }
        let mut text = String::from_utf8_lossy(complaint).trim().to_owned();
        for (ours, theirs) in remote.map_or(&[][..], |remote| &remote.hidden) {
            text = text.replace(ours, theirs);
        }
        let text = text.replace(&*self.path.to_string_lossy(), "the repository");
        Error::Dags(explained(&text))
    }

    fn command(&self, arguments: &[&str], env: &[(String, String)]) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", LIMITS, "git"])
            .args(arguments)
            .current_dir(&self.path)
            .process_group(0)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", &self.path)
            .env("LC_ALL", "C.UTF-8")
            .env("GIT_DIR", &self.path)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "/bin/false")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_CONFIG_COUNT", CONFIGURATION.len().to_string());
        for (number, (key, value)) in CONFIGURATION.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{number}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        command.envs(env.iter().map(|(key, value)| (key, value)));
        if let Some(owner) = self.owner {
            command.uid(owner.uid).gid(owner.gid);
        }
        command
    }
}

/// A process group that ends with its guard.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let pid = self
            .0
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // Nobody is left when all went well.
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

async fn read(from: Option<impl tokio::io::AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        // A broken pipe is an ended command, whose status says more.
        let _ = from.take(most).read_to_end(&mut bytes).await;
    }
    bytes
}

fn missing(error: &std::io::Error) -> Error {
    Error::Spawn {
        service: "git".to_owned(),
        reason: format!("{error}: install git on the nodes"),
    }
}

/// Git's last words, and what to do.
fn explained(text: &str) -> String {
    let last = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("git failed");
    let hint = [
        (
            "Host key verification failed",
            "the server shows another host key than the credential's known hosts: compare it with the provider's published ones",
        ),
        (
            "Permission denied (publickey",
            "the server does not take the deploy key: add its public half to the repository",
        ),
        (
            "not our ref",
            "the server has no such commit, or gives none by its id: name a branch or tag",
        ),
        (
            "git: not found",
            "git is not installed on the node that resolves DAG sources",
        ),
    ];
    let hint = hint
        .iter()
        .find(|(sign, _)| text.contains(sign))
        .map(|(_, hint)| *hint);
    let last: String = last.chars().take(300).collect();
    match hint {
        Some(hint) => format!("{hint} ({last})"),
        None => format!("git could not read the repository: {last}"),
    }
}
