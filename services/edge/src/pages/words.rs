//! The words for each notice.

use http::StatusCode;
use updraft_api::edge::{Route, RouteState};

use super::{Action, Follow, Notice, Text, Tone};
use crate::authz::Why;
use crate::route::Refusal;

// === impl Notice ===

impl<'a> Notice<'a> {
    pub(crate) fn text(&self) -> Text<'a> {
        match *self {
            Self::NotRunning { route, console_url } => not_running(route, console_url),
            Self::NotFound { console_url } => Text {
                action: Some(Action::Link {
                    label: "Open the console",
                    href: console_url.into(),
                }),
                ..calm(
                    StatusCode::NOT_FOUND,
                    "cluster-not-found",
                    "There is no Airflow here for you",
                    "Either no cluster lives at this address, or you have no role on it.",
                    "Check the address, or ask the cluster's admin for access.",
                )
            },
            Self::Unauthenticated => calm(
                StatusCode::UNAUTHORIZED,
                "not-signed-in",
                "You are not signed in",
                "This request carried no valid session.",
                "Open this address in a browser and sign in.",
            ),
            Self::Forbidden(Why::Origin) => bad(
                StatusCode::FORBIDDEN,
                "foreign-origin",
                "This request was refused",
                "It changes something, and did not come from a page of this Airflow.",
                "Repeat it from Airflow itself.",
            ),
            Self::Forbidden(Why::CrossOrigin) => bad(
                StatusCode::FORBIDDEN,
                "cross-origin-read",
                "This request was refused",
                "Another site tried to read this Airflow in your name.",
                "Open Airflow in a tab of its own.",
            ),
            Self::ServiceWorker => bad(
                StatusCode::FORBIDDEN,
                "service-worker",
                "Service workers are not allowed here",
                "A service worker would outlive the session that installed it.",
                "Remove it from the plugin that asks for it.",
            ),
            Self::Ambiguous(refusal) => Text {
                message: refusal.to_string().into(),
                ..bad(
                    refusal_status(refusal),
                    "ambiguous-request",
                    "This request was not understood",
                    "",
                    "Correct the request: Updraft forwards only what can be read in one way.",
                )
            },
            Self::Unreachable { route } => Text {
                heading: format!("{} does not answer", route.name.as_str()).into(),
                follow: Follow::Poll,
                tone: Tone::Busy,
                ..bad(
                    StatusCode::BAD_GATEWAY,
                    "airflow-unreachable",
                    "",
                    "Its web node is known but its api-server refused the connection or broke it off: it is probably restarting.",
                    "This page tries again by itself. If it lasts, look at the cluster's services in the console.",
                )
            },
            Self::TimedOut { route } => Text {
                heading: format!("{} took too long", route.name.as_str()).into(),
                ..bad(
                    StatusCode::GATEWAY_TIMEOUT,
                    "airflow-timeout",
                    "",
                    "Its api-server accepted the request and did not answer in time.",
                    "Try again, or ask for less at once.",
                )
            },
            Self::SignInUnavailable => Text {
                follow: Follow::Reload,
                tone: Tone::Busy,
                ..calm(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "sign-in-unavailable",
                    "Sign-in is not available right now",
                    "Updraft's control plane cannot be reached. Airflow itself goes on, and whoever is signed in keeps working.",
                    "This page goes on to sign-in by itself as soon as the control plane is back.",
                )
            },
            Self::SignInFailed { retry } => Text {
                action: retry.map(|href| Action::Link {
                    label: "Sign in again",
                    href: href.into(),
                }),
                ..bad(
                    StatusCode::BAD_REQUEST,
                    "sign-in-failed",
                    "Signing in did not finish",
                    "The sign-in link was used before, is older than a minute, or was opened in another browser.",
                    "Start again from the page you wanted to see.",
                )
            },
            Self::SessionNotAccepted { retry } => Text {
                action: Some(Action::Link {
                    label: "Try again",
                    href: retry.into(),
                }),
                ..bad(
                    StatusCode::BAD_GATEWAY,
                    "session-not-accepted",
                    "Airflow did not accept your session",
                    "You are signed in, but this Airflow sent you back to sign-in: its keys may be out of date.",
                    "Try again; if it lasts, restart the cluster's api-server in the console.",
                )
            },
            Self::ConfirmSignOut { console_url } => Text {
                action: Some(Action::Post {
                    label: "Sign out",
                    then: console_url,
                }),
                ..calm(
                    StatusCode::OK,
                    "confirm-sign-out",
                    "Sign out of Updraft?",
                    "You will be signed out of this Airflow and of the console.",
                    "Running tasks are not touched.",
                )
            },
            Self::SignedOut => calm(
                StatusCode::OK,
                "signed-out",
                "You are signed out",
                "This browser has no session on this Airflow any more.",
                "The control plane cannot be reached now: sign out of the console as well when it is back.",
            ),
            Self::NotReady => Text {
                follow: Follow::Reload,
                tone: Tone::Busy,
                ..calm(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "edge-not-ready",
                    "Updraft is starting",
                    "The edge has not heard of any cluster yet.",
                    "This page tries again by itself.",
                )
            },
            Self::Internal => bad(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong inside Updraft",
                "The edge could not finish this request.",
                "Try again; if it lasts, send the request number below to your operator.",
            ),
        }
    }
}

