//! What keeps refusals from filling the disk. Pure.
//!
//! Within a minute the first few of the same refusal (tenant, who, from where, what, why) get a line each, the others
//! together one line that counts them. Somebody unknown can vary all of that: their lines have a limit of their own for
//! a whole process, and what is over it is counted in one line, whoever it was. So the log grows by at most
//! [`ANONYMOUS`] lines a minute, about 10 MB an hour, and each person's own refusals by a few, however fast anybody
//! asks. What was done is never folded.

use std::collections::HashMap;
use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use updraft_model::{AuditActorKind, AuditOutcome};
use updraft_sso::network;
use updraft_store::audit_log::Entry;
use uuid::Uuid;

/// Lines of the same refusal within one window.
const EACH: u32 = 5;
/// Lines of people who did not prove who they are, within one window.
const ANONYMOUS: u32 = 300;
const WINDOW: TimeDelta = TimeDelta::minutes(1);

/// The refusals of one window.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    until: DateTime<Utc>,
    anonymous: u32,
    seen: HashMap<Key, Seen>,
    over: Option<Seen>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// A line of its own.
    Write,
    /// Counted; [`Fold::close`] tells what became of it.
    Counted,
    /// The first that was counted in this window: [`Fold::close`] is to be called at this time.
    CountedUntil(DateTime<Utc>),
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    actor: Option<Uuid>,
    name: String,
    network: Option<IpAddr>,
    action: String,
    outcome: AuditOutcome,
    reason: Option<String>,
    target: Option<String>,
}

#[derive(Debug)]
struct Seen {
    last: Entry,
    times: u32,
    folded: u32,
}

// === impl Fold ===

impl Fold {
    /// `times`: how many refusals the entry stands for.
    pub(super) fn judge(&mut self, entry: &Entry, times: u32, now: DateTime<Utc>) -> Verdict {
        let counting = self.is_counting();
        if now >= self.until && !counting {
            *self = Self {
                until: now + WINDOW,
                ..Self::default()
            };
        }
        let anonymous = entry.actor_kind == AuditActorKind::Nobody;
        let key = Key::of(entry);
        if anonymous && self.anonymous >= ANONYMOUS && !self.seen.contains_key(&key) {
            self.over.get_or_insert_with(|| Seen::many(entry)).fold(times);
        } else {
            let seen = self.seen.entry(key).or_insert_with(|| Seen::first(entry));
            if seen.times < EACH && !(anonymous && self.anonymous >= ANONYMOUS) {
                seen.times += 1;
                self.anonymous += u32::from(anonymous);
                return Verdict::Write;
            }
            seen.fold(times);
            seen.last = entry.clone();
        }
        if counting {
            Verdict::Counted
        } else {
            Verdict::CountedUntil(self.until)
        }
    }

    /// Ends the window: one line for each that was counted.
    pub(super) fn close(&mut self) -> Vec<Entry> {
        let closed = std::mem::take(self);
        let counted = closed.seen.into_values().chain(closed.over);
        counted.filter(|seen| seen.folded > 0).map(Seen::line).collect()
    }

    fn is_counting(&self) -> bool {
        self.over.is_some() || self.seen.values().any(|seen| seen.folded > 0)
    }
}

// === impl Key ===

impl Key {
    fn of(entry: &Entry) -> Self {
        Self {
            actor: entry.actor_id,
            name: entry.actor_name.to_lowercase(),
            network: entry.address.map(network),
            action: entry.action.clone(),
            outcome: entry.outcome,
            reason: entry.reason.clone(),
            target: entry.target.clone(),
        }
    }
}

// === impl Seen ===

impl Seen {
    fn first(entry: &Entry) -> Self {
        Self {
            last: entry.clone(),
            times: 0,
            folded: 0,
        }
    }

    /// Of all who are over the limit together.
    fn many(entry: &Entry) -> Self {
        Self::first(&Entry {
            tenant: None,
            actor_name: "many".to_owned(),
            action: "many".to_owned(),
            reason: Some("too-many-refusals".to_owned()),
            target: None,
            target_name: None,
            address: None,
            user_agent: None,
            ..entry.clone()
        })
    }

    fn fold(&mut self, times: u32) {
        self.folded = self.folded.saturating_add(times);
    }

