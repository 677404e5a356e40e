//! Sessions: forged, planted, ended, other tenants', used by another site, and hand-over codes in wrong hands.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::Request;
use chrono::{TimeDelta, Utc};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use updraft_authz::{SESSION_AUDIENCE, SESSION_ISSUER, SessionClaims, SigningKey, mint_session_token};
use updraft_model::{ClusterId, TenantRole, TokenLimit};
use updraft_sso::{SessionToken, sha256};
use updraft_store::{memberships, people};
use url::Url;

use crate::browser::Browser;
use crate::house::{Answer, EDGE_TOKEN, HERE, House, PASSWORD, Someone, request, rest};
use crate::scene::Door::{Form, Page, Rest, RestChange, RestCookie, Scim, Stream};
use crate::scene::{By, Door, Pair, Scene, TooFar, Tried, Worthless, hold_back, turn_away};

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

pub(crate) fn too_far() -> Vec<TooFar> {
    vec![
        foreign(
            "another tenant's cluster",
            "cluster.show",
            "cluster-not-found",
            |_, token, id| rest("GET", &format!("/clusters/{id}")).bearer(token).empty(),
        ),
        foreign(
            "starting another tenant's cluster",
            "cluster.start",
            "cluster-not-found",
            |_, token, id| {
                rest("POST", &format!("/clusters/{id}/start"))
                    .bearer(token)
                    .empty()
            },
        ),
        foreign(
            "deleting another tenant's cluster",
            "cluster.delete",
            "cluster-not-found",
            |_, token, id| rest("DELETE", &format!("/clusters/{id}")).bearer(token).empty(),
        ),
        foreign(
            "another tenant's cluster, on its page",
            "console.page",
            "cluster-not-found",
            |_, token, id| request("GET", &format!("/clusters/{id}")).cookie(token).empty(),
        ),
        foreign(
            "another tenant's cluster, live",
            "console.page",
            "cluster-not-found",
            |_, token, id| {
                request("GET", &format!("/live/clusters/{id}/overview"))
                    .cookie(token)
                    .empty()
            },
        ),
        foreign(
            "restarting another tenant's cluster by a form",
            "cluster.start",
            "cluster-not-found",
            |_, token, id| {
                request("POST", &format!("/clusters/{id}/start"))
                    .cookie(token)
                    .header("origin", HERE)
                    .form(String::new())
            },
        ),
        foreign(
            "into another tenant's Airflow",
            "console.page",
            "cluster-not-found",
            |s, token, id| {
                let host = s.host(id);
                let path = format!(
                    "/handover?host={host}&binding={}&return_to=%2Fairflow-webserver-{id}%2F",
                    hex::encode([7; 32])
                );
                request("GET", &path).cookie(token).empty()
            },
        ),
        far(
            "another tenant's session",
            "session.revoke",
            "session-not-found",
            |s| {
                Box::pin(async move {
                    let path = |session: &Someone| format!("/sessions/{}", session.session);
                    let own = s.second().await;
                    let end = |path: String| rest("DELETE", &path).bearer(&s.ada.token).empty();
                    s.tried(s.ask(end(path(&own))).await, s.tries(end(path(&s.eve))).await)
                })
            },
        ),
        far(
            "another tenant's person",
            "person.remove",
            "person-not-found",
            |s| {
                Box::pin(async move {
                    let remove = |user| {
                        rest("DELETE", &format!("/people/{user}"))
                            .bearer(&s.ada.token)
                            .empty()
                    };
                    s.tried(s.ask(remove(s.bo.user)).await, s.tries(remove(s.eve.user)).await)
                })
            },
        ),
        far("another tenant's token", "token.revoke", "token-not-found", |s| {
            Box::pin(async move {
                let lasts = TimeDelta::hours(1);
                let (own, _) = s.house.api_token(&s.ada, TokenLimit::Full, lasts).await;
                let (theirs, _) = s.house.api_token(&s.eve, TokenLimit::Full, lasts).await;
                let revoke = |id| {
                    rest("DELETE", &format!("/tokens/{id}"))
                        .bearer(&s.ada.token)
                        .empty()
                };
                s.tried(s.ask(revoke(own)).await, s.tries(revoke(theirs)).await)
            })
        }),
        far(
            "another tenant itself",
            "sign_in.switch_tenant",
            "tenant-not-found",
            |s| {
                Box::pin(async move {
                    let wish = |tenant| {
                        let body = json!({"tenant": tenant});
                        rest("POST", "/me/tenant").bearer(&s.ada.token).json(&body)
                    };
                    let hostile = s.tries(wish(s.eve.tenant)).await;
                    let own = s.house.owner().await.tenant;
                    let mut tx = s.house.tx().await;
                    people::insert_membership(&mut tx, own, s.ada.user, TenantRole::Member)
                        .await
                        .unwrap();
                    tx.commit().await.unwrap();
                    s.tried(s.ask(wish(own)).await, hostile)
                })
            },
        ),
        far(
            "a member's reach for the audit log",
            "audit.list",
            "forbidden",
            |s| {
                Box::pin(async move {
                    let list = |who: &Someone| rest("GET", "/audit").bearer(&who.token).empty();
                    s.tried_by(&s.bo, s.ask(list(&s.ada)).await, s.tries(list(&s.bo)).await)
                })
            },
        ),
        far(
            "an owner's reach for the installation's log",
            "audit.list",
            "operators-only",
            |s| {
                Box::pin(async move {
                    let list = |who: &Someone, of: &str| {
                        rest("GET", &format!("/audit?of={of}")).bearer(&who.token).empty()
                    };
                    let hostile = s.tries(list(&s.ada, "installation")).await;
                    s.tried(s.ask(list(&s.ada, "tenant")).await, hostile)
                })
            },
        ),
        far("a form of another site", "console.form", "cross-site", |s| {
            Box::pin(async move { s.as_from("https://evil.example").await })
        }),
        far("a form of an Airflow's host", "console.form", "cross-site", |s| {
            Box::pin(async move { s.as_from("http://127.0.0.1:7701").await })
        }),
        far("a form of nowhere", "console.form", "cross-site", |s| {
            Box::pin(async move { s.as_from("null").await })
        }),
        far(
            "a change by another site's script",
            "cluster.create",
            "cross-site",
            |s| {
                Box::pin(async move {
                    let create = |name: &str, origin: &str| {
                        rest("POST", "/clusters")
                            .cookie(&s.ada.token)
                            .header("origin", origin)
                            .json(&json!({"name": name, "start": false}))
                    };
                    let control = s.ask(create("one", HERE)).await;
                    s.tried_by_nobody(control, s.tries(create("two", "https://evil.example")).await)
                })
            },
        ),
        far("a look by another site's script", "me.show", "cross-site", |s| {
            Box::pin(async move {
                let look = |site: &str| {
                    rest("GET", "/me")
                        .cookie(&s.ada.token)
                        .header("sec-fetch-site", site)
                        .empty()
                };
                s.tried_by_nobody(
                    s.ask(look("same-origin")).await,
                    s.tries(look("cross-site")).await,
                )
            })
        }),
    ]
}

