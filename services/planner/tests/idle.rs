//! When a cluster stops because nobody needs it.

use chrono::{DateTime, TimeDelta, Utc};
use updraft_planner::{Idleness, Verdict, judge, limits};

const LIMIT: TimeDelta = TimeDelta::hours(2);

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes)
}

/// Nothing happened since minute 0.
fn unused() -> Idleness {
    Idleness {
        limit: LIMIT,
        is_steady: true,
        hears_edges: true,
        quiet_since: Some(at(0)),
        next_run_at: None,
        used_at: at(0),
        changed_at: at(0),
        looked_at: at(0),
        told: None,
    }
}

/// When it stops, looked at whenever that is asked for.
fn stops_at(mut seen: Idleness, mut now: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
    while now < until {
        let look_at = match judge(&seen, now) {
            Verdict::Stops { .. } => return Some(now),
            Verdict::Stays { look_at } => {
                seen.told = None;
                look_at
            }
            Verdict::WillStop { stop_at, look_at, .. } => {
                seen.told = Some(stop_at);
                look_at
            }
        };
        assert!(look_at > now, "it would be looked at for ever");
        seen.looked_at = now;
        now = look_at;
    }
    None
}

#[test]
fn it_stops_when_its_time_is_over_and_people_were_told_before() {
    assert_eq!(stops_at(unused(), at(0), at(1000)), Some(at(120)));
    let told = judge(&unused(), at(115));
    let Verdict::WillStop {
        stop_at, idle_since, ..
    } = told
    else {
        panic!("{told:?}")
    };
    assert_eq!((stop_at, idle_since), (at(120), at(0)));
    assert!(matches!(judge(&unused(), at(114)), Verdict::Stays { .. }));
}

#[test]
fn the_last_of_use_change_and_run_counts() {
    for (minute, seen) in [
        (
            10,
            Idleness {
                used_at: at(10),
                ..unused()
            },
        ),
        (
            20,
            Idleness {
                changed_at: at(20),
                ..unused()
            },
        ),
        (
            30,
            Idleness {
                quiet_since: Some(at(30)),
                ..unused()
            },
        ),
    ] {
        assert_eq!(stops_at(seen, at(40), at(1000)), Some(at(120 + minute)));
    }
}

#[test]
fn what_runs_or_is_not_known_is_no_idleness() {
    for seen in [
        Idleness {
            quiet_since: None,
            ..unused()
        },
        Idleness {
            is_steady: false,
            ..unused()
        },
        Idleness {
            hears_edges: false,
            ..unused()
        },
    ] {
        let told = Idleness {
            told: Some(at(500)),
            looked_at: at(500),
            ..seen
        };
        assert!(matches!(judge(&told, at(500)), Verdict::Stays { .. }), "{told:?}");
    }
}

#[test]
fn a_run_that_is_due_within_the_time_keeps_it_up_and_a_later_one_does_not() {
    let hourly = Idleness {
        next_run_at: Some(at(300)),
        ..unused()
    };
    assert!(matches!(judge(&hourly, at(299)), Verdict::Stays { .. }));
    assert!(
        matches!(judge(&hourly, at(301)), Verdict::Stays { .. }),
        "it is due"
    );
    assert_eq!(stops_at(hourly, at(0), at(179)), Some(at(120)));
}

#[test]
fn what_was_told_before_control_was_away_is_told_anew() {
    let told = Idleness {
        told: Some(at(120)),
        looked_at: at(119),
        ..unused()
    };
    assert!(matches!(judge(&told, at(120)), Verdict::Stops { .. }));
    let verdict = judge(&told, at(600));
    let Verdict::WillStop { stop_at, .. } = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(stop_at, at(600) + limits::IDLE_NOTICE);
}

#[test]
fn a_clock_that_goes_wrong_on_a_node_stops_nothing_before_its_use() {
    let past = Idleness {
        quiet_since: Some(at(-100_000)),
        used_at: at(60),
        ..unused()
    };
    assert_eq!(stops_at(past, at(60), at(1000)), Some(at(180)));
    let future = Idleness {
        quiet_since: Some(at(100_000)),
        ..unused()
    };
    assert_eq!(stops_at(future, at(60), at(1000)), None);
}