fn not_running<'a>(route: &'a Route, console_url: &'a str) -> Text<'a> {
    let name = route.name.as_str();
    let in_console = Action::Link {
        label: "Open it in the console",
        href: format!("{console_url}/clusters/{}", route.cluster).into(),
    };
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    match &route.state {
        RouteState::Starting { waiting_for } => Text {
            heading: format!("{name} is starting").into(),
            message: waiting_for
                .as_deref()
                .map_or("Its nodes are being prepared.".into(), |w| {
                    format!("Now: {w}").into()
                }),
            action: Some(in_console),
            tone: Tone::Busy,
            follow: Follow::Poll,
            ..calm(
                unavailable,
                "cluster-starting",
                "",
                "",
                "Airflow opens here by itself as soon as it is ready.",
            )
        },
        RouteState::Stopped => Text {
            heading: format!("{name} is stopped").into(),
            action: Some(in_console),
            ..calm(
                unavailable,
                "cluster-stopped",
                "",
                "Its database, DAGs and address are kept; nothing runs.",
                "Start it in the console: this address stays the same.",
            )
        },
        RouteState::Stopping => Text {
            heading: format!("{name} is stopping").into(),
            action: Some(in_console),
            tone: Tone::Busy,
            follow: Follow::Poll,
            ..calm(
                unavailable,
                "cluster-stopping",
                "",
                "Running tasks may finish first.",
                "It can be started again in the console.",
            )
        },
        RouteState::Failed { reason } => Text {
            heading: format!("{name} could not be brought up").into(),
            message: reason.message.as_str().into(),
            remedy: reason.remedy.as_str().into(),
            action: Some(in_console),
            ..bad(unavailable, "cluster-failed", "", "", "")
        },
        RouteState::Up { .. } => Notice::Internal.text(),
    }
}

fn refusal_status(refusal: Refusal) -> StatusCode {
    match refusal {
        Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn calm<'a>(
    status: StatusCode,
    kind: &'static str,
    heading: &'a str,
    message: &'a str,
    remedy: &'a str,
) -> Text<'a> {
    Text {
        status,
        kind,
        tone: Tone::Calm,
        heading: heading.into(),
        message: message.into(),
        remedy: remedy.into(),
        action: None,
        follow: Follow::Stay,
    }
}

fn bad<'a>(
    status: StatusCode,
    kind: &'static str,
    heading: &'a str,
    message: &'a str,
    remedy: &'a str,
) -> Text<'a> {
    Text {
        tone: Tone::Bad,
        ..calm(status, kind, heading, message, remedy)
    }
}
