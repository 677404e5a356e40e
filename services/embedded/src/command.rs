//! Runs a tool to its end and turns its failure into a reason a person can act on.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Command;

use crate::{Account, Error, Result};

/// Lines of a tool's complaint that are kept to find the reason in.
const KEPT_LINES: usize = 40;

/// What our own environment may hold that would change what a child's Python does.
/// `PYTHONDONTWRITEBYTECODE` alone more than doubles every start of Airflow.
pub(crate) const PYTHON_NOISE: [&str; 5] = [
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "PYTHONSTARTUP",
];

/// One run of an installer or a database tool. It keeps the user's environment, and so its indexes and proxies.
#[derive(Debug)]
pub(crate) struct Tool {
    doing: String,
    program: PathBuf,
    command: Command,
}

// === impl Tool ===

impl Tool {
    /// `doing` begins the error's sentence, such as "installing uv". What it writes is readable by all (umask 022).
    pub(crate) fn new(doing: &str, program: &Path) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "umask 022; exec \"$0\" \"$@\""]).arg(program);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.kill_on_drop(true).process_group(0);
        for key in PYTHON_NOISE {
            command.env_remove(key);
        }
        Self {
            doing: doing.to_owned(),
            program: program.to_owned(),
            command,
        }
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    pub(crate) fn envs(mut self, pairs: &[(OsString, OsString)]) -> Self {
        self.command.envs(pairs.iter().map(|(key, value)| (key, value)));
        self
    }

    /// Runs as that user with nothing of our environment.
    pub(crate) fn run_as(mut self, account: &Account) -> Self {
        self.command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/");
        if account.switch {
            self.command.uid(account.uid).gid(account.gid);
        }
        self
    }

    /// Runs it, giving each line of its standard error to `hear`, and returns its standard output.
    ///
    /// # Errors
    /// What the tool's complaint means; [`Error::ToolMissing`] when there is no such program.
    pub(crate) async fn run(mut self, hear: impl Fn(&str)) -> Result<String> {
        if !self.program.exists() {
            let source = std::io::ErrorKind::NotFound.into();
            return Err(Error::ToolMissing {
                program: self.program,
                source,
            });
        }
        let missing = |source| Error::ToolMissing {
            program: self.program.clone(),
            source,
        };
        let mut child = self.command.spawn().map_err(missing)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (output, complaint, status) =
            tokio::join!(read_all(stdout), read_lines(stderr, &hear), child.wait());
        match status {
            Ok(status) if status.success() => Ok(output),
            Ok(status) => Err(explain(self.doing, &complaint, &output, &status.to_string())),
            Err(error) => Err(explain(self.doing, &complaint, &output, &error.to_string())),
        }
    }
}

async fn read_all(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _cut_short = pipe.read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn read_lines(pipe: Option<impl AsyncRead + Unpin>, hear: impl Fn(&str)) -> String {
    let mut kept = VecDeque::new();
    if let Some(pipe) = pipe {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            hear(line.trim());
            kept.push_back(line);
            if kept.len() > KEPT_LINES {
                kept.pop_front();
            }
        }
    }
    kept.make_contiguous().join("\n")
}

/// The words of pip 23+, uv 0.13 and initdb 18 for what a user can mend. Everything else keeps the tool's own words.
fn explain(doing: String, complaint: &str, output: &str, status: &str) -> Error {
    const FULL: [&str; 3] = ["no space left on device", "os error 28", "disk quota exceeded"];
    const CHANGED: [&str; 3] = ["hash mismatch", "do not match the hashes", "hashes are required"];
    const OFFLINE: [&str; 10] = [
        "name resolution",
        "name or service not known",
        "dns error",
        "network is unreachable",
        "connection refused",
        "failed to establish a new connection",
        "error sending request",
        "failed to fetch",
        "timed out",
        "could not find a version that satisfies the requirement uv",
    ];
    let text = if complaint.trim().is_empty() {
        output
    } else {
        complaint
    };
    let find = |words: &[&'static str]| {
        words
            .iter()
            .find_map(|word| text.lines().find_map(|line| from_clause(line, word)))
    };
    if find(&FULL).is_some() {
        return Error::DiskFull { doing };
    }
    if let Some(line) = find(&CHANGED) {
        return Error::HashMismatch {
            doing,
            detail: shorten(line),
        };
    }
    if let Some(line) = find(&OFFLINE) {
        return Error::Offline {
            doing,
            detail: shorten(line),
        };
    }
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    Error::ToolFailed {
        doing,
        detail: last.map_or_else(|| status.to_owned(), shorten),
    }
}

/// The rest of a line from the clause that has the word: tools wrap the cause in what they were doing.
fn from_clause<'l>(line: &'l str, word: &str) -> Option<&'l str> {
    let at = line.to_lowercase().find(word)?;
    let before = line.get(..at)?;
    let start = before.rfind(": ").map_or(0, |colon| colon + 2);
    line.get(start..)
}

/// One line without the tool's own decoration: `ERROR: …`, `[Errno -3] …`, or the rest of a Python `repr`.
fn shorten(line: &str) -> String {
    const MOST: usize = 240;
    let plain = line
        .trim()
        .trim_start_matches(|sign: char| !sign.is_alphanumeric() && sign != '[');
    let plain = match plain
        .strip_prefix("[Errno")
        .and_then(|rest| rest.split_once("] "))
    {
        Some((_number, words)) => words,
        None => plain,
    };
    let plain = plain
        .strip_prefix("ERROR: ")
        .or_else(|| plain.strip_prefix("error: "))
        .unwrap_or(plain);
    let plain = plain.split_once("')").map_or(plain, |(words, _repr)| words);
    plain.chars().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn complain(line: &str) -> Error {
        let script = "echo \"$0\" >&2; exit 3";
        Tool::new("trying", Path::new("/bin/sh"))
            .args(["-c", script, line])
            .run(|_| {})
            .await
            .unwrap_err()
    }

    #[tokio::test]
    async fn complaint_becomes_a_reason() {
        let offline = complain("  Caused by: dns error: failed to lookup address information").await;
        assert!(matches!(offline, Error::Offline { .. }), "{offline}");
        let wrapped = complain(
            "WARNING: broken by <0x7f>: [Errno -3] Temporary failure in name resolution'): /simple/",
        )
        .await;
        let Error::Offline { detail, .. } = wrapped else {
            panic!("{wrapped}")
        };
        assert_eq!(detail, "Temporary failure in name resolution");
        let full = complain("OSError: [Errno 28] No space left on device").await;
        assert!(matches!(full, Error::DiskFull { .. }), "{full}");
        let changed = complain("error: Hash mismatch for `uv==1`").await;
        assert!(matches!(changed, Error::HashMismatch { .. }), "{changed}");
        let other = complain("error: it rains").await;
        assert_eq!(
            other.to_string(),
            "trying failed: it rains; run the same command again, and report it if it stays"
        );
    }

    #[tokio::test]
    async fn tool_gets_no_python_noise_and_leaves_readable_files() {
        let output = Tool::new("trying", Path::new("/bin/sh"))
            .args(["-c", "umask; echo ${PYTHONDONTWRITEBYTECODE-unset}"])
            .run(|_| {})
            .await
            .unwrap();
        assert_eq!(output, "0022\nunset\n");
    }
}
