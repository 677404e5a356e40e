//! What is noted on the node's disk of its agents: which one is on trial, which one is proven, which one failed.
//!
//! Every release reads and writes it, older and newer ones: fields are only added, and none is needed.

use serde::{Deserialize, Serialize};
use updraft_api::agent::{AgentAssignment, RefusedAgent};

use crate::error::{Error, Result};
use crate::place::{Ownership, Place};

/// Each in a directory named by its digest: the agent's alone, as all of `agent/`.
pub(super) const RELEASES: &str = "agent/releases";
const KEPT: &str = "agent/releases/kept.json";

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    /// None: the one that the node was made with.
    proven: Option<String>,
    trial: Option<Trial>,
    pub(super) refused: Option<RefusedAgent>,
    /// That is not told yet.
    is_news: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trial {
    pub(super) release: String,
    pub(super) attempt: i64,
    /// Seconds.
    pub(super) prove_within_s: u32,
    #[serde(default)]
    pub(super) begun: bool,
}

/// Who is to run now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The one that the node was made with.
    Made,
    Proven(String),
    Trial(Trial),
}

// === impl Kept ===

impl Kept {
    pub(super) fn load(place: &Place) -> Result<Self> {
        let Some(bytes) = place.read(KEPT)? else {
            return Ok(Self::default());
        };
        serde_json::from_slice(&bytes).map_err(|source| Error::Format {
            path: place.path().join(KEPT),
            source,
        })
    }

    pub(super) fn save(&self, place: &Place) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|source| Error::Format {
            path: place.path().join(KEPT),
            source,
        })?;
        place.directory(RELEASES, 0o700, Ownership::Agent)?;
        place.write(KEPT, &bytes, 0o600, Ownership::Agent)
    }

    pub(super) fn begin_trial(&mut self, wanted: &AgentAssignment) {
        self.trial = Some(Trial {
            release: wanted.release.clone(),
            attempt: wanted.attempt,
            prove_within_s: wanted.prove_within_s,
            begun: false,
        });
    }

    /// Decides, and notes that it is decided: a trial is begun once.
    pub(super) fn start(&mut self) -> Start {
        match &mut self.trial {
            Some(trial) if !trial.begun => {
                trial.begun = true;
                return Start::Trial(trial.clone());
            }
            Some(trial) => {
                let why = format!(
                    "It was started, and control had no report of it before it ended or {} s were over.",
                    trial.prove_within_s
                );
                self.refuse(why);
            }
            None => {}
        }
        self.proven.clone().map_or(Start::Made, Start::Proven)
    }

    /// The trial came to nothing.
    pub(super) fn refuse(&mut self, why: String) {
        if let Some(trial) = self.trial.take() {
            self.refused = Some(RefusedAgent {
                release: trial.release,
                attempt: trial.attempt,
                why,
            });
            self.is_news = true;
        }
    }

    /// It can't be started: the one that the node was made with has to do.
    pub(super) fn give_up_proven(&mut self) {
        self.proven = None;
    }

    /// This one stays. False: that was known.
    pub(super) fn prove(&mut self, own: &str) -> bool {
        let is_on_trial = self.trial.as_ref().is_some_and(|trial| trial.release == own);
        if is_on_trial {
            self.trial = None;
            self.proven = Some(own.to_owned());
            self.refused = None;
        }
        is_on_trial
    }

    pub(super) fn has_refused(&self, wanted: &AgentAssignment) -> bool {
        let refused = self.refused.as_ref();
        refused
            .is_some_and(|refused| (&refused.release, refused.attempt) == (&wanted.release, wanted.attempt))
    }

    pub(super) fn news(&mut self) -> Option<String> {
        let is_news = std::mem::take(&mut self.is_news);
        self.refused
            .as_ref()
            .filter(|_| is_news)
            .map(|refused| refused.why.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(release: &str, attempt: i64) -> AgentAssignment {
        AgentAssignment {
            release: release.to_owned(),
            attempt,
            prove_within_s: 45,
        }
    }

    #[test]
    fn what_is_tried_and_proven_runs_from_then_on() {
        let mut kept = Kept::default();
        assert_eq!(kept.start(), Start::Made);
        kept.begin_trial(&wanted("b", 1));
        assert!(matches!(kept.start(), Start::Trial(trial) if trial.release == "b"));
        assert!(kept.prove("b") && !kept.prove("b"));
        assert_eq!(kept.start(), Start::Proven("b".to_owned()));
    }

    #[test]
    fn what_does_not_prove_itself_is_tried_once_and_the_one_before_runs_again() {
        let mut kept = Kept::default();
        kept.begin_trial(&wanted("b", 1));
        kept.start();
        kept.prove("b");
        kept.begin_trial(&wanted("c", 4));
        kept.start();
        assert!(!kept.prove("b"), "another one was heard");
        assert_eq!(kept.start(), Start::Proven("b".to_owned()));
        assert!(kept.has_refused(&wanted("c", 4)) && !kept.has_refused(&wanted("c", 5)));
        assert!(kept.news().is_some() && kept.news().is_none());
    }

    #[test]
    fn what_another_release_noted_is_read() {
        let noted = r#"{"proven": "b", "trial": {"release": "c", "attempt": 1, "prove_within_s": 45, "since": 7}, "new": []}"#;
        let mut kept: Kept = serde_json::from_str(noted).unwrap();
        assert!(matches!(kept.start(), Start::Trial(_)));
        let empty: Kept = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, Kept::default());
    }
}
