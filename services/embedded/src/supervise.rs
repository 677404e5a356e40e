//! Keeps one process running: adopt or start, wait until it is ready, restart with back-off, stop in its own way.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::process::Process;
use crate::service::Service;
use crate::{Error, Result, logs};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A process that ran this long is not in a crash loop.
const PROVEN: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(10);
const LOG_CHECK: Duration = Duration::from_secs(30);

/// How a supervised service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Running { pid: i32, restarts: u32 },
    Restarting { restarts: u32, reason: String },
    Stopped,
}

/// A service that is kept running until [`Supervised::stop`]. Dropped without it, the process goes on unattended and
/// the next `up` adopts it.
#[derive(Debug)]
pub struct Supervised {
    name: String,
    status: watch::Receiver<Status>,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Signal(Signal),
    Stop(oneshot::Sender<Result<()>>),
}

/// How a restart went.
enum Settled {
    Ready,
    Failed(String),
    Stopped,
}

/// The task's state.
struct Keeper {
    service: Service,
    run: PathBuf,
    status: watch::Sender<Status>,
    restarts: u32,
}

// === impl Supervised ===

impl Supervised {
    /// Adopts the service or starts it, and returns when it is ready. `run` is where its record is kept.
    ///
    /// # Errors
    /// A taken port, a missing program, or what its log says when it stops or is too slow.
    pub async fn start(service: Service, run: PathBuf) -> Result<Self> {
        let log_from = logs::end(&service.log);
        let mut process = match Process::adopt(&service, &run).await? {
            Some(process) => process,
            None => launch(&service, &run)?,
        };
        let ready = tokio::time::timeout(service.patience, until_ready(&service, &mut process)).await;
        let reason = || logs::reason(&service.log, log_from).unwrap_or_else(|| "its log is empty".into());
        match ready {
            Ok(Ok(())) => {}
            Ok(Err(exit)) => {
                let detail = logs::reason(&service.log, log_from).unwrap_or(exit);
                return Err(Error::ServiceDied {
                    service: service.name,
                    detail,
                    log: service.log,
                });
            }
            Err(_elapsed) => {
                let (detail, seconds) = (reason(), service.patience.as_secs());
                process.stop(&service.name, &service.stop).await?;
                return Err(Error::ServiceSlow {
                    service: service.name,
                    seconds,
                    detail,
                    log: service.log,
                });
            }
        }
        let (status, seen) = watch::channel(Status::Running {
            pid: process.pid(),
            restarts: 0,
        });
        let (orders, inbox) = mpsc::channel(4);
        let name = service.name.clone();
        let keeper = Keeper {
            service,
            run,
            status,
            restarts: 0,
        };
        Ok(Self {
            name,
            status: seen,
            orders,
            task: tokio::spawn(keeper.keep(process, inbox)),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Follows how it is.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Has it read its configuration again (SIGHUP). While it restarts there is nothing to do: it will read it then.
    pub async fn reload(&self) {
        let _gone = self.orders.send(Order::Signal(Signal::HUP)).await;
    }

    /// Stops it for good.
    ///
    /// # Errors
    /// [`Error::ServiceStuck`] when even SIGKILL does not end it.
    pub async fn stop(self) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        if self.orders.send(Order::Stop(answer)).await.is_err() {
            return Ok(());
        }
        let stopped = answered.await.unwrap_or(Ok(()));
        let _ended = self.task.await;
        stopped
    }
}

// === impl Keeper ===

impl Keeper {
    async fn keep(mut self, mut process: Process, mut inbox: mpsc::Receiver<Order>) {
        let mut log_check = interval(LOG_CHECK);
        log_check.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut pause = FIRST_PAUSE;
        let mut since = Instant::now();
        loop {
            let exit = tokio::select! {
                exit = process.exited() => exit,
                order = inbox.recv() => match order {
                    Some(Order::Signal(signal)) => {
                        let _gone = process.signal(signal);
                        continue;
                    }
                    Some(Order::Stop(answer)) => {
                        let stopped = process.stop(&self.service.name, &self.service.stop).await;
                        let _seen = self.status.send(Status::Stopped);
                        let _gone = answer.send(stopped);
                        return;
                    }
                    // Dropped without a stop: the process stays for the next `up`.
                    None => return,
                },
                _ = log_check.tick() => {
                    self.rotate_log();
                    continue;
                }
            };
            pause = if since.elapsed() > PROVEN {
                FIRST_PAUSE
            } else {
                (pause * 2).min(LONGEST_PAUSE)
            };
            match self.restart(exit, pause, &mut inbox).await {
                Some(started) => process = started,
                None => return,
            }
            since = Instant::now();
        }
    }

    /// Tries until it runs again; none when told to stop meanwhile.
    async fn restart(
        &mut self,
        mut reason: String,
        mut pause: Duration,
        inbox: &mut mpsc::Receiver<Order>,
    ) -> Option<Process> {
        let name = self.service.name.clone();
        loop {
            self.restarts = self.restarts.saturating_add(1);
            tracing::warn!(service.name = %name, service.restarts = self.restarts, reason, "service stopped by itself");
            let _seen = self.status.send(Status::Restarting {
                restarts: self.restarts,
                reason: reason.clone(),
            });
            if told_to_stop(inbox, pause).await {
                let _seen = self.status.send(Status::Stopped);
                return None;
            }
            match launch(&self.service, &self.run) {
                Ok(mut process) => match self.settle(&mut process, inbox).await {
                    Settled::Ready => {
                        let _seen = self.status.send(Status::Running {
                            pid: process.pid(),
                            restarts: self.restarts,
                        });
                        return Some(process);
                    }
                    Settled::Failed(why) => reason = why,
                    Settled::Stopped => return None,
                },
                Err(error) => reason = error.to_string(),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits until a restarted process is ready: not before that does it count as running.
    async fn settle(&self, process: &mut Process, inbox: &mut mpsc::Receiver<Order>) -> Settled {
        let told = {
            let ready = tokio::time::timeout(self.service.patience, until_ready(&self.service, process));
            tokio::select! {
                ready = ready => match ready {
                    Ok(Ok(())) => return Settled::Ready,
                    Ok(Err(exit)) => return Settled::Failed(exit),
                    Err(_elapsed) => None,
                },
                order = next_stop(inbox) => Some(order),
            }
        };
        match told {
            // Nobody is left to serve: the process stays for the next `up`.
            Some(None) => return Settled::Stopped,
            Some(Some(answer)) => {
                let stopped = process.stop(&self.service.name, &self.service.stop).await;
                let _seen = self.status.send(Status::Stopped);
                let _gone = answer.send(stopped);
                return Settled::Stopped;
            }
            None => {}
        }
        match process.stop(&self.service.name, &self.service.stop).await {
            Ok(()) => Settled::Failed(format!("not ready after {} s", self.service.patience.as_secs())),
            Err(error) => Settled::Failed(error.to_string()),
        }
    }

    fn rotate_log(&self) {
        if let Err(error) = logs::rotate(&self.service.log) {
            tracing::warn!(service.name = %self.service.name, %error, "log could not be rotated");
        }
    }
}

fn launch(service: &Service, run: &std::path::Path) -> Result<Process> {
    if let Some(prepare) = &service.prepare {
        prepare()?;
    }
    Process::spawn(service, run)
}

/// Ends when it is ready; an error says how it exited instead.
async fn until_ready(service: &Service, process: &mut Process) -> std::result::Result<(), String> {
    let pid = process.pid();
    tokio::select! {
        exit = process.exited() => Err(exit),
        () = async { while !service.ready.is(pid).await { sleep(POLL).await } } => Ok(()),
    }
}

/// Waits out the pause. A dropped handle means nobody is left to serve.
async fn told_to_stop(inbox: &mut mpsc::Receiver<Order>, pause: Duration) -> bool {
    match tokio::time::timeout(pause, next_stop(inbox)).await {
        Ok(Some(answer)) => {
            let _gone = answer.send(Ok(()));
            true
        }
        Ok(None) => true,
        Err(_elapsed) => false,
    }
}

/// The next order to stop; none when nobody can give one any more. Other signals have nobody to reach meanwhile.
async fn next_stop(inbox: &mut mpsc::Receiver<Order>) -> Option<oneshot::Sender<Result<()>>> {
    loop {
        match inbox.recv().await? {
            Order::Signal(_) => {}
            Order::Stop(answer) => return Some(answer),
        }
    }
}
