//! Keeps looking until each edge has its tunnels. Which edge answers a dial is the balancer's choice, so a search is a
//! series of dials; the longer it goes on without finding what is missing, the rarer they get.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error as _;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use updraft_model::EdgeId;

use super::dial::dial;
use super::{FarSettings, carry};
use crate::error::DialError;
use crate::pace::Pace;

/// Another when one breaks is then no reason to wait, and two connections are lost to one lost packet less often.
pub const TUNNELS_PER_EDGE: usize = 2;

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(10);

type Standing = BTreeMap<EdgeId, usize>;

struct Search {
    settings: watch::Receiver<FarSettings>,
    tell: watch::Sender<Standing>,
    pace: Pace,
    open: JoinSet<()>,
    edges: HashMap<Id, EdgeId>,
    /// When the search began, or last found something.
    since: Instant,
    /// A refusal is told once, not at every dial.
    told: Option<String>,
}

/// Runs until it is aborted, or nobody holds the settings any more.
pub(super) async fn run(settings: watch::Receiver<FarSettings>, tell: watch::Sender<Standing>, pace: Pace) {
    let search = Search {
        settings,
        tell,
        pace,
        open: JoinSet::new(),
        edges: HashMap::new(),
        since: Instant::now(),
        told: None,
    };
    search.run().await;
}

/// Whether some edge has too few. Pure.
fn is_lacking(known: &BTreeSet<EdgeId>, standing: &Standing) -> bool {
    let nowhere = known.is_empty() && standing.is_empty();
    let few = |edge: &EdgeId| standing.get(edge).is_none_or(|count| *count < TUNNELS_PER_EDGE);
    nowhere || known.iter().chain(standing.keys()).any(few)
}

/// In proportion to how long was searched: an edge that took a while to come back is found within a quarter of it, and one
/// that never does costs a dial each ten seconds. `chance` is from 0 to 1. Pure.
fn pause(searched: Duration, chance: f64) -> Duration {
    (searched / 4)
        .clamp(SHORTEST, LONGEST)
        .mul_f64(0.75 + chance / 2.0)
}

// === impl Search ===

impl Search {
    async fn run(mut self) {
        loop {
            self.note_ended();
            let settings = self.settings.borrow_and_update().clone();
            if !is_lacking(&settings.edges, &self.tell.borrow()) {
                if !self.rest(None).await {
                    return;
                }
                continue;
            }
            if self.dial(&settings).await {
                continue;
            }
            let pause = pause(self.since.elapsed(), rand::random());
            if !self.rest(Some(pause)).await {
                return;
            }
        }
    }

    /// Returns whether a tunnel was won.
    async fn dial(&mut self, settings: &FarSettings) -> bool {
        let standing = self.tell.borrow().clone();
        let few = |edge| standing.get(&edge).is_none_or(|count| *count < TUNNELS_PER_EDGE);
        match dial(settings, self.pace, few).await {
            Ok(Some((edge, stream))) => {
                let carrying = carry::serve(stream, settings.target, self.pace);
                let task = self.open.spawn(carrying);
                self.edges.insert(task.id(), edge);
                self.tell_standing();
                self.since = Instant::now();
                self.told = None;
                true
            }
            Ok(None) => false,
            Err(error) => {
                self.tell_once(&error);
                false
            }
        }
    }

    /// Until there is something to do, or the pause is over; false when nobody is interested any more.
    async fn rest(&mut self, pause: Option<Duration>) -> bool {
        let over = async {
            match pause {
                Some(pause) => sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => {}
            changed = self.settings.changed() => {
                if changed.is_err() {
                    return false;
                }
                self.since = Instant::now();
            }
            Some(ended) = self.open.join_next_with_id() => self.lost(ended),
        }
        true
    }

    fn note_ended(&mut self) {
        while let Some(ended) = self.open.try_join_next_with_id() {
            self.lost(ended);
        }
    }

    fn lost(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        if let Some(edge) = self.edges.remove(&id) {
            tracing::info!(edge.id = %edge, "A tunnel ended and is dialled again");
        }
        self.tell_standing();
        self.since = Instant::now();
    }

    fn tell_standing(&self) {
        let mut standing = Standing::new();
        for edge in self.edges.values() {
            *standing.entry(*edge).or_default() += 1;
        }
        self.tell.send_replace(standing);
    }

    fn tell_once(&mut self, error: &DialError) {
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        let words = format!("{error} {source}");
        if self.told.as_ref() != Some(&words) {
            tracing::warn!(source, "No tunnel yet: {error}");
            self.told = Some(words);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn edge(number: u128) -> EdgeId {
        EdgeId(Uuid::from_u128(number))
    }

    #[test]
    fn the_first_dial_goes_out_before_any_edge_is_known() {
        assert!(is_lacking(&BTreeSet::new(), &Standing::new()));
        assert!(is_lacking(&BTreeSet::new(), &Standing::from([(edge(1), 1)])));
        assert!(!is_lacking(&BTreeSet::new(), &Standing::from([(edge(1), 2)])));
    }

    #[test]
    fn every_edge_that_control_knows_is_looked_for() {
        let known = BTreeSet::from([edge(1), edge(2)]);
        assert!(is_lacking(&known, &Standing::from([(edge(1), 2)])));
        assert!(is_lacking(&known, &Standing::from([(edge(1), 2), (edge(2), 1)])));
        assert!(!is_lacking(&known, &Standing::from([(edge(1), 2), (edge(2), 2)])));
    }

    #[test]
    fn an_edge_that_control_does_not_know_yet_gets_its_tunnels_too() {
        let known = BTreeSet::from([edge(1)]);
        assert!(is_lacking(&known, &Standing::from([(edge(1), 2), (edge(2), 1)])));
    }

    proptest! {
        #[test]
        fn an_edge_that_was_away_is_dialled_soon_after_and_a_lost_one_rarely(
            away in 0_u64..100_000, chance in 0.0_f64..1.0,
        ) {
            let away = Duration::from_millis(away);
            let pause = pause(away, chance);
            prop_assert!(pause <= Duration::from_millis(100).max(away / 3));
            prop_assert!(pause >= SHORTEST.mul_f64(0.7) && pause <= LONGEST.mul_f64(1.3));
        }
    }
}
