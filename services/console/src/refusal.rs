//! Why a request was not done, and the page that says so. A handler only returns it; [`explain`] draws it with the
//! frame of whoever asked.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use askama::Template;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use updraft_api::Problem;
use updraft_api::rest::Me;
use updraft_app::{AppError, audit};
use updraft_model::ClusterId;

use crate::audit::REQUEST_ID;
use crate::error::Complaint;
use crate::local_path::LocalPath;
use crate::pages::notice::NoticePage;
use crate::shell::Shell;

#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// Nobody is signed in: off to sign-in, then back to this path.
    SignedOut(LocalPath),
    /// An unsafe request that none of our pages sent.
    Foreign,
    /// No such page.
    NoPage,
    /// A form larger than any of ours.
    TooLarge,
    /// A form we did not write.
    Malformed(String),
    /// The use case refused; when it is worth another try.
    Refused(Box<Problem>, Option<Duration>),
    /// A template failed: our fault.
    Unrenderable,
}

/// Filled by whoever finds out who is asking, read when a failure is drawn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asking(Arc<OnceLock<Me>>);

pub(crate) type Answer = Result<Response, Refusal>;

// === impl Refusal ===

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::SignedOut(_) => StatusCode::SEE_OTHER,
            Self::Foreign => StatusCode::FORBIDDEN,
            Self::NoPage => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Refused(problem, _) => {
                StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::Unrenderable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Stable, for the audit log.
    pub(crate) fn word(&self) -> &str {
        match self {
            Self::SignedOut(_) => "not-signed-in",
            Self::Foreign => "cross-site",
            Self::NoPage => "not-found",
            Self::TooLarge => "too-large",
            Self::Malformed(_) => "malformed-form",
            Self::Refused(problem, _) => audit::word(problem),
            Self::Unrenderable => "internal",
        }
    }

    /// What happened and what to do next.
    pub(crate) fn complaint(&self) -> Complaint {
        match self {
            Self::SignedOut(_) => Complaint::new("You are signed out.", "Sign in again."),
            Self::Foreign => Complaint::new(
                "This did not come from a page of the console, so nothing was changed.",
                "Open the console and do it there. Scripts use the REST API with a token.",
            ),
            Self::NoPage => Complaint::new(
                "There is no such page.",
                "Check the address, or begin at your clusters.",
            ),
            Self::TooLarge => Complaint::new(
                "What was sent is larger than any form of the console, so it was not read.",
                "Go back, make it shorter and send it again.",
            ),
            Self::Malformed(why) => Complaint::new(
                format!("The form could not be read: {why}."),
                "Go back, correct it and send it again.",
            ),
            Self::Refused(problem, _) => Complaint::new(sentence(&problem.title), next_on_a_page(problem)),
            Self::Unrenderable => Complaint::new(
                "This page could not be made; that is our fault.",
                "Try again. If it stays, tell your operator when it happened: the log says why.",
            ),
        }
    }

    /// A page that says so, with `Retry-After` where there is one.
    pub(crate) fn on(&self, html: String) -> Response {
        let mut response = (self.status(), Html(html)).into_response();
        if let Self::Refused(_, Some(wait)) = self {
            let seconds = HeaderValue::from(wait.as_secs() + 1);
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }

    /// What the person can correct on the page they came from; everything else has a page of its own.
    pub(crate) fn correctable(&self) -> bool {
        let quota = matches!(self, Self::Refused(problem, _) if problem.kind.ends_with(":quota-exceeded"));
        quota || matches!(self.status().as_u16(), 400 | 409 | 412 | 422 | 429 | 503)
    }

    /// To the cluster it was about, unless there is none.
    fn back(&self, path: &str) -> (String, &'static str) {
        let id = path
            .strip_prefix("/clusters/")
            .and_then(|rest| rest.split('/').next());
        match id.and_then(|id| id.parse::<ClusterId>().ok()) {
            Some(id) if self.status() != StatusCode::NOT_FOUND => {
                (format!("/clusters/{id}"), "Back to the cluster")
            }
            _ => ("/clusters".to_owned(), "Go to clusters"),
        }
    }

    fn page(&self, shell: &Shell, me: Option<&Me>) -> Response {
        let (complaint, status) = (self.complaint(), self.status());
        let back = self.back(shell.path());
        let page = NoticePage {
            frame: shell.frame(me),
            status: status.as_u16(),
            complaint,
            back,
        };
        match page.render() {
            Ok(html) => self.on(html),
            Err(error) => {
                tracing::error!(%error, "The error page could not be rendered");
                (status, "Something went wrong.").into_response()
            }
        }
    }
}

/// The error with all its sources, once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// What to do next on a page, where the problem speaks to programs.
fn next_on_a_page(problem: &Problem) -> String {
    let word = problem.kind.rsplit(':').next().unwrap_or_default();
    match word {
        "generation-mismatch" => {
            "Somebody was faster. Look at the values below and make your change again.".to_owned()
        }
        "cluster-not-found" => "Go to your clusters, or ask one of its admins for a role.".to_owned(),
        "not-signed-in" => "Sign in again.".to_owned(),
        _ => problem.detail.clone(),
    }
}

fn sentence(title: &str) -> String {
    if title.ends_with(['.', '!', '?']) {
        title.to_owned()
    } else {
        format!("{title}.")
    }
}

impl From<AppError> for Refusal {
    fn from(error: AppError) -> Self {
        if error.is_internal() {
            tracing::error!(error = chain(&error), "A use case failed");
        }
        let problem = Problem::from(&error);
        // The page it happened on may draw it itself.
        audit::refused(&problem);
        Self::Refused(Box::new(problem), error.retry_after())
    }
}

impl From<askama::Error> for Refusal {
    fn from(error: askama::Error) -> Self {
        tracing::error!(%error, "A page could not be rendered");
        Self::Unrenderable
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = match &self {
            Self::SignedOut(back) => {
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("return_to", back.as_str())
                    .finish();
                Redirect::to(&format!("/sign-in?{query}")).into_response()
            }
            _ => self.status().into_response(),
        };
        response.extensions_mut().insert(self);
        response
    }
}

// === impl Asking ===

impl Asking {
    pub(crate) fn is(&self, me: &Me) {
        let _already_known = self.0.set(me.clone());
    }
}

/// Draws the failures that handlers and extractors returned.
pub(crate) async fn explain(shell: Shell, mut request: Request, next: Next) -> Response {
    let asking = Asking::default();
    request.extensions_mut().insert(asking.clone());
    let response = next.run(request).await;
    let failure = match response.extensions().get::<Refusal>() {
        // Goes to the sign-in page, and is no page itself.
        None | Some(Refusal::SignedOut(_)) => return response,
        Some(failure) => failure,
    };
    let mut page = failure.page(&shell, asking.0.get());
    if let Some(id) = response.headers().get(&REQUEST_ID) {
        page.headers_mut().insert(REQUEST_ID, id.clone());
    }
    page
}

pub(crate) async fn no_page() -> Refusal {
    Refusal::NoPage
}
