//! Where logs lie in a cluster's bucket: keys to typed parts and back. Agents write by it, Airflow's log reader, control and
//! people read by it; `docs/logs.md` explains it. Pure.
//!
//! `<prefix><source>/<file>.<node>/<offset>.log.gz`: one folder per file that a node wrote, in it one object per stretch of
//! about a megabyte, named by the place of its first byte. An object only ever grows: what is written again under its key
//! begins with what was there.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

const SEGMENT: &str = ".log.gz";
const BORN: &str = "%Y%m%dT%H%M%S%3fZ";
const OFFSET_DIGITS: usize = 20;

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogKey {
    pub source: LogSource,
    pub file: LogFile,
    /// Of the first byte, in the file as it was written on the node.
    pub offset: u64,
}

/// Whose words they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogSource {
    /// `services/<name>`: a service, `bootstrap` or `agent`.
    Service(String),
    /// `tasks/dag_id=…/run_id=…/task_id=…/[map_index=…/]attempt=….log`
    Attempt(AttemptLog),
    /// `files/<path>`: any other file below the node's `logs/`, by its path there.
    File(String),
}

/// One try of one task, named as Airflow names its file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptLog {
    pub dag_id: String,
    pub run_id: String,
    pub task_id: String,
    pub map_index: Option<u32>,
    pub attempt: u32,
    /// What a triggerer wrote while the task was deferred: the triggerer's job. Airflow's `attempt=1.log.trigger.7.log`.
    pub trigger: Option<u64>,
}

/// One file on one node. In order of birth.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogFile {
    /// To the millisecond.
    pub born: DateTime<Utc>,
    /// Tells apart what was born at once: of inode, birth and truncations.
    pub mark: u32,
    /// `worker-1-d41f6c1a09b2`: the node's label and the last twelve digits of its id.
    pub node: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this is no key of a log")]
pub struct NoLogKey;

// === impl LogKey ===

impl LogKey {
    #[must_use]
    pub fn render(&self, prefix: &str) -> String {
        format!(
            "{}{:0width$}{SEGMENT}",
            folder(prefix, &self.source, &self.file),
            self.offset,
            width = OFFSET_DIGITS
        )
    }

    /// # Errors
    /// When it is not exactly what `render` makes.
    pub fn parse(prefix: &str, key: &str) -> Result<Self, NoLogKey> {
        let rest = key.strip_prefix(prefix).ok_or(NoLogKey)?;
        let (folder, object) = rest.rsplit_once('/').ok_or(NoLogKey)?;
        let (source, file) = folder.rsplit_once('/').ok_or(NoLogKey)?;
        let digits = object.strip_suffix(SEGMENT).ok_or(NoLogKey)?;
        if digits.len() != OFFSET_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NoLogKey);
        }
        let parsed = Self {
            source: source.parse()?,
            file: file.parse()?,
            offset: digits.parse().map_err(|_| NoLogKey)?,
        };
        (parsed.render(prefix) == key).then_some(parsed).ok_or(NoLogKey)
    }
}

/// The folder of one file's objects, with its final slash.
#[must_use]
pub fn folder(prefix: &str, source: &LogSource, file: &LogFile) -> String {
    format!("{prefix}{source}/{file}/")
}

// === impl LogSource ===

impl LogSource {
    /// Of a file below the node's `logs/`, by the parts of its path; none when it is named as no log is.
    #[must_use]
    pub fn of_path(parts: &[&[u8]]) -> Option<Self> {
        let (name, above) = parts.split_last()?;
        let escaped: Vec<String> = parts.iter().map(|part| escape(part)).collect();
        match above {
            [] => Some(Self::Service(escape(name.strip_suffix(b".log")?))),
            [top, ..] if *top == b"tasks" => Some(
                AttemptLog::of(&escaped[1..]).map_or_else(|| Self::File(escaped.join("/")), Self::Attempt),
            ),
            _ => Some(Self::File(escaped.join("/"))),
        }
    }
}

impl fmt::Display for LogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(f, "services/{name}"),
            Self::Attempt(attempt) => write!(f, "tasks/{attempt}"),
            Self::File(path) => write!(f, "files/{path}"),
        }
    }
}

impl FromStr for LogSource {
    type Err = NoLogKey;

