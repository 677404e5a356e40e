//! What is no session, or no more.

use chrono::{TimeDelta, Utc};
use serde_json::json;
use updraft_model::TokenLimit;
use updraft_sso::{SessionToken, sha256};
use updraft_store::memberships;

use super::{ALL, SOME, bad, edge_session, other_end};
use crate::browser::Browser;
use crate::house::{HERE, PASSWORD, request, rest};
use crate::scene::Door::{Form, Page, RestChange, RestCookie, Scim, Stream};
use crate::scene::{Pair, Worthless};

pub(crate) fn worthless() -> Vec<Worthless> {
    vec![
        bad("a session that was never given", ALL, |s| {
            Box::pin(async move { s.pair(SessionToken::random().expose().to_owned()) })
        }),
        bad("one character of it is another", ALL, |s| {
            Box::pin(async move { s.pair(other_end(&s.ada.token)) })
        }),
        bad("its beginning", SOME, |s| {
            Box::pin(async move { s.pair(s.ada.token[..20].to_owned()) })
        }),
        bad("its hash, as a thief of the database has it", ALL, |s| {
            Box::pin(async move {
                s.pair(format!(
                    "upd_s_{}",
                    &hex::encode(sha256(s.ada.token.as_bytes()))[..43]
                ))
            })
        }),
        bad("its id, as lists show it", SOME, |s| {
            Box::pin(async move { s.pair(s.ada.session.to_string()) })
        }),
        bad("an edge's session, signed as it should be", SOME, |s| {
            Box::pin(async move { s.pair(edge_session(&s.ada)) })
        }),
        bad(
            "an API token in the cookie",
            &[Page, Form, Stream, RestCookie],
            |s| {
                Box::pin(async move {
                    let lasts = TimeDelta::hours(1);
                    let (_, token) = s.house.api_token(&s.ada, TokenLimit::Full, lasts).await;
                    s.pair(token.expose().to_owned())
                })
            },
        ),
        bad("expired", ALL, |s| {
            Box::pin(async move {
                let expired = s.house.session(&s.ada, TimeDelta::seconds(-1)).await;
                s.pair(expired.token)
            })
        }),
        bad("signed out", ALL, |s| {
            Box::pin(async move {
                let out = s.second().await;
                let post = request("POST", "/sign-out").cookie(&out.token);
                s.done(post.header("origin", HERE).form(String::new())).await;
                s.pair(out.token)
            })
        }),
        bad("signed out everywhere", SOME, |s| {
            Box::pin(async move {
                let (out, also) = (s.second().await, s.second().await);
                let post = request("POST", "/sign-out").cookie(&out.token);
                let everywhere = post.header("origin", HERE).form("everywhere=yes".into());
                s.done(everywhere).await;
                let good = s.house.session(&s.ada, TimeDelta::hours(1)).await.token;
                Pair {
                    good,
                    bad: also.token,
                }
            })
        }),
        bad("ended from another place", ALL, |s| {
            Box::pin(async move {
                let out = s.second().await;
                let path = format!("/sessions/{}", out.session);
                s.done(rest("DELETE", &path).bearer(&s.ada.token).empty()).await;
                s.pair(out.token)
            })
        }),
        bad("of somebody whose password was changed elsewhere", SOME, |s| {
            Box::pin(async move {
                let out = s.second().await;
                let new = json!({"current": PASSWORD, "new": "quite another horse battery"});
                s.done(rest("PUT", "/me/password").bearer(&s.ada.token).json(&new))
                    .await;
                s.pair(out.token)
            })
        }),
        bad("of somebody who was removed", ALL, |s| {
            Box::pin(async move {
                let path = format!("/people/{}", s.bo.user);
                s.done(rest("DELETE", &path).bearer(&s.ada.token).empty()).await;
                s.pair(s.bo.token.clone())
            })
        }),
        bad("of somebody whom the directory switched off", SOME, |s| {
            Box::pin(async move {
                let mut tx = s.house.tx().await;
                memberships::disable(&mut tx, s.bo.tenant, s.bo.user, Utc::now())
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
                s.pair(s.bo.token.clone())
            })
        }),
        bad("planted before somebody signed in with it", ALL, |s| {
            Box::pin(async move {
                let planted = SessionToken::random().expose().to_owned();
                let mut browser = Browser::of(&s.house.first, s.house.somewhere());
                browser.cookies.push(("updraft_session".into(), planted.clone()));
                let form = [("email", s.ada.email.as_str()), ("password", PASSWORD)];
                let form = serde_urlencoded::to_string(form).unwrap();
                browser.post("/sign-in", form).await;
                let good = browser.session().unwrap().to_owned();
                assert_ne!(good, planted);
                Pair { good, bad: planted }
            })
        }),
        bad("a session where a directory's token belongs", &[Scim], |s| {
            Box::pin(async move {
                let lasts = TimeDelta::hours(1);
                let (_, good) = s.house.api_token(&s.ada, TokenLimit::Scim, lasts).await;
                Pair {
                    good: good.expose().to_owned(),
                    bad: other_end(&s.ada.token),
                }
            })
        }),
        bad(
            "changing something with a session that was never given",
            &[RestChange],
            |s| Box::pin(async move { s.pair(SessionToken::random().expose().to_owned()) }),
        ),
    ]
}
