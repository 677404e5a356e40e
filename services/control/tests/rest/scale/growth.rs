//! What an idle cluster costs does not grow with how many others there are: counted, so that it is the same on any machine.

use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counted::{Counted, Statements};
use super::world::Installation;

/// At least one list of all nodes, and a few of everything that is done each second.
const WATCHED: Duration = Duration::from_secs(8);
/// Statements of what is done each second, however many clusters there are: a busy machine may get to less of it for one size
/// than for the other. Sixty clusters that asked for something would ask for sixty things.
const SPREAD: u64 = 30;
/// Maps and pools grow by doubling.
const TOLERANCE: f64 = 1.25;

/// One size, while nothing happened.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Cost {
    pub(super) clusters: usize,
    /// More than before control began.
    pub(super) memory_kib: u64,
    pub(super) statements: u64,
    pub(super) rows: u64,
}

struct Watched {
    looks: i64,
    idle: Statements,
    /// To an edge, in bytes.
    told: u64,
    /// When all were woken.
    busy: Statements,
}

// === impl Cost ===

impl Cost {
    fn of_one(&self) -> [(&'static str, f64); 3] {
        let of_one = |all: u64| all as f64 / self.clusters as f64;
        [
            ("KiB of memory", of_one(self.memory_kib)),
            ("statements", of_one(self.statements)),
            ("rows", of_one(self.rows)),
        ]
    }

    pub(super) fn must_not_have_grown_since(&self, fewer: &Self) {
        for ((what, now), (_, then)) in self.of_one().into_iter().zip(fewer.of_one()) {
            assert!(
                now <= then * TOLERANCE,
                "a cluster costs {now:.3} {what} among {}, and {then:.3} among {}",
                self.clusters,
                fewer.clusters
            );
        }
    }
}

#[test]
fn eighty_idle_clusters_ask_no_more_than_twenty() {
    let [few, many] = [20, 80]
        .map(|clusters| thread::spawn(move || watch(clusters)))
        .map(|watched| watched.join().unwrap());
    let told = format!("of 20: {:#?}\nof 80: {:#?}", few.idle, many.idle);
    assert_eq!((few.looks, many.looks), (0, 0));
    assert_eq!((few.told, many.told), (0, 0));
    assert!(few.idle.times() > 0, "nothing was counted");
    assert!(many.idle.times() <= few.idle.times() + SPREAD, "{told}");
    assert!(many.idle.rows() <= few.idle.rows() + SPREAD, "{told}");
    // The count sees what each of them asks.
    let more = many.busy.times() - few.busy.times();
    assert!(
        more >= 60,
        "{more} statements more of sixty clusters that were looked at"
    );
}

fn watch(clusters: usize) -> Watched {
    let counted = Counted::new();
    counted.runtime.block_on(async {
        let installation = Installation::of(clusters).await;
        let control = installation.control();
        installation.settles(0).await;
        // What the first looks changed is told a little later.
        loop {
            let before = control.told();
            tokio::time::sleep(Duration::from_secs(2)).await;
            if before > 0 && control.told() == before {
                break;
            }
        }
        let (looks, told) = (installation.looks().await, control.told());
        counted.take();
        tokio::time::sleep(WATCHED).await;
        let idle = counted.take();
        let (looks, told) = (installation.looks().await - looks, control.told() - told);
        installation.execute("update clusters set wake_at = now()").await;
        installation.settles(0).await;
        Watched {
            looks,
            idle,
            told,
            busy: counted.take(),
        }
    })
}
