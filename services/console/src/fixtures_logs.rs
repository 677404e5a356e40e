//! Made-up log lines: for the tests of pages and for the preview.

use chrono::TimeDelta;
use updraft_api::logs::{LogLevel, LogLine, LogPage, LoggedTask};

use crate::fixtures::{cluster, nodes, now};
use crate::frame::Frame;
use crate::pages::logs::{LogsPage, Wanted};

const SAID: [(&str, &str, Option<LogLevel>, &str); 8] = [
    (
        "scheduler-1",
        "scheduler",
        Some(LogLevel::Info),
        "Setting next_dagrun for orders_hourly to 2026-11-21 13:00:00+00:00",
    ),
    (
        "web-1",
        "api-server",
        None,
        "10.0.3.7 - \"GET /airflow-webserver-1/ui/dags HTTP/1.1\" 200",
    ),
    (
        "worker-1",
        "worker",
        Some(LogLevel::Info),
        "Task execute_workload[8d0f6b1e] received",
    ),
    (
        "scheduler-1",
        "dag-processor",
        Some(LogLevel::Warning),
        "dags/reports.py took 31.2 s to parse: move slow imports into tasks",
    ),
    (
        "worker-2",
        "worker",
        Some(LogLevel::Error),
        "Worker exited prematurely: signal 9 (SIGKILL)\nTraceback (most recent call last):\n  File \"celery/worker/request.py\", line 412, in on_failure\nbilliard.exceptions.WorkerLostError: signal 9",
    ),
    (
        "scheduler-1",
        "triggerer",
        Some(LogLevel::Debug),
        "0 triggers currently running",
    ),
    (
        "worker-1",
        "agent",
        Some(LogLevel::Info),
        "shipped 212 KB of logs",
    ),
    (
        "web-1",
        "api-server",
        Some(LogLevel::Info),
        "<script>alert(1)</script> is text here",
    ),
];

/// A screen of services' lines, with more of them before.
pub(crate) fn services() -> LogPage {
    let lines = (0..40_i64)
        .zip(SAID.iter().cycle())
        .map(|(number, (node, service, level, text))| LogLine {
            id: format!("{number:016x}"),
            at: now() - TimeDelta::milliseconds((40 - number) * 733),
            node: (*node).to_owned(),
            service: (*service).to_owned(),
            task: None,
            level: *level,
            text: (*text).to_owned(),
            cut: false,
        });
    LogPage {
        lines: lines.collect(),
        next: Some("6e".into()),
        stopped: None,
    }
}

/// The same lines as a task's.
pub(crate) fn tasks() -> LogPage {
    let task = LoggedTask {
        dag: "orders_hourly".into(),
        run: "scheduled__2026-11-21T12:00:00+00:00".into(),
        task: "load".into(),
        map_index: Some(3),
        attempt: 2,
    };
    let of_task = |line| LogLine {
        node: "worker-1".into(),
        service: "tasks".into(),
        task: Some(task.clone()),
        ..line
    };
    LogPage {
        lines: services().lines.into_iter().map(of_task).collect(),
        next: None,
        stopped: None,
    }
}

pub(crate) fn page(frame: Frame, asked: Wanted, found: &LogPage) -> LogsPage {
    let cluster = cluster(1, "demo");
    let asked = asked.for_role(cluster.role);
    let labels = nodes().into_iter().map(|node| node.label);
    LogsPage::new(frame, &cluster, asked, found, now()).with_nodes(labels)
}
