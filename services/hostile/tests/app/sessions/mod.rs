//! Sessions: forged, planted, ended, other tenants', used by another site, and hand-over codes in wrong hands.

mod hand_over;
mod too_far;
mod worthless;

use std::net::IpAddr;

use axum::body::Body;
use axum::http::Request;
use chrono::{TimeDelta, Utc};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use updraft_authz::{SESSION_AUDIENCE, SESSION_ISSUER, SessionClaims, SigningKey, mint_session_token};
use updraft_model::ClusterId;
use updraft_sso::sha256;
use url::Url;

use crate::house::{Answer, EDGE_TOKEN, HERE, House, Someone, request};
use crate::scene::Door::{Form, Page, Rest, RestCookie, Stream};
use crate::scene::{By, Door, Pair, Scene, TooFar, Tried, Worthless, hold_back, turn_away};

pub(crate) use hand_over::handed_over;
pub(crate) use too_far::too_far;
pub(crate) use worthless::worthless;

pub(crate) type Played<T> = for<'s> fn(&'s Scene<'_>) -> BoxFuture<'s, T>;

const ALL: &[Door] = &[Page, Form, Stream, RestCookie, Rest];
const SOME: &[Door] = &[Page, Rest];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_session_opens_nothing() {
    turn_away(&House::open_to(&[]).await, &worthless()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_reaches_no_further_than_its_person_and_page() {
    hold_back(&House::open_to(&[]).await, &too_far()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_code_is_good_once_for_one_browser_and_host() {
    hold_back(&House::open_to(&[]).await, &handed_over()).await;
}

const BROWSER: &str = "what the browser's cookie holds";

// === impl Scene ===

impl Scene<'_> {
    /// Beside Ada's own session.
    pub(crate) fn pair(&self, bad: String) -> Pair {
        Pair {
            good: self.ada.token.clone(),
            bad,
        }
    }

    /// Another session of Ada's.
    pub(crate) async fn second(&self) -> Someone {
        self.house.session(&self.ada, TimeDelta::hours(1)).await
    }

    pub(crate) async fn done(&self, request: Request<Body>) {
        let answer = self.ask(request).await;
        let good = answer.status.is_success() || answer.status.is_redirection();
        assert!(good, "{}", answer.text);
    }

    pub(crate) fn tried(&self, control: Answer, hostile: Answer) -> Tried {
        self.tried_by(&self.ada, control, hostile)
    }

    pub(crate) fn tried_by(&self, by: &Someone, control: Answer, hostile: Answer) -> Tried {
        Tried {
            control,
            hostile,
            by: By::Person(by.clone()),
        }
    }

    /// Who made somebody's browser ask is not known.
    pub(crate) fn tried_by_nobody(&self, control: Answer, hostile: Answer) -> Tried {
        Tried {
            control,
            hostile,
            by: By::Nobody,
        }
    }

    async fn as_from(&self, origin: &str) -> Tried {
        let switch = |origin: &str| {
            request("POST", "/theme")
                .cookie(&self.ada.token)
                .header("origin", origin)
                .form("theme=dark&return_to=%2Fclusters".to_owned())
        };
        let control = self.ask(switch(HERE)).await;
        self.tried_by_nobody(control, self.tries(switch(origin)).await)
    }

    pub(crate) fn host(&self, cluster: ClusterId) -> String {
        let config = self.house.first.app.config();
        config.airflow_host(self.ada.tenant, cluster).unwrap()
    }

    /// A code for Ada in her browser, as the console hands it out.
    async fn code(&self) -> String {
        self.code_of(&self.ada).await
    }

    async fn code_of(&self, who: &Someone) -> String {
        let path = format!(
            "/handover?host={}&binding={}&return_to=%2Fairflow-webserver-{}%2F",
            self.host(self.cluster),
            hex::encode(sha256(BROWSER.as_bytes())),
            self.cluster
        );
        let sent = self.ask(request("GET", &path).cookie(&who.token).empty()).await;
        let to = Url::parse(sent.location()).unwrap_or_else(|_| panic!("{}", sent.text));
        let (_, code) = to.query_pairs().find(|(name, _)| name == "code").unwrap();
        code.into_owned()
    }

    async fn redeems(&self, code: &str, host: &str, binding: &str) -> Answer {
        let asked = redeem(code, host, binding, self.from);
        self.house.second.ask_as_edge(asked).await
    }

    /// Beside another code in the right hands. A refused one is nobody's who was proven, in the log of the account's tenant.
    async fn handed(&self, hostile: Answer) -> Tried {
        let code = self.code().await;
        let asked = redeem(&code, &self.host(self.cluster), BROWSER, self.house.somewhere());
        Tried {
            control: self.house.first.ask_as_edge(asked).await,
            hostile,
            by: By::Claimed(self.ada.clone()),
        }
    }
}

fn redeem(code: &str, host: &str, binding: &str, from: IpAddr) -> Request<Body> {
    let id = uuid::Uuid::now_v7().to_string();
    let from = json!({"address": from, "user_agent": "hostile", "request_id": id});
    let body: Value = json!({"code": code, "host": host, "binding": binding, "from": from});
    request("POST", "/edge/v1/handover")
        .bearer(EDGE_TOKEN)
        .json(&body)
}

pub(crate) fn bad(name: &'static str, doors: &'static [Door], made: Played<Pair>) -> Worthless {
    Worthless {
        name,
        doors,
        made: Box::new(made),
    }
}

pub(crate) fn far(
    name: &'static str,
    action: &'static str,
    reason: &'static str,
    tried: Played<Tried>,
) -> TooFar {
    TooFar {
        name,
        action,
        reason,
        tried: Box::new(tried),
    }
}

/// Asked of one's own cluster, and of another tenant's.
pub(crate) fn foreign(
    name: &'static str,
    action: &'static str,
    reason: &'static str,
    asked: fn(&Scene<'_>, &str, ClusterId) -> Request<Body>,
) -> TooFar {
    TooFar {
        name,
        action,
        reason,
        tried: Box::new(move |s| {
            Box::pin(async move {
                let hostile = s.tries(asked(s, &s.ada.token, s.foreign)).await;
                s.tried(s.ask(asked(s, &s.ada.token, s.cluster)).await, hostile)
            })
        }),
    }
}

/// The same text with another end.
pub(crate) fn other_end(token: &str) -> String {
    let (rest, last) = token.split_at(token.len() - 1);
    format!("{rest}{}", if last == "A" { "B" } else { "A" })
}

/// What an edge gives a browser for an Airflow's host.
fn edge_session(person: &Someone) -> String {
    let now = Utc::now().timestamp();
    let claims = SessionClaims {
        iss: SESSION_ISSUER.to_owned(),
        aud: SESSION_AUDIENCE.to_owned(),
        sid: person.session,
        sub: person.user,
        tenant: person.tenant,
        email: person.email.clone(),
        name: "Ada".to_owned(),
        host: "127.0.0.1:7701".to_owned(),
        iat: now,
        exp: now + 3600,
    };
    let key = SigningKey::from_seed("test", &[7; 32]).unwrap();
    mint_session_token(&key, &claims).unwrap()
}