/// Each code is for one browser, at one host, for one minute, once.
pub(crate) fn handed_over() -> Vec<TooFar> {
    let row = |name, tried: Played<Tried>| far(name, "sign_in.airflow", "handover-refused", tried);
    vec![
        row("a stolen code in another browser", |s| {
            Box::pin(async move {
                let code = s.code().await;
                s.handed(s.redeems(&code, &s.host(s.cluster), "another browser's").await)
                    .await
            })
        }),
        row("a stolen code without any cookie", |s| {
            Box::pin(async move {
                let code = s.code().await;
                s.handed(s.redeems(&code, &s.host(s.cluster), "").await).await
            })
        }),
        row("a code at another host", |s| {
            Box::pin(async move {
                let code = s.code().await;
                s.handed(s.redeems(&code, "127.0.0.9:7701", BROWSER).await).await
            })
        }),
        row("a code for the second time", |s| {
            Box::pin(async move {
                let code = s.code().await;
                let first = redeem(&code, &s.host(s.cluster), BROWSER, s.house.somewhere());
                s.house.first.ask_as_edge(first).await.must_be(200);
                let hostile = s.redeems(&code, &s.host(s.cluster), BROWSER).await;
                Tried {
                    by: By::Nobody,
                    ..s.handed(hostile).await
                }
            })
        }),
        row("a code that somebody else tried first", |s| {
            Box::pin(async move {
                let code = s.code().await;
                let first = redeem(&code, &s.host(s.cluster), "a thief's", s.house.somewhere());
                s.house.first.ask_as_edge(first).await.must_be(403);
                let hostile = s.redeems(&code, &s.host(s.cluster), BROWSER).await;
                Tried {
                    by: By::Nobody,
                    ..s.handed(hostile).await
                }
            })
        }),
        row("a code of a session that ended", |s| {
            Box::pin(async move {
                let gone = s.second().await;
                let code = s.code_of(&gone).await;
                s.done(rest("DELETE", "/sessions/current").bearer(&gone.token).empty())
                    .await;
                let hostile = s.redeems(&code, &s.host(s.cluster), BROWSER).await;
                Tried {
                    by: By::Nobody,
                    ..s.handed(hostile).await
                }
            })
        }),
        row("a code that was never given", |s| {
            Box::pin(async move {
                let hostile = s.redeems(&"x".repeat(43), &s.host(s.cluster), BROWSER).await;
                Tried {
                    by: By::Nobody,
                    ..s.handed(hostile).await
                }
            })
        }),
    ]
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
