//! What a node's machine said while it booted. It wrote that itself: text, escaped, and no link is made of it.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use updraft_api::boot_log::BootLogView;
use updraft_api::rest::ClusterView;
use updraft_model::ClusterId;

use super::cluster::{Head, Tab};
use crate::extract::At;
use crate::frame::{Frame, Here};
use crate::refusal::Answer;
use crate::session::Visit;
use crate::state::Console;

#[derive(Template)]
#[template(path = "pages/boot_log.html")]
pub(crate) struct BootLogPage {
    pub(crate) frame: Frame,
    pub(crate) head: Head,
    log: BootLogView,
}

// === impl BootLogPage ===

impl BootLogPage {
    pub(crate) fn new(frame: Frame, cluster: &ClusterView, log: BootLogView) -> Self {
        Self {
            frame,
            head: Head::new(cluster, Tab::Nodes),
            log,
        }
    }
}

// === handlers ===

pub(crate) async fn show(
    State(console): State<Console>,
    visit: Visit,
    At((id, node)): At<(ClusterId, String)>,
) -> Answer {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    let log = console.app.boot_log(&visit.actor, id, &node).await?;
    let page = BootLogPage::new(visit.frame().on(Here::Clusters), &cluster, log);
    Ok(Html(page.render()?).into_response())
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::BootLogPage;
    use crate::fixtures;

    #[test]
    fn what_a_machine_says_is_text_and_the_page_says_why_there_is_none() {
        let page = |log| {
            let page = BootLogPage::new(fixtures::frame(), &fixtures::cluster(1, "demo"), log);
            page.render().unwrap()
        };
        let mut log = fixtures::boot_log();
        log.text = Some("<script>alert(1)</script>".to_owned());
        let html = page(log.clone());
        fixtures::assert_accessible(&html);
        assert!(html.contains("&#60;script&#62;alert(1)"), "{html}");
        assert!(!html.contains("<script>alert"), "{html}");
        (log.text, log.missing) = (None, Some("It is not there yet.".to_owned()));
        let html = page(log);
        fixtures::assert_accessible(&html);
        assert!(html.contains("It is not there yet."), "{html}");
    }
}
