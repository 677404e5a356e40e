//! Response bodies: our own pages from memory, or an upstream's as it comes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use chrono::Utc;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;
use updraft_model::{ClusterId, ClusterRole};

use crate::alarm::{Alarm, Deadline};
use crate::pool::Lease;
use crate::refusals::{self, Refusal};
use crate::state::State;
use crate::token::Session;

pub(crate) enum Body {
    Full(Bytes),
    Upstream(Box<Streamed>),
}

/// An upstream's body. It ends early when the person loses the right to read it.
pub(crate) struct Streamed {
    incoming: Incoming,
    lease: Option<Lease>,
    permit: Permit,
    alarm: Arc<Alarm>,
    /// When the right is looked at again although nothing came; set when the upstream first keeps silent.
    recheck: Option<Deadline>,
}

/// The right under which an exchange was begun, to be looked at again while it lasts.
pub(crate) struct Permit {
    pub(crate) state: Arc<State>,
    pub(crate) session: Arc<Session>,
    pub(crate) cluster: ClusterId,
    pub(crate) role: ClusterRole,
    /// [`Table::change`](crate::table::Table) of the table in which the right was last looked up.
    pub(crate) seen: u64,
}

#[derive(Debug, Error)]
pub(crate) enum BodyError {
    #[error("the upstream broke off")]
    Upstream(#[from] hyper::Error),
    #[error("the session ended while the answer was being sent")]
    Revoked,
}

// === impl Body ===

impl Body {
    pub(crate) fn empty() -> Self {
        Self::Full(Bytes::new())
    }

    pub(crate) fn upstream(incoming: Incoming, lease: Lease, permit: Permit, alarm: &Arc<Alarm>) -> Self {
        if incoming.is_end_stream() {
            lease.release();
            return Self::empty();
        }
        Self::Upstream(Box::new(Streamed {
            incoming,
            lease: Some(lease),
            permit,
            alarm: Arc::clone(alarm),
            recheck: None,
        }))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Upstream(streamed) => streamed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Upstream(streamed) => streamed.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Upstream(streamed) => streamed.incoming.size_hint(),
        }
    }
}

// === impl Streamed ===

impl Streamed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            return self.poll_silent(cx);
        };
        if frame.is_none() || self.incoming.is_end_stream() {
            if let (Some(lease), false) = (self.lease.take(), matches!(frame, Some(Err(_)))) {
                lease.release();
            }
        } else if !self.permit.holds() {
            return Poll::Ready(Some(Err(BodyError::Revoked)));
        }
        Poll::Ready(frame.map(|f| f.map_err(BodyError::from)))
    }

    /// Nothing to send: a stream must not stay open for somebody who may no longer read it.
    fn poll_silent(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let pause = self.permit.state.config.limits.recheck;
        let mut recheck = self.recheck.unwrap_or_else(|| self.alarm.deadline(pause));
        while self.alarm.poll_passed(recheck, cx).is_ready() {
            if !self.permit.holds() {
                return Poll::Ready(Some(Err(BodyError::Revoked)));
            }
            recheck = self.alarm.deadline(pause);
        }
        self.recheck = Some(recheck);
        Poll::Pending
    }
}

// === impl Permit ===

impl Permit {
    /// Looks the right up again if anything changed since the last look.
    pub(crate) fn holds(&mut self) -> bool {
        let count = self.state.change_count();
        if count == self.seen {
            return self.session.visitor.expires_at > Utc::now().timestamp();
        }
        self.seen = count;
        self.state
            .still_allows(&self.session.visitor, self.cluster, self.role, Utc::now())
    }

    /// That the session or token is good for nothing any more, if that is so.
    pub(crate) fn ended(&self) -> Option<Refusal> {
        let visitor = &self.session.visitor;
        let lives = visitor.expires_at > Utc::now().timestamp() && self.state.table().policy.is_live(visitor);
        (!lives).then(|| refusals::ended(visitor))
    }
}
