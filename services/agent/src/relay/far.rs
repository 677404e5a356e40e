//! The far end: other nodes' agents connect here, for the services of this node.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use updraft_api::agent::RELAY_PORT;

use super::offered::{Offered, Use};
use super::{Tls, near, wire};

/// Connections at a time: more are a fault or an attack, and wait.
const MOST: usize = 4096;
const INTRODUCE_WITHIN: Duration = Duration::from_secs(10);
const DIAL_WITHIN: Duration = Duration::from_secs(3);

pub(super) async fn listen(address: String, tls: Tls, offered: Arc<Offered>) {
    let listener = near::bind(&address, RELAY_PORT).await;
    let places = Arc::new(Semaphore::new(MOST));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let acceptor = TlsAcceptor::from(tls.server());
                let (address, offered) = (address.clone(), Arc::clone(&offered));
                tokio::spawn(async move {
                    serve(stream, acceptor, &address, &offered).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "The relay could not accept a connection");
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, address: &str, offered: &Arc<Offered>) {
    wire::tune(&stream);
    let introduced = timeout(INTRODUCE_WITHIN, async {
        let mut peer = acceptor.accept(stream).await?;
        let line = wire::read_line(&mut peer, wire::LONGEST_PORT).await?;
        std::io::Result::Ok((peer, line))
    });
    let (mut peer, line) = match introduced.await {
        Ok(Ok(introduced)) => introduced,
        Ok(Err(error)) => return tracing::warn!(%error, "A relay's peer was refused"),
        Err(_) => return tracing::debug!("A relay's peer did not introduce itself"),
    };
    match dial(address, &line, offered).await {
        Ok((mut service, _in_use)) => {
            if peer.write_all(b"+\n").await.is_ok() {
                // Either side's end is an ordinary end.
                let _ =
                    copy_bidirectional_with_sizes(&mut peer, &mut service, wire::BUFFER, wire::BUFFER).await;
            }
        }
        Err(reason) => {
            let _ = peer.write_all(format!("-{reason}\n").as_bytes()).await;
            let _ = peer.shutdown().await;
        }
    }
}

async fn dial(address: &str, line: &str, offered: &Arc<Offered>) -> Result<(TcpStream, Use), &'static str> {
    let port: u16 = line.parse().map_err(|_| "that is no port")?;
    let Some(in_use) = offered.connect(port) else {
        tracing::warn!(
            relay.port = port,
            "A peer asked for a port that no service here offers"
        );
        return Err("no service here offers that port");
    };
    match timeout(DIAL_WITHIN, TcpStream::connect((address, port))).await {
        Ok(Ok(service)) => {
            wire::tune(&service);
            Ok((service, in_use))
        }
        Ok(Err(_)) | Err(_) => Err("the service does not answer yet"),
    }
}