    fn line(self) -> Entry {
        Entry {
            after: Some(json!({"repeated": self.folded})),
            request_id: None,
            ..self.last
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use serde_json::json;
    use updraft_authz::{Actor, Credential};
    use updraft_model::{AuditOutcome, TenantRole};
    use updraft_store::audit_log::Entry;
    use uuid::Uuid;

    use super::super::{By, Origin, line};
    use super::{ANONYMOUS, EACH, Fold, Verdict};

    fn refused(by: By, last_octet: u8) -> Entry {
        Entry {
            reason: Some("wrong-credentials".to_owned()),
            address: Some([192, 0, 2, last_octet].into()),
            ..line(
                Origin::default(),
                by,
                AuditOutcome::Refused,
                "sign_in.password".to_owned(),
                None,
            )
        }
    }

    fn somebody() -> By {
        By::from(&Actor {
            user: updraft_model::UserId(Uuid::now_v7()),
            tenant: updraft_model::TenantId(Uuid::now_v7()),
            tenant_role: TenantRole::Member,
            credential: Credential::Session(updraft_model::SessionId(Uuid::now_v7())),
            is_service: false,
            email: "ada@example.com".to_owned(),
            name: "Ada".to_owned(),
        })
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_200_000, 0).unwrap()
    }

    fn written(fold: &mut Fold, entries: impl IntoIterator<Item = Entry>) -> u32 {
        let verdicts = entries.into_iter().map(|entry| fold.judge(&entry, 1, now()));
        verdicts.map(|verdict| u32::from(verdict == Verdict::Write)).sum()
    }

    #[test]
    fn the_same_refusal_gets_a_few_lines_and_then_a_count() {
        let mut fold = Fold::default();
        let entry = refused(By::nobody("ada@example.com"), 1);
        assert_eq!(written(&mut fold, vec![entry.clone(); 105]), EACH);
        let closed = fold.close();
        assert_eq!(closed.len(), 1);
        assert_eq!(closed[0].after, Some(json!({"repeated": 100})));
        assert_eq!(closed[0].actor_name, entry.actor_name);
        assert!(fold.close().is_empty());
    }

    #[test]
    fn what_was_counted_elsewhere_goes_into_the_count() {
        let mut fold = Fold::default();
        let entry = refused(somebody(), 1);
        let write = (0..EACH).all(|_| fold.judge(&entry, 1_000, now()) == Verdict::Write);
        assert!(write, "with the count that the entry came with");
        fold.judge(&entry, 1_000, now());
        fold.judge(&entry, u32::MAX, now());
        assert_eq!(fold.close()[0].after, Some(json!({"repeated": u32::MAX})));
    }

    #[test]
    fn the_first_that_is_counted_says_when_to_close_and_a_new_window_begins_then() {
        let mut fold = Fold::default();
        let entry = refused(By::nobody("ada@example.com"), 1);
        written(&mut fold, vec![entry.clone(); EACH as usize]);
        let end = now() + TimeDelta::minutes(1);
        assert_eq!(fold.judge(&entry, 1, now()), Verdict::CountedUntil(end));
        assert_eq!(
            fold.judge(&entry, 1, end),
            Verdict::Counted,
            "until somebody closes it"
        );
        fold.close();
        assert_eq!(fold.judge(&entry, 1, end), Verdict::Write);
        let much_later = end + TimeDelta::minutes(2);
        written(&mut fold, vec![entry.clone(); EACH as usize - 1]);
        assert_eq!(
            fold.judge(&entry, 1, much_later),
            Verdict::Write,
            "nothing was counted"
        );
    }

    #[test]
    fn somebody_unknown_cannot_make_lines_without_end_by_varying_what_they_claim() {
        let mut fold = Fold::default();
        let claims = (0..10_000).map(|n| refused(By::nobody(&format!("{n}@example.com")), 1));
        assert_eq!(written(&mut fold, claims), ANONYMOUS);
        let closed = fold.close();
        assert_eq!(closed.len(), 1);
        assert_eq!(closed[0].after, Some(json!({"repeated": 10_000 - ANONYMOUS})));
    }

    #[test]
    fn a_flood_of_strangers_hides_nothing_of_those_who_are_known() {
        let mut fold = Fold::default();
        let claims = (0..10_000).map(|n| refused(By::nobody(&format!("{n}@example.com")), 1));
        written(&mut fold, claims);
        assert_eq!(fold.judge(&refused(somebody(), 1), 1, now()), Verdict::Write);
    }
}
