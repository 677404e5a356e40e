//! Signing in. Nothing else is on the page.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect};
use serde::Deserialize;
use updraft_api::rest::SignIn;

use crate::error::Complaint;
use crate::extract::{Asked, Sent};
use crate::frame::Frame;
use crate::local_path::LocalPath;
use crate::refusal::{Answer, Refusal};
use crate::session::{ClientAddress, Visit, forget, keep};
use crate::shell::Shell;
use crate::state::Console;

#[derive(Template)]
#[template(path = "pages/sign_in.html")]
pub(crate) struct SignInPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    pub(crate) email: String,
    pub(crate) return_to: String,
    /// Whether an Airflow sent the person here.
    pub(crate) for_airflow: bool,
}

/// Signed in, and on to another host. A redirect that answers a form may not leave the site (the policy's
/// `form-action`), hence a page that moves on by itself.
#[derive(Template)]
#[template(path = "pages/continue.html")]
pub(crate) struct ContinuePage {
    pub(crate) frame: Frame,
    pub(crate) to: String,
}

/// Asks before signing out when another site sent the person here.
#[derive(Template)]
#[template(path = "pages/sign_out.html")]
pub(crate) struct SignOutPage {
    pub(crate) frame: Frame,
}

// === handlers ===

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wish {
    return_to: String,
}

#[derive(Deserialize)]
pub(crate) struct Credentials {
    email: String,
    password: String,
    #[serde(default)]
    return_to: String,
}

pub(crate) async fn show(visit: Result<Visit, Refusal>, shell: Shell, Asked(wish): Asked<Wish>) -> Answer {
    let back = LocalPath::or_home(&wish.return_to);
    match visit {
        Ok(_) => Ok(Redirect::to(back.as_str()).into_response()),
        Err(Refusal::SignedOut(_)) => draw(&shell, &back, String::new(), None),
        Err(failure) => Err(failure),
    }
}

pub(crate) async fn submit(
    State(console): State<Console>,
    shell: Shell,
    ClientAddress(from): ClientAddress,
    Sent(sent): Sent<Credentials>,
) -> Answer {
    let back = LocalPath::or_home(&sent.return_to);
    let request = SignIn {
        email: sent.email.clone(),
        password: sent.password,
    };
    let signed_in = match console.app.sign_in(request, from).await.map_err(Refusal::from) {
        Ok(signed_in) => signed_in,
        Err(failure) if failure.status().is_client_error() => {
            return draw(&shell, &back, sent.email, Some(&failure));
        }
        Err(failure) => return Err(failure),
    };
    let mut response = if back.is_handover() {
        Html(
            ContinuePage {
                frame: shell.frame(None),
                to: back.to_string(),
            }
            .render()?,
        )
        .into_response()
    } else {
        Redirect::to(back.as_str()).into_response()
    };
    keep(
        &mut response,
        &console.config,
        &signed_in.token,
        signed_in.expires_at,
    );
    Ok(response)
}

/// An Airflow's sign-out ends here too, by a link from its host: asked again, since any site could link here.
pub(crate) async fn ask_sign_out(shell: Shell, visit: Result<Visit, Refusal>) -> Answer {
    match visit {
        Ok(_) => Ok(Html(
            SignOutPage {
                frame: shell.frame(None),
            }
            .render()?,
        )
        .into_response()),
        Err(Refusal::SignedOut(_)) => Ok(Redirect::to("/sign-in").into_response()),
        Err(failure) => Err(failure),
    }
}

pub(crate) async fn sign_out(State(console): State<Console>, visit: Result<Visit, Refusal>) -> Answer {
    match visit {
        Ok(visit) => console.app.sign_out(&visit.actor).await?,
        Err(Refusal::SignedOut(_)) => {}
        Err(failure) => return Err(failure),
    }
    let mut response = Redirect::to("/sign-in").into_response();
    forget(&mut response, &console.config);
    Ok(response)
}

fn draw(shell: &Shell, back: &LocalPath, email: String, failure: Option<&Refusal>) -> Answer {
    let page = SignInPage {
        frame: shell.frame(None),
        complaint: failure.map(Refusal::complaint),
        email,
        return_to: back.to_string(),
        for_airflow: back.is_handover(),
    };
    let status = failure.map_or(StatusCode::OK, Refusal::status);
    Ok((status, Html(page.render()?)).into_response())
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::{ContinuePage, SignInPage, SignOutPage};
    use crate::error::Complaint;
    use crate::fixtures;

    #[test]
    fn it_asks_for_email_and_password_and_keeps_the_way_back() {
        let page = SignInPage {
            frame: fixtures::stranger_frame(),
            complaint: Some(Complaint::new("That did not match.", "Try again.")),
            email: r#"a"b@example.com"#.into(),
            return_to: "/clusters/1".into(),
            for_airflow: false,
        };
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        assert!(html.contains(r#"name="return_to" value="/clusters/1""#), "{html}");
        assert!(html.contains("a&#34;b@example.com"), "{html}");
    }

    #[test]
    fn the_way_on_and_the_way_out_are_accessible_pages() {
        let page = ContinuePage {
            frame: fixtures::stranger_frame(),
            to: "/handover?host=a&binding=b".into(),
        };
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        assert!(html.contains("url=/handover?host=a&#38;binding=b"), "{html}");
        fixtures::assert_accessible(
            &SignOutPage {
                frame: fixtures::stranger_frame(),
            }
            .render()
            .unwrap(),
        );
    }
}