    fn from_str(text: &str) -> Result<Self, NoLogKey> {
        let (room, rest) = text.split_once('/').ok_or(NoLogKey)?;
        let parts: Vec<String> = rest.split('/').map(str::to_owned).collect();
        if parts.iter().any(String::is_empty) {
            return Err(NoLogKey);
        }
        match (room, parts.as_slice()) {
            ("services", [name]) => Ok(Self::Service(name.clone())),
            ("tasks", parts) => AttemptLog::of(parts).map(Self::Attempt).ok_or(NoLogKey),
            ("files", [_, _, ..]) => Ok(Self::File(rest.to_owned())),
            _ => Err(NoLogKey),
        }
    }
}

// === impl AttemptLog ===

impl AttemptLog {
    /// The path that Airflow gives the file below its log folder, escaped: `dag_id=a/run_id=b/task_id=c/attempt=1.log`.
    #[must_use]
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// Of the escaped parts of that path.
    fn of(parts: &[String]) -> Option<Self> {
        let value = |at: usize, name: &str| {
            let raw = parts.get(at)?.strip_prefix(name)?.strip_prefix('=')?;
            String::from_utf8(unescape(raw))
                .ok()
                .filter(|value| !value.is_empty())
        };
        let map_index = value(3, "map_index");
        let file = value(if map_index.is_some() { 4 } else { 3 }, "attempt")?;
        let (attempt, trigger) = match file.split_once(".log.trigger.") {
            Some((attempt, job)) => (attempt, Some(job.strip_suffix(".log")?.parse().ok()?)),
            None => (file.strip_suffix(".log")?, None),
        };
        let parsed = Self {
            dag_id: value(0, "dag_id")?,
            run_id: value(1, "run_id")?,
            task_id: value(2, "task_id")?,
            map_index: map_index.map(|index| index.parse()).transpose().ok()?,
            attempt: attempt.parse().ok()?,
            trigger,
        };
        (parsed.path() == parts.join("/")).then_some(parsed)
    }
}

impl fmt::Display for AttemptLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |value: &str| escape(value.as_bytes());
        write!(
            f,
            "dag_id={}/run_id={}/task_id={}/",
            part(&self.dag_id),
            part(&self.run_id),
            part(&self.task_id)
        )?;
        if let Some(index) = self.map_index {
            write!(f, "map_index={index}/")?;
        }
        write!(f, "attempt={}.log", self.attempt)?;
        match self.trigger {
            Some(job) => write!(f, ".trigger.{job}.log"),
            None => Ok(()),
        }
    }
}

// === impl LogFile ===

impl fmt::Display for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}.{}", self.born.format(BORN), self.mark, self.node)
    }
}

impl FromStr for LogFile {
    type Err = NoLogKey;

    fn from_str(text: &str) -> Result<Self, NoLogKey> {
        let (identity, node) = text.split_once('.').ok_or(NoLogKey)?;
        let (born, mark) = identity.split_once('-').ok_or(NoLogKey)?;
        let parsed = Self {
            born: NaiveDateTime::parse_from_str(born, BORN)
                .map_err(|_| NoLogKey)?
                .and_utc(),
            mark: u32::from_str_radix(mark, 16).map_err(|_| NoLogKey)?,
            node: node.to_owned(),
        };
        let exact = !node.is_empty() && !node.contains('/') && parsed.to_string() == text;
        exact.then_some(parsed).ok_or(NoLogKey)
    }
}

/// A name of a file as one part of a key: as it is, but for `%`, `/`, control characters, what is not UTF-8, and names that are
/// only dots; those become `%XX`.
#[must_use]
pub fn escape(name: &[u8]) -> String {
    let mut escaped = String::with_capacity(name.len());
    let dots = name.iter().all(|byte| *byte == b'.');
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || matches!(character, '%' | '/') || dots {
                let mut bytes = [0; 4];
                push_escaped(&mut escaped, character.encode_utf8(&mut bytes).as_bytes());
            } else {
                escaped.push(character);
            }
        }
        push_escaped(&mut escaped, chunk.invalid());
    }
    escaped
}

fn push_escaped(escaped: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(escaped, "%{byte:02X}");
    }
}

