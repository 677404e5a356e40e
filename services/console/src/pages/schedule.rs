//! When a cluster starts and stops by itself: on its configuration page, and the form that changes it.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use updraft_api::rest::{ClusterView, UpdateCluster};
use updraft_app::AppError;
use updraft_model::{ClusterId, Generation, IdleStop, OnStop, Schedule};

use super::change_configuration::apply;
use super::configuration::{View, draw};
use crate::extract::{At, Sent};
use crate::refusal::Answer;
use crate::session::Visit;
use crate::state::Console;

/// As it is typed: what was refused comes back to be corrected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Times {
    pub(crate) start: String,
    pub(crate) stop: String,
    pub(crate) time_zone: String,
    /// Empty: never.
    pub(crate) stop_when_idle: String,
    /// `keep`, `end`, or empty: as its account or the installation says.
    pub(crate) on_stop: String,
    /// What the person saw: a change made meanwhile is not overwritten.
    generation: i64,
}

// === impl Times ===

impl Times {
    pub(crate) fn of(schedule: &Schedule, idle: IdleStop, on_stop: Option<OnStop>) -> Self {
        Self {
            stop_when_idle: if idle.is_never() {
                String::new()
            } else {
                idle.to_string()
            },
            on_stop: on_stop.map(|choice| choice.to_string()).unwrap_or_default(),
            start: schedule.start.clone().unwrap_or_default(),
            stop: schedule.stop.clone().unwrap_or_default(),
            time_zone: schedule.time_zone.clone(),
            generation: 0,
        }
    }

    fn schedule(&self) -> Schedule {
        let typed = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        Schedule {
            start: typed(&self.start),
            stop: typed(&self.stop),
            time_zone: typed(&self.time_zone).unwrap_or_else(|| Schedule::default().time_zone),
        }
    }

    fn idle(&self) -> Result<IdleStop, AppError> {
        let typed = self.stop_when_idle.trim();
        if typed.is_empty() {
            return Ok(IdleStop::default());
        }
        typed
            .parse()
            .map_err(|error: updraft_model::InvalidIdleStop| AppError::Invalid {
                field: "stop_when_idle".to_owned(),
                why: error.to_string(),
            })
    }
}

/// `starts Mon 23 Nov, 06:00 UTC`, the next first.
pub(crate) fn upcoming(cluster: &ClusterView) -> Vec<String> {
    let Some(next) = cluster.upcoming else {
        return Vec::new();
    };
    let times = [
        (next.start, "starts"),
        (next.stop, "stops"),
        (next.idle_stop, "unless it is used, stops"),
    ];
    let mut times: Vec<_> = times
        .into_iter()
        .filter_map(|(at, verb)| Some((at?, verb)))
        .collect();
    times.sort_unstable();
    let words = |(at, verb): (DateTime<Utc>, &str)| format!("{verb} {}", at.format("%a %-d %b, %H:%M UTC"));
    times.into_iter().map(words).collect()
}

pub(crate) async fn change(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Sent(times): Sent<Times>,
) -> Answer {
    let (schedule, idle, on_stop) = (times.schedule(), times.idle(), times.on_stop.parse().ok());
    let generation = Generation(times.generation);
    let view = View {
        schedule: Some(times),
        ..View::default()
    };
    let idle = match idle {
        Ok(idle) => idle,
        Err(error) => return draw(&console, &visit, id, view, Some(error.into())).await,
    };
    let update = UpdateCluster {
        schedule: Some(schedule),
        stop_when_idle: Some(idle),
        on_stop,
        ..UpdateCluster::default()
    };
    apply(&console, &visit, id, generation, update, view).await
}

#[cfg(test)]
mod tests {
    use updraft_api::schedule::UpcomingView;
    use updraft_model::{IdleStop, Schedule};

    use super::{Times, upcoming};
    use crate::fixtures;

    #[test]
    fn empty_fields_are_no_schedule() {
        let times = Times {
            start: " ".into(),
            ..Times::default()
        };
        assert_eq!(times.schedule(), Schedule::default());
        let untouched = Times::of(&Schedule::default(), IdleStop::default(), None);
        assert_eq!(untouched.schedule(), Schedule::default());
        assert!(untouched.idle().unwrap().is_never());
    }

    #[test]
    fn what_comes_next_is_told_first() {
        let mut cluster = fixtures::cluster(1, "demo");
        let at = |text: &str| text.parse().ok();
        cluster.upcoming = Some(UpcomingView {
            start: at("2026-11-24T06:00:00Z"),
            stop: at("2026-11-23T19:00:00Z"),
            idle_stop: at("2026-11-23T14:05:00Z"),
        });
        assert_eq!(
            upcoming(&cluster),
            [
                "unless it is used, stops Mon 23 Nov, 14:05 UTC",
                "stops Mon 23 Nov, 19:00 UTC",
                "starts Tue 24 Nov, 06:00 UTC"
            ]
        );
    }
}
