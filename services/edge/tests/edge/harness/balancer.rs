//! A TCP balancer before edges, which asks each whether it is healthy, as a cloud's does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Between looks; an edge is taken out after two that failed, and back in after one that did not.
pub(crate) const LOOK: Duration = Duration::from_millis(40);

pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    targets: Arc<Vec<Target>>,
}

struct Target {
    address: SocketAddr,
    is_in: AtomicBool,
    dealt: AtomicUsize,
}

// === impl Balancer ===

impl Balancer {
    pub(crate) async fn before(addresses: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let targets = addresses.into_iter().map(|address| Target {
            address,
            is_in: AtomicBool::new(false),
            dealt: AtomicUsize::new(0),
        });
        let balancer = Self {
            address: listener.local_addr().unwrap(),
            targets: Arc::new(targets.collect()),
        };
        for at in 0..balancer.targets.len() {
            tokio::spawn(look_at(Arc::clone(&balancer.targets), at));
        }
        tokio::spawn(deal(listener, Arc::clone(&balancer.targets)));
        balancer
    }

    pub(crate) fn has(&self, target: usize) -> bool {
        self.targets[target].is_in.load(Ordering::Relaxed)
    }

    /// Connections so far.
    pub(crate) fn dealt(&self, target: usize) -> usize {
        self.targets[target].dealt.load(Ordering::Relaxed)
    }
}

async fn look_at(targets: Arc<Vec<Target>>, at: usize) {
    let target = &targets[at];
    let mut failures = 0;
    loop {
        failures = match is_healthy(target.address).await {
            true => 0,
            false => failures + 1,
        };
        match failures {
            0 => target.is_in.store(true, Ordering::Relaxed),
            1 => {}
            _ => target.is_in.store(false, Ordering::Relaxed),
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn is_healthy(address: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let ask = format!("GET /_updraft/health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    asked
        .await
        .is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200"))
}

async fn deal(listener: TcpListener, targets: Arc<Vec<Target>>) {
    for turn in 0.. {
        let (mut client, _) = listener.accept().await.unwrap();
        let up: Vec<_> = targets
            .iter()
            .filter(|target| target.is_in.load(Ordering::Relaxed))
            .collect();
        // None left: the client sees its connection end.
        let Some(target) = up.get(turn % up.len().max(1)) else {
            continue;
        };
        target.dealt.fetch_add(1, Ordering::Relaxed);
        let address = target.address;
        tokio::spawn(async move {
            if let Ok(mut edge) = TcpStream::connect(address).await {
                let _ = copy_bidirectional(&mut client, &mut edge).await;
            }
        });
    }
}
