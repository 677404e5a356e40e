//! What was refused here, told to control's audit log now and then. Nothing waits for it.
//!
//! Requests that are alike are counted together: the first of them is told with the next report, the same again after 20 s,
//! a minute, ten minutes, and then each hour. What is remembered is bounded, for each network by itself and in all: who
//! asks for ever new things is counted by reason alone, and what then still finds no room is only counted.

mod report;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};
use updraft_api::edge::BrowserOrigin;
use updraft_api::edge_refusals::{Presented, REFUSALS_AT_ONCE, Refusals, Refused, RefusedFor};
use updraft_authz::{Proof, TokenError, Visitor};
use updraft_model::ClusterId;

use crate::authz::Decision;

pub(crate) use report::report;

const CAPACITY: usize = 1024;
const OF_ONE_NETWORK: usize = 32;
/// How long the same refusal is not told again, after it was told once, twice, three times, and more often; in seconds.
const QUIET: [i64; 4] = [20, 60, 600, 3600];
const LONGEST_USER_AGENT: usize = 300;

/// Why a request is refused, and what it showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) why: RefusedFor,
    pub(crate) with: Presented,
}

/// Where a request came from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) client: &'a HeaderValue,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) request_id: &'a str,
}

/// Refusals that control was not told of yet, or was told of a while ago.
#[derive(Debug, Default)]
pub(crate) struct Pending(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    alike: HashMap<Alike, Seen>,
    of_network: HashMap<Option<IpAddr>, usize>,
    dropped: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Alike {
    why: RefusedFor,
    cluster: Option<ClusterId>,
    with: Presented,
    network: Option<IpAddr>,
}

#[derive(Debug)]
struct Seen {
    /// Since it was last told.
    times: u32,
    first: i64,
    last: i64,
    from: BrowserOrigin,
    told: usize,
    quiet_until: i64,
}

/// What there is to tell of a decision: nothing where somebody may, or has shown nothing at all.
pub(crate) fn telling(decision: &Decision<'_>, found: Result<&Visitor, Option<Refusal>>) -> Option<Refusal> {
    let of = |why, visitor: &Visitor| Refusal {
        why,
        with: presented(visitor),
    };
    match (decision, found) {
        (Decision::Forward { .. } | Decision::NotRunning { .. }, _) => None,
        (Decision::SignIn | Decision::Unauthenticated, Err(refusal)) => refusal,
        (Decision::SignIn | Decision::Unauthenticated, Ok(visitor)) => Some(ended(visitor)),
        (Decision::Forbidden(_), Ok(visitor)) => Some(of(RefusedFor::CrossSite, visitor)),
        (Decision::NotFound, Ok(visitor)) => Some(of(RefusedFor::NoRole, visitor)),
        (Decision::Forbidden(_) | Decision::NotFound, Err(_)) => None,
    }
}

/// Their session or token is good no more.
pub(crate) fn ended(visitor: &Visitor) -> Refusal {
    Refusal {
        why: match visitor.proof {
            Proof::Session(_) => RefusedFor::SessionEnded,
            Proof::Token { .. } => RefusedFor::Token,
        },
        with: presented(visitor),
    }
}

pub(crate) fn presented(visitor: &Visitor) -> Presented {
    match visitor.proof {
        Proof::Session(id) => Presented::Session(id),
        Proof::Token { hash, .. } => Presented::Token(hash),
    }
}

// === impl Refusal ===

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        let (why, with) = match error {
            TokenError::Expired(session) => (RefusedFor::SessionExpired, Presented::Session(session)),
            TokenError::OtherHost(session) => (RefusedFor::SessionElsewhere, Presented::Session(session)),
            TokenError::Invalid(_) | TokenError::Sign => (RefusedFor::Forged, Presented::Nothing),
        };
        Self { why, with }
    }
}

// === impl Source ===

impl Source<'_> {
    fn origin(self) -> BrowserOrigin {
        let agent = self.headers.get(USER_AGENT).and_then(|v| v.to_str().ok());
        BrowserOrigin {
            address: self.address(),
            user_agent: agent.map(|text| text.chars().take(LONGEST_USER_AGENT).collect()),
            request_id: self.request_id.to_owned(),
        }
    }

    fn address(self) -> Option<IpAddr> {
        self.client.to_str().ok()?.parse().ok()
    }
}

