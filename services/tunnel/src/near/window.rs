//! How much may come for one stream before its reader has read: much while few streams are open, so that a long way is
//! no slow one, and little when they are many, so that readers who do not read keep no more than an edge can spare.
//!
//! What counts is the node's side: answers are large, and what people send is small.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::Connection;
use tokio::io::{AsyncRead, AsyncWrite};

use super::tunnel::Tunnel;
use crate::http2::{NARROWEST, WIDEST};

/// Divided among the open streams, as far as both bounds let it.
const SHARED: u32 = 64 << 20;

/// A tunnel's connection, whose windows follow how many streams there are.
pub(super) struct Windowed<S: AsyncRead + AsyncWrite + Unpin> {
    connection: Connection<S, Bytes>,
    tunnel: Arc<Tunnel>,
    window: u32,
}

/// One stream's part. Pure.
fn fair(streams: usize) -> u32 {
    let sharers = u32::try_from(streams)
        .ok()
        .and_then(u32::checked_next_power_of_two);
    sharers.map_or(NARROWEST, |sharers| (SHARED / sharers).clamp(NARROWEST, WIDEST))
}

/// Narrower as soon as it must be, wider not before there is room for twice as many: one stream more or less costs
/// nothing. Pure.
fn next(now: u32, streams: usize) -> u32 {
    let fair_now = fair(streams);
    if fair_now < now {
        fair_now
    } else {
        now.max(fair(streams.saturating_mul(2)))
    }
}

// === impl Windowed ===

impl<S: AsyncRead + AsyncWrite + Unpin> Windowed<S> {
    pub(super) fn new(connection: Connection<S, Bytes>, tunnel: Arc<Tunnel>) -> Self {
        Self {
            connection,
            tunnel,
            window: WIDEST,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Windowed<S> {
    type Output = Result<(), h2::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let wanted = next(this.window, this.tunnel.streams());
        // Refused while the far end has not confirmed the last change; that it does wakes this again.
        if wanted != this.window && this.connection.set_initial_window_size(wanted).is_ok() {
            this.window = wanted;
        }
        Pin::new(&mut this.connection).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http2::{ALL_WINDOWS, STREAMS};

    #[test]
    fn few_streams_are_wide_and_many_are_narrow() {
        assert_eq!(fair(0), WIDEST);
        assert_eq!(fair(16), WIDEST);
        assert_eq!(fair(17), WIDEST / 2);
        assert_eq!(fair(STREAMS as usize), NARROWEST);
        assert_eq!(fair(usize::MAX), NARROWEST);
    }

    #[test]
    fn streams_that_come_one_by_one_and_never_read_have_room_together() {
        let all: u32 = (1..=STREAMS as usize).map(fair).sum();
        assert!(all <= ALL_WINDOWS, "{all} bytes may wait");
    }

    #[test]
    fn one_stream_that_comes_and_goes_changes_nothing() {
        let narrowed = next(WIDEST, 17);
        assert_eq!(next(narrowed, 16), narrowed);
        assert_eq!(next(narrowed, 17), narrowed);
        assert_eq!(next(narrowed, 8), WIDEST);
    }

    proptest! {
        #[test]
        fn whatever_came_before_nobody_has_more_than_a_fair_part(
            before in prop_oneof![Just(WIDEST), Just(1 << 20), Just(NARROWEST)], streams in 0_usize..2048,
        ) {
            let window = next(before, streams);
            prop_assert!(window <= fair(streams));
            prop_assert_eq!(next(window, streams), window);
        }
    }
}
