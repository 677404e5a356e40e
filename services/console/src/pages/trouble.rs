//! Why a cluster is not well, unless the page says it elsewhere.

use askama::Template;
use askama::filters::HtmlSafe;
use updraft_api::rest::OperationView;
use updraft_model::{Failure, Phase};

/// Why the cluster is degraded or failed.
#[derive(Template)]
#[template(path = "pages/trouble.html")]
pub(crate) struct Trouble {
    failure: Option<Failure>,
    reasons: Vec<String>,
}

impl HtmlSafe for Trouble {}

// === impl Trouble ===

impl Trouble {
    /// A failure that the timeline shows already is not said twice.
    pub(crate) fn new(phase: &Phase, shown: Option<&OperationView>) -> Self {
        let told = shown.and_then(|operation| operation.failure.as_ref());
        match phase {
            Phase::Failed { reason } if told.is_some_and(|failure| failure.code == reason.code) => Self {
                failure: None,
                reasons: Vec::new(),
            },
            Phase::Failed { reason } => Self {
                failure: Some(reason.clone()),
                reasons: Vec::new(),
            },
            Phase::Degraded { reasons } => Self {
                failure: None,
                reasons: reasons.clone(),
            },
            Phase::Stopped | Phase::Starting { .. } | Phase::Running | Phase::Stopping | Phase::Deleting => {
                Self {
                    failure: None,
                    reasons: Vec::new(),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use updraft_model::Phase;

    use super::Trouble;
    use crate::fixtures;

    #[test]
    fn a_failure_is_said_once() {
        let (phase, operation) = (fixtures::failed(), fixtures::operation("failed"));
        assert_eq!(
            Trouble::new(&phase, Some(&operation)).render().unwrap().trim(),
            ""
        );
        assert!(
            Trouble::new(&phase, None)
                .render()
                .unwrap()
                .contains("then try again")
        );
    }

    #[test]
    fn degraded_says_why() {
        let html = Trouble::new(
            &Phase::Degraded {
                reasons: vec!["worker-2 is lost".into()],
            },
            None,
        )
        .render()
        .unwrap();
        assert!(html.contains("worker-2 is lost"), "{html}");
        assert_eq!(Trouble::new(&Phase::Running, None).render().unwrap().trim(), "");
    }
}
