//! From an accepted connection to a tunnel, and that tunnel's life.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::server::TlsStream;
use updraft_model::NodeId;

use super::NearEnd;
use super::tunnel::Tunnel;
use super::window::Windowed;
use crate::error::Refusal;
use crate::hello::{self, Hello};
use crate::tls::EdgeIdentity;
use crate::{http2, pulse, wire};

/// Strangers at a time: more wait in the kernel.
const STRANGERS: usize = 256;
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(super) async fn accept(
    near: &Arc<NearEnd>,
    listener: TcpListener,
    identity: watch::Receiver<Option<EdgeIdentity>>,
) {
    let places = Arc::new(Semaphore::new(STRANGERS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (near, identity) = (Arc::clone(near), identity.borrow().clone());
                tokio::spawn(async move {
                    let admitted = introduced(&near, stream, identity).await;
                    drop(place);
                    if let Some((stream, hello)) = admitted {
                        carry(&near, stream, &hello).await;
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: let some connections end.
                tracing::warn!(%error, "A tunnel could not be accepted");
                sleep(LOOK_AGAIN).await;
            }
        }
    }
}

async fn introduced(
    near: &NearEnd,
    stream: TcpStream,
    identity: Option<EdgeIdentity>,
) -> Option<(TlsStream<TcpStream>, Hello)> {
    wire::tune(&stream);
    match timeout(near.pace.introduce, introduce(near, stream, identity?)).await {
        Ok(Ok(admitted)) => admitted,
        Ok(Err(error)) => {
            tracing::debug!(%error, "A tunnel's dial ended early");
            None
        }
        Err(_) => {
            tracing::debug!("A tunnel's far end did not introduce itself");
            None
        }
    }
}

async fn introduce(
    near: &NearEnd,
    stream: TcpStream,
    identity: EdgeIdentity,
) -> std::io::Result<Option<(TlsStream<TcpStream>, Hello)>> {
    let mut stream = identity.acceptor.accept(stream).await?;
    let judged = hello::hear(&mut stream)
        .await?
        .and_then(|hello| near.judge(&hello).map(|()| hello));
    match judged {
        Ok(hello) => {
            hello::admit(&mut stream, near.id).await?;
            Ok(Some((stream, hello)))
        }
        Err(refusal) => {
            if refusal == Refusal::NotAwaited {
                tracing::debug!("A tunnel was refused: {refusal}");
            } else {
                tracing::warn!("A tunnel was refused: {refusal}");
            }
            hello::refuse(&mut stream, refusal).await?;
            Ok(None)
        }
    }
}

async fn carry(near: &NearEnd, stream: TlsStream<TcpStream>, hello: &Hello) {
    let (stream, reads) = pulse::Heard::new(stream);
    let handshake = http2::near().handshake(stream);
    let Ok(Ok((requests, mut connection))) = timeout(near.pace.introduce, handshake).await else {
        return;
    };
    let Some(pings) = connection.ping_pong() else {
        return;
    };
    let tunnel = Arc::new(Tunnel::new(requests, hello.token));
    if near.register(hello, &tunnel).is_err() {
        return;
    }
    let mut connection = Windowed::new(connection, Arc::clone(&tunnel));
    tracing::debug!(node.id = %hello.node, "A tunnel is open");
    let why = tokio::select! {
        ended = &mut connection => match ended {
            Ok(()) => "its node closed it".to_owned(),
            Err(error) => error.to_string(),
        },
        () = pulse::listen(pings, reads, near.pace) => "its node fell silent".to_owned(),
        () = near.closed.cancelled() => "this edge stops".to_owned(),
        () = tunnel.retired() => {
            retire(near, hello.node, &tunnel, connection).await;
            "its node is no longer the one".to_owned()
        }
    };
    near.forget(hello.node, &tunnel);
    tracing::info!(node.id = %hello.node, "A tunnel ended: {why}");
}

/// What was begun may end, but not for long.
async fn retire(
    near: &NearEnd,
    node: NodeId,
    tunnel: &Tunnel,
    connection: impl Future<Output = Result<(), h2::Error>>,
) {
    tracing::debug!(node.id = %node, tunnel.streams = tunnel.streams(), "A tunnel is retired");
    let deadline = Instant::now() + near.pace.retire;
    let emptied = async {
        while tunnel.streams() > 0 && Instant::now() < deadline {
            sleep(LOOK_AGAIN).await;
        }
    };
    tokio::select! {
        _ = connection => {}
        () = emptied => {}
    }
}
