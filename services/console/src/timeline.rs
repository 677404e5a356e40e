//! The operation timeline: one bar per step, nested by node. Pure: steps and the current time in, percents out.

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, TimeDelta, Utc};
use updraft_api::rest::OperationView;
use updraft_model::{Failure, OperationKind, OperationState, Step, StepState};

use crate::text::{Moment, duration};
use crate::tone::Pill;

#[derive(Clone, Debug, Template)]
#[template(path = "pages/timeline.html")]
pub(crate) struct Timeline {
    pub(crate) title: String,
    pub(crate) state: Pill,
    pub(crate) requested_by: Option<String>,
    pub(crate) started: Moment,
    pub(crate) took: String,
    pub(crate) done: usize,
    pub(crate) total: usize,
    pub(crate) under_way: bool,
    pub(crate) ticks: Vec<Tick>,
    pub(crate) groups: Vec<Group>,
    pub(crate) failure: Option<Failure>,
}

/// All steps of one node, or of the cluster as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) label: String,
    pub(crate) bars: Vec<Bar>,
}

#[derive(Clone, Debug)]
pub(crate) struct Bar {
    /// Stays the same between two renderings, so that the browser can animate from one to the other.
    pub(crate) key: String,
    pub(crate) title: String,
    pub(crate) state: Pill,
    pub(crate) running: bool,
    /// Percent of the axis; none before the step began.
    pub(crate) span: Option<Span>,
    pub(crate) took: String,
    pub(crate) detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) from: f64,
    pub(crate) width: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    pub(crate) at: f64,
    pub(crate) label: String,
}

struct Axis {
    start: DateTime<Utc>,
    length_ms: f64,
    tick_ms: i64,
}

impl HtmlSafe for Timeline {}

// === impl Timeline ===

impl Timeline {
    pub(crate) fn new(operation: &OperationView, now: DateTime<Utc>) -> Self {
        let end = operation.finished_at.unwrap_or(now).max(operation.created_at);
        let axis = Axis::over(
            operation.created_at,
            end,
            operation.state == OperationState::Running,
        );
        let done = operation
            .steps
            .iter()
            .filter(|step| step.state == StepState::Done)
            .count();
        Self {
            title: title(operation.kind, operation.state).to_owned(),
            state: Pill::of_operation(operation.state),
            requested_by: operation.requested_by.clone(),
            started: Moment::new(operation.created_at, now),
            took: duration(end - operation.created_at),
            done,
            total: operation.steps.len(),
            under_way: operation.state == OperationState::Running,
            ticks: axis.ticks(),
            groups: groups(&operation.steps, &axis, end),
            failure: operation.failure.clone(),
        }
    }
}

/// Steps in the order of their first appearance, the cluster's own first.
fn groups(steps: &[Step], axis: &Axis, end: DateTime<Utc>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for step in steps {
        let label = step.node_label.as_deref().unwrap_or("cluster");
        let bar = Bar::new(step, axis, end);
        match groups.iter_mut().find(|group| group.label == label) {
            Some(group) => group.bars.push(bar),
            None => groups.push(Group {
                label: label.to_owned(),
                bars: vec![bar],
            }),
        }
    }
    groups.sort_by_key(|group| group.label != "cluster");
    groups
}

pub(crate) fn title(kind: OperationKind, state: OperationState) -> &'static str {
    let running = state == OperationState::Running;
    match kind {
        OperationKind::Create if running => "Creating",
        OperationKind::Create => "Create",
        OperationKind::Start if running => "Starting",
        OperationKind::Start => "Start",
        OperationKind::Stop if running => "Stopping",
        OperationKind::Stop => "Stop",
        OperationKind::Restart if running => "Restarting",
        OperationKind::Restart => "Restart",
        OperationKind::Update if running => "Updating",
        OperationKind::Update => "Update",
        OperationKind::Delete if running => "Deleting",
        OperationKind::Delete => "Delete",
        OperationKind::RotateKeys if running => "Rotating keys",
        OperationKind::RotateKeys => "Rotation of keys",
        OperationKind::Service if running => "Changing services",
        OperationKind::Service => "Change of services",
    }
}

// === impl Bar ===

impl Bar {
    fn new(step: &Step, axis: &Axis, end: DateTime<Utc>) -> Self {
        let until = step.finished_at.unwrap_or(end);
        let took = step
            .started_at
            .map(|from| duration(until - from))
            .unwrap_or_default();
        let key = step
            .id
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let failed = step.state == StepState::Failed;
        let running = step.state == StepState::Running;
        Self {
            key,
            title: step.title.clone(),
            state: Pill::of_step(step.state),
            running,
            span: step.started_at.map(|from| axis.span(from, until)),
            took,
            detail: step.detail.clone().filter(|_| running || failed),
        }
    }
}

// === impl Axis ===

impl Axis {
    /// While it runs, the axis ends at the next tick, so that bars grow towards it instead of the scale shrinking.
    fn over(start: DateTime<Utc>, end: DateTime<Utc>, running: bool) -> Self {
        let elapsed = (end - start).num_milliseconds().max(100);
        let tick_ms = tick_length(elapsed);
        let length = if running {
            (elapsed / tick_ms + 1) * tick_ms
        } else {
            elapsed
        };
        Self {
            start,
            length_ms: length as f64,
            tick_ms,
        }
    }

