//! One organisation's sign-in page: its ways in.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect};
use serde::Deserialize;
use updraft_app::SignInChoices;

use crate::extract::{Asked, At};
use crate::frame::Frame;
use crate::local_path::LocalPath;
use crate::refusal::Answer;
use crate::shell::Shell;
use crate::state::Console;

#[derive(Template)]
#[template(path = "pages/choices.html")]
pub(crate) struct ChoicesPage {
    pub(crate) frame: Frame,
    pub(crate) choices: SignInChoices,
    /// Keeps the way back.
    pub(crate) query: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wish {
    return_to: String,
}

/// Whoever guesses at names of organisations is shown the page that everybody is.
pub(crate) async fn show(
    State(console): State<Console>,
    shell: Shell,
    At(tenant): At<String>,
    Asked(wish): Asked<Wish>,
) -> Answer {
    let query = back_query(&LocalPath::or_home(&wish.return_to));
    let Some(choices) = console.app.sign_in_choices(&tenant).await? else {
        return Ok(Redirect::to(&format!("/sign-in?{query}")).into_response());
    };
    let frame = shell.frame(None);
    let page = ChoicesPage {
        frame,
        choices,
        query,
    };
    Ok(Html(page.render()?).into_response())
}

pub(crate) fn back_query(back: &LocalPath) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair("return_to", back.as_str())
        .finish()
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use updraft_app::SignInChoices;

    use super::{ChoicesPage, back_query};
    use crate::fixtures;
    use crate::local_path::LocalPath;

    #[test]
    fn an_organisation_offers_its_ways_in() {
        let page = ChoicesPage {
            frame: fixtures::stranger_frame(),
            choices: SignInChoices {
                tenant_name: "Acme <b>".into(),
                providers: Vec::new(),
                password: true,
            },
            query: back_query(&LocalPath::or_home("/clusters/1?a=b&c")),
        };
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        assert!(
            !html.contains("<b>") && html.contains("return_to=%2Fclusters%2F1%3Fa%3Db%26c"),
            "{html}"
        );
    }
}
