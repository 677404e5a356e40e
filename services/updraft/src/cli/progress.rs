//! An operation's steps as they happen, on standard error: live bars on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use updraft_api::rest::OperationView;
use updraft_model::{Step, StepState};

const TICK: Duration = Duration::from_millis(120);

pub(super) enum Progress {
    Bars {
        all: MultiProgress,
        bars: HashMap<String, ProgressBar>,
    },
    Lines {
        seen: HashMap<String, StepState>,
    },
}

// === impl Progress ===

impl Progress {
    pub(super) fn on_stderr() -> Self {
        if stderr().is_terminal() {
            Self::Bars {
                all: MultiProgress::new(),
                bars: HashMap::new(),
            }
        } else {
            Self::Lines { seen: HashMap::new() }
        }
    }

    pub(super) fn show(&mut self, operation: &OperationView, now: DateTime<Utc>) {
        match self {
            Self::Bars { all, bars } => {
                for (position, step) in operation.steps.iter().enumerate() {
                    let bar = bars
                        .entry(step.id.clone())
                        .or_insert_with(|| new_bar(all, position));
                    draw(bar, step, now);
                }
            }
            Self::Lines { seen } => {
                for line in changes(&operation.steps, seen, now) {
                    let _ = writeln!(stderr(), "{line}");
                }
            }
        }
    }
}

fn new_bar(all: &MultiProgress, position: usize) -> ProgressBar {
    let bar = all.insert(position, ProgressBar::new_spinner());
    bar.enable_steady_tick(TICK);
    bar
}

fn draw(bar: &ProgressBar, step: &Step, now: DateTime<Utc>) {
    let template = match step.state {
        StepState::Running => "{spinner:.cyan} {msg}",
        StepState::Pending => "· {msg:.dim}",
        StepState::Done => "✓ {msg}",
        StepState::Failed => "✗ {msg:.red}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let message = describe(step, now);
    match step.state {
        StepState::Done | StepState::Failed if !bar.is_finished() => bar.finish_with_message(message),
        StepState::Done | StepState::Failed => {}
        StepState::Pending | StepState::Running => bar.set_message(message),
    }
}

/// One line for each step that changed since the last call.
fn changes(steps: &[Step], seen: &mut HashMap<String, StepState>, now: DateTime<Utc>) -> Vec<String> {
    let mut lines = Vec::new();
    for step in steps.iter().filter(|step| step.state != StepState::Pending) {
        if seen.insert(step.id.clone(), step.state) != Some(step.state) {
            let word = match step.state {
                StepState::Pending | StepState::Running => "begins",
                StepState::Done => "done",
                StepState::Failed => "FAILED",
            };
            lines.push(format!("{word:<6}  {}", describe(step, now)));
        }
    }
    lines
}

/// `scheduler-1: Start broker  1.3 s  (waiting for …)`
fn describe(step: &Step, now: DateTime<Utc>) -> String {
    let place = step
        .node_label
        .as_ref()
        .map(|label| format!("{label}: "))
        .unwrap_or_default();
    let time = step
        .started_at
        .map(|start| step.finished_at.unwrap_or(now) - start)
        .map(seconds)
        .unwrap_or_default();
    let detail = match (&step.detail, step.state) {
        (Some(detail), StepState::Running | StepState::Failed) => format!("  ({detail})"),
        _ => String::new(),
    };
    format!("{place}{}{time}{detail}", step.title)
}

fn seconds(time: TimeDelta) -> String {
    // Server and terminal may disagree about the time of day.
    let tenths = time.max(TimeDelta::zero()).num_milliseconds() / 100;
    format!("  {}.{} s", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(state: StepState, now: DateTime<Utc>) -> Step {
        Step {
            id: "scheduler-1/broker".to_owned(),
            title: "Start broker".to_owned(),
            node: None,
            node_label: Some("scheduler-1".to_owned()),
            state,
            started_at: (state != StepState::Pending).then_some(now - TimeDelta::milliseconds(1340)),
            finished_at: (state == StepState::Done).then_some(now),
            detail: (state == StepState::Failed).then(|| "the port is taken".to_owned()),
        }
    }

    #[test]
    fn each_change_is_one_line() {
        let now = Utc::now();
        let mut seen = HashMap::new();
        let states = [
            StepState::Pending,
            StepState::Running,
            StepState::Running,
            StepState::Done,
            StepState::Done,
        ];
        let lines: Vec<_> = states
            .iter()
            .flat_map(|state| changes(&[step(*state, now)], &mut seen, now))
            .collect();
        assert_eq!(
            lines,
            [
                "begins  scheduler-1: Start broker  1.3 s",
                "done    scheduler-1: Start broker  1.3 s"
            ]
        );
    }

    #[test]
    fn a_failed_step_says_why() {
        let now = Utc::now();
        let lines = changes(&[step(StepState::Failed, now)], &mut HashMap::new(), now);
        assert_eq!(
            lines,
            ["FAILED  scheduler-1: Start broker  1.3 s  (the port is taken)"]
        );
    }
}
