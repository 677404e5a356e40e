//! What a script says: line by line with the time into the node's `bootstrap` log, and the last lines kept for people.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;

use chrono::{SecondsFormat, Utc};

use crate::error::Result;
use crate::layout::Layout;
use crate::place::Ownership;

const LOG: &str = "logs/bootstrap.log";
/// A longer line is cut.
const LINE: usize = 2_000;
/// A script that says more is not listened to any further, but for its last lines.
const MOST: usize = 8 << 20;
const KEPT: usize = 20;
const KEPT_CHARACTERS: usize = 1_500;

#[derive(Debug)]
pub(super) struct Output {
    log: File,
    /// Of a line that has not ended.
    open: Vec<u8>,
    last: VecDeque<String>,
    written: usize,
}

// === impl Output ===

impl Output {
    pub(super) fn open(layout: &Layout) -> Result<Self> {
        Ok(Self {
            log: layout.place().append(LOG, 0o660, Ownership::Shared)?,
            open: Vec::new(),
            last: VecDeque::new(),
            written: 0,
        })
    }

    /// A line of the agent's own.
    pub(super) fn note(&mut self, words: &str) {
        self.write(&format!("[updraft] {words}"));
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => self.end_line(),
                byte if self.open.len() < LINE => self.open.push(*byte),
                _ => {}
            }
        }
    }

    /// The last lines, as many as fit; what was said without a line's end too.
    pub(super) fn tail(&mut self) -> String {
        self.end_line();
        let mut room = KEPT_CHARACTERS;
        let fits = self.last.iter().rev().take_while(|line| {
            let length = line.chars().count() + 1;
            room = room.saturating_sub(length);
            room > 0
        });
        let mut lines: Vec<&str> = fits.map(String::as_str).collect();
        lines.reverse();
        lines.join("\n")
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.open)).into_owned();
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        self.write(line);
        let plain: String = line.chars().filter(|c| !c.is_control() || *c == '\t').collect();
        self.last
            .push_back(plain.chars().take(KEPT_CHARACTERS / 2).collect());
        if self.last.len() > KEPT {
            self.last.pop_front();
        }
    }

    fn write(&mut self, line: &str) {
        if self.written > MOST {
            return;
        }
        self.written += line.len();
        let ended = if self.written > MOST {
            "\n[updraft] It says too much: the rest is left out."
        } else {
            ""
        };
        let at = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        if let Err(error) = writeln!(self.log, "{at} {line}{ended}") {
            tracing::warn!(%error, "A script's output could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Output};
    use crate::layout::Layout;
    use crate::place::Place;

    fn output() -> (tempfile::TempDir, Output) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::ensure(Place::open(dir.path(), None).unwrap()).unwrap();
        let output = Output::open(&layout).unwrap();
        (dir, output)
    }

    #[test]
    fn lines_have_their_time_and_the_last_are_kept() {
        let (dir, mut output) = output();
        output.take(b"one\ntw");
        output.take(b"o\n\nthree");
        assert_eq!(output.tail(), "one\ntwo\nthree");
        let log = std::fs::read_to_string(dir.path().join("logs/bootstrap.log")).unwrap();
        let lines: Vec<_> = log.lines().map(|line| line.split_once(' ').unwrap()).collect();
        assert!(
            lines
                .iter()
                .all(|(at, _)| at.parse::<chrono::DateTime<chrono::Utc>>().is_ok())
        );
        assert_eq!(
            lines.iter().map(|(_, line)| *line).collect::<Vec<_>>(),
            ["one", "two", "three"]
        );
    }

    #[test]
    fn what_a_script_says_is_bounded() {
        let (dir, mut output) = output();
        for _ in 0..20_000 {
            output.take(&[b'x'; 1_000]);
            output.take(b"\n");
        }
        assert!(output.tail().chars().count() <= 1_500);
        assert!(output.last.len() <= KEPT);
        let length = std::fs::metadata(dir.path().join("logs/bootstrap.log"))
            .unwrap()
            .len();
        assert!(length < 9 << 20, "{length}");
    }
}
