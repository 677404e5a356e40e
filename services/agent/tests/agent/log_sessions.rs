//! Logs on their way by a role's session: it ends, another one comes, and nothing is lost or sent twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use updraft_api::agent::LogDelivery;
use updraft_model::AgentPhase;

use crate::gate::Gate;
use crate::support::eventually;
use crate::support::shipping::{Shipping, append};
use crate::support::storage::{Content, Storage};

fn by(session: &str, gate: SocketAddr, shipping: &Shipping) -> LogDelivery {
    LogDelivery {
        endpoint: format!("http://{gate}"),
        session_token: Some(session.into()),
        foreign: true,
        outbound_allow: vec![gate.to_string()],
        ..shipping.road.delivery()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_loses_nothing_and_the_next_one_goes_on_where_it_stood() {
    let Some(shipping) = Shipping::to(Storage::moto().await).await else {
        return;
    };
    let (gate, address) = Gate::before(shipping.storage.endpoint(), "first").await;
    shipping
        .control
        .change(|assignment| assignment.logs = Some(by("first", address, &shipping)));
    let logs = shipping.logs();
    let mut written: BTreeMap<_, Content> = BTreeMap::new();
    let mut say = |words: &str| {
        for name in ["scheduler.log", "tasks/dag_id=d/run_id=r/task_id=t/attempt=1.log"] {
            append(&logs, name, words.as_bytes());
            written.entry(name.to_owned()).or_default().add(words.as_bytes());
        }
        written.clone()
    };
    let agent = shipping.node.spawn_agent();
    shipping.control.phase(AgentPhase::Running).await;
    shipping.holds(&say("by the first\n")).await;
    assert_eq!(gate.refused(), 0);

    gate.only("second");
    say("when it had ended\n");
    eventually("it is refused", || gate.refused() > 0).await;
    shipping
        .control
        .change(|assignment| assignment.logs = Some(by("second", address, &shipping)));
    shipping.holds(&say("by the second\n")).await;

    // In time, as control does it: both are good for a while, and nothing is refused.
    let before = gate.refused();
    shipping.control.change(|_| {});
    shipping.holds(&say("and on\n")).await;
    assert_eq!(gate.refused(), before);
    drop(agent);
}
