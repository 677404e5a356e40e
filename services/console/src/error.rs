//! What a person reads when something is refused: what happened, why, and what to do next.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::text::Prose;

/// Shown on the page where it happened.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "pages/complaint.html")]
pub(crate) struct Complaint {
    pub(crate) what: Prose,
    pub(crate) next: Prose,
}

impl HtmlSafe for Complaint {}

// === impl Complaint ===

impl Complaint {
    pub(crate) fn new(what: impl AsRef<str>, next: impl AsRef<str>) -> Self {
        Self {
            what: Prose::from(what.as_ref()),
            next: Prose::from(next.as_ref()),
        }
    }
}
