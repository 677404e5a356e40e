//! What the edge says in its own name: what happened, why, and what to do. One text makes the page and the problem.

mod render;
mod words;

use std::borrow::Cow;

use http::StatusCode;
use updraft_api::edge::Route;

use crate::authz::Why;
use crate::route::Refusal;

pub(crate) use render::render;

/// Something to tell the client instead of an answer from Airflow.
#[derive(Clone, Debug)]
pub(crate) enum Notice<'a> {
    NotRunning {
        route: &'a Route,
        console_url: &'a str,
    },
    /// No such cluster, or none that this person may know of.
    NotFound {
        console_url: &'a str,
    },
    Unauthenticated,
    Forbidden(Why),
    ServiceWorker,
    Ambiguous(Refusal),
    Unreachable {
        route: &'a Route,
    },
    TimedOut {
        route: &'a Route,
    },
    /// Control is gone: nobody can sign in, those who are signed in go on.
    SignInUnavailable,
    SignInFailed {
        retry: Option<&'a str>,
    },
    /// Airflow sent a signed-in person back to sign-in.
    SessionNotAccepted {
        retry: &'a str,
    },
    ConfirmSignOut {
        console_url: &'a str,
    },
    SignedOut,
    /// No snapshot yet.
    NotReady,
    Internal,
}

/// A notice in words.
#[derive(Clone, Debug)]
pub(crate) struct Text<'a> {
    pub(crate) status: StatusCode,
    /// Stable, for programs.
    pub(crate) kind: &'static str,
    pub(crate) tone: Tone,
    pub(crate) heading: Cow<'a, str>,
    /// What happened and why.
    pub(crate) message: Cow<'a, str>,
    /// What to do next.
    pub(crate) remedy: Cow<'a, str>,
    pub(crate) action: Option<Action<'a>>,
    pub(crate) follow: Follow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Busy,
    Calm,
    Bad,
}

/// Whether the page keeps itself up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    Stay,
    /// Asks this address again in the background, and shows what it says.
    Poll,
    /// Loads itself again: what a program is told there differs.
    Reload,
}

#[derive(Clone, Debug)]
pub(crate) enum Action<'a> {
    Link {
        label: &'static str,
        href: Cow<'a, str>,
    },
    /// A form posted to this very address, that may lead on to `then`.
    Post {
        label: &'static str,
        then: &'a str,
    },
}

// === impl Text ===

impl Text<'_> {
    /// Message and remedy in one breath.
    pub(crate) fn plain(&self) -> String {
        format!("{} {}", self.message, self.remedy).trim().to_owned()
    }
}
