//! The turn of a cluster's keys, all of it in one transaction.

use chrono::{DateTime, Utc};
use updraft_planner::{KeyStage, KeyTurn, Resource};

use super::super::driver::{Driver, Progress, View};
use super::super::laws;
use super::super::records::DATABASE;
use super::Done;

// === impl Driver ===

impl Driver {
    pub(super) async fn turn_keys(&self, view: &View, to: KeyStage) -> Done {
        let before = view.desired.keys.clone();
        self.commit(|records| {
            // A newer turn took over: the next look sees it.
            if records.turns != view.turns || records.keys != before {
                return;
            }
            laws::may_turn(records, &to);
            let (since, at) = (records.now, records.now);
            match &to {
                KeyStage::Turned => {
                    let safe = &mut records.safe;
                    safe.before.insert(0, safe.current);
                    safe.current = records.turns;
                    reopen(&mut records.resources[DATABASE], since);
                }
                KeyStage::Settled => records.safe.before.clear(),
                KeyStage::Reencrypting | KeyStage::Both(_) => {}
            }
            records.keys = match to {
                KeyStage::Turned => KeyTurn::Turned,
                KeyStage::Reencrypting => KeyTurn::Reencrypting { since },
                KeyStage::Both(failure) => KeyTurn::Both { failure, at },
                KeyStage::Settled => KeyTurn::Settled,
            };
            records.render_anew();
        })
        .await?;
        Ok(Progress::Made)
    }
}

fn reopen(database: &mut Resource, now: DateTime<Utc>) {
    if *database != Resource::Absent {
        *database = Resource::Intended {
            attempts: 0,
            failure: None,
            refused: false,
            attempted_at: now,
        };
    }
}
