//! Serving threads: each has its own event loop, upstream connections and session memory, so that a request is handled
//! from its first byte to its last on one core. Connections are dealt out to them in turn.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::error::EdgeError;
use crate::handle::handle;
use crate::heads::{HeadTimer, Heard};
use crate::line::Line;
use crate::linger::Lingering;
use crate::state::{State, Worker};

/// An accepted connection.
struct Accepted {
    stream: std::net::TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
    shutdown: CancellationToken,
}

pub(crate) struct Workers {
    inboxes: Vec<mpsc::UnboundedSender<Accepted>>,
    next: AtomicUsize,
    stopped: Vec<oneshot::Receiver<()>>,
}

// === impl Workers ===

impl Workers {
    /// Starts the threads; they end when `shutdown` is cancelled and their connections are drained.
    pub(crate) fn start(state: &Arc<State>, shutdown: &CancellationToken) -> Result<Self, EdgeError> {
        let wanted = match state.config.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            wanted => wanted,
        };
        let connections = Arc::new(Semaphore::new(state.config.limits.connections));
        let mut workers = Self {
            inboxes: Vec::new(),
            next: AtomicUsize::new(0),
            stopped: Vec::new(),
        };
        for number in 0..wanted {
            let (inbox, accepted) = mpsc::unbounded_channel();
            let (done, stopped) = oneshot::channel();
            let job = Job {
                state: Arc::clone(state),
                accepted,
                connections: Arc::clone(&connections),
                shutdown: shutdown.clone(),
            };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(EdgeError::Thread)?;
            std::thread::Builder::new()
                .name(format!("edge-{number}"))
                .spawn(move || {
                    runtime.block_on(job.run());
                    let _ = done.send(());
                })
                .map_err(EdgeError::Thread)?;
            workers.inboxes.push(inbox);
            workers.stopped.push(stopped);
        }
        Ok(workers)
    }

    /// Gives a connection to the next thread.
    pub(crate) fn deal(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        local: SocketAddr,
        shutdown: CancellationToken,
    ) {
        let Ok(stream) = stream.into_std() else { return };
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.inboxes.len().max(1);
        if let Some(inbox) = self.inboxes.get(turn) {
            let _ = inbox.send(Accepted {
                stream,
                peer,
                local,
                shutdown,
            });
        }
    }

    /// One receiver per thread, which resolves when it has ended.
    pub(crate) fn take_stopped(&mut self) -> Vec<oneshot::Receiver<()>> {
        std::mem::take(&mut self.stopped)
    }
}

/// What one thread does.
struct Job {
    state: Arc<State>,
    accepted: mpsc::UnboundedReceiver<Accepted>,
    connections: Arc<Semaphore>,
    shutdown: CancellationToken,
}

// === impl Job ===

impl Job {
    async fn run(mut self) {
        let drain = self.state.config.limits.drain;
        let worker = Arc::new(Worker::new(Arc::clone(&self.state)));
        let clock = Arc::clone(&worker.clock);
        tokio::spawn(async move { clock.tick().await });
        let tasks = worker.tasks.clone();
        loop {
            let accepted = tokio::select! {
                accepted = self.accepted.recv() => match accepted {
                    Some(accepted) => accepted,
                    None => break,
                },
                () = self.shutdown.cancelled() => break,
            };
            // Beyond the limit a connection is closed at once, instead of everybody waiting.
            let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
                tracing::warn!("too many connections: one was turned away");
                continue;
            };
            let Ok(stream) = TcpStream::from_std(accepted.stream) else {
                continue;
            };
            let line = Line::new(
                Arc::clone(&worker),
                accepted.peer,
                accepted.local,
                accepted.shutdown,
            );
            tasks.spawn(async move {
                serve(stream, line).await;
                drop(permit);
            });
        }
        tasks.close();
        let _ = tokio::time::timeout(drain, tasks.wait()).await;
    }
}

async fn serve(stream: TcpStream, line: Line) {
    let _ = stream.set_nodelay(true);
    let line = Arc::new(line);
    let shutdown = line.shutdown.clone();
    let (heard, limits) = (Heard::default(), line.worker.state.config.limits);
    let timer = HeadTimer::new(Arc::clone(&line.alarm), heard.clone(), limits.head);
    let service = service_fn(move |request| {
        let line = Arc::clone(&line);
        async move { Ok::<_, Infallible>(handle(line, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(timer)
        .header_read_timeout(limits.idle)
        .serve_connection(TokioIo::new(Lingering::new(stream, heard)), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a client's connection ended early");
    }
}
