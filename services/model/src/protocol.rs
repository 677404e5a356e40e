//! Which versions of what agents, edges and control say to each other go together.
//!
//! Neighbouring versions do, in both directions: the newer side says nothing that the older cannot do without. So control,
//! edges and agents are upgraded one after the other, and one version at a time.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A version of the protocols of agents and of edges, which are counted together.
///
/// | version | since then |
/// |---|---|
/// | 1 | agents say it when they register, edges never |
/// | 2 | everybody says it with each request and each answer; agents say which release they are, and replace themselves |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Protocol(pub u32);

/// Two that do not understand each other, as one of them sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TooFarApart {
    #[error(
        "it speaks protocol {theirs}, and here nothing older than {oldest} is understood: upgrade it first, one version at a time"
    )]
    Older { theirs: Protocol, oldest: Protocol },
    #[error(
        "it speaks protocol {theirs}, and here nothing newer than {newest} is understood: upgrade this side first, one version \
         at a time"
    )]
    Newer { theirs: Protocol, newest: Protocol },
}

// === impl Protocol ===

impl Protocol {
    /// What this release speaks.
    pub const OWN: Self = Self(2);
    /// Of whoever does not say.
    pub const FIRST: Self = Self(1);
    /// The header of requests and answers that says it.
    pub const HEADER: &'static str = "updraft-protocol";

    /// What a message with this header speaks. One that cannot be read is no version that anybody understands.
    #[must_use]
    pub fn said(header: Option<&str>) -> Self {
        header.map_or(Self::FIRST, |text| Self(text.trim().parse().unwrap_or(u32::MAX)))
    }

    /// Whether this release understands them.
    ///
    /// # Errors
    /// With the side that is to be upgraded first.
    pub fn meet(self) -> Result<(), TooFarApart> {
        let (oldest, newest) = (Self(Self::OWN.0 - 1), Self(Self::OWN.0 + 1));
        match self {
            theirs if theirs < oldest => Err(TooFarApart::Older { theirs, oldest }),
            theirs if theirs > newest => Err(TooFarApart::Newer { theirs, newest }),
            Self(_) => Ok(()),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Protocol, TooFarApart};

    #[test]
    fn neighbours_understand_each_other_and_nobody_else() {
        let own = Protocol::OWN.0;
        for near in [own - 1, own, own + 1] {
            assert_eq!(Protocol(near).meet(), Ok(()));
        }
        for far in [Protocol(own + 2), Protocol(u32::MAX)] {
            assert!(matches!(far.meet(), Err(TooFarApart::Newer { .. })));
        }
        let older = Protocol(own - 2).meet().unwrap_err().to_string();
        assert!(older.contains("upgrade it first"), "{older}");
    }

    #[test]
    fn who_does_not_say_speaks_the_first_and_who_says_nonsense_none() {
        assert_eq!(Protocol::said(None), Protocol::FIRST);
        assert_eq!(Protocol::said(Some(" 2 ")), Protocol(2));
        assert!(Protocol::said(Some("two")).meet().is_err());
    }
}
