//! The icons of the sprite in `pages/icons.html`. Always beside a word, never instead of one, hence hidden from
//! screen readers.

use std::fmt;

use askama::filters::HtmlSafe;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Icon(&'static str);

pub(crate) fn icon(name: &'static str) -> Icon {
    Icon(name)
}

// === impl Icon ===

/// Names come from our own code only, hence safe as HTML.
impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            r##"<svg class="icon" aria-hidden="true"><use href="#i-{}"/></svg>"##,
            self.0
        )
    }
}

impl HtmlSafe for Icon {}