// === impl Pending ===

impl Pending {
    pub(crate) fn note(&self, refusal: Refusal, cluster: Option<ClusterId>, from: Source<'_>, now: i64) {
        let mut alike = Alike {
            why: refusal.why,
            cluster,
            with: refusal.with,
            network: from.address().map(network),
        };
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !memory.alike.contains_key(&alike) && memory.is_full_of(alike.network) {
            alike = alike.by_reason_alone();
        }
        memory.count(alike, from, now);
    }

    /// What is due, the longest waiting first; with `all`, also what was told a while ago only.
    fn take(&self, now: i64, all: bool) -> Refusals {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.forget(now);
        let mut due: Vec<_> = memory
            .alike
            .iter_mut()
            .filter(|(_, seen)| seen.times > 0 && (all || seen.quiet_until <= now))
            .collect();
        due.sort_by_key(|(_, seen)| seen.first);
        due.truncate(REFUSALS_AT_ONCE);
        Refusals {
            refusals: due
                .into_iter()
                .map(|(alike, seen)| seen.tell(alike, now))
                .collect(),
            dropped: std::mem::take(&mut memory.dropped),
        }
    }

    /// Control did not hear it.
    fn give_back(&self, untold: Refusals) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.dropped = memory.dropped.saturating_add(untold.dropped);
        for refused in untold.refusals {
            if let Some(seen) = memory.alike.get_mut(&Alike::of(&refused)) {
                seen.times = seen.times.saturating_add(refused.times);
                seen.first = refused.first.min(seen.first);
                seen.told = seen.told.saturating_sub(1);
                seen.quiet_until = i64::MIN;
            }
        }
    }
}

// === impl Memory ===

impl Memory {
    fn is_full_of(&self, network: Option<IpAddr>) -> bool {
        let known = self.of_network.get(&network);
        known.is_some_and(|count| *count >= OF_ONE_NETWORK) || self.alike.len() >= CAPACITY
    }

    fn count(&mut self, alike: Alike, from: Source<'_>, now: i64) {
        if let Some(seen) = self.alike.get_mut(&alike) {
            if seen.times == 0 {
                (seen.first, seen.from) = (now, from.origin());
            }
            seen.times = seen.times.saturating_add(1);
            seen.last = now;
        } else if self.alike.len() >= CAPACITY {
            self.dropped = self.dropped.saturating_add(1);
        } else {
            *self.of_network.entry(alike.network).or_default() += 1;
            self.alike.insert(alike, Seen::first(from.origin(), now));
        }
    }

    /// What did not come again within its quiet time.
    fn forget(&mut self, now: i64) {
        let of_network = &mut self.of_network;
        self.alike.retain(|alike, seen| {
            let kept = seen.times > 0 || seen.quiet_until > now;
            if !kept && let Some(count) = of_network.get_mut(&alike.network) {
                *count = count.saturating_sub(1);
            }
            kept
        });
        of_network.retain(|_, count| *count > 0);
    }
}

// === impl Alike ===

impl Alike {
    fn of(refused: &Refused) -> Self {
        Self {
            why: refused.why,
            cluster: refused.cluster,
            with: refused.with,
            network: refused.from.address.map(network),
        }
    }

    fn by_reason_alone(self) -> Self {
        Self {
            cluster: None,
            with: Presented::Nothing,
            ..self
        }
    }
}

// === impl Seen ===

impl Seen {
    fn first(from: BrowserOrigin, now: i64) -> Self {
        Self {
            times: 1,
            first: now,
            last: now,
            from,
            told: 0,
            quiet_until: i64::MIN,
        }
    }

    fn tell(&mut self, alike: &Alike, now: i64) -> Refused {
        let quiet = QUIET[self.told.min(QUIET.len() - 1)];
        self.told += 1;
        self.quiet_until = now + quiet;
        Refused {
            why: alike.why,
            cluster: alike.cluster,
            with: alike.with,
            from: self.from.clone(),
            times: std::mem::take(&mut self.times),
            first: self.first,
            last: self.last,
        }
    }
}

/// Whoever has one IPv6 address has 2⁶⁴ of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests;
