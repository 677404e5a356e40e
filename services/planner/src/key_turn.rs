//! How one of the installation's keys takes the place of another while everything goes on. Pure.
//!
//! Whoever has to believe a key knows it before anybody uses it, and goes on to know it until nothing of it can live. Who
//! cannot be asked holds nothing up for ever: see [`PATIENCE`] and [`LONGEST`]. What has to be done is read off the keys
//! that are there and off what everybody says, so any number of control processes may ask, and any of them may die.

use chrono::{DateTime, TimeDelta, Utc};

/// A key is used for so long.
pub const TURN_AFTER: TimeDelta = TimeDelta::days(30);
/// For so long is waited until everybody knows the next key; then it is used all the same.
pub const PATIENCE: TimeDelta = TimeDelta::minutes(15);
/// What was begun with the knowledge of before is over: the rendering of an assignment, an answer under way.
pub const SETTLED: TimeDelta = TimeDelta::seconds(3);
/// The longest that anything lives which a key has made, and by how much clocks may differ: an edge's word to Airflow is
/// good for 60 s, and for 5 s more.
pub const LIFETIME: TimeDelta = TimeDelta::seconds(75);
/// So long after the last use somebody who does not answer may still be believed by the key of before.
pub const LONGEST: TimeDelta = TimeDelta::hours(1);

/// One of the keys of one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurningKey {
    pub name: String,
    pub made_at: DateTime<Utc>,
    /// None: it is only believed yet.
    pub signs_since: Option<DateTime<Utc>>,
    /// Another is wanted in its place.
    pub is_asked: bool,
    /// It may be known to others.
    pub is_distrusted: bool,
}

/// What everybody says they go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStanding {
    /// How many do not say, because they are of an older release: nothing is begun then.
    pub silent: usize,
    /// How many do not know the newest key.
    pub unaware: usize,
    /// How many go by another key than the one that signs.
    pub behind: usize,
    /// Since when nothing of this changed.
    pub since: DateTime<Utc>,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyStep {
    /// A new one; `signs`: it is used at once.
    Make { name: String, signs: bool },
    /// The newest is used from now on; so many do not know it yet.
    Sign { name: String, unaware: usize },
    /// It is believed no more; so many may still go by it.
    Forget { name: String, behind: usize },
}

/// None: nothing, for now. `keys` are those of `purpose`, the oldest first.
#[must_use]
pub fn turn(
    purpose: &str,
    keys: &[TurningKey],
    standing: &KeyStanding,
    now: DateTime<Utc>,
) -> Option<KeyStep> {
    let make = |signs| {
        Some(KeyStep::Make {
            name: next_name(purpose, keys),
            signs,
        })
    };
    let Some(first) = keys.first() else {
        return make(true);
    };
    let Some(at) = keys.iter().rposition(|key| key.signs_since.is_some()) else {
        return Some(sign(first, standing));
    };
    let (current, since) = (&keys[at], keys[at].signs_since.unwrap_or(keys[at].made_at));
    if let Some(next) = keys.get(at + 1) {
        let is_known = standing.unaware == 0 && now - standing.since >= SETTLED;
        let is_time = is_known || current.is_distrusted || now - next.made_at >= PATIENCE;
        return is_time.then(|| sign(next, standing));
    }
    if current.is_distrusted {
        return make(true);
    }
    if let Some(old) = keys[..at].iter().find(|key| may_go(key, since, standing, now)) {
        return Some(KeyStep::Forget {
            name: old.name.clone(),
            behind: standing.behind,
        });
    }
    let is_due = current.is_asked || now - since >= TURN_AFTER;
    (is_due && at == 0 && standing.silent == 0)
        .then(|| make(false))
        .flatten()
}

/// Whether there may be anything to do but to wait for a key's time: only then [`turn`] needs to know what everybody says.
#[must_use]
pub fn is_turning(keys: &[TurningKey], now: DateTime<Utc>) -> bool {
    let is_due = |key: &TurningKey| {
        let since = key.signs_since.unwrap_or(key.made_at);
        key.is_asked || key.is_distrusted || now - since >= TURN_AFTER
    };
    keys.len() != 1 || keys.iter().any(is_due)
}

fn sign(key: &TurningKey, standing: &KeyStanding) -> KeyStep {
    KeyStep::Sign {
        name: key.name.clone(),
        unaware: standing.unaware,
    }
}

fn may_go(old: &TurningKey, successor: DateTime<Utc>, standing: &KeyStanding, now: DateTime<Utc>) -> bool {
    let is_over = standing.behind == 0 && now - standing.since.max(successor) >= LIFETIME;
    is_over || old.is_distrusted || now - successor >= LONGEST
}

