//! What stands where Airflow does: answers as its test wants.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) open: Arc<AtomicUsize>,
}

impl Service {
    pub(crate) async fn start<F, R>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&open);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let (serving, count) = (serve(stream), Arc::clone(&count));
                tokio::spawn(async move {
                    serving.await;
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, open }
    }

    /// Says back what it hears, until the other side has said all.
    pub(crate) async fn echo() -> Self {
        Self::start(|mut stream| async move {
            let (mut read, mut write) = stream.split();
            if copy(&mut read, &mut write).await.is_ok() {
                let _ = write.shutdown().await;
            }
        })
        .await
    }

    /// Hears one byte, and then talks without end.
    pub(crate) async fn talker() -> Self {
        Self::start(|mut stream| async move {
            let words = vec![b'w'; 64 << 10];
            let _ = stream.read_u8().await;
            while stream.write_all(&words).await.is_ok() {}
        })
        .await
    }
}
