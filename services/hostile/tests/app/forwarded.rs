//! Addresses that somebody only says they come from: the log has where they really ask from, and nothing of the rest.
//!
//! Two rows have what no balancer writes, though it comes from one: then its own address is told, and nobody's word taken.

use std::net::IpAddr;

use serde_json::json;
use updraft_model::AuditActorKind;

use crate::house::{Answer, House, PASSWORD, rest};
use crate::log::Told;

/// Whom a request comes from.
#[derive(Clone, Copy)]
enum Peer {
    /// Nobody is in between.
    Themselves,
    /// One of those that the house trusts, with this last number.
    Balancer(u8),
}

/// `ME` is who asks, `THEM` whom they would like to be taken for.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    peer: Peer,
    headers: &'static [(&'static str, &'static str)],
    told: Peer,
}

const fn alone(name: &'static str, headers: &'static [(&'static str, &'static str)]) -> Row {
    let (peer, told) = (Peer::Themselves, Peer::Themselves);
    Row {
        name,
        peer,
        headers,
        told,
    }
}

const fn balanced(name: &'static str, headers: &'static [(&'static str, &'static str)]) -> Row {
    let (peer, told) = (Peer::Balancer(9), Peer::Themselves);
    Row {
        name,
        peer,
        headers,
        told,
    }
}

const fn unreadable(
    name: &'static str,
    balancer: u8,
    headers: &'static [(&'static str, &'static str)],
) -> Row {
    let (peer, told) = (Peer::Balancer(balancer), Peer::Balancer(balancer));
    Row {
        name,
        peer,
        headers,
        told,
    }
}

const FOR: &str = "x-forwarded-for";

pub(crate) const ROWS: [Row; 16] = [
    alone("by no balancer", &[(FOR, "THEM")]),
    alone("by no balancer, as if by one", &[(FOR, "THEM, 10.0.1.9")]),
    alone("by no balancer, as itself", &[(FOR, "10.0.1.9")]),
    alone(
        "in another header",
        &[("x-real-ip", "THEM"), ("true-client-ip", "THEM")],
    ),
    alone(
        "in the header of the standard",
        &[("forwarded", "for=\"[THEM]\"")],
    ),
    balanced("before one's own address", &[(FOR, "THEM, ME")]),
    balanced("before it, without a space", &[(FOR, "THEM,ME")]),
    balanced("in a line before it", &[(FOR, "THEM"), (FOR, "ME")]),
    balanced("with a port", &[(FOR, "[THEM]:80, [ME]:4711")]),
    balanced("before a balancer made up", &[(FOR, "THEM, 10.0.1.3, ME")]),
    balanced(
        "before two true balancers",
        &[(FOR, "THEM, ME, 10.0.1.3, 10.0.1.4")],
    ),
    balanced("before what is empty", &[(FOR, "THEM, ME, ,")]),
    balanced(
        "in the standard's header, beside the true one",
        &[("forwarded", "for=THEM"), (FOR, "ME")],
    ),
    balanced(
        "ten times",
        &[(FOR, "THEM,THEM,THEM,THEM,THEM,THEM,THEM,THEM,THEM,THEM, ME")],
    ),
    unreadable("before what is no address", 71, &[(FOR, "THEM, unknown")]),
    unreadable("with a word beside it", 72, &[(FOR, "THEM ME")]),
];

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_where_they_only_say_they_are() {
    let house = House::open_to(&[]).await;
    for row in ROWS {
        let (me, them) = (house.somewhere(), house.somewhere());
        let someone = house.owner().await;
        let refused = sign_in(&house, &row, me, them, (&someone.email, "a wrong guess")).await;
        let told = Told {
            tenant: Some(someone.tenant),
            action: "sign_in.password",
            reason: "wrong-credentials",
            kind: AuditActorKind::Nobody,
            actor: None,
            from: row.told.address(me),
        };
        house
            .assert_refused(row.name, &refused, someone.tenant, &told)
            .await;
        let done = sign_in(&house, &row, me, them, (&someone.email, PASSWORD)).await;
        house
            .assert_done(row.name, &done, someone.tenant, Some("sign_in.password"))
            .await;
        let mut lines = house.lines(Some(someone.tenant)).await;
        lines.extend(house.lines(None).await);
        let claimed = lines.iter().filter(|line| line.address == Some(them)).count();
        assert_eq!(claimed, 0, "{}: the log believes it", row.name);
    }
}

async fn sign_in(
    house: &House,
    row: &Row,
    me: IpAddr,
    them: IpAddr,
    (email, password): (&str, &str),
) -> Answer {
    let fill = |value: &str| {
        value
            .replace("ME", &me.to_string())
            .replace("THEM", &them.to_string())
    };
    let asked = row
        .headers
        .iter()
        .fold(rest("POST", "/sessions"), |asked, (name, value)| {
            asked.header(name, &fill(value))
        });
    let body = json!({"email": email, "password": password});
    house.first.ask(row.peer.address(me), asked.json(&body)).await
}

// === impl Peer ===

impl Peer {
    fn address(self, me: IpAddr) -> IpAddr {
        match self {
            Self::Themselves => me,
            Self::Balancer(number) => [10, 0, 1, number].into(),
        }
    }
}
