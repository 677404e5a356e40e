//! What is posted in one sign-in, and what it is refused with.

use super::genuine::{Genuine, encode};
use super::recorded::{signed_again, signed_by_attacker};

/// One response that is not what the provider said, or not to be believed.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: &'static str,
    pub refused: &'static str,
    made: Made,
}

/// By whom a changed response is signed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signed {
    /// By the provider, before the change.
    Before,
    /// By the provider, change and all: it is the profile that refuses, not the signature.
    After,
    /// By someone else, change and all.
    ByAttacker,
}

#[derive(Clone, Copy, Debug)]
enum Made {
    /// Out of a response whose assertion is signed.
    Changed(Signed, fn(&str) -> String),
    Written(fn(&Genuine) -> String),
    /// As the form has it.
    Posted(fn(&Genuine) -> String),
}

// === impl Row ===

impl Row {
    /// What is posted in the place of `genuine`.
    #[must_use]
    pub fn form(&self, genuine: &Genuine) -> String {
        let said = || genuine.said("signed_assertion");
        match self.made {
            Made::Changed(Signed::Before, change) => encode(&change(&said())),
            Made::Changed(Signed::After, change) => encode(&signed_again(&change(&said()))),
            Made::Changed(Signed::ByAttacker, change) => encode(&signed_by_attacker(&change(&said()))),
            Made::Written(write) => encode(&write(genuine)),
            Made::Posted(post) => post(genuine),
        }
    }
}

pub(super) fn row(
    name: &'static str,
    signed: Signed,
    refused: &'static str,
    change: fn(&str) -> String,
) -> Row {
    Row {
        name,
        refused,
        made: Made::Changed(signed, change),
    }
}

pub(super) fn written(name: &'static str, refused: &'static str, write: fn(&Genuine) -> String) -> Row {
    Row {
        name,
        refused,
        made: Made::Written(write),
    }
}

pub(super) fn posted(name: &'static str, refused: &'static str, post: fn(&Genuine) -> String) -> Row {
    Row {
        name,
        refused,
        made: Made::Posted(post),
    }
}