/// `airflow`, `airflow-2`, `airflow-3` …
fn next_name(purpose: &str, keys: &[TurningKey]) -> String {
    let number = |key: &TurningKey| -> u32 {
        let rest = key
            .name
            .strip_prefix(purpose)
            .and_then(|rest| rest.strip_prefix('-'));
        rest.and_then(|number| number.parse().ok()).unwrap_or(1)
    };
    match keys.iter().map(number).max() {
        None => purpose.to_owned(),
        Some(last) => format!("{purpose}-{}", last + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: KeyStanding = KeyStanding {
        silent: 0,
        unaware: 0,
        behind: 0,
        since: DateTime::UNIX_EPOCH,
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn key(name: &str, made: i64, signs: Option<i64>) -> TurningKey {
        TurningKey {
            name: name.to_owned(),
            made_at: at(made),
            signs_since: signs.map(at),
            is_asked: false,
            is_distrusted: false,
        }
    }

    fn asked(key: TurningKey) -> TurningKey {
        TurningKey {
            is_asked: true,
            ..key
        }
    }

    fn distrusted(key: TurningKey) -> TurningKey {
        TurningKey {
            is_distrusted: true,
            ..key
        }
    }

    fn step(keys: &[TurningKey], standing: &KeyStanding, now: i64) -> Option<KeyStep> {
        turn("k", keys, standing, at(now))
    }

    fn make(name: &str, signs: bool) -> Option<KeyStep> {
        let name = name.to_owned();
        Some(KeyStep::Make { name, signs })
    }

    fn uses(name: &str, unaware: usize) -> Option<KeyStep> {
        let name = name.to_owned();
        Some(KeyStep::Sign { name, unaware })
    }

    fn forget(name: &str, behind: usize) -> Option<KeyStep> {
        let name = name.to_owned();
        Some(KeyStep::Forget { name, behind })
    }

    #[test]
    fn the_first_key_is_used_at_once_and_turns_after_thirty_days_or_when_it_is_asked_for() {
        assert_eq!(step(&[], &ALL, 0), make("k", true));
        let one = key("k", 0, Some(0));
        assert_eq!(step(std::slice::from_ref(&one), &ALL, 29 * 86_400), None);
        assert_eq!(
            step(std::slice::from_ref(&one), &ALL, 30 * 86_400),
            make("k-2", false)
        );
        assert_eq!(step(&[asked(one)], &ALL, 60), make("k-2", false));
        assert_eq!(
            step(&[asked(key("k-9", 0, Some(0)))], &ALL, 60),
            make("k-10", false)
        );
    }

    #[test]
    fn nothing_is_begun_while_somebody_of_an_older_release_would_not_take_part() {
        let standing = KeyStanding { silent: 1, ..ALL };
        assert_eq!(step(&[asked(key("k", 0, Some(0)))], &standing, 9_999), None);
    }

    #[test]
    fn a_key_is_used_when_everybody_knows_it_and_an_absent_one_holds_nothing_up_for_ever() {
        let keys = [key("k", 0, Some(0)), key("k-2", 100, None)];
        let lacking = KeyStanding { unaware: 2, ..ALL };
        let just_now = KeyStanding {
            since: at(110),
            ..ALL
        };
        assert_eq!(step(&keys, &lacking, 110), None);
        assert_eq!(step(&keys, &just_now, 112), None);
        assert_eq!(step(&keys, &just_now, 113), uses("k-2", 0));
        assert_eq!(step(&keys, &lacking, 100 + 15 * 60), uses("k-2", 2));
    }

    #[test]
    fn an_old_key_goes_when_nothing_of_it_can_live_and_in_no_case_later_than_an_hour_after() {
        let keys = [key("k", 0, Some(0)), key("k-2", 100, Some(200))];
        let just_now = KeyStanding {
            since: at(230),
            ..ALL
        };
        let behind = KeyStanding { behind: 1, ..ALL };
        assert_eq!(step(&keys, &just_now, 304), None);
        assert_eq!(step(&keys, &just_now, 305), forget("k", 0));
        assert_eq!(step(&keys, &behind, 3_000), None);
        assert_eq!(step(&keys, &behind, 200 + 3_600), forget("k", 1));
    }

    #[test]
    fn one_turn_is_ended_before_the_next_is_begun() {
        let keys = [key("k", 0, Some(0)), asked(key("k-2", 100, Some(200)))];
        assert_eq!(step(&keys, &ALL, 210), None);
        assert_eq!(step(&keys[1..], &ALL, 400), make("k-3", false));
    }

    #[test]
    fn what_may_be_known_to_others_is_ended_whoever_does_not_know_its_successor() {
        let nobody = KeyStanding {
            silent: 3,
            unaware: 3,
            behind: 3,
            since: at(50),
        };
        let old = distrusted(key("k", 0, Some(0)));
        assert_eq!(step(std::slice::from_ref(&old), &nobody, 50), make("k-2", true));
        let next = key("k-2", 49, None);
        assert_eq!(step(&[old.clone(), next], &nobody, 50), uses("k-2", 3));
        assert_eq!(
            step(&[old, key("k-2", 49, Some(50))], &nobody, 50),
            forget("k", 3)
        );
    }

    #[test]
    fn keys_of_which_none_is_used_begin_with_the_oldest() {
        let keys = [key("k", 0, None), key("k-2", 10, None)];
        assert_eq!(step(&keys, &ALL, 20), uses("k", 0));
    }

    #[test]
    fn only_what_may_have_to_be_done_is_looked_into() {
        let one = key("k", 0, Some(0));
        assert!(!is_turning(std::slice::from_ref(&one), at(86_400)));
        assert!(is_turning(std::slice::from_ref(&one), at(30 * 86_400)));
        assert!(is_turning(&[], at(0)) && is_turning(&[one.clone(), one.clone()], at(0)));
        assert!(is_turning(&[asked(one.clone())], at(0)) && is_turning(&[distrusted(one)], at(0)));
    }
}
