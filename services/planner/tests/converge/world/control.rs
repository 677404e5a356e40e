//! Processes of control: each goes on a step whenever it may, dies, stands still, and is followed by another.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use super::World;
use super::driver::Driver;
use super::ears::Ears;

/// Steps in one tick after which drivers go round in circles.
const BUSY: u32 = 5000;

/// One process of control.
#[derive(Default)]
pub(super) struct Control {
    pub(super) look: Option<Pin<Box<dyn Future<Output = ()>>>>,
    pub(super) dies_after: Option<u32>,
    /// Steps, and then ticks.
    pub(super) stands_after: Option<(u32, u32)>,
    pub(super) paused_for: u32,
    /// Steps it ever took.
    pub(super) steps: u32,
}

// === impl World ===

impl World {
    /// Controls that run, a random one a step at a time, until none has anything to do.
    pub(super) fn work(&mut self, awake: &[usize]) {
        for _ in 0..BUSY {
            let is_due = self.shared.state.borrow().records.is_due();
            let mut ready = awake.to_vec();
            ready.retain(|control| {
                let one = &self.controls[*control];
                one.paused_for == 0 && (is_due || one.look.is_some())
            });
            if ready.is_empty() {
                return;
            }
            let next = ready[self.shared.state.borrow_mut().dice.index(ready.len())];
            self.step(next);
        }
        panic!("the drivers do not come to rest");
    }

    pub(super) fn step(&mut self, me: usize) {
        let control = &mut self.controls[me];
        if control.dies_after == Some(0) {
            self.end(me);
            self.begin(me);
            return;
        }
        if let Some((0, ticks)) = control.stands_after {
            (control.stands_after, control.paused_for) = (None, ticks);
            return;
        }
        control.dies_after = control.dies_after.map(|left| left - 1);
        control.stands_after = control.stands_after.map(|(left, ticks)| (left - 1, ticks));
        control.steps += 1;
        let Some(look) = &mut control.look else {
            let lease = self.shared.state.borrow_mut().records.take_due();
            let shared = Rc::clone(&self.shared);
            control.look = lease.map(|lease| Box::pin(Driver { shared, me, lease }.look()) as _);
            return;
        };
        if look
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
        {
            control.look = None;
        }
    }

    /// The process dies where it is; its lease stays until it is over.
    pub(super) fn end(&mut self, control: usize) {
        let steps = self.controls[control].steps;
        self.controls[control] = Control {
            steps,
            ..Control::default()
        };
    }

    /// Another process takes its place.
    pub(super) fn begin(&mut self, control: usize) {
        let mut state = self.shared.state.borrow_mut();
        let now = state.records.now;
        state.ears[control] = Ears::new(now);
    }

    pub(super) fn awake(&self) -> Vec<usize> {
        (0..self.controls.len())
            .filter(|control| self.controls[*control].paused_for == 0)
            .collect()
    }
}
