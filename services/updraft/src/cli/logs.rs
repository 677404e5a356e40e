//! `updraft logs`: what a cluster's services and tasks wrote, and what they write.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::IsTerminal as _;

use chrono::{DateTime, Utc};
use clap::Args;
use futures::StreamExt as _;
use updraft_api::logs::{LogLevel, LogLine, LogOrder, LogPage, LogQuery, TASKS};
use updraft_client::Client;
use updraft_model::ClusterId;

use super::args::{Format, Global};
use super::audit::moment;
use super::error::CliError;
use super::{output, resolve, session};

/// The server's largest page.
const PAGE: u32 = 1000;
/// Lines that are shown when nothing says how many.
const LINES: u32 = 200;
const FOLLOWED_LINES: u32 = 20;
/// Foregrounds that are read on light and on dark.
const COLOURS: [u8; 6] = [36, 35, 34, 32, 33, 96];

#[derive(Args, Debug)]
pub(crate) struct LogsArgs {
    /// Name or id
    cluster: String,
    /// One service: scheduler, dag-processor, triggerer, api-server, worker, broker, results, agent; tasks for all task logs
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// One node, also one that is gone: worker-1
    #[arg(long, value_name = "LABEL")]
    node: Option<String>,
    /// One DAG's task logs, or one task's
    #[arg(long, value_name = "DAG[/TASK]", conflicts_with = "service")]
    task: Option<String>,
    /// One run's
    #[arg(long, value_name = "RUN", requires = "task")]
    run: Option<String>,
    /// One of a mapped task's
    #[arg(long, value_name = "N", requires = "task")]
    map_index: Option<u32>,
    /// One attempt's; the first is 1
    #[arg(long, value_name = "N", requires = "task")]
    attempt: Option<u32>,
    /// From then on: 2026-11-22, 2026-11-22T10:00:00Z, or an age: 90m, 24h, 7d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<DateTime<Utc>>,
    /// Before then
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "follow")]
    until: Option<DateTime<Utc>>,
    /// Only lines that hold this text, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// So many of the newest lines, up to 1000 [default: 200; all with --since]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    tail: Option<u32>,
    /// Go on as lines are written, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
}

pub(super) async fn logs(args: LogsArgs, global: &Global) -> Result<(), CliError> {
    let client = session::connect(global)?;
    let cluster = resolve::cluster(&client, &args.cluster).await?.id;
    let printer = Printer::new(global.output);
    if args.follow {
        return follow(&client, cluster, args, &printer).await;
    }
    if args.tail == Some(0) {
        return Ok(());
    }
    match (args.since, args.tail) {
        (Some(_), None) => all(&client, cluster, query(&args), &printer).await,
        (_, tail) => newest(&client, cluster, query(&args), tail.unwrap_or(LINES), &printer).await,
    }
}

fn query(args: &LogsArgs) -> LogQuery {
    let (dag, task) = dag_and_task(args.task.as_deref());
    LogQuery {
        service: args.service.clone(),
        node: args.node.clone(),
        dag,
        run: args.run.clone(),
        task,
        map_index: args.map_index,
        attempt: args.attempt,
        since: args.since,
        until: args.until,
        search: args.search.clone(),
        ..LogQuery::default()
    }
}

/// `dag/task`; neither has a slash in its name.
fn dag_and_task(given: Option<&str>) -> (Option<String>, Option<String>) {
    match given.map(|given| {
        given
            .split_once('/')
            .map_or((given, None), |(dag, task)| (dag, Some(task)))
    }) {
        None => (None, None),
        Some((dag, task)) => (Some(dag.to_owned()), task.map(str::to_owned)),
    }
}

