//! DAG delivery alone, for measurements: delivers to a node's directory until standard input ends.
//!
//! `sync_dags <node directory>`, with the delivery as one line of JSON on its standard input; each further line asks for
//! a look at the sources. Says on standard output what happens: `live <digest>`, `synced <look>`, `failed <why>`.

use std::path::Path;

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use updraft_agent::dags::{self, DagEvent};
use updraft_agent::{Layout, Place};
use updraft_api::agent::DagDelivery;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = std::env::args().nth(1).ok_or("which directory?")?;
    let layout = Layout::ensure(Place::open(Path::new(&directory), None)?)?;
    let mut lines = std::io::stdin().lines();
    let delivery: DagDelivery = serde_json::from_str(&lines.next().ok_or("what delivery?")??)?;
    let (wanted, deliveries) = watch::channel(Some(delivery));
    let (events, mut told) = mpsc::channel(16);
    let runtime = Runtime::new()?;
    runtime.spawn(dags::deliver(layout, [127, 0, 0, 1].into(), deliveries, events));
    runtime.spawn(async move {
        while let Some(event) = told.recv().await {
            say(&event);
        }
    });
    for line in lines {
        line?;
        wanted.send_modify(|delivery| {
            if let Some(delivery) = delivery {
                delivery.sync_nonce += 1;
            }
        });
    }
    Ok(())
}

fn say(event: &DagEvent) {
    match event {
        DagEvent::Live(digest) => println!("live {digest}"),
        DagEvent::Synced(look) => println!("synced {look}"),
        DagEvent::Failed(reason) => println!("failed {reason}"),
        DagEvent::Source(state) => println!("failed {:?}", state.trouble),
        DagEvent::Published(_) | DagEvent::Parsed(_) | DagEvent::Recovered => {}
    }
}
