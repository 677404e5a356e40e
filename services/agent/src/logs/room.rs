//! How much of the logs stays on the node's disk. What is in the bucket goes first, the oldest before the newer; only when that is
//! not enough, what nobody has yet is given up, so that the disk never fills. Pure.
//!
//! A growing file is shortened from its beginning, by giving its blocks back: the services keep their descriptors and places, nothing
//! written meanwhile is lost, and places in the file stay what they are in the bucket.

use super::look::Identity;

/// Of a growing file, so much stays to be read on the node.
const KEPT: u64 = 32 << 20;
/// Less is not worth the work.
const STEP: u64 = 8 << 20;
/// Seconds that the file of an ended attempt stays.
const FINISHED_FOR: i64 = 3_600;
/// Blocks of the file system: a place is punched up to a multiple of it.
pub(crate) const BLOCK: u64 = 4_096;

/// One file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    pub(crate) identity: Identity,
    pub(crate) length: u64,
    pub(crate) taken: u64,
    /// Everything below is in the bucket and is needed no more.
    pub(crate) settled: u64,
    pub(crate) waiting: u64,
    /// Needed whole, unless there is no room at all.
    pub(crate) whole: bool,
    /// Ended, and all of it is in the bucket.
    pub(crate) finished: bool,
    /// Seconds since 1970.
    pub(crate) modified: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relief {
    Remove(Identity),
    /// All up to there.
    Punch(Identity, u64),
    /// At least all unsent up to there.
    GiveUp(Identity, u64),
}

/// What to do so that the logs take no more than `limit`, now.
pub(crate) fn relieve(holdings: &[Holding], limit: u64, now: i64) -> Vec<Relief> {
    let mut plan = Vec::new();
    let mut left: Vec<Holding> = Vec::new();
    for holding in holdings {
        let kept_until = holding.settled.min(holding.length.saturating_sub(KEPT));
        if holding.finished && now - holding.modified > FINISHED_FOR {
            plan.push(Relief::Remove(holding.identity));
        } else if !holding.whole && holding.punchable(kept_until) >= STEP {
            plan.push(Relief::Punch(holding.identity, kept_until));
            left.push(holding.punched(kept_until));
        } else {
            left.push(*holding);
        }
    }
    left.sort_by_key(|holding| holding.modified);
    let taken: u64 = left.iter().map(|holding| holding.taken).sum();
    let over = taken.saturating_sub(limit);
    if over > 0 {
        press(&mut left, over, &mut plan);
    }
    plan
}

fn press(left: &mut Vec<Holding>, mut over: u64, plan: &mut Vec<Relief>) {
    left.retain(|holding| {
        let remove = over > 0 && holding.finished;
        if remove {
            plan.push(Relief::Remove(holding.identity));
            over = over.saturating_sub(holding.taken);
        }
        !remove
    });
    for holding in left.iter_mut() {
        let gain = holding.punchable(holding.settled);
        if over > 0 && gain >= BLOCK {
            plan.push(Relief::Punch(holding.identity, holding.settled));
            over = over.saturating_sub(gain);
            *holding = holding.punched(holding.settled);
        }
    }
    left.sort_by_key(|holding| std::cmp::Reverse(holding.waiting));
    for holding in left.iter().take_while(|holding| holding.waiting > 0) {
        if over == 0 {
            return;
        }
        // Some more than is needed now, or each look would give up a little.
        let much = over.max(STEP).min(holding.waiting);
        let sent = holding.length - holding.waiting;
        plan.push(Relief::GiveUp(holding.identity, sent + much));
        over = over.saturating_sub(much);
    }
}

// === impl Holding ===

impl Holding {
    /// Bytes that punching up to there would free.
    fn punchable(&self, to: u64) -> u64 {
        self.taken.saturating_sub(self.length - to.min(self.length))
    }

    fn punched(&self, to: u64) -> Self {
        Self {
            taken: self.taken - self.punchable(to),
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Holding, Identity, KEPT, Relief, relieve};

    const MB: u64 = 1 << 20;
    const NOW: i64 = 1_000_000;

    fn id(inode: u64) -> Identity {
        Identity { inode, born: 1 }
    }

    fn service(inode: u64, length: u64, waiting: u64) -> Holding {
        Holding {
            identity: id(inode),
            length,
            taken: length,
            settled: length - waiting,
            waiting,
            whole: false,
            finished: false,
            modified: NOW,
        }
    }

    fn attempt(inode: u64, age: i64) -> Holding {
        Holding {
            finished: true,
            modified: NOW - age,
            ..service(inode, MB, 0)
        }
    }

    #[test]
    fn with_room_only_what_is_old_and_shipped_goes() {
        let holdings = [
            service(1, KEPT, 0),
            service(2, KEPT + 20 * MB, MB),
            attempt(3, 10),
            attempt(4, 4_000),
        ];
        assert_eq!(
            relieve(&holdings, 1 << 40, NOW),
            [Relief::Punch(id(2), 20 * MB), Relief::Remove(id(4))]
        );
        let punched = Holding {
            taken: KEPT,
            ..holdings[1]
        };
        assert_eq!(relieve(&[punched], 1 << 40, NOW), []);
    }

    #[test]
    fn a_running_attempt_stays_whole_while_there_is_room() {
        let running = Holding {
            whole: true,
            ..service(1, 100 * MB, 0)
        };
        assert_eq!(relieve(&[running], 1 << 40, NOW), []);
        assert_eq!(
            relieve(&[running], 50 * MB, NOW),
            [Relief::Punch(id(1), 100 * MB)]
        );
    }

    #[test]
    fn without_room_what_is_shipped_goes_before_what_is_not() {
        let holdings = [
            service(1, 10 * MB, 4 * MB),
            attempt(2, 10),
            attempt(3, 20),
            service(4, 5 * MB, 0),
        ];
        // 17 MB are there.
        assert_eq!(relieve(&holdings, 16 * MB, NOW), [Relief::Remove(id(3))]);
        assert_eq!(
            relieve(&holdings, 12 * MB, NOW),
            [
                Relief::Remove(id(3)),
                Relief::Remove(id(2)),
                Relief::Punch(id(1), 6 * MB)
            ]
        );
    }

    #[test]
    fn what_nobody_has_is_given_up_last_and_from_the_largest_pile() {
        let holdings = [
            service(1, 40 * MB, 40 * MB),
            service(2, 10 * MB, 10 * MB),
            service(3, MB, 0),
        ];
        assert_eq!(
            relieve(&holdings, 45 * MB, NOW),
            [Relief::Punch(id(3), MB), Relief::GiveUp(id(1), 8 * MB)]
        );
        assert_eq!(
            relieve(&holdings, 0, NOW),
            [
                Relief::Punch(id(1), 8 * MB),
                Relief::Punch(id(3), MB),
                Relief::GiveUp(id(1), 40 * MB),
                Relief::GiveUp(id(2), 10 * MB)
            ][1..]
        );
    }
}
