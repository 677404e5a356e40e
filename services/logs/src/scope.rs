//! Which logs are meant: where in the bucket to look, and which of what lies there counts.

use chrono::{DateTime, Utc};
use object_store::path::Path;
use updraft_api::log_layout::{LogKey, LogSource, escape};
use updraft_api::logs::{LogOrder, LogQuery, LoggedTask, TASKS};

use crate::cursor::Cursor;
use crate::{LogsError, Result};

/// Of all logs, where nothing else is said.
const PREFIX: &str = "logs/";
const DEFAULT_LIMIT: u32 = 200;
const MAX_LIMIT: u32 = 1000;
const LONGEST_SEARCH: usize = 200;

/// A question about logs that makes sense.
#[derive(Clone, Debug)]
pub struct Scope {
    prefix: String,
    query: LogQuery,
    /// Lower case.
    search: Option<String>,
    limit: usize,
    cursor: Option<Cursor>,
}

// === impl Scope ===

impl Scope {
    /// Of a page, below `logs/`.
    ///
    /// # Errors
    /// [`LogsError::Invalid`] with the field.
    pub fn new(query: LogQuery) -> Result<Self> {
        if query.tail.is_some() {
            return Err(LogsError::invalid("tail", "it is of a stream: use `limit`"));
        }
        Self::checked(query)
    }

    /// Of lines that are still to come, below `logs/`.
    ///
    /// # Errors
    /// [`LogsError::Invalid`] with the field.
    pub fn of_stream(query: LogQuery) -> Result<Self> {
        let of_a_page = [
            ("until", query.until.is_some()),
            ("order", query.order.is_some()),
            ("limit", query.limit.is_some()),
            ("cursor", query.cursor.is_some()),
        ];
        match of_a_page.into_iter().find(|(_, given)| *given) {
            Some((field, _)) => Err(LogsError::invalid(field, "it is of a page, not of a stream")),
            None => Self::checked(query),
        }
    }

