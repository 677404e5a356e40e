//! One line of a log: when it was written, how grave it is, and what it says.
//!
//! Task logs are JSON objects as Airflow 3 writes them; every other log is what its program prints. A line that names no
//! time was written with the line before it.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};
use updraft_api::logs::LogLevel;

use crate::text::{clean, harmless};

/// What a line says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) at: Option<DateTime<Utc>>,
    pub(crate) level: Option<LogLevel>,
    pub(crate) text: String,
    pub(crate) cut: bool,
}

/// What people look for is at the front; where in the code it was written is of use to few.
const UNSAID: [&str; 10] = [
    "filename",
    "lineno",
    "logger",
    "loc",
    "map_index",
    "task_id",
    "try_number",
    "dag_id",
    "run_id",
    "ti_id",
];

/// Airflow's structured line (`airflow.sdk.log`).
#[derive(Deserialize)]
struct Structured {
    timestamp: Option<DateTime<Utc>>,
    level: Option<String>,
    event: String,
    #[serde(default)]
    error_detail: Vec<Raised>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Raised {
    exc_type: String,
    #[serde(default)]
    exc_value: String,
    #[serde(default)]
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    filename: String,
    #[serde(default)]
    lineno: u64,
    #[serde(default)]
    name: String,
}

pub(crate) fn parse(raw: &[u8]) -> Said {
    let structured = raw
        .starts_with(b"{")
        .then(|| serde_json::from_slice::<Structured>(raw).ok());
    match structured.flatten() {
        Some(line) => structured_line(line),
        None => plain_line(raw),
    }
}

fn structured_line(line: Structured) -> Said {
    let mut text = line.event;
    for (name, value) in &line.rest {
        if !UNSAID.contains(&name.as_str()) {
            text.push_str(&format!(" {name}={}", plain(value)));
        }
    }
    for raised in &line.error_detail {
        for frame in &raised.frames {
            text.push_str(&format!(
                "\n  File \"{}\", line {}, in {}",
                frame.filename, frame.lineno, frame.name
            ));
        }
        text.push_str(&format!("\n{}: {}", raised.exc_type, raised.exc_value));
    }
    let (text, cut) = clean(text.as_bytes());
    Said {
        at: line.timestamp,
        level: line.level.as_deref().and_then(level),
        text,
        cut,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), harmless)
}

fn plain_line(raw: &[u8]) -> Said {
    let (text, cut) = clean(raw);
    let (at, rest) = moment(&text).map_or((None, text.as_str()), |(at, rest)| (Some(at), rest));
    let (level, rest) = graded(rest);
    Said {
        at,
        level,
        text: rest.trim_end().to_owned(),
        cut,
    }
}

/// The time at a line's beginning, and what follows it.
fn moment(text: &str) -> Option<(DateTime<Utc>, &str)> {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    if let Ok(at) = DateTime::parse_from_rfc3339(first.trim_matches(['[', ']'])) {
        return Some((at.to_utc(), rest.trim_start()));
    }
    of_broker(text)
}

/// `1178:M 22 Nov 2026 00:31:45.069 * text`, as Valkey and Redis write.
fn of_broker(text: &str) -> Option<(DateTime<Utc>, &str)> {
    let (process, rest) = text.split_once(' ')?;
    let (pid, role) = process.split_once(':')?;
    if role.len() != 1 || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (at, rest) = NaiveDateTime::parse_and_remainder(rest, "%d %b %Y %H:%M:%S%.f").ok()?;
    Some((at.and_utc(), rest.trim_start()))
}

/// The grade after the time: `[info     ] …` of Airflow, ` INFO …` of the agent.
fn graded(text: &str) -> (Option<LogLevel>, &str) {
    if let Some((word, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']'))
        && let Some(level) = level(word.trim())
    {
        return (Some(level), rest.trim_start());
    }
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let is_upper = word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    match level(word).filter(|_| is_upper) {
        Some(level) => (Some(level), rest),
        None => (None, text),
    }
}

fn level(word: &str) -> Option<LogLevel> {
    Some(match word.to_ascii_lowercase().as_str() {
        "trace" | "debug" => LogLevel::Debug,
        "info" | "notice" => LogLevel::Info,
        "warn" | "warning" => LogLevel::Warning,
        "error" | "exception" => LogLevel::Error,
        "critical" | "fatal" => LogLevel::Critical,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use updraft_api::logs::LogLevel;

    use super::parse;

    fn said(raw: &str) -> (Option<String>, Option<LogLevel>, String) {
        let said = parse(raw.as_bytes());
        (said.at.map(|at| at.to_rfc3339()), said.level, said.text)
    }

    #[test]
    fn a_tasks_line_says_its_event_and_what_was_added_to_it() {
        let (at, level, text) = said(
            r#"{"timestamp":"2026-11-22T00:32:12.052288Z","level":"info","event":"parsed","dag_id":"wide","ms":4,"logger":"task","filename":"task_runner.py","lineno":1073}"#,
        );
        assert_eq!(at.unwrap(), "2026-11-22T00:32:12.052288+00:00");
        assert_eq!((level, text.as_str()), (Some(LogLevel::Info), "parsed ms=4"));
    }

    #[test]
    fn an_exception_brings_its_trace() {
        let (_, level, text) = said(
            r#"{"timestamp":"2026-11-22T00:32:12Z","level":"error","event":"Task failed with exception","error_detail":[{"exc_type":"ValueError","exc_value":"no","frames":[{"filename":"/d/a.py","lineno":3,"name":"f"}]}]}"#,
        );
        assert_eq!(level, Some(LogLevel::Error));
        assert_eq!(
            text,
            "Task failed with exception\n  File \"/d/a.py\", line 3, in f\nValueError: no"
        );
    }

    #[test]
    fn services_times_and_grades_are_read_in_each_of_their_shapes() {
        for (raw, at, level, text) in [
            (
                "2026-11-22T00:31:47.46Z [info     ] Starting  [a.b] loc=x.py:1",
                Some("2026-11-22T00:31:47.460+00:00"),
                Some(LogLevel::Info),
                "Starting  [a.b] loc=x.py:1",
            ),
            (
                "2026-11-22T00:31:47Z  WARN agent: away",
                Some("2026-11-22T00:31:47+00:00"),
                Some(LogLevel::Warning),
                "agent: away",
            ),
            (
                "1178:M 22 Nov 2026 00:31:45.069 * Ready",
                Some("2026-11-22T00:31:45.069+00:00"),
                None,
                "* Ready",
            ),
            (
                "Traceback (most recent call last):",
                None,
                None,
                "Traceback (most recent call last):",
            ),
            (
                "  ____________       _____________",
                None,
                None,
                "  ____________       _____________",
            ),
            ("{not json", None, None, "{not json"),
            ("", None, None, ""),
        ] {
            let expected = (at.map(str::to_owned), level, text.to_owned());
            assert_eq!(said(raw), expected, "{raw}");
        }
    }

    #[test]
    fn what_a_structured_line_hides_is_cleaned_too() {
        let raw = r#"{"event":"\u001b[31mred\u001b[0m","who":"\u202eeve","level":"shout"}"#;
        assert_eq!(said(raw), (None, None, "red who=\u{fffd}eve".to_owned()));
    }
}
