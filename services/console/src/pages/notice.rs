//! The page for whatever could not be shown or done: what happened, why, what to do.

use askama::Template;

use crate::frame::Frame;

#[derive(Template)]
#[template(path = "pages/notice.html")]
pub(crate) struct NoticePage {
    pub(crate) frame: Frame,
    pub(crate) status: u16,
    pub(crate) what: String,
    pub(crate) next: String,
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::NoticePage;
    use crate::fixtures;

    #[test]
    fn an_error_says_what_and_what_next_with_and_without_a_person() {
        for frame in [fixtures::frame(), fixtures::stranger_frame()] {
            let (what, next) = (
                "There is no cluster 99.".to_owned(),
                "Go to your clusters.".to_owned(),
            );
            let html = NoticePage {
                frame,
                status: 404,
                what,
                next,
            }
            .render()
            .unwrap();
            fixtures::assert_accessible(&html);
            assert!(
                html.contains("There is no cluster 99.") && html.contains("404"),
                "{html}"
            );
        }
    }
}
