//! The second page of a sign-in by password: the code. What the first one proved comes along, and is worth nothing in
//! another browser.

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{Html, IntoResponse};
use serde::Deserialize;

use crate::attempt;
use crate::error::Complaint;
use crate::extract::Sent;
use crate::frame::Frame;
use crate::local_path::LocalPath;
use crate::pages::sign_in::arrive;
use crate::refusal::{Answer, Refusal};
use crate::session::ClientAddress;
use crate::shell::Shell;
use crate::state::Console;

#[derive(Template)]
#[template(path = "pages/sign_in_code.html")]
pub(crate) struct SignInCodePage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    pub(crate) proof: String,
    pub(crate) return_to: String,
}

#[derive(Deserialize)]
pub(crate) struct Typed {
    code: String,
    proof: String,
    #[serde(default)]
    return_to: String,
}

pub(crate) async fn submit(
    State(console): State<Console>,
    shell: Shell,
    headers: HeaderMap,
    ClientAddress(from): ClientAddress,
    Sent(typed): Sent<Typed>,
) -> Answer {
    let back = LocalPath::or_home(&typed.return_to);
    let binding = attempt::held(&headers).unwrap_or_default();
    let signed_in = console
        .app
        .sign_in_with_code(&typed.proof, &binding, &typed.code, from);
    match signed_in.await.map_err(Refusal::from) {
        Ok(done) => arrive(&console, &shell, &back, &done.token, done.expires_at),
        Err(failure) if failure.status().is_client_error() => ask(&shell, &back, typed.proof, Some(&failure)),
        Err(failure) => Err(failure),
    }
}

pub(crate) fn ask(shell: &Shell, back: &LocalPath, proof: String, failure: Option<&Refusal>) -> Answer {
    let page = SignInCodePage {
        frame: shell.frame(None),
        complaint: failure.map(Refusal::complaint),
        proof,
        return_to: back.to_string(),
    };
    let html = page.render()?;
    Ok(match failure {
        Some(failure) => failure.on(html),
        None => Html(html).into_response(),
    })
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::SignInCodePage;
    use crate::fixtures;

    #[test]
    fn it_asks_for_the_code_alone_and_carries_the_first_step() {
        let page = SignInCodePage {
            frame: fixtures::stranger_frame(),
            complaint: None,
            proof: "a.1.b".into(),
            return_to: "/clusters/1".into(),
        };
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        assert!(html.contains(r#"name="proof" value="a.1.b""#) && !html.contains("type=\"password\""));
    }
}
