//! Lines of a log as HTML: of the page, of older ones fetched by it, and of the stream.

use std::fmt;

use askama::Template;
use askama::filters::{Html, HtmlSafe, escape};
use chrono::{DateTime, Utc};
use updraft_api::logs::{LogLevel, LogLine, LogPage, LogStop, LoggedTask};
use updraft_model::ClusterId;

use super::Wanted;

#[derive(Template)]
#[template(path = "pages/log_lines.html")]
pub(crate) struct Lines {
    lines: Vec<Line>,
    before: Before,
}

/// What is there before the first of them.
enum Before {
    /// They stand at the end of others.
    Others,
    Nothing,
    Older(Older),
}

struct Older {
    /// Address of the page with them, and of the lines alone.
    page: String,
    alone: String,
    /// Why what is here ends before the page was full.
    stopped: Option<String>,
}

struct Line {
    id: String,
    at: DateTime<Utc>,
    class: &'static str,
    from: String,
    level: Option<&'static str>,
    text: Marked,
    cut: bool,
}

/// Text of a log in which what was searched for is marked. Every piece is escaped, hence safe as HTML.
struct Marked {
    text: String,
    search: String,
}

impl HtmlSafe for Lines {}
impl HtmlSafe for Marked {}

// === impl Lines ===

impl Lines {
    pub(super) fn new(cluster: ClusterId, asked: &Wanted, found: &LogPage) -> Self {
        let before = match found.next.as_deref() {
            None => Before::Nothing,
            Some(cursor) => Before::Older(Older {
                page: asked.address(cluster, "", &[("cursor", cursor)]),
                alone: asked.address(cluster, "/older", &[("cursor", cursor)]),
                stopped: found.stopped.as_ref().map(stopped),
            }),
        };
        Self {
            before,
            ..Self::of(asked, &found.lines)
        }
    }

    /// Lines and nothing around them.
    pub(super) fn of(asked: &Wanted, lines: &[LogLine]) -> Self {
        Self {
            lines: lines.iter().map(|line| Line::new(line, asked)).collect(),
            before: Before::Others,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn has_older(&self) -> bool {
        matches!(self.before, Before::Older(_))
    }
}

fn stopped(stop: &LogStop) -> String {
    match stop.at {
        Some(at) => format!("Looked back to {}. {}", moment(at), stop.why),
        None => stop.why.clone(),
    }
}

// === impl Line ===

impl Line {
    fn new(line: &LogLine, asked: &Wanted) -> Self {
        let class = match line.level {
            Some(LogLevel::Error | LogLevel::Critical) => "bad",
            Some(LogLevel::Warning) => "warn",
            Some(LogLevel::Debug) => "dim",
            Some(LogLevel::Info) | None => "",
        };
        Self {
            id: line.id.clone(),
            at: line.at,
            class,
            from: from(line, asked),
            level: line
                .level
                .filter(|level| *level != LogLevel::Info)
                .map(LogLevel::as_str),
            text: Marked {
                text: line.text.clone(),
                search: asked.search.trim().to_owned(),
            },
            cut: line.cut,
        }
    }

    /// `11-22 03:44:20.123`: the year is where the pointer rests.
    fn time(&self) -> impl fmt::Display {
        self.at.format("%m-%d %H:%M:%S%.3f")
    }

    fn exactly(&self) -> String {
        moment(self.at)
    }

    fn micros(&self) -> i64 {
        self.at.timestamp_micros()
    }
}

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.text.as_str();
        while let Some((before, found, after)) = split(rest, &self.search) {
            escaped(f, before)?;
            f.write_str("<mark>")?;
            escaped(f, found)?;
            f.write_str("</mark>")?;
            rest = after;
        }
        escaped(f, rest)
    }
}

/// Around the first place where it stands, in upper or lower case of ASCII; other letters are found as they are.
fn split<'a>(text: &'a str, search: &str) -> Option<(&'a str, &'a str, &'a str)> {
    if search.is_empty() {
        return None;
    }
    let (text_bytes, search) = (text.as_bytes(), search.as_bytes());
    let at = text_bytes
        .windows(search.len())
        .position(|window| window.eq_ignore_ascii_case(search))?;
    let end = at + search.len();
    Some((text.get(..at)?, text.get(at..end)?, text.get(end..)?))
}

fn escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let Ok(text) = escape(text, Html);
    write!(f, "{text}")
}

pub(super) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.3f UTC").to_string()
}

/// Where a line is from, without what the question says already.
fn from(line: &LogLine, asked: &Wanted) -> String {
    let node = &line.node;
    match &line.task {
        _ if asked.is_of_one_attempt() || asked.is_of_one_service() => node.clone(),
        Some(task) => format!("{node} {}", name(task)),
        None => format!("{node}/{}", line.service),
    }
}

/// `dag.task[3] #2`
pub(super) fn name(task: &LoggedTask) -> String {
    let index = task
        .map_index
        .map_or_else(String::new, |index| format!("[{index}]"));
    format!("{}.{}{index} #{}", task.dag, task.task, task.attempt)
}

#[cfg(test)]
mod tests {
    use super::Marked;

    fn marked(text: &str, search: &str) -> String {
        let (text, search) = (text.to_owned(), search.to_owned());
        Marked { text, search }.to_string()
    }

    #[test]
    fn what_was_searched_for_is_marked_and_everything_is_escaped() {
        assert_eq!(
            marked("An ERROR, an error", "error"),
            "An <mark>ERROR</mark>, an <mark>error</mark>"
        );
        assert_eq!(
            marked("<b> & <B>", "<b>"),
            "<mark>&#60;b&#62;</mark> &#38; <mark>&#60;B&#62;</mark>"
        );
        assert_eq!(marked("größe", "GRÖSSE"), "größe");
        assert_eq!(marked("é", "\u{a9}"), "é", "no place inside a letter");
        assert_eq!(marked("text", ""), "text");
    }
}
