//! Results on standard output: tables for people, JSON for programs.

use std::io::{self, ErrorKind, Write as _};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::error::{CliError, Exit};

pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

// === impl Table ===

impl Table {
    pub(super) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self {
            rows: vec![Vec::from(header.map(str::to_owned))],
        }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(Vec::from(cells));
    }

    /// Columns two spaces apart; nothing is cut off.
    pub(super) fn render(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// A line on standard output. A reader that went away (`| head`) ends the program quietly.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(CliError::io("cannot write to standard output", &error)),
    }
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| {
        CliError::new(Exit::Failure, "the result cannot be written as JSON").why(error.to_string())
    })?;
    print(&text)
}

/// One JSON value a line, for streams.
pub(super) fn json_line<T: Serialize>(value: &T) -> Result<(), CliError> {
    let text = serde_json::to_string(value).map_err(|error| {
        CliError::new(Exit::Failure, "the result cannot be written as JSON").why(error.to_string())
    })?;
    print(&text)
}

/// `12 s`, `3 min`, `5 h`, `2 d`: the largest unit that is not zero.
pub(super) fn age(now: DateTime<Utc>, then: DateTime<Utc>) -> String {
    let seconds = (now - then).max(TimeDelta::zero()).num_seconds();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A dash where there is nothing.
pub(super) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_space() {
        let mut table = Table::new(["NAME", "PHASE"]);
        table.row(["a".to_owned(), "running".to_owned()]);
        table.row(["größer".to_owned(), "-".to_owned()]);
        assert_eq!(table.render(), "NAME    PHASE\na       running\ngrößer  -");
    }

    #[test]
    fn an_age_has_one_unit() {
        let now = Utc::now();
        let ages = [-5, 59, 61, 7200, 200_000].map(|s| age(now, now - TimeDelta::seconds(s)));
        assert_eq!(ages, ["0 s", "59 s", "1 min", "2 h", "2 d"]);
    }
}
