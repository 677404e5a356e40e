//! Signing in: one field, the work e-mail, and then the right provider or a password. Nothing else is on the page.

use std::net::IpAddr;

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{Html, IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use updraft_api::rest::SignIn;
use updraft_app::{FirstStep, WayIn};

use crate::attempt;
use crate::error::Complaint;
use crate::extract::{Asked, Sent};
use crate::frame::Frame;
use crate::local_path::LocalPath;
use crate::pages::{sign_in_code, through_provider};
use crate::refusal::{Answer, Refusal};
use crate::session::{ClientAddress, Visit, keep};
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
    /// The address comes first: it says where one signs in.
    pub(crate) asks_password: bool,
}

/// Signed in, and on to another host. A redirect that answers a form may not leave the site (the policy's
/// `form-action`), hence a page that moves on by itself.
#[derive(Template)]
#[template(path = "pages/continue.html")]
pub(crate) struct ContinuePage {
    pub(crate) frame: Frame,
    pub(crate) to: String,
}

// === handlers ===

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wish {
    return_to: String,
    /// Straight to the password: for when the provider is away.
    password: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Credentials {
    email: String,
    /// Absent until the address was looked at.
    #[serde(default)]
    password: String,
    #[serde(default)]
    return_to: String,
}

/// What was typed so far.
struct Typed {
    email: String,
    asks_password: bool,
}

pub(crate) async fn show(visit: Result<Visit, Refusal>, shell: Shell, Asked(wish): Asked<Wish>) -> Answer {
    let back = LocalPath::or_home(&wish.return_to);
    let typed = Typed {
        email: String::new(),
        asks_password: wish.password.is_some(),
    };
    match visit {
        Ok(_) => Ok(Redirect::to(back.as_str()).into_response()),
        Err(Refusal::SignedOut(_)) => draw(&shell, &back, typed, None),
        Err(failure) => Err(failure),
    }
}

pub(crate) async fn submit(
    State(console): State<Console>,
    shell: Shell,
    headers: HeaderMap,
    ClientAddress(from): ClientAddress,
    Sent(sent): Sent<Credentials>,
) -> Answer {
    let back = LocalPath::or_home(&sent.return_to);
    if sent.password.is_empty() {
        return next(&console, &shell, (&headers, from), sent.email, &back).await;
    }
    let request = SignIn {
        email: sent.email.clone(),
        password: sent.password,
        code: None,
    };
    let binding = attempt::binding(&headers);
    let first = console.app.begin_password_sign_in(request, &binding, from);
    match first.await.map_err(Refusal::from) {
        Ok(FirstStep::SignedIn(done)) => arrive(&console, &shell, &back, &done.token, done.expires_at),
        Ok(FirstStep::CodeNeeded { proof }) => {
            let mut response = sign_in_code::ask(&shell, &back, proof, None)?;
            attempt::keep(&mut response, &console.config, &binding);
            Ok(response)
        }
        Err(failure) if failure.correctable() || failure.status().is_client_error() => {
            let typed = Typed {
                email: sent.email,
                asks_password: true,
            };
            draw(&shell, &back, typed, Some(&failure))
        }
        Err(failure) => Err(failure),
    }
}

/// To the provider of the address's domain, else to the password: also for addresses that nobody has.
async fn next(
    console: &Console,
    shell: &Shell,
    (headers, from): (&HeaderMap, IpAddr),
    email: String,
    back: &LocalPath,
) -> Answer {
    match console.app.way_in(&email).await? {
        WayIn::Provider(provider) => {
            through_provider::leave(console, shell, (headers, from), provider, Some(&email), back).await
        }
        WayIn::Password => {
            let typed = Typed {
                email,
                asks_password: true,
            };
            draw(shell, back, typed, None)
        }
    }
}

/// Signed in: on to where the person wanted to go.
pub(crate) fn arrive(
    console: &Console,
    shell: &Shell,
    back: &LocalPath,
    token: &str,
    until: DateTime<Utc>,
) -> Answer {
    let mut response: Response = if back.is_handover() {
        let page = ContinuePage {
            frame: shell.frame(None),
            to: back.to_string(),
        };
        Html(page.render()?).into_response()
    } else {
        Redirect::to(back.as_str()).into_response()
    };
    keep(&mut response, &console.config, token, until);
    Ok(response)
}

fn draw(shell: &Shell, back: &LocalPath, typed: Typed, failure: Option<&Refusal>) -> Answer {
    let page = SignInPage {
        frame: shell.frame(None),
        complaint: failure.map(Refusal::complaint),
        email: typed.email,
        return_to: back.to_string(),
        for_airflow: back.is_handover(),
        asks_password: typed.asks_password,
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

    use super::{ContinuePage, SignInPage};
    use crate::error::Complaint;
    use crate::fixtures;

    fn page(asks_password: bool) -> String {
        let page = SignInPage {
            frame: fixtures::stranger_frame(),
            complaint: Some(Complaint::new("That did not match.", "Try again.")),
            email: r#"a"b@example.com"#.into(),
            return_to: "/clusters/1".into(),
            for_airflow: false,
            asks_password,
        };
        page.render().unwrap()
    }

    #[test]
    fn it_asks_for_the_address_first_and_keeps_the_way_back() {
        for (asks_password, fields) in [(false, 0), (true, 1)] {
            let html = page(asks_password);
            fixtures::assert_accessible(&html);
            assert!(html.contains(r#"name="return_to" value="/clusters/1""#), "{html}");
            assert!(html.contains("a&#34;b@example.com"), "{html}");
            assert_eq!(html.matches(r#"type="password""#).count(), fields, "{html}");
        }
    }

    #[test]
    fn the_way_on_is_an_accessible_page() {
        let page = ContinuePage {
            frame: fixtures::stranger_frame(),
            to: "/handover?host=a&binding=b".into(),
        };
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        assert!(html.contains("url=/handover?host=a&#38;binding=b"), "{html}");
    }
}
