use http::{HeaderMap, HeaderValue};
use updraft_api::edge_refusals::{Presented, Refusals, RefusedFor};
use updraft_model::{ClusterId, SessionId};
use uuid::Uuid;

use super::{CAPACITY, OF_ONE_NETWORK, Pending, QUIET, REFUSALS_AT_ONCE, Refusal, Source, network};

const NOW: i64 = 1_795_200_000;

fn note(pending: &Pending, address: &str, why: RefusedFor, session: u128, now: i64) {
    let client = HeaderValue::try_from(address).unwrap();
    let from = Source {
        client: &client,
        headers: &HeaderMap::new(),
        request_id: "r",
    };
    let with = Presented::Session(SessionId(Uuid::from_u128(session)));
    pending.note(Refusal { why, with }, Some(ClusterId(1)), from, now);
}

fn ended(pending: &Pending, now: i64) {
    note(pending, "192.0.2.1", RefusedFor::SessionEnded, 1, now);
}

fn times(told: &Refusals) -> Vec<u32> {
    told.refusals.iter().map(|refused| refused.times).collect()
}

#[test]
fn what_is_alike_is_told_as_one_and_again_ever_more_seldom() {
    let pending = Pending::default();
    ended(&pending, NOW);
    ended(&pending, NOW + 3);
    let told = pending.take(NOW + 10, false);
    let only = &told.refusals[0];
    assert_eq!((only.times, only.first, only.last), (2, NOW, NOW + 3));

    let mut now = NOW + 10;
    for quiet in QUIET.into_iter().chain([3600, 3600]) {
        ended(&pending, now + 1);
        assert!(
            pending.take(now + quiet - 1, false).refusals.is_empty(),
            "{quiet}"
        );
        ended(&pending, now + quiet);
        now += quiet;
        assert_eq!(times(&pending.take(now, false)), [2], "{quiet}");
    }
    assert!(pending.take(now + 3600, false).refusals.is_empty());
    ended(&pending, now + 3601);
    assert_eq!(times(&pending.take(now + 3601, false)), [1], "it is new again");
}

#[test]
fn what_differs_is_told_apart() {
    let pending = Pending::default();
    note(&pending, "192.0.2.1", RefusedFor::SessionEnded, 1, NOW);
    note(&pending, "192.0.2.2", RefusedFor::SessionEnded, 1, NOW);
    note(&pending, "192.0.2.1", RefusedFor::NoRole, 1, NOW);
    note(&pending, "192.0.2.1", RefusedFor::SessionEnded, 2, NOW);
    assert_eq!(times(&pending.take(NOW, false)), [1; 4]);
}

#[test]
fn who_asks_for_ever_new_things_is_counted_by_reason() {
    let pending = Pending::default();
    for session in 0..100_000 {
        note(&pending, "192.0.2.1", RefusedFor::NoRole, session, NOW);
    }
    note(&pending, "192.0.2.2", RefusedFor::NoRole, 1, NOW);
    let told = pending.take(NOW, false);
    assert_eq!(told.refusals.len(), OF_ONE_NETWORK + 2);
    assert_eq!(times(&told).iter().sum::<u32>(), 100_001);
    let many = told.refusals.iter().find(|refused| refused.times > 1).unwrap();
    assert_eq!((many.cluster, many.with), (None, Presented::Nothing));
    assert_eq!(told.dropped, 0);
}

#[test]
fn a_flood_from_everywhere_fills_no_memory_and_is_counted() {
    let pending = Pending::default();
    for n in 0..20_000_u32 {
        let address = std::net::Ipv4Addr::from(n).to_string();
        note(&pending, &address, RefusedFor::Forged, 1, NOW);
    }
    let mut dropped = 0;
    let mut told = 0;
    for _ in 0..CAPACITY / REFUSALS_AT_ONCE + 1 {
        let report = pending.take(NOW, false);
        assert!(report.refusals.len() <= REFUSALS_AT_ONCE);
        told += report.refusals.len();
        dropped += report.dropped;
    }
    assert_eq!(told, CAPACITY);
    assert_eq!(dropped, 20_000 - CAPACITY as u64);
    // What was told is forgotten once it is quiet, and there is room again.
    assert!(pending.take(NOW + QUIET[0], false).refusals.is_empty());
    ended(&pending, NOW + QUIET[0]);
    assert_eq!(times(&pending.take(NOW + QUIET[0], false)), [1]);
}

#[test]
fn what_control_did_not_hear_is_told_again_with_what_came_since() {
    let pending = Pending::default();
    ended(&pending, NOW);
    let untold = pending.take(NOW + 1, false);
    ended(&pending, NOW + 2);
    pending.give_back(untold);
    let told = pending.take(NOW + 3, false);
    let only = &told.refusals[0];
    assert_eq!((only.times, only.first, only.last), (2, NOW, NOW + 2));
}

#[test]
fn at_the_end_all_of_it_is_told() {
    let pending = Pending::default();
    ended(&pending, NOW);
    pending.take(NOW, false);
    ended(&pending, NOW + 1);
    assert!(pending.take(NOW + 2, false).refusals.is_empty());
    assert_eq!(times(&pending.take(NOW + 2, true)), [1]);
}

#[test]
fn addresses_of_one_network_count_as_one() {
    let same = |one: &str, other: &str| network(one.parse().unwrap()) == network(other.parse().unwrap());
    assert!(same("2001:db8::1", "2001:db8::ffff:1"));
    assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
    assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
    assert!(!same("192.0.2.1", "192.0.2.2"));
}
