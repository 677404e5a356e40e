//! The shipper alone, for measurements: ships the logs of a directory until it is told to end (SIGTERM), then what is left.
//!
//! `ship_logs <node directory>`, with the delivery as JSON on its standard input.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use updraft_agent::{Layout, Place, logs};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = std::env::args().nth(1).ok_or("which directory?")?;
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let layout = Layout::ensure(Place::open(Path::new(&directory), None)?)?;
    let (_delivery, deliveries) = watch::channel(Some(serde_json::from_str(&text)?));
    let (finish, finishes) = mpsc::channel(1);
    let (events, mut told) = mpsc::channel(16);
    tokio::spawn(logs::deliver(layout, deliveries, finishes, events));
    tokio::spawn(async move { while told.recv().await.is_some() {} });
    signal(SignalKind::terminate())?.recv().await;
    let (answer, answered) = oneshot::channel();
    finish.send(answer).await?;
    tokio::time::timeout(Duration::from_secs(30), answered).await??;
    Ok(())
}
