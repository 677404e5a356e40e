//! How long a connection may be silent: long between two requests, shortly within a request's head.
//!
//! A balancer keeps connections to us open between requests, until it has not used one for as long as it was told. If we close
//! one first, the request that is on its way gets no answer but the balancer's own, a 502: so we wait longer than it does.
//! A head that has begun is to come quickly all the same, or whoever sends a byte now and then holds a connection for ever.
//!
//! hyper has one limit for both. It asks for a new timer whenever it begins to wait for a head, and looks at that after each
//! read: so the limit that holds is chosen here, by whether anything was read meanwhile. What was read with the request before
//! is not counted: such a head has as long as if it had not begun.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use crate::alarm::{Alarm, Deadline};

/// How often something was read from a connection.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<AtomicU64>);

/// hyper's timer of one connection, which has none but for heads.
pub(crate) struct HeadTimer {
    alarm: Arc<Alarm>,
    heard: Heard,
    /// For a head that has begun, and for a connection's first.
    head: Duration,
    had_one: AtomicBool,
}

/// A head that is waited for.
struct Awaited {
    alarm: Arc<Alarm>,
    heard: Heard,
    head: Duration,
    deadline: Deadline,
    /// What was heard before it; none: it has begun.
    before: Option<u64>,
}

// === impl Heard ===

impl Heard {
    pub(crate) fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl HeadTimer ===

impl HeadTimer {
    pub(crate) fn new(alarm: Arc<Alarm>, heard: Heard, head: Duration) -> Self {
        Self {
            alarm,
            heard,
            head,
            had_one: AtomicBool::new(false),
        }
    }

    fn awaited(&self, deadline: Deadline, before: Option<u64>) -> Pin<Box<dyn Sleep>> {
        Box::pin(Awaited {
            alarm: Arc::clone(&self.alarm),
            heard: self.heard.clone(),
            head: self.head,
            deadline,
            before,
        })
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, limit: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + limit)
    }

    /// `longest` is for a connection between requests; the first request of one is never waited for that long.
    fn sleep_until(&self, longest: Instant) -> Pin<Box<dyn Sleep>> {
        match self.had_one.swap(true, Ordering::Relaxed) {
            false => self.awaited(self.alarm.deadline(self.head), None),
            true => self.awaited(self.alarm.deadline_at(longest), Some(self.heard.count())),
        }
    }

    fn now(&self) -> Instant {
        self.alarm.now()
    }
}

// === impl Awaited ===

impl Sleep for Awaited {}

impl Future for Awaited {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.before.is_some_and(|before| before != self.heard.count()) {
            self.before = None;
            self.deadline = self.alarm.deadline(self.head);
        }
        self.alarm.poll_passed(self.deadline, cx)
    }
}
