//! The near end: services connect here.

use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, Interest, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use updraft_api::agent::RelayAssignment;
use updraft_model::ClusterId;

use super::{tls, tls::Tls, wire};

/// How long a new connection waits for a target that is there and answers.
const WAIT: Duration = Duration::from_secs(60);
const FIRST_RETRY: Duration = Duration::from_millis(25);
const LONGEST_RETRY: Duration = Duration::from_millis(500);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const LISTEN_AGAIN: Duration = Duration::from_millis(200);

pub(super) async fn listen(
    address: String,
    cluster: ClusterId,
    tls: Tls,
    target: watch::Receiver<RelayAssignment>,
) {
    let port = target.borrow().listen_port;
    let listener = bind(&address, port).await;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(carry(stream, cluster, tls.clone(), target.clone()));
            }
            Err(error) => {
                tracing::warn!(relay.port = port, %error, "A relay could not accept a connection");
                sleep(LISTEN_AGAIN).await;
            }
        }
    }
}

/// Listens, however long somebody else has the port.
pub(super) async fn bind(address: &str, port: u16) -> TcpListener {
    let mut told = false;
    loop {
        match TcpListener::bind((address, port)).await {
            Ok(listener) => return listener,
            Err(error) if !told => {
                tracing::error!(relay.address = address, relay.port = port, %error, "A relay can't listen yet");
                told = true;
            }
            Err(_) => {}
        }
        sleep(LISTEN_AGAIN).await;
    }
}

async fn carry(
    mut service: TcpStream,
    cluster: ClusterId,
    tls: Tls,
    mut target: watch::Receiver<RelayAssignment>,
) {
    wire::tune(&service);
    let Some(mut peer) = reach(&service, cluster, &tls, &mut target).await else {
        return;
    };
    // Either side's end is an ordinary end.
    let _ = copy_bidirectional_with_sizes(&mut service, &mut peer, wire::BUFFER, wire::BUFFER).await;
}

/// A connection to the service, tried until there is one, the caller has left, or a minute is over.
async fn reach(
    service: &TcpStream,
    cluster: ClusterId,
    tls: &Tls,
    target: &mut watch::Receiver<RelayAssignment>,
) -> Option<TlsStream<TcpStream>> {
    let deadline = Instant::now() + WAIT;
    let mut pause = FIRST_RETRY;
    loop {
        let relay = target.borrow_and_update().clone();
        let problem = match timeout(CONNECT_WITHIN, connect(&relay, cluster, tls)).await {
            Ok(Ok(peer)) => return Some(peer),
            Ok(Err(problem)) => problem,
            Err(_) => "no answer in time".to_owned(),
        };
        if Instant::now() + pause >= deadline {
            tracing::warn!(
                relay.port = relay.listen_port,
                problem,
                "A relayed connection was given up"
            );
            return None;
        }
        tokio::select! {
            () = sleep(pause) => pause = (pause * 2).min(LONGEST_RETRY),
            changed = target.changed() => {
                // The relay was taken away: nothing will come.
                changed.ok()?;
                pause = FIRST_RETRY;
            }
        }
        if has_left(service).await {
            return None;
        }
    }
}

async fn connect(
    relay: &RelayAssignment,
    cluster: ClusterId,
    tls: &Tls,
) -> Result<TlsStream<TcpStream>, String> {
    let target = relay.target.as_deref().ok_or("there is no such node now")?;
    let name = tls::peer_name(relay.role, cluster).map_err(|error| error.to_string())?;
    let stream = TcpStream::connect(target)
        .await
        .map_err(|error| error.to_string())?;
    wire::tune(&stream);
    let mut stream = TlsConnector::from(tls.client())
        .connect(name, stream)
        .await
        .map_err(|error| error.to_string())?;
    let request = format!("{}\n", relay.target_port);
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| error.to_string())?;
    let answer = wire::read_line(&mut stream, wire::LONGEST_ANSWER)
        .await
        .map_err(|error| error.to_string())?;
    if answer == "+" { Ok(stream) } else { Err(answer) }
}

async fn has_left(service: &TcpStream) -> bool {
    // Writable at once, so this does not wait; it tells whether the other side has closed.
    let ready = service.ready(Interest::READABLE | Interest::WRITABLE).await;
    ready.is_ok_and(|ready| ready.is_read_closed())
}
