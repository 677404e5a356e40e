//! The page for whatever could not be shown or done: what happened, why, what to do.

use askama::Template;

use crate::error::Complaint;
use crate::frame::Frame;

#[derive(Template)]
#[template(path = "pages/notice.html")]
pub(crate) struct NoticePage {
    pub(crate) frame: Frame,
    pub(crate) status: u16,
    pub(crate) complaint: Complaint,
    /// Where to go on: link and its words.
    pub(crate) back: (String, &'static str),
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::NoticePage;
    use crate::error::Complaint;
    use crate::fixtures;

    #[test]
    fn an_error_says_what_and_what_next_with_and_without_a_person() {
        for frame in [fixtures::frame(), fixtures::stranger_frame()] {
            let complaint = Complaint::new("There is no cluster 99.", "Go to your clusters.");
            let back = ("/clusters".to_owned(), "Go to clusters");
            let html = NoticePage {
                frame,
                status: 404,
                complaint,
                back,
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
