//! One connection through a tunnel: an HTTP/2 stream as a stream of bytes.
//!
//! The near end writes before the far end has answered: a new connection costs no round trip of its own. That the
//! service could not be reached is then an error of the first read.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What one frame takes from the writer at most.
const CHUNK: usize = 32 << 10;

#[derive(Debug)]
pub struct TunnelStream {
    send: SendStream<Bytes>,
    receive: Receive,
    /// Came, and was not read yet.
    rest: Bytes,
    _share: Option<Share>,
}

#[derive(Debug)]
enum Receive {
    Waiting(ResponseFuture),
    Open(RecvStream),
}

/// One of the streams that a tunnel carries, counted until dropped.
#[derive(Debug)]
pub(crate) struct Share(Arc<AtomicUsize>);

// === impl TunnelStream ===

impl TunnelStream {
    /// The near end's, before the far end has answered.
    pub(crate) fn begun(send: SendStream<Bytes>, answer: ResponseFuture, share: Share) -> Self {
        Self {
            send,
            receive: Receive::Waiting(answer),
            rest: Bytes::new(),
            _share: Some(share),
        }
    }

    /// The far end's.
    pub(crate) fn accepted(send: SendStream<Bytes>, receive: RecvStream) -> Self {
        Self {
            send,
            receive: Receive::Open(receive),
            rest: Bytes::new(),
            _share: None,
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut RecvStream>> {
        if let Receive::Waiting(answer) = &mut self.receive {
            let answer = ready!(Pin::new(answer).poll(cx)).map_err(broken)?;
            if answer.status() != StatusCode::OK {
                return Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into()));
            }
            self.receive = Receive::Open(answer.into_body());
        }
        match &mut self.receive {
            Receive::Open(receive) => Poll::Ready(Ok(receive)),
            Receive::Waiting(_) => Poll::Pending,
        }
    }

    /// How much may be sent now, at least one byte.
    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        self.send.reserve_capacity(wanted);
        loop {
            let room = self.send.capacity();
            if room > 0 {
                return Poll::Ready(Ok(room));
            }
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return self.poll_why_closed(cx),
            }
        }
    }

    fn poll_why_closed<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        Poll::Ready(Err(match ready!(self.send.poll_reset(cx)) {
            Ok(Reason::NO_ERROR | Reason::CANCEL | Reason::STREAM_CLOSED) => io::ErrorKind::BrokenPipe.into(),
            Ok(reason) => broken(reason.into()),
            Err(error) => broken(error),
        }))
    }
}

impl AsyncRead for TunnelStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            match ready!(ready!(this.poll_open(cx))?.poll_data(cx)) {
                Some(Ok(data)) => this.rest = data,
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let taken = this.rest.len().min(buf.remaining());
        buf.put_slice(&this.rest[..taken]);
        this.rest.advance(taken);
        if let Receive::Open(receive) = &mut this.receive {
            // Fails for a stream that was reset, whose room was given back already.
            let _ = receive.flow_control().release_capacity(taken);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TunnelStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let wanted = buf.len().min(CHUNK);
        let room = ready!(self.poll_room(cx, wanted))?.min(wanted);
        match self.send.send_data(Bytes::copy_from_slice(&buf[..room]), false) {
            Ok(()) => Poll::Ready(Ok(room)),
            Err(_) => self.poll_why_closed(cx),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The tunnel sends as soon as it can.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.send.send_data(Bytes::new(), true) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(_) => self.poll_why_closed(cx),
        }
    }
}

fn broken(error: h2::Error) -> io::Error {
    if error.is_io() {
        error
            .into_io()
            .unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())
    } else {
        io::Error::new(io::ErrorKind::ConnectionReset, error)
    }
}

// === impl Share ===

impl Share {
    pub(crate) fn of(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
