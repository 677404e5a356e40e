//! Whether the other side still lives: any byte from it is a sign; after a silence it is asked for one.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{sleep, timeout};

use crate::pace::Pace;

/// A connection that counts its reads.
pub(crate) struct Heard<S> {
    inner: S,
    reads: Reads,
}

#[derive(Clone, Default)]
pub(crate) struct Reads(Arc<AtomicU64>);

/// Ends when the other side does not live any more.
pub(crate) async fn listen(mut pings: PingPong, reads: Reads, pace: Pace) {
    let mut asked = false;
    loop {
        let before = reads.count();
        sleep(pace.pulse).await;
        if reads.count() != before {
            continue;
        }
        if !asked && pings.send_ping(Ping::opaque()).is_err() {
            return;
        }
        asked = true;
        match timeout(pace.answer, poll_fn(|cx| pings.poll_pong(cx))).await {
            Ok(Ok(_)) => asked = false,
            Ok(Err(_)) => return,
            Err(_) if reads.count() == before => return,
            // It has much to say before the answer.
            Err(_) => {}
        }
    }
}

// === impl Heard ===

impl<S> Heard<S> {
    pub(crate) fn new(inner: S) -> (Self, Reads) {
        let reads = Reads::default();
        let heard = Self {
            inner,
            reads: reads.clone(),
        };
        (heard, reads)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if polled.is_ready() {
            self.reads.0.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

// === impl Reads ===

impl Reads {
    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
