//! Who asks: a bearer token, or the console's cookie if one of our own pages sent it.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum_extra::extract::CookieJar;
use updraft_app::{Actor, AppError};

use super::origin::is_our_own;
use super::{ApiError, ApiResult, RestState};

const COOKIE: &str = "updraft_session";

/// The signed-in person behind the request. Only routes behind [`require_caller`] have one.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Actor);

enum Credential {
    Bearer(String),
    Cookie(String),
}

/// Lets only signed-in people and the holders of their tokens through.
pub(crate) async fn require_caller(
    State(state): State<RestState>,
    mut request: Request,
    next: Next,
) -> ApiResult<Response> {
    let actor = match credential(request.headers()).ok_or(AppError::NotSignedIn)? {
        Credential::Bearer(token) => state.app.authenticate(&token).await?,
        Credential::Cookie(token) => {
            if !is_our_own(request.method(), request.headers(), &state.config.allowed_origins) {
                return Err(cross_site());
            }
            state.app.authenticate_session(&token).await?
        }
    };
    if !actor.credential.opens_rest() {
        return Err(scim_alone());
    }
    request.extensions_mut().insert(Caller(actor));
    Ok(next.run(request).await)
}

/// An Authorization header, even an unusable one, keeps the cookie from being looked at.
fn credential(headers: &HeaderMap) -> Option<Credential> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = sent.next() else {
        let jar = CookieJar::from_headers(headers);
        return jar
            .get(COOKIE)
            .map(|cookie| Credential::Cookie(cookie.value().to_owned()));
    };
    if sent.next().is_some() {
        return None;
    }
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Credential::Bearer(token.trim().to_owned()))
}

fn cross_site() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "cross-site",
        "The request came from a page that is not the console's.",
        "Use the console itself, or send the token as `Authorization: Bearer`.",
    )
}

fn scim_alone() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "scim-token",
        "This token is good for SCIM alone.",
        "Give it to your directory, with the SCIM address; make another token for the REST API.",
    )
}

// === impl Caller ===

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| AppError::NotSignedIn.into())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::{Credential, credential};

    fn shown(authorizations: &[&'static str], cookie: Option<&'static str>) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in authorizations {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        if let Some(cookie) = cookie {
            headers.insert(header::COOKIE, HeaderValue::from_static(cookie));
        }
        credential(&headers).map(|credential| match credential {
            Credential::Bearer(token) => format!("bearer {token}"),
            Credential::Cookie(token) => format!("cookie {token}"),
        })
    }

    #[test]
    fn a_bearer_token_goes_before_the_cookie() {
        let cookie = Some("a=b; updraft_session=c");
        assert_eq!(shown(&[], cookie).unwrap(), "cookie c");
        assert_eq!(shown(&["Bearer t"], cookie).unwrap(), "bearer t");
        assert_eq!(shown(&["bearer t"], None).unwrap(), "bearer t");
    }

    #[test]
    fn an_unusable_authorization_is_not_made_up_for_by_the_cookie() {
        let cookie = Some("updraft_session=c");
        for bad in ["Basic abc", "t", ""] {
            assert!(shown(&[bad], cookie).is_none(), "{bad}");
        }
        assert!(shown(&["Bearer a", "Bearer b"], cookie).is_none());
    }
}
