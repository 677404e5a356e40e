//! Services' output files, quoted without secrets.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use rustix::fs::OFlags;

use crate::error::Error;
use crate::place::Place;

const TAIL_BYTES: u64 = 8 << 10;
/// An event's message is at most 500 characters; some are the sentence around the tail.
const TAIL_CHARS: usize = 380;

/// The last lines after `offset`, without the values of the service's secrets, `named` or not, at most 380 characters.
#[must_use]
pub fn redacted_tail(
    place: &Place,
    log: &str,
    offset: u64,
    env: &BTreeMap<String, String>,
    named: &[String],
) -> String {
    let text = place
        .open_file(log, OFlags::RDONLY)
        .and_then(|file| read_tail(file, offset).map_err(Error::file("read", place.path().join(log))));
    match text {
        Ok(text) => last_lines(&redact(&text, env, named)),
        Err(error) => {
            tracing::debug!(%error, "A log could not be quoted");
            String::new()
        }
    }
}

fn read_tail(mut file: File, offset: u64) -> io::Result<String> {
    let length = file.metadata()?.len();
    // An emptied log is shorter than where this process began.
    let begin = if offset > length { 0 } else { offset };
    file.seek(SeekFrom::Start(begin.max(length.saturating_sub(TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// As many whole lines from the end as fit; of one that is too long itself, its end.
fn last_lines(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut room = TAIL_CHARS;
    for line in text
        .lines()
        .rev()
        .map(str::trim_end)
        .filter(|line| !line.trim().is_empty())
        .take(8)
    {
        let length = line.chars().count() + 1;
        if length > room {
            break;
        }
        room -= length;
        kept.push(line);
    }
    if kept.is_empty() {
        let last = text.trim_end().lines().next_back().unwrap_or_default();
        let skipped = last.chars().count().saturating_sub(TAIL_CHARS);
        return last.chars().skip(skipped).collect();
    }
    kept.reverse();
    kept.join("\n")
}

/// Without what these variables hold that is secret.
pub(crate) fn redacted(text: &str, env: &BTreeMap<String, String>) -> String {
    redact(text, env, &[])
}

fn redact(text: &str, env: &BTreeMap<String, String>, named: &[String]) -> String {
    let is_secret = |key: &String| holds_secret(key) || named.contains(key);
    let mut secrets: Vec<&str> = env
        .iter()
        .filter(|(key, value)| value.len() >= 6 && is_secret(key))
        .flat_map(|(_, value)| std::iter::once(value.as_str()).chain(parts_of(value)))
        .collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets
        .iter()
        .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
}

fn holds_secret(key: &str) -> bool {
    const WORDS: [&str; 9] = [
        "SECRET",
        "KEY",
        "PASSWORD",
        "TOKEN",
        "CONN",
        "DSN",
        "BROKER",
        "BACKEND",
        "CREDENTIAL",
    ];
    let key = key.to_ascii_uppercase();
    WORDS.iter().any(|word| key.contains(word))
}

/// The password inside a URL, the strings inside JSON, and the lines of what has several.
fn parts_of(value: &str) -> Vec<&str> {
    let password = value
        .split_once("://")
        .and_then(|(_, rest)| rest.rsplit_once('@'))
        .and_then(|(user, _)| user.split_once(':'))
        .map(|(_, password)| password);
    let quoted = value
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|part| part.len() >= 16);
    let lines = value.lines().map(str::trim).filter(|_| value.contains('\n'));
    password
        .into_iter()
        .chain(lines)
        .filter(|part| part.len() >= 6)
        .chain(quoted)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Write as _;

    use super::{Place, redacted_tail};
    use crate::place::Ownership;

    fn place() -> (tempfile::TempDir, Place) {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::open(dir.path(), None).unwrap();
        (dir, place)
    }

    #[test]
    fn a_quoted_log_has_no_secrets_and_only_this_process() {
        let (_dir, place) = place();
        let mut log = place.append("a.log", 0o640, Ownership::Shared).unwrap();
        log.write_all(b"earlier\n").unwrap();
        log.write_all(b"cannot reach redis://:hunter22@b:6379/0\nlogin with hunter22 failed\n")
            .unwrap();
        let env = BTreeMap::from([(
            "AIRFLOW__CELERY__BROKER_URL".to_owned(),
            "redis://:hunter22@b:6379/0".to_owned(),
        )]);
        assert_eq!(
            redacted_tail(&place, "a.log", 8, &env, &[]),
            "cannot reach ***\nlogin with *** failed"
        );
    }

    #[test]
    fn a_tenants_secret_is_not_quoted_whatever_its_name_is() {
        let (_dir, place) = place();
        let mut log = place.append("a.log", 0o640, Ownership::Shared).unwrap();
        log.write_all(b"begin\nsecond-line\nhunter22 of REGION eu-west-1\n")
            .unwrap();
        let env = BTreeMap::from([
            ("LICENCE".to_owned(), "hunter22".to_owned()),
            ("PEM".to_owned(), "first-line\nsecond-line\n".to_owned()),
            ("REGION".to_owned(), "eu-west-1".to_owned()),
        ]);
        let named = ["LICENCE".to_owned(), "PEM".to_owned()];
        assert_eq!(
            redacted_tail(&place, "a.log", 0, &env, &named),
            "begin\n***\n*** of REGION eu-west-1"
        );
    }
}
