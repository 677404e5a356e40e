//! When schedules start and stop clusters, row by row.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, Utc};
use updraft_model::{Power, Schedule};
use updraft_planner::Calendar;

fn schedule(start: &str, stop: &str, zone: &str) -> Schedule {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Schedule {
        start: some(start),
        stop: some(stop),
        time_zone: zone.to_owned(),
    }
}

fn working_days() -> Calendar {
    Calendar::of(&schedule("0 7 * * 1-5", "0 20 * * 1-5", "Europe/Berlin")).unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn times_are_those_of_the_zone_in_summer_and_winter() {
    for (now, start, stop) in [
        // Wednesday.
        (
            "2026-07-15T04:59:59Z",
            "2026-07-15T05:00:00Z",
            "2026-07-15T18:00:00Z",
        ),
        (
            "2026-07-15T05:00:00Z",
            "2026-07-16T05:00:00Z",
            "2026-07-15T18:00:00Z",
        ),
        (
            "2026-01-14T06:00:00Z",
            "2026-01-15T06:00:00Z",
            "2026-01-14T19:00:00Z",
        ),
        // Friday evening, to Monday in another offset.
        (
            "2026-03-27T21:00:00Z",
            "2026-03-30T05:00:00Z",
            "2026-03-30T18:00:00Z",
        ),
    ] {
        let next = working_days().upcoming(at(now));
        assert_eq!(
            (next.start, next.stop),
            (Some(at(start)), Some(at(stop))),
            "{now}"
        );
        assert_eq!(next.earliest(), next.start.min(next.stop), "{now}");
    }
}

/// On 29 March 2026 clocks in Berlin go from 02:00 to 03:00, on 25 October from 03:00 back to 02:00.
#[test]
fn a_time_that_does_not_exist_counts_once_and_one_that_exists_twice_counts_once() {
    let calendar = Calendar::of(&schedule("30 2 * * *", "", "Europe/Berlin")).unwrap();
    let between = |from: &str, to: &str| {
        let (mut now, end, mut starts) = (at(from), at(to), Vec::new());
        while let Some(start) = calendar.upcoming(now).start.filter(|start| *start <= end) {
            starts.push(start.to_rfc3339());
            now = start;
        }
        starts
    };
    assert_eq!(
        between("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z"),
        ["2026-03-29T01:00:00+00:00", "2026-03-30T00:30:00+00:00"]
    );
    assert_eq!(
        between("2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"),
        ["2026-10-25T00:30:00+00:00", "2026-10-26T01:30:00+00:00"]
    );
}

/// Looked at each minute of the days on which clocks change, as control looks, each time fires as often as it is announced.
#[test]
fn what_was_announced_is_what_happens_also_when_clocks_change() {
    for (pattern, day) in [
        ("30 2 * * *", "2026-03-28T23:00:00Z"),
        ("30 2 * * *", "2026-10-24T22:00:00Z"),
        ("0 3 * * *", "2026-03-28T23:00:00Z"),
        ("0 2 * * *", "2026-10-24T22:00:00Z"),
        ("59 1 * * *", "2026-10-24T22:00:00Z"),
    ] {
        let calendar = Calendar::of(&schedule("", pattern, "Europe/Berlin")).unwrap();
        let mut looked_at = at(day);
        let mut fired = 0;
        for minute in 1..=25 * 60 {
            let now = at(day) + chrono::TimeDelta::minutes(minute);
            if calendar
                .upcoming(looked_at)
                .earliest()
                .is_some_and(|due| due <= now)
            {
                assert!(
                    calendar.newest(looked_at, now).is_some(),
                    "{pattern} at {now}: announced, and not there"
                );
                fired += 1;
                looked_at = now;
            }
        }
        assert_eq!(fired, 1, "{pattern} on {day}");
    }
}

#[test]
fn of_missed_times_only_the_newest_counts() {
    let newest = |after: &str, until: &str| working_days().newest(at(after), at(until));
    let (start, stop) = (at("2026-07-15T05:00:00Z"), at("2026-07-15T18:00:00Z"));
    for (after, until, counts) in [
        ("2026-07-15T05:00:00Z", "2026-07-15T17:59:59Z", None),
        (
            "2026-07-15T04:59:59Z",
            "2026-07-15T05:00:00Z",
            Some((start, Power::Running)),
        ),
        (
            "2026-07-10T00:00:00Z",
            "2026-07-15T17:00:00Z",
            Some((start, Power::Running)),
        ),
        (
            "2026-07-10T00:00:00Z",
            "2026-07-15T23:00:00Z",
            Some((stop, Power::Stopped)),
        ),
        (
            "2026-07-15T05:00:00Z",
            "2026-07-15T18:00:00Z",
            Some((stop, Power::Stopped)),
        ),
    ] {
        assert_eq!(newest(after, until), counts, "{after} to {until}");
    }
}

#[test]
fn where_a_stop_and_a_start_fall_together_the_cluster_runs() {
    let calendar = Calendar::of(&schedule("0 7 * * *", "0 7 * * *", "UTC")).unwrap();
    let newest = calendar.newest(at("2026-07-15T00:00:00Z"), at("2026-07-15T08:00:00Z"));
    assert_eq!(newest.unwrap().1, Power::Running);
}

#[test]
fn what_makes_no_sense_is_refused_by_field() {
    for (start, stop, zone, field) in [
        ("0 7 * *", "", "UTC", "start"),
        ("0 0 7 * * *", "", "UTC", "start"),
        ("61 7 * * *", "", "UTC", "start"),
        ("@daily", "", "UTC", "start"),
        ("", "every day at eight", "UTC", "stop"),
        ("", "0 0 30 2 *", "UTC", "stop"),
        ("0 7 * * *", "", "Berlin", "time_zone"),
        ("0 7 * * *", "", "", "time_zone"),
    ] {
        let refused = Calendar::of(&schedule(start, stop, zone)).unwrap_err();
        assert_eq!(refused.field, field, "{start} {stop} {zone}: {}", refused.why);
    }
    assert!(
        Calendar::of(&Schedule::default())
            .unwrap()
            .upcoming(at("2026-07-15T00:00:00Z"))
            .earliest()
            .is_none()
    );
}