    fn checked(query: LogQuery) -> Result<Self> {
        check_parts(&query)?;
        check_bounds(&query)?;
        let search = query.search.as_deref().filter(|search| !search.is_empty());
        let cursor = query.cursor.as_deref().map(str::parse::<Cursor>).transpose()?;
        let order = query.order.unwrap_or_default();
        if cursor.as_ref().is_some_and(|cursor| cursor.order != order) {
            return Err(LogsError::invalid(
                "cursor",
                "it is of a page in the other `order`",
            ));
        }
        Ok(Self {
            prefix: PREFIX.to_owned(),
            search: search.map(str::to_lowercase),
            limit: usize::try_from(query.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or_default(),
            cursor,
            query,
        })
    }

    /// The same question where all logs lie below another prefix, which ends in a slash.
    #[must_use]
    pub fn below(self, prefix: String) -> Self {
        Self { prefix, ..self }
    }

    /// Whether it is about what tasks wrote, and not about services.
    #[must_use]
    pub fn is_of_tasks(&self) -> bool {
        self.query.dag.is_some() || self.query.service.as_deref() == Some(TASKS)
    }

    pub(crate) fn order(&self) -> LogOrder {
        self.query.order.unwrap_or_default()
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    pub(crate) fn since(&self) -> Option<DateTime<Utc>> {
        self.query.since
    }

    pub(crate) fn until(&self) -> Option<DateTime<Utc>> {
        self.query.until
    }

    /// The same question about another part of time, from its oldest line on.
    pub(crate) fn oldest_first(&self, cursor: Option<Cursor>, since: Option<DateTime<Utc>>) -> Self {
        let query = LogQuery {
            order: Some(LogOrder::Oldest),
            since,
            until: None,
            ..self.query.clone()
        };
        Self {
            query,
            limit: MAX_LIMIT as usize,
            cursor,
            ..self.clone()
        }
    }

    /// The same question, for its newest lines.
    pub(crate) fn newest(&self, limit: usize) -> Self {
        let query = LogQuery {
            order: Some(LogOrder::Newest),
            until: None,
            ..self.query.clone()
        };
        Self {
            query,
            limit,
            cursor: None,
            ..self.clone()
        }
    }

    pub(crate) fn key(&self, location: &Path) -> Option<LogKey> {
        let key = LogKey::parse(&self.prefix, location.as_ref()).ok()?;
        self.holds(&key).then_some(key)
    }

    /// The folders to list.
    pub(crate) fn folders(&self) -> Vec<Path> {
        let query = &self.query;
        let mut folders = Vec::new();
        if self.is_of_tasks() {
            let mut folder = "tasks".to_owned();
            let parts = [
                ("dag_id", &query.dag),
                ("run_id", &query.run),
                ("task_id", &query.task),
            ];
            for (name, value) in parts {
                let Some(value) = value else { break };
                folder.push_str(&format!("/{name}={}", escape(value.as_bytes())));
            }
            folders.push(folder);
        } else {
            let below = query
                .service
                .as_ref()
                .map_or_else(String::new, |name| format!("/{name}"));
            folders.push(format!("services{below}"));
            folders.push(format!("files{below}"));
        }
        let full = |folder: String| Path::parse(format!("{}{folder}", self.prefix)).ok();
        folders.into_iter().filter_map(full).collect()
    }

    /// Whether each service has a folder of its own in which names grow with time.
    pub(crate) fn grows_at_the_end(&self) -> bool {
        !self.is_of_tasks() && self.query.service.is_some()
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        self.search
            .as_ref()
            .is_none_or(|search| text.to_lowercase().contains(search))
    }

    fn holds(&self, key: &LogKey) -> bool {
        let query = &self.query;
        let node = query
            .node
            .as_ref()
            .is_none_or(|node| *node == key.file.node || *node == label(&key.file.node));
        let source = match &key.source {
            LogSource::Attempt(attempt) => {
                let same =
                    |asked: &Option<String>, value: &str| asked.as_ref().is_none_or(|asked| asked == value);
                same(&query.dag, &attempt.dag_id)
                    && same(&query.run, &attempt.run_id)
                    && same(&query.task, &attempt.task_id)
                    && query
                        .map_index
                        .is_none_or(|index| attempt.map_index == Some(index))
                    && query.attempt.is_none_or(|number| attempt.attempt == number)
            }
            LogSource::Service(name) => query.service.as_ref().is_none_or(|asked| asked == name),
            LogSource::File(path) => service_of_file(path) != TASKS,
        };
        node && source
    }
}

/// `worker-1` of `worker-1-d41f6c1a09b2`.
pub(crate) fn label(node: &str) -> &str {
    match node.rsplit_once('-') {
        Some((label, id)) if id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => label,
        _ => node,
    }
}

/// What a line of this source is called after.
pub(crate) fn place(source: &LogSource) -> (String, Option<LoggedTask>) {
    match source {
        LogSource::Service(name) => (name.clone(), None),
        LogSource::File(path) => (service_of_file(path).to_owned(), None),
        LogSource::Attempt(attempt) => {
            let task = LoggedTask {
                dag: attempt.dag_id.clone(),
                run: attempt.run_id.clone(),
                task: attempt.task_id.clone(),
                map_index: attempt.map_index,
                attempt: attempt.attempt,
            };
            (TASKS.to_owned(), Some(task))
        }
    }
}

fn service_of_file(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

fn check_parts(query: &LogQuery) -> Result<()> {
    let needs = |field, there: bool, needed: &str, has: bool| match there && !has {
        true => Err(LogsError::invalid(field, format!("name a `{needed}` too"))),
        false => Ok(()),
    };
    needs("run", query.run.is_some(), "dag", query.dag.is_some())?;
    needs("task", query.task.is_some(), "dag", query.dag.is_some())?;
    needs(
        "map_index",
        query.map_index.is_some(),
        "task",
        query.task.is_some(),
    )?;
    needs("attempt", query.attempt.is_some(), "task", query.task.is_some())?;
    if query.dag.is_some() && query.service.as_deref().is_some_and(|service| service != TASKS) {
        return Err(LogsError::invalid(
            "service",
            "a dag's logs are those of its tasks: leave `service` out",
        ));
    }
    let word = |text: &str| {
        (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    for (field, value) in [("service", &query.service), ("node", &query.node)] {
        if value
            .as_deref()
            .is_some_and(|value| !word(value) || value.starts_with('.'))
        {
            return Err(LogsError::invalid(
                field,
                "use its name, like `scheduler` or `worker-1`",
            ));
        }
    }
    Ok(())
}

fn check_bounds(query: &LogQuery) -> Result<()> {
    if query.limit.is_some_and(|limit| !(1..=MAX_LIMIT).contains(&limit)) {
        return Err(LogsError::invalid("limit", format!("ask for 1 to {MAX_LIMIT}")));
    }
    if query
        .search
        .as_ref()
        .is_some_and(|search| search.len() > LONGEST_SEARCH)
    {
        return Err(LogsError::invalid(
            "search",
            format!("at most {LONGEST_SEARCH} bytes"),
        ));
    }
    let long = [&query.dag, &query.run, &query.task]
        .into_iter()
        .flatten()
        .any(|id| id.is_empty() || id.len() > 500);
    if long {
        return Err(LogsError::invalid("dag", "an id has 1 to 500 bytes"));
    }
    match (query.since, query.until) {
        (Some(since), Some(until)) if since >= until => {
            Err(LogsError::invalid("until", "it is not after `since`"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;
    use updraft_api::logs::LogQuery;

    use super::{Scope, label};
    use crate::LogsError;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn folders(query: LogQuery) -> Vec<String> {
        let scope = Scope::new(query).unwrap();
        scope.folders().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_the_folders_in_question_are_listed() {
        assert_eq!(folders(LogQuery::default()), ["logs/services", "logs/files"]);
        let scheduler = LogQuery {
            service: text("scheduler"),
            ..LogQuery::default()
        };
        assert_eq!(
            folders(scheduler),
            ["logs/services/scheduler", "logs/files/scheduler"]
        );
        let task = LogQuery {
            dag: text("50%/x"),
            task: text("t"),
            ..LogQuery::default()
        };
        assert_eq!(
            folders(task),
            ["logs/tasks/dag_id=50%25%2Fx"],
            "the run in between is any"
        );
        let all = LogQuery {
            service: text("tasks"),
            ..LogQuery::default()
        };
        assert_eq!(folders(all), ["logs/tasks"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_field() {
        let refused = |query: LogQuery| match Scope::new(query) {
            Err(LogsError::Invalid { field, .. }) => field,
            other => panic!("not refused: {other:?}"),
        };
        let query = LogQuery::default;
        assert_eq!(
            refused(LogQuery {
                run: text("r"),
                ..query()
            }),
            "run"
        );
        assert_eq!(
            refused(LogQuery {
                task: text("t"),
                ..query()
            }),
            "task"
        );
        assert_eq!(
            refused(LogQuery {
                attempt: Some(1),
                dag: text("d"),
                ..query()
            }),
            "attempt"
        );
        assert_eq!(
            refused(LogQuery {
                service: text("../x"),
                ..query()
            }),
            "service"
        );
        assert_eq!(
            refused(LogQuery {
                service: text("worker"),
                dag: text("d"),
                ..query()
            }),
            "service"
        );
        assert_eq!(
            refused(LogQuery {
                node: text("a/b"),
                ..query()
            }),
            "node"
        );
        assert_eq!(
            refused(LogQuery {
                limit: Some(0),
                ..query()
            }),
            "limit"
        );
        assert_eq!(
            refused(LogQuery {
                limit: Some(1001),
                ..query()
            }),
            "limit"
        );
        assert_eq!(
            refused(LogQuery {
                cursor: text("zz"),
                ..query()
            }),
            "cursor"
        );
        assert_eq!(
            refused(LogQuery {
                search: Some("x".repeat(201)),
                ..query()
            }),
            "search"
        );
        assert_eq!(
            refused(LogQuery {
                tail: Some(1),
                ..query()
            }),
            "tail"
        );
        let of_stream = LogQuery {
            limit: Some(1),
            ..query()
        };
        assert!(matches!(
            Scope::of_stream(of_stream),
            Err(LogsError::Invalid { field: "limit", .. })
        ));
        let now = chrono::Utc::now();
        assert_eq!(
            refused(LogQuery {
                since: Some(now),
                until: Some(now),
                ..query()
            }),
            "until"
        );
    }

    #[test]
    fn a_node_is_known_by_its_label_and_by_its_whole_name() {
        assert_eq!(label("worker-1-d41f6c1a09b2"), "worker-1");
        assert_eq!(label("worker-1"), "worker-1");
        let key = "logs/services/worker/20261122T034512123Z-00001a2b.worker-1-d41f6c1a09b2/00000000000000000000.log.gz";
        for (node, counts) in [
            ("worker-1", true),
            ("worker-1-d41f6c1a09b2", true),
            ("worker-10", false),
        ] {
            let scope = Scope::new(LogQuery {
                node: text(node),
                ..LogQuery::default()
            })
            .unwrap();
            assert_eq!(scope.key(&Path::from(key)).is_some(), counts, "{node}");
        }
    }
}
