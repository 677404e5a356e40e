//! When a cluster starts and stops by itself.

use clap::Args;
use updraft_model::{IdleStop, OnStop, Schedule};

#[derive(Args, Debug)]
pub(crate) struct ScheduleArgs {
    /// When it starts by itself: a cron expression of five fields
    #[arg(long, value_name = "CRON", group = "change")]
    start_at: Option<String>,
    /// When it stops by itself; running tasks finish first
    #[arg(long, value_name = "CRON", group = "change")]
    stop_at: Option<String>,
    /// The time zone of both, for example Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", group = "change")]
    time_zone: Option<String>,
    /// Take all times away
    #[arg(long, conflicts_with_all = ["start_at", "stop_at", "time_zone"], group = "change")]
    no_schedule: bool,
    /// Stop it when nothing ran and nobody used it for so long: 90m, 2h, 1d, or never [default: never]
    #[arg(long, value_name = "TIME", group = "change")]
    stop_when_idle: Option<IdleStop>,
    /// What becomes of its machines on EC2 when it stops: `end`, and nothing is left to pay for, or `keep`, switched off
    /// with their disks, for a quicker start [default: as its AWS account says, or the installation]
    #[arg(long, value_name = "end|keep", group = "change")]
    on_stop: Option<OnStop>,
}

// === impl ScheduleArgs ===

impl ScheduleArgs {
    /// None: it stays as it is.
    pub(super) fn asked(&self, before: &Schedule) -> Option<Schedule> {
        let asked = if self.no_schedule {
            Schedule::default()
        } else {
            let zone = self.time_zone.as_ref().unwrap_or(&before.time_zone);
            Schedule {
                start: self.start_at.clone().or_else(|| before.start.clone()),
                stop: self.stop_at.clone().or_else(|| before.stop.clone()),
                time_zone: zone.clone(),
            }
        };
        (asked != *before).then_some(asked)
    }

    /// None: it stays as it is.
    pub(super) fn idle(&self) -> Option<IdleStop> {
        self.stop_when_idle
    }

    /// None: it stays as it is.
    pub(super) fn on_stop(&self) -> Option<OnStop> {
        self.on_stop
    }
}

#[cfg(test)]
mod tests {
    use updraft_model::Schedule;

    use super::ScheduleArgs;

    fn args(start_at: Option<&str>, time_zone: Option<&str>, no_schedule: bool) -> ScheduleArgs {
        ScheduleArgs {
            start_at: start_at.map(str::to_owned),
            stop_at: None,
            time_zone: time_zone.map(str::to_owned),
            no_schedule,
            stop_when_idle: None,
            on_stop: None,
        }
    }

    #[test]
    fn what_is_not_named_stays() {
        let before = Schedule {
            start: Some("0 7 * * *".to_owned()),
            stop: Some("0 20 * * *".to_owned()),
            time_zone: "Europe/Berlin".to_owned(),
        };
        let later = args(Some("0 8 * * *"), None, false).asked(&before).unwrap();
        assert_eq!(
            (later.start.as_deref(), later.stop),
            (Some("0 8 * * *"), before.stop.clone())
        );
        assert_eq!(later.time_zone, "Europe/Berlin");
        assert_eq!(args(None, None, false).asked(&before), None);
        assert_eq!(args(None, None, true).asked(&before), Some(Schedule::default()));
    }
}
