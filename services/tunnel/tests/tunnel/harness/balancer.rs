//! A TCP balancer in userspace: each connection goes to the next of its targets. It can also fall silent, or be far away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    silent: watch::Sender<bool>,
}

impl Balancer {
    pub(crate) async fn before(targets: Vec<SocketAddr>) -> Self {
        Self::start(targets, Duration::ZERO).await
    }

    /// What passes is under way for this long, in either direction, and any amount of it is at a time.
    pub(crate) async fn far_away(target: SocketAddr, delay: Duration) -> Self {
        Self::start(vec![target], delay).await
    }

    async fn start(targets: Vec<SocketAddr>, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (silent, is_silent) = watch::channel(false);
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let turn = count.fetch_add(1, Ordering::Relaxed);
                let target = targets[turn % targets.len()];
                tokio::spawn(carry(client, target, is_silent.clone(), delay));
            }
        });
        Self {
            address,
            connections,
            silent,
        }
    }

    /// Connections stay open, and nothing passes any more, as when a network path is lost.
    pub(crate) fn fall_silent(&self, silent: bool) {
        self.silent.send_replace(silent);
    }
}

async fn carry(client: TcpStream, target: SocketAddr, silent: watch::Receiver<bool>, delay: Duration) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pass(from_client, to_server, silent.clone(), delay) => {}
        () = pass(from_server, to_client, silent, delay) => {}
    }
}

async fn pass(
    from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut silent: watch::Receiver<bool>,
    delay: Duration,
) {
    let (depart, mut under_way) = mpsc::unbounded_channel();
    let taking = async {
        take(from, depart, delay).await;
        // What is under way arrives all the same.
        std::future::pending::<()>().await;
    };
    let delivering = async {
        while let Some((due, bytes)) = under_way.recv().await {
            sleep_until(due).await;
            silent.wait_for(|silent| !silent).await.unwrap();
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = taking => {}
        () = delivering => {}
    }
}

async fn take(mut from: OwnedReadHalf, depart: mpsc::UnboundedSender<(Instant, Vec<u8>)>, delay: Duration) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if depart
            .send((Instant::now() + delay, buffer[..read].to_vec()))
            .is_err()
        {
            return;
        }
    }
}
