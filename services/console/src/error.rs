//! What a person reads when something is refused: what happened, why, and what to do next.

use askama::Template;
use askama::filters::HtmlSafe;

/// Shown on the page where it happened.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "pages/complaint.html")]
pub(crate) struct Complaint {
    pub(crate) what: String,
    pub(crate) next: String,
}

impl HtmlSafe for Complaint {}

// === impl Complaint ===

impl Complaint {
    pub(crate) fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next: next.into(),
        }
    }
}
