//! Time limits that are set for every request and hardly ever reached.
//!
//! To set a timer of the runtime's and put it away again costs more than to look up a right. So a limit is a number
//! here, and each serving thread looks every [`TICK`] whether one has passed: it may end that much later, never earlier.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

const TICK: Duration = Duration::from_millis(100);
const NEVER: u64 = u64::MAX;

/// One thread's time, in milliseconds since it began, as of the last tick.
pub(crate) struct Clock {
    began: Instant,
    now: AtomicU64,
    alarms: Mutex<Vec<Weak<Alarm>>>,
    added: Notify,
}

/// Wakes one connection's task.
pub(crate) struct Alarm {
    clock: Arc<Clock>,
    due: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

/// When something has taken too long, by its thread's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(u64);

// === impl Clock ===

impl Clock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            now: AtomicU64::new(0),
            alarms: Mutex::default(),
            added: Notify::new(),
        })
    }

    pub(crate) fn alarm(self: &Arc<Self>) -> Arc<Alarm> {
        self.advance();
        let alarm = Arc::new(Alarm {
            clock: Arc::clone(self),
            due: AtomicU64::new(NEVER),
            waker: Mutex::default(),
        });
        let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        alarms.push(Arc::downgrade(&alarm));
        self.added.notify_one();
        alarm
    }

    /// Ticks for as long as there are connections, for ever.
    pub(crate) async fn tick(&self) {
        loop {
            tokio::time::sleep(TICK).await;
            let now = self.advance();
            if !self.ring(now) {
                self.added.notified().await;
            }
        }
    }

    fn advance(&self) -> u64 {
        let now = millis(self.began.elapsed());
        self.now.store(now, Ordering::Relaxed);
        now
    }

    /// Wakes whose time has come; whether any alarm is left.
    fn ring(&self, now: u64) -> bool {
        let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        alarms.retain(|alarm| alarm.upgrade().inspect(|alarm| alarm.ring(now)).is_some());
        !alarms.is_empty()
    }
}

// === impl Alarm ===

impl Alarm {
    pub(crate) fn deadline(&self, limit: Duration) -> Deadline {
        let now = self.clock.now.load(Ordering::Relaxed);
        Deadline(now.saturating_add(millis(limit + TICK)))
    }

    /// The same for a moment that is given by the runtime's time.
    pub(crate) fn deadline_at(&self, moment: Instant) -> Deadline {
        Deadline(millis(moment.saturating_duration_since(self.clock.began) + TICK))
    }

    /// As of the last tick.
    pub(crate) fn now(&self) -> Instant {
        self.clock.began + Duration::from_millis(self.clock.now.load(Ordering::Relaxed))
    }

    /// Whether it has passed; if not, the task is woken when it has, or earlier.
    pub(crate) fn poll_passed(&self, deadline: Deadline, cx: &Context<'_>) -> Poll<()> {
        if self.clock.now.load(Ordering::Relaxed) >= deadline.0 {
            return Poll::Ready(());
        }
        self.due.fetch_min(deadline.0, Ordering::Relaxed);
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn ring(&self, now: u64) {
        if self.due.load(Ordering::Relaxed) > now {
            return;
        }
        // Whoever waits for a later deadline sets it again.
        self.due.store(NEVER, Ordering::Relaxed);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        waker.iter().for_each(Waker::wake_by_ref);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn ticking() -> Arc<Clock> {
        let clock = Clock::new();
        let its = Arc::clone(&clock);
        tokio::spawn(async move { its.tick().await });
        clock
    }

    async fn wait(alarm: &Alarm, limit: Duration) {
        let (began, deadline) = (Instant::now(), alarm.deadline(limit));
        poll_fn(|cx| alarm.poll_passed(deadline, cx)).await;
        assert!(began.elapsed() >= limit);
    }

    #[tokio::test]
    async fn a_deadline_wakes_its_task_when_it_has_passed_and_not_before() {
        let clock = ticking();
        wait(&clock.alarm(), Duration::from_millis(20)).await;
        // By now the clock has seen that no alarm was left.
        wait(&clock.alarm(), Duration::from_millis(120)).await;
    }

    #[tokio::test]
    async fn one_task_may_wait_for_several() {
        let alarm = ticking().alarm();
        tokio::join!(
            wait(&alarm, Duration::from_millis(250)),
            wait(&alarm, Duration::from_millis(20)),
        );
    }
}