    fn percent(&self, length: TimeDelta) -> f64 {
        let share = length.num_milliseconds() as f64 / self.length_ms * 100.0;
        (share.clamp(0.0, 100.0) * 100.0).round() / 100.0
    }

    /// Never thinner than can be seen, never over the end.
    fn span(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Span {
        const THINNEST: f64 = 0.6;
        let width = self.percent(until - from).max(THINNEST);
        Span {
            from: self.percent(from - self.start).min(100.0 - width),
            width,
        }
    }

    fn ticks(&self) -> Vec<Tick> {
        let count = (self.length_ms as i64) / self.tick_ms;
        let ticks = (0..=count).map(|n| TimeDelta::milliseconds(n * self.tick_ms));
        ticks
            .map(|at| Tick {
                at: self.percent(at),
                label: tick_label(at),
            })
            .filter(|tick| tick.at < 96.0)
            .collect()
    }
}

/// The shortest round length that leaves at most six ticks.
fn tick_length(elapsed_ms: i64) -> i64 {
    const ROUND: [i64; 16] = [
        100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
        1_800_000, 3_600_000, 21_600_000,
    ];
    ROUND
        .into_iter()
        .find(|length| elapsed_ms / length < 6)
        .unwrap_or(86_400_000)
}

fn tick_label(at: TimeDelta) -> String {
    let ms = at.num_milliseconds();
    match ms {
        0 => "0".to_owned(),
        ms if ms % 1_000 != 0 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        ms if ms < 120_000 && ms % 60_000 != 0 => format!("{} s", ms / 1_000),
        ms if ms < 3_600_000 && ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms if ms < 3_600_000 => format!("{}:{:02}", ms / 60_000, ms % 60_000 / 1_000),
        ms => format!("{} h", ms / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use chrono::TimeDelta;

    use super::{Span, Timeline, tick_length};
    use crate::fixtures;

    #[test]
    fn bars_lie_on_the_axis_wherever_the_clocks_of_nodes_stand() {
        let mut operation = fixtures::operation("starting");
        operation.steps[0].started_at = Some(operation.created_at - TimeDelta::seconds(90));
        operation.steps[1].finished_at = Some(operation.created_at + TimeDelta::hours(9));
        let timeline = Timeline::new(&operation, fixtures::now());
        for Span { from, width } in timeline
            .groups
            .iter()
            .flat_map(|group| &group.bars)
            .filter_map(|bar| bar.span)
        {
            assert!(
                from >= 0.0 && width > 0.0 && from + width <= 100.01,
                "{from} + {width}"
            );
        }
    }

    #[test]
    fn a_running_bar_grows_towards_the_next_tick() {
        let operation = fixtures::operation("starting");
        let width = |seconds| {
            let timeline = Timeline::new(&operation, fixtures::now() + TimeDelta::seconds(seconds));
            let bar = timeline
                .groups
                .into_iter()
                .flat_map(|group| group.bars)
                .find(|bar| bar.running);
            bar.and_then(|bar| bar.span).map(|span| span.width).unwrap()
        };
        assert!(width(1) > width(0) && width(2) > width(1));
    }

    #[test]
    fn steps_are_nested_by_node_the_clusters_own_first() {
        let timeline = Timeline::new(&fixtures::operation("done"), fixtures::now());
        let labels: Vec<_> = timeline.groups.iter().map(|group| group.label.as_str()).collect();
        assert_eq!(labels, ["cluster", "scheduler-1", "web-1", "worker-1"]);
        assert_eq!((timeline.done, timeline.total), (17, 17));
    }

    #[test]
    fn an_axis_has_at_most_seven_round_ticks() {
        for seconds in [1, 7, 16, 59, 61, 240, 3_000, 90_000] {
            let mut operation = fixtures::operation("done");
            operation.finished_at = Some(operation.created_at + TimeDelta::seconds(seconds));
            let ticks = Timeline::new(&operation, fixtures::now()).ticks;
            assert!((2..=7).contains(&ticks.len()), "{seconds} s: {ticks:?}");
        }
        assert_eq!(tick_length(16_000), 5_000);
    }

    #[test]
    fn only_what_runs_or_failed_speaks_and_hostile_words_stay_words() {
        let mut operation = fixtures::operation("failed");
        operation.steps[0].detail = Some("quiet".into());
        operation.steps[7].detail = Some("<img src=x onerror=alert(1)>".into());
        operation.steps[7].title = "<b>".into();
        let html = Timeline::new(&operation, fixtures::now()).render().unwrap();
        assert!(
            !html.contains("quiet<") && !html.contains("<img") && !html.contains("<b>"),
            "{html}"
        );
    }

    #[test]
    fn a_plan_still_being_made_says_so() {
        let mut operation = fixtures::operation("starting");
        operation.steps.clear();
        let html = Timeline::new(&operation, fixtures::now()).render().unwrap();
        assert!(
            html.contains("The plan is being made") && !html.contains("of 0 steps"),
            "{html}"
        );
        operation.state = updraft_model::OperationState::Superseded;
        let html = Timeline::new(&operation, fixtures::now()).render().unwrap();
        assert!(html.contains("without a step"), "{html}");
    }
}
