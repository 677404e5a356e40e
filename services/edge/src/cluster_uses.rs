//! When clusters that stop when idle were last used here, told to control now and then. Nothing waits for it.
//!
//! An open page asks for the same things again and again while nobody looks at it. So within a browser's session, what was asked for
//! a moment ago is no use; a page that was not looked at just now is, and so is whatever changes something. A program with a token
//! decides for itself when it asks: each of its requests is a use.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use tokio_util::sync::CancellationToken;
use updraft_api::edge::{ClusterUse, ClusterUses};
use updraft_authz::{Proof, Visitor};
use updraft_model::ClusterId;

use crate::state::State;

/// A page in the background asks at least each minute.
const REPEATED_WITHIN_SECONDS: i64 = 300;
/// Kept of one cluster; beyond it the memory is emptied, and what was repetition is use once more.
const CAPACITY: usize = 4096;
const REPORT_TIMEOUT_AT_STOP: Duration = Duration::from_secs(1);

/// Uses that control was not told of yet, and what would be repetition.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    clusters: Mutex<HashMap<ClusterId, Seen>>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Seen {
    /// In Unix seconds; none when control knows.
    used_at: Option<i64>,
    /// When which session last asked for which path, by their digest.
    asked: HashMap<u64, i64>,
}

// === impl Pending ===

impl Pending {
    pub(crate) fn note(
        &self,
        cluster: ClusterId,
        visitor: &Visitor,
        (method, path): (&Method, &str),
        now: i64,
    ) {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = clusters.entry(cluster).or_default();
        let is_use = match visitor.proof {
            Proof::Token { .. } => true,
            Proof::Session(session) => {
                let request = self.hasher.hash_one((session.0, method.as_str(), path));
                !method.is_safe() || !seen.repeats(request, now)
            }
        };
        if is_use {
            seen.used_at = seen.used_at.max(Some(now));
        }
    }

    fn take(&self, now: i64) -> ClusterUses {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let take = |(cluster, seen): (&ClusterId, &mut Seen)| {
            let at = seen.used_at.take()?;
            Some(ClusterUse {
                cluster: *cluster,
                at,
            })
        };
        let uses = clusters.iter_mut().filter_map(take).collect();
        clusters.retain(|_, seen| seen.is_recent(now));
        ClusterUses { uses }
    }

    fn give_back(&self, told: ClusterUses) {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        for ClusterUse { cluster, at } in told.uses {
            let seen = clusters.entry(cluster).or_default();
            seen.used_at = seen.used_at.max(Some(at));
        }
    }
}

impl Seen {
    fn repeats(&mut self, request: u64, now: i64) -> bool {
        if self.asked.len() >= CAPACITY && !self.asked.contains_key(&request) {
            self.asked.clear();
        }
        let before = self.asked.insert(request, now);
        before.is_some_and(|at| now.saturating_sub(at) < REPEATED_WITHIN_SECONDS)
    }

    fn is_recent(&mut self, now: i64) -> bool {
        self.asked
            .retain(|_, at| now.saturating_sub(*at) < REPEATED_WITHIN_SECONDS);
        !self.asked.is_empty()
    }
}

/// Reports until the edge stops, and once more then. What control did not hear is told again.
pub(crate) async fn report(state: &State, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        tokio::select! {
            () = tokio::time::sleep(state.config.limits.token_uses) => {}
            () = shutdown.cancelled() => {}
        }
        let _ = tokio::time::timeout(
            state.config.limits.token_uses.max(REPORT_TIMEOUT_AT_STOP),
            report_once(state),
        )
        .await;
    }
}

async fn report_once(state: &State) {
    let news = state.cluster_uses.take(chrono::Utc::now().timestamp());
    if news.uses.is_empty() {
        return;
    }
    if let Err(error) = state.control.report_cluster_uses(&news).await {
        tracing::debug!(%error, "the uses of clusters could not be told; later");
        state.cluster_uses.give_back(news);
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use updraft_authz::{Proof, TokenHash, Visitor};
    use updraft_model::{ClusterId, SessionId, TenantId, TokenId, UserId};
    use uuid::Uuid;

    use super::{CAPACITY, Pending};

    const CLUSTER: ClusterId = ClusterId(1);

    fn browser(session: u128) -> Visitor {
        visitor(Proof::Session(SessionId(Uuid::from_u128(session))))
    }

    fn used(pending: &Pending, now: i64) -> Option<i64> {
        let told = pending.take(now).uses;
        assert!(told.len() <= 1);
        told.first().map(|used| used.at)
    }

    #[test]
    fn what_an_open_page_asks_for_again_is_no_use() {
        let pending = Pending::default();
        let ada = browser(1);
        let get = |path, at| pending.note(CLUSTER, &ada, (&Method::GET, path), at);
        get("/dags", 0);
        assert_eq!(used(&pending, 0), Some(0));
        for at in (3..3600).step_by(3) {
            get("/dags", at);
            assert_eq!(used(&pending, at), None, "polled at {at}");
        }
        get("/dags/other", 3600);
        assert_eq!(used(&pending, 3600), Some(3600), "another page");
        get("/dags", 4200);
        assert_eq!(
            used(&pending, 4200),
            Some(4200),
            "a page that was closed meanwhile"
        );
    }

    #[test]
    fn others_changes_and_programs_are_uses_however_often() {
        let pending = Pending::default();
        pending.note(CLUSTER, &browser(1), (&Method::GET, "/dags"), 0);
        assert_eq!(used(&pending, 0), Some(0));
        pending.note(CLUSTER, &browser(2), (&Method::GET, "/dags"), 1);
        assert_eq!(used(&pending, 1), Some(1), "somebody else");
        let program = visitor(Proof::Token {
            id: TokenId(Uuid::nil()),
            hash: TokenHash([0; 32]),
        });
        for at in 2..5 {
            pending.note(CLUSTER, &browser(1), (&Method::POST, "/dags"), at);
            assert_eq!(used(&pending, at), Some(at), "a change");
            pending.note(CLUSTER, &program, (&Method::GET, "/dags"), at);
            assert_eq!(used(&pending, at), Some(at), "a program");
        }
    }

    #[test]
    fn what_control_did_not_hear_is_told_again_and_the_newest_counts() {
        let pending = Pending::default();
        pending.note(CLUSTER, &browser(1), (&Method::GET, "/a"), 1);
        let told = pending.take(1);
        pending.note(CLUSTER, &browser(1), (&Method::GET, "/b"), 2);
        pending.give_back(told);
        assert_eq!(used(&pending, 2), Some(2));
    }

    #[test]
    fn whoever_asks_for_ever_more_fills_no_memory() {
        let pending = Pending::default();
        for n in 0..3 * CAPACITY {
            pending.note(CLUSTER, &browser(1), (&Method::GET, &format!("/{n}")), 0);
        }
        let kept = |pending: &Pending| {
            pending
                .clusters
                .lock()
                .unwrap()
                .get(&CLUSTER)
                .map(|seen| seen.asked.len())
        };
        assert!(kept(&pending).unwrap() <= CAPACITY);
        pending.take(1000);
        assert_eq!(kept(&pending), None);
    }

    fn visitor(proof: Proof) -> Visitor {
        Visitor {
            proof,
            user: UserId(Uuid::nil()),
            tenant: TenantId(Uuid::nil()),
            email: String::new(),
            name: String::new(),
            expires_at: i64::MAX,
        }
    }
}
