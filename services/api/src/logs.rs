//! Logs of a cluster as REST gives them: pages of lines, and lines as they are written.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The word that stands for all task logs where a service is asked for.
pub const TASKS: &str = "tasks";

/// Which lines, of a page or of a stream. Without `dag` and with no `service`, the services' own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// `scheduler`, `worker`, `agent` …; `tasks` for what tasks wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// A node's label, `worker-1`, also of one that is gone; with a part of its id, `worker-1-d41f6c1a09b2`, just that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dag: Option<String>,
    /// With `dag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// With `dag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// With `task`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_index: Option<u32>,
    /// With `task`; 1 is the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Written at or after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// Written before this time; not of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Lines that hold this text, in upper or lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Which lines of the range come first; `newest` when absent. Each page is in order of time. Not of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub order: Option<LogOrder>,
    /// 1 to 1000 lines; 200 when absent. Not of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// The `next` of the page before. Not of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Of a stream alone: begin with so many of the newest lines, up to 1000; without it and `since`, with new ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(maximum = 1000)]
    pub tail: Option<u32>,
}

/// Which end of the range a page is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogOrder {
    #[default]
    Newest,
    Oldest,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// In order of time.
    pub lines: Vec<LogLine>,
    /// Where older lines (`newest`) or newer ones (`oldest`) begin.
    pub next: Option<String>,
    /// Why the page ends before the range does, though it is not full.
    pub stopped: Option<LogStop>,
}

/// One request reads only so much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogStop {
    /// As far as was looked.
    pub at: Option<DateTime<Utc>>,
    /// What was read, and how to ask for less. A sentence.
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Tells it from all other lines of the cluster, and stays the same.
    #[serde(default)]
    pub id: String,
    /// When it was written, as it says itself; a line that does not say was written with the one before it.
    pub at: DateTime<Utc>,
    /// The node's label.
    pub node: String,
    /// `scheduler`, `worker`, `agent` …; `tasks` for what a task wrote.
    pub service: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<LoggedTask>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// Text and nothing else: escape sequences are taken out, control characters shown as signs.
    pub text: String,
    /// Whether it was longer than what is shown, 16 KiB.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// Which try of which task a line is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoggedTask {
    pub dag: String,
    pub run: String,
    pub task: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_index: Option<u32>,
    pub attempt: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

// === impl LogLevel ===

impl LogLevel {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}
