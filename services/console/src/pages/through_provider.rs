//! To an identity provider and back. What went wrong is told on a page with a way on, whoever's fault it is.

use std::net::IpAddr;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect};
use serde::Deserialize;
use updraft_api::Problem;
use updraft_app::{AppError, BeginSignIn, Finished, SamlLogout, audit};
use updraft_model::ProviderId;

use crate::attempt;
use crate::error::Complaint;
use crate::extract::{Asked, At, Sent};
use crate::frame::Frame;
use crate::local_path::LocalPath;
use crate::pages::choices::back_query;
use crate::pages::sign_in::arrive;
use crate::refusal::{Answer, Refusal};
use crate::session::ClientAddress;
use crate::shell::Shell;
use crate::state::Console;

/// On to another site. A redirect that answers a form may not leave this one (the policy's `form-action`), hence a page
/// that moves on by itself.
#[derive(Template)]
#[template(path = "pages/away.html")]
pub(crate) struct AwayPage {
    pub(crate) frame: Frame,
    pub(crate) title: String,
    pub(crate) what: String,
    pub(crate) to: String,
}

#[derive(Template)]
#[template(path = "pages/sign_in_trouble.html")]
pub(crate) struct SignInTroublePage {
    pub(crate) frame: Frame,
    pub(crate) heading: &'static str,
    /// The provider's trouble and not the person's.
    pub(crate) theirs: bool,
    pub(crate) complaint: Complaint,
    pub(crate) again: Option<String>,
    pub(crate) otherwise: String,
    pub(crate) reference: String,
}

/// What another site posted, to be posted once more by us: then the browser sends its cookie along.
#[derive(Template)]
#[template(path = "pages/repost.html")]
pub(crate) struct RepostPage {
    pub(crate) frame: Frame,
    pub(crate) response: String,
    pub(crate) relay_state: String,
}