/// The whole range, oldest first, page by page.
async fn all(
    client: &Client,
    cluster: ClusterId,
    query: LogQuery,
    printer: &Printer,
) -> Result<(), CliError> {
    let mut cursor = None;
    loop {
        let asked = LogQuery {
            order: Some(LogOrder::Oldest),
            limit: Some(PAGE),
            cursor,
            ..query.clone()
        };
        let page = client.logs(cluster, &asked).await?;
        for line in &page.lines {
            printer.print(line)?;
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// The newest lines: pages back until there are enough of them.
async fn newest(
    client: &Client,
    cluster: ClusterId,
    query: LogQuery,
    wanted: u32,
    printer: &Printer,
) -> Result<(), CliError> {
    let mut pages: Vec<LogPage> = Vec::new();
    let mut missing = wanted;
    let mut cursor = None;
    while missing > 0 {
        let asked = LogQuery {
            limit: Some(missing),
            cursor,
            ..query.clone()
        };
        let page = client.logs(cluster, &asked).await?;
        missing -= u32::try_from(page.lines.len()).unwrap_or(missing).min(missing);
        cursor = page.next.clone();
        pages.push(page);
        if cursor.is_none() {
            break;
        }
    }
    for line in pages.iter().rev().flat_map(|page| &page.lines) {
        printer.print(line)?;
    }
    Ok(())
}

async fn follow(
    client: &Client,
    cluster: ClusterId,
    args: LogsArgs,
    printer: &Printer,
) -> Result<(), CliError> {
    let tail = args
        .tail
        .or_else(|| args.since.is_none().then_some(FOLLOWED_LINES));
    let query = LogQuery { tail, ..query(&args) };
    let mut lines = std::pin::pin!(client.follow_logs(cluster, &query));
    while let Some(line) = lines.next().await {
        printer.print(&line?)?;
    }
    Ok(())
}

struct Printer {
    format: Format,
    coloured: bool,
}

// === impl Printer ===

impl Printer {
    fn new(format: Format) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            format,
            coloured: wanted && std::io::stdout().is_terminal(),
        }
    }

    fn print(&self, line: &LogLine) -> Result<(), CliError> {
        match self.format {
            Format::Json => output::json_line(line),
            Format::Table => output::print(&shown(line, self.coloured)),
        }
    }
}

/// `2026-11-22 03:44:20.123Z  worker-1/worker  warning  text`
fn shown(line: &LogLine, coloured: bool) -> String {
    let paint = |code: u8, text: &str| match coloured {
        true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        false => text.to_owned(),
    };
    let place = format!("{}/{}", line.node, what(line));
    let level = match line.level {
        Some(level @ (LogLevel::Error | LogLevel::Critical)) => paint(31, level.as_str()) + "  ",
        Some(level @ LogLevel::Warning) => paint(33, level.as_str()) + "  ",
        Some(LogLevel::Debug | LogLevel::Info) | None => String::new(),
    };
    let cut = if line.cut { " …" } else { "" };
    format!(
        "{}  {}  {level}{}{cut}",
        line.at.format("%Y-%m-%d %H:%M:%S%.3fZ"),
        paint(colour(&line.service), &place),
        line.text.replace('\n', "\n    "),
    )
}

fn what(line: &LogLine) -> String {
    let Some(task) = &line.task else {
        return line.service.clone();
    };
    debug_assert_eq!(line.service, TASKS);
    let index = task
        .map_index
        .map_or_else(String::new, |index| format!("[{index}]"));
    format!("{}.{}{index} #{}", task.dag, task.task, task.attempt)
}

fn colour(service: &str) -> u8 {
    let mut hasher = DefaultHasher::new();
    service.hash(&mut hasher);
    COLOURS[usize::try_from(hasher.finish() % COLOURS.len() as u64).unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::{dag_and_task, shown};

    fn line(json: &str) -> updraft_api::logs::LogLine {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_line_says_when_where_and_what() {
        let service = line(
            r#"{"at":"2026-11-22T03:44:20.1234Z","node":"worker-1","service":"worker","level":"warning","text":"slow"}"#,
        );
        assert_eq!(
            shown(&service, false),
            "2026-11-22 03:44:20.123Z  worker-1/worker  warning  slow"
        );
        assert!(shown(&service, true).contains("\u{1b}[33mwarning\u{1b}[0m"));
        let task = line(
            r#"{"at":"2026-11-22T03:44:20Z","node":"worker-1","service":"tasks","text":"a\nb",
                "task":{"dag":"d","run":"r","task":"t","map_index":3,"attempt":2}}"#,
        );
        assert_eq!(
            shown(&task, false),
            "2026-11-22 03:44:20.000Z  worker-1/d.t[3] #2  a\n    b"
        );
    }

    #[test]
    fn a_task_is_named_with_its_dag() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(dag_and_task(Some("d/t")), (text("d"), text("t")));
        assert_eq!(dag_and_task(Some("d")), (text("d"), None));
    }
}