/// The bytes that `escape` was given. What is no escape stays as it is.
#[must_use]
pub fn unescape(part: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten();
        let value = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone as _, Utc};

    use super::{AttemptLog, LogFile, LogKey, LogSource, escape, unescape};

    fn file() -> LogFile {
        LogFile {
            born: Utc.timestamp_millis_opt(1_795_319_112_123).unwrap(),
            mark: 0x1a2b,
            node: "worker-1-d41f6c1a09b2".to_owned(),
        }
    }

    fn source(path: &str) -> LogSource {
        let parts: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
        LogSource::of_path(&parts).unwrap()
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let rows = [
            ("scheduler.log", "services/scheduler"),
            (
                "tasks/dag_id=a/run_id=manual__2026-11-22T03:45:12.123456+00:00/task_id=g.t/attempt=1.log",
                "tasks/dag_id=a/run_id=manual__2026-11-22T03:45:12.123456+00:00/task_id=g.t/attempt=1.log",
            ),
            (
                "tasks/dag_id=ä/run_id=r/task_id=t/map_index=12/attempt=3.log",
                "tasks/dag_id=ä/run_id=r/task_id=t/map_index=12/attempt=3.log",
            ),
            (
                "tasks/dag_id=a/run_id=r/task_id=t/attempt=1.log.trigger.7.log",
                "tasks/dag_id=a/run_id=r/task_id=t/attempt=1.log.trigger.7.log",
            ),
            (
                "tasks/dag_id=a/run_id=r%/task_id=t/attempt=1.log",
                "tasks/dag_id=a/run_id=r%25/task_id=t/attempt=1.log",
            ),
            ("tasks/odd/attempt=1.log", "files/tasks/odd/attempt=1.log"),
            (
                "tasks/dag_id=a/run_id=r/task_id=t/attempt=01.log",
                "files/tasks/dag_id=a/run_id=r/task_id=t/attempt=01.log",
            ),
            (
                "dag-processor/2026-11-22/updraft/x.py.log",
                "files/dag-processor/2026-11-22/updraft/x.py.log",
            ),
        ];
        for (path, expected) in rows {
            let key = LogKey {
                source: source(path),
                file: file(),
                offset: 1_048_600,
            };
            let text = key.render("logs/");
            assert_eq!(
                text,
                format!(
                    "logs/{expected}/20261122T034512123Z-00001a2b.worker-1-d41f6c1a09b2/00000000000001048600.log.gz"
                )
            );
            assert_eq!(LogKey::parse("logs/", &text), Ok(key), "{text}");
        }
    }

    #[test]
    fn an_attempts_parts_are_known() {
        let LogSource::Attempt(attempt) =
            source("tasks/dag_id=d/run_id=r/task_id=t/map_index=0/attempt=2.log.trigger.9.log")
        else {
            panic!("it is an attempt");
        };
        let expected = AttemptLog {
            dag_id: "d".to_owned(),
            run_id: "r".to_owned(),
            task_id: "t".to_owned(),
            map_index: Some(0),
            attempt: 2,
            trigger: Some(9),
        };
        assert_eq!(attempt, expected);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let good = LogKey {
            source: source("broker.log"),
            file: file(),
            offset: 0,
        }
        .render("logs/");
        for bad in [
            "logs/services/broker/0.log.gz".to_owned(),
            good.replace("services", "service"),
            good.replace("00000000000000000000", "0000000000000000000+"),
            good.replace("00000000000000000000", "99999999999999999999"),
            good.replace(".worker", "worker"),
            good.replace("-00001a2b", "-1a2b"),
            good.replace(".log.gz", ".log"),
            good.replace("broker", ""),
            good.replace("logs/", "other/"),
        ] {
            assert!(LogKey::parse("logs/", &bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_any_bytes_make_a_key() {
        for name in [&b"a\xffb"[..], b"..", b".", b"100%", b"a\nb", "ü%41".as_bytes()] {
            let escaped = escape(name);
            assert!(!escaped.contains(['\n', '/']) && escaped != "..", "{escaped}");
            assert_eq!(unescape(&escaped), name);
        }
        assert_eq!(LogSource::of_path(&[b"scheduler.log.1"]), None);
    }

    #[test]
    fn files_are_in_order_of_birth() {
        let later = LogFile {
            born: file().born + chrono::TimeDelta::milliseconds(1),
            mark: 0,
            ..file()
        };
        assert!(file() < later);
        assert!(file().to_string() < later.to_string());
    }
}