// === handlers ===

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wish {
    return_to: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SamlAnswer {
    #[serde(rename = "SAMLResponse")]
    response: String,
    #[serde(rename = "RelayState", default)]
    relay_state: String,
    #[serde(default)]
    reposted: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct LogoutToken {
    logout_token: String,
}

pub(crate) async fn begin(
    State(console): State<Console>,
    shell: Shell,
    headers: HeaderMap,
    ClientAddress(from): ClientAddress,
    At(provider): At<ProviderId>,
    Asked(wish): Asked<Wish>,
) -> Answer {
    let (binding, back) = (attempt::binding(&headers), LocalPath::or_home(&wish.return_to));
    let begin = BeginSignIn {
        provider,
        binding: &binding,
        email: None,
        return_to: back.as_str(),
    };
    match console.app.begin_sign_in(begin, from).await {
        Ok(begun) => {
            let mut response = Redirect::to(&begun.url).into_response();
            attempt::keep(&mut response, &console.config, &binding);
            Ok(response)
        }
        Err(error) => trouble(&shell, error),
    }
}

/// From a form on to the provider.
pub(crate) async fn leave(
    console: &Console,
    shell: &Shell,
    (headers, from): (&HeaderMap, IpAddr),
    provider: ProviderId,
    email: Option<&str>,
    back: &LocalPath,
) -> Answer {
    let binding = attempt::binding(headers);
    let begin = BeginSignIn {
        provider,
        binding: &binding,
        email,
        return_to: back.as_str(),
    };
    let begun = match console.app.begin_sign_in(begin, from).await {
        Ok(begun) => begun,
        Err(error) => return trouble(shell, error),
    };
    let page = AwayPage {
        frame: shell.frame(None),
        title: format!("Sign in with {}", begun.provider_name),
        what: "Your organisation's sign-in opens now.".to_owned(),
        to: begun.url,
    };
    let mut response = Html(page.render()?).into_response();
    attempt::keep(&mut response, &console.config, &binding);
    Ok(response)
}

/// A top-level GET, sent by the provider.
pub(crate) async fn oidc_callback(
    State(console): State<Console>,
    shell: Shell,
    headers: HeaderMap,
    At(provider): At<ProviderId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let binding = attempt::held(&headers);
    let query = query.unwrap_or_default();
    let finished = console
        .app
        .finish_oidc_sign_in(provider, &query, binding.as_deref());
    conclude(&console, &shell, finished.await)
}

/// Posted by the provider's page, hence without our cookies: so the browser is made to post it again, from here.
pub(crate) async fn saml_answer(
    State(console): State<Console>,
    shell: Shell,
    headers: HeaderMap,
    At(provider): At<ProviderId>,
    Sent(answer): Sent<SamlAnswer>,
) -> Answer {
    if answer.reposted.is_empty() {
        let page = RepostPage {
            frame: shell.frame(None),
            response: answer.response,
            relay_state: answer.relay_state,
        };
        return Ok(Html(page.render()?).into_response());
    }
    let (binding, state) = (attempt::held(&headers), Some(answer.relay_state.as_str()));
    let finished = console
        .app
        .finish_saml_sign_in(provider, &answer.response, state, binding.as_deref());
    conclude(&console, &shell, finished.await)
}

pub(crate) async fn saml_metadata(State(console): State<Console>, At(provider): At<ProviderId>) -> Answer {
    let metadata = console.app.saml_metadata(provider).await?;
    let kind = HeaderValue::from_static("application/samlmetadata+xml");
    Ok(([(CONTENT_TYPE, kind)], metadata).into_response())
}

/// OpenID Connect Back-Channel Logout 1.0, section 2.8: from the provider itself, without any browser.
pub(crate) async fn oidc_logout(
    State(console): State<Console>,
    At(provider): At<ProviderId>,
    Sent(sent): Sent<LogoutToken>,
) -> Answer {
    let no_store = (CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match console
        .app
        .end_by_oidc_provider(provider, &sent.logout_token)
        .await
    {
        Ok(()) => Ok((StatusCode::OK, [no_store]).into_response()),
        Err(error) if !error.is_internal() => {
            let problem = Problem::from(&error);
            audit::refused(&problem);
            Ok((
                StatusCode::BAD_REQUEST,
                [no_store],
                format!("{}\n", problem.title),
            )
                .into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// SAML single logout, by the browser: begun there, or the answer to ours.
pub(crate) async fn saml_logout(
    State(console): State<Console>,
    shell: Shell,
    At(provider): At<ProviderId>,
    RawQuery(query): RawQuery,
) -> Answer {
    match console
        .app
        .end_by_saml_provider(provider, &query.unwrap_or_default())
        .await
    {
        Ok(SamlLogout::Answer(Some(to))) => Ok(Redirect::to(&to).into_response()),
        Ok(SamlLogout::Answer(None) | SamlLogout::Done) => Ok(Redirect::to("/sign-in").into_response()),
        Err(error) => trouble(&shell, error),
    }
}

fn conclude(console: &Console, shell: &Shell, finished: Result<Finished, AppError>) -> Answer {
    match finished {
        Ok(Finished::SignedIn {
            token,
            expires_at,
            return_to,
        }) => arrive(
            console,
            shell,
            &LocalPath::or_home(&return_to),
            &token,
            expires_at,
        ),
        Ok(Finished::Tested { provider }) => {
            Ok(Redirect::to(&format!("/sso/providers/{provider}#test")).into_response())
        }
        Err(error) => trouble(shell, error),
    }
}

/// A refusal that a page of ours tells, noted for the audit log.
pub(crate) fn told(error: AppError) -> Refusal {
    audit::refused(&Problem::from(&error));
    Refusal::from(error)
}

/// What happened, why, and how to go on. Only what is our own fault goes the way of all errors.
pub(crate) fn trouble(shell: &Shell, error: AppError) -> Answer {
    if error.is_internal() {
        return Err(error.into());
    }
    let problem = Problem::from(&error);
    audit::refused(&problem);
    let retry = match &error {
        AppError::Sso(error) => error.retry().cloned(),
        _ => None,
    };
    let back = LocalPath::or_home(retry.as_ref().map_or("", |retry| &retry.return_to));
    let query = back_query(&back);
    let refusal = Refusal::Refused(Box::new(problem), error.retry_after());
    let status = refusal.status();
    let theirs = status == StatusCode::FAILED_DEPENDENCY;
    let page = SignInTroublePage {
        frame: shell.frame(None),
        heading: match status {
            StatusCode::TOO_MANY_REQUESTS => "Too many people sign in just now",
            _ if theirs => "Your identity provider does not answer",
            _ => "You are not signed in",
        },
        theirs,
        again: retry.map(|retry| format!("/sign-in/through/{}?{query}", retry.provider)),
        otherwise: format!("/sign-in?password=yes&{query}"),
        complaint: refusal.complaint(),
        reference: shell.reference().to_owned(),
    };
    Ok(refusal.on(page.render()?))
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::{AwayPage, RepostPage, SignInTroublePage};
    use crate::error::Complaint;
    use crate::fixtures;

    #[test]
    fn trouble_says_what_happened_and_how_to_go_on() {
        let page = SignInTroublePage {
            frame: fixtures::stranger_frame(),
            heading: "Your identity provider does not answer",
            theirs: true,
            complaint: Complaint::new("No answer came.", "Try again in a minute."),
            again: Some("/sign-in/through/1?return_to=%2F".into()),
            otherwise: "/sign-in".into(),
            reference: "0192".into(),
        };
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        for part in ["No answer came.", "Try again", "0192", r#"role="alert""#] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }

    #[test]
    fn pages_on_the_way_are_accessible_and_escape_what_came() {
        let frame = fixtures::stranger_frame();
        let page = RepostPage {
            frame: frame.clone(),
            response: r#""><script>"#.into(),
            relay_state: "s".into(),
        };
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        assert!(!html.contains(r#""><script>"#), "{html}");
        let page = AwayPage {
            frame,
            title: "Sign in with Acme".into(),
            what: "It opens now.".into(),
            to: "https://idp.example.com/a?b=c&d=e".into(),
        };
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        assert!(
            html.contains("url=https://idp.example.com/a?b=c&#38;d=e"),
            "{html}"
        );
    }
}
