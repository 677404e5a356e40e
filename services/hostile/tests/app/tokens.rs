//! API tokens: what is none, of whom it is not any more, where it does not belong, and what reaches further than its limit.

use axum::body::Body;
use axum::http::Request;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use updraft_authz::ApiToken;
use updraft_model::{ClusterId, ClusterRole, TokenId, TokenLimit, UserId};
use updraft_sso::{random_bits, sha256};
use updraft_store::{api_tokens, grants, memberships};

use crate::house::{Answer, Asked, HERE, House, Someone, request, rest};
use crate::scene::Door::{Page, Rest, RestChange, RestCookie, Scim};
use crate::scene::{By, Door, Pair, Scene, TooFar, Tried, Worthless, hold_back, turn_away};
use crate::sessions::{bad, far, other_end};

const ALL: &[Door] = &[Rest, RestChange];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_opens_nothing() {
    turn_away(&House::open_to(&[]).await, &worthless()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_reaches_no_further_than_its_limit_and_its_tenant() {
    hold_back(&House::open_to(&[]).await, &too_far()).await;
}

pub(crate) fn worthless() -> Vec<Worthless> {
    vec![
        bad("a token that was never given", ALL, |s| {
            Box::pin(async move {
                s.token_beside(ApiToken::from_random(&random_bits()).expose())
                    .await
            })
        }),
        bad("a token whose last character is another", ALL, |s| {
            Box::pin(async move {
                let pair = s.token_beside("").await;
                Pair {
                    bad: other_end(&pair.good),
                    ..pair
                }
            })
        }),
        bad("a token cut short", ALL, |s| {
            Box::pin(async move {
                let pair = s.token_beside("").await;
                Pair {
                    bad: pair.good[..30].to_owned(),
                    ..pair
                }
            })
        }),
        bad("a token's end, as lists show it", ALL, |s| {
            Box::pin(async move {
                let (_, token) = s.token(&s.ada, TokenLimit::Full).await;
                s.token_beside(token.hint()).await
            })
        }),
        bad("a token's hash, as a thief of the database has it", ALL, |s| {
            Box::pin(async move {
                let (_, token) = s.token(&s.ada, TokenLimit::Full).await;
                s.token_beside(&hex::encode(sha256(token.expose().as_bytes())))
                    .await
            })
        }),
        bad("an expired token", ALL, |s| {
            Box::pin(async move {
                let lasts = TimeDelta::seconds(-1);
                let (_, token) = s.house.api_token(&s.ada, TokenLimit::Full, lasts).await;
                s.token_beside(token.expose()).await
            })
        }),
        bad("a revoked token", ALL, |s| {
            Box::pin(async move {
                let (id, token) = s.token(&s.ada, TokenLimit::Full).await;
                let path = format!("/tokens/{id}");
                s.done(rest("DELETE", &path).bearer(&s.ada.token).empty()).await;
                s.token_beside(token.expose()).await
            })
        }),
        bad("a token that ended itself", ALL, |s| {
            Box::pin(async move {
                let (id, token) = s.token(&s.ada, TokenLimit::Full).await;
                let path = format!("/tokens/{id}");
                s.done(rest("DELETE", &path).bearer(token.expose()).empty()).await;
                s.token_beside(token.expose()).await
            })
        }),
        bad("a token of somebody who was removed", ALL, |s| {
            Box::pin(async move {
                let (_, token) = s.token(&s.bo, TokenLimit::Full).await;
                let path = format!("/people/{}", s.bo.user);
                s.done(rest("DELETE", &path).bearer(&s.ada.token).empty()).await;
                s.token_beside(token.expose()).await
            })
        }),
        bad("a token of somebody whom the directory switched off", ALL, |s| {
            Box::pin(async move {
                let (_, token) = s.token(&s.bo, TokenLimit::Full).await;
                let mut tx = s.house.tx().await;
                memberships::disable(&mut tx, s.bo.tenant, s.bo.user, Utc::now())
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
                s.token_beside(token.expose()).await
            })
        }),
        bad("a token of a service account that was deleted", ALL, |s| {
            Box::pin(async move {
                let robot = s.robot().await;
                let (_, token) = s.token(&robot, TokenLimit::Full).await;
                let path = format!("/service-accounts/{}", robot.user);
                s.done(rest("DELETE", &path).bearer(&s.ada.token).empty()).await;
                s.token_beside(token.expose()).await
            })
        }),
        bad(
            "a token where a session's cookie belongs",
            &[Page, RestCookie],
            |s| {
                Box::pin(async move {
                    let (_, token) = s.token(&s.ada, TokenLimit::Full).await;
                    s.pair(token.expose().to_owned())
                })
            },
        ),
        bad("a revoked token of the directory's", &[Scim], |s| {
            Box::pin(async move {
                let (id, token) = s.token(&s.ada, TokenLimit::Scim).await;
                let mut tx = s.house.tx().await;
                api_tokens::revoke(&mut tx, s.ada.tenant, id, Utc::now())
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
                let (_, good) = s.token(&s.ada, TokenLimit::Scim).await;
                Pair {
                    good: good.expose().to_owned(),
                    bad: token.expose().to_owned(),
                }
            })
        }),
    ]
}

pub(crate) fn too_far() -> Vec<TooFar> {
    [narrower(), elsewhere(), misplaced()]
        .into_iter()
        .flatten()
        .collect()
}

/// Of an owner, who may do all of it: what the token's limit leaves of that.
fn narrower() -> Vec<TooFar> {
    vec![
        far(
            "a user's token starts a cluster",
            "cluster.start",
            "forbidden",
            |s| {
                Box::pin(async move {
                    let start = |token: &str| {
                        rest("POST", &format!("/clusters/{}/start", s.cluster))
                            .bearer(token)
                            .empty()
                    };
                    s.limited(TokenLimit::User, start).await
                })
            },
        ),
        far(
            "a user's token deletes a cluster",
            "cluster.delete",
            "forbidden",
            |s| {
                Box::pin(async move {
                    let delete = |token: &str| {
                        rest("DELETE", &format!("/clusters/{}", s.cluster))
                            .bearer(token)
                            .empty()
                    };
                    s.limited(TokenLimit::User, delete).await
                })
            },
        ),
        far(
            "a user's token makes a cluster",
            "cluster.create",
            "forbidden",
            |s| {
                Box::pin(async move {
                    let wish = json!({"name": "another", "start": false});
                    let create = |token: &str| rest("POST", "/clusters").bearer(token).json(&wish);
                    s.limited(TokenLimit::User, create).await
                })
            },
        ),
        far(
            "a user's token gives somebody a role",
            "grant.put",
            "forbidden",
            |s| {
                Box::pin(async move {
                    let path = format!("/clusters/{}/grants/{}", s.cluster, s.bo.user);
                    let give = |token: &str| rest("PUT", &path).bearer(token).json(&json!({"role": "admin"}));
                    s.limited(TokenLimit::User, give).await
                })
            },
        ),
        far(
            "an admin's token reads the audit log",
            "audit.list",
            "forbidden",
            |s| {
                Box::pin(async move {
                    let read = |token: &str| rest("GET", "/audit").bearer(token).empty();
                    s.limited(TokenLimit::Admin, read).await
                })
            },
        ),
        far(
            "an admin's token removes a person",
            "person.remove",
            "forbidden",
            |s| {
                Box::pin(async move {
                    let remove = |token: &str| {
                        rest("DELETE", &format!("/people/{}", s.bo.user))
                            .bearer(token)
                            .empty()
                    };
                    s.limited(TokenLimit::Admin, remove).await
                })
            },
        ),
        far(
            "an admin's token lists identity providers",
            "identity_providers.list",
            "forbidden",
            |s| {
                Box::pin(async move {
                    let list = |token: &str| rest("GET", "/identity-providers").bearer(token).empty();
                    s.limited(TokenLimit::Admin, list).await
                })
            },
        ),
        far(
            "a full token makes another",
            "token.create",
            "needs-session",
            |s| {
                Box::pin(async move {
                    let wish = json!({"name": "more", "role": "user", "expires_in_days": 1});
                    let make = |token: &str| rest("POST", "/tokens").bearer(token).json(&wish);
                    s.sessions_own(make).await
                })
            },
        ),
        far(
            "a full token ends its person's sessions",
            "session.revoke_all",
            "needs-session",
            |s| {
                Box::pin(async move {
                    s.sessions_own(|token| rest("DELETE", "/sessions").bearer(token).empty())
                        .await
                })
            },
        ),
        far(
            "a full token revokes another",
            "token.revoke",
            "needs-session",
            |s| {
                Box::pin(async move {
                    let (other, _) = s.token(&s.ada, TokenLimit::Full).await;
                    let path = format!("/tokens/{other}");
                    s.sessions_own(|token| rest("DELETE", &path).bearer(token).empty())
                        .await
                })
            },
        ),
        far(
            "a directory's token at the REST API",
            "me.show",
            "scim-token",
            |s| {
                Box::pin(async move {
                    let look = |token: &str| rest("GET", "/me").bearer(token).empty();
                    s.limited(TokenLimit::Scim, look).await
                })
            },
        ),
        far(
            "a full token as the directory's",
            "directory.person_list",
            "forbidden",
            |s| {
                Box::pin(async move {
                    let list = |token: &str| request("GET", "/scim/v2/Users").bearer(token).empty();
                    let (_, good) = s.token(&s.ada, TokenLimit::Scim).await;
                    let (_, full) = s.token(&s.ada, TokenLimit::Full).await;
                    s.tried(
                        s.ask(list(good.expose())).await,
                        s.tries(list(full.expose())).await,
                    )
                })
            },
        ),
        far(
            "a member's token, which is less than an owner's",
            "person.remove",
            "forbidden",
            |s| {
                Box::pin(async move {
                    let (_, bos) = s.token(&s.bo, TokenLimit::Full).await;
                    let (_, adas) = s.token(&s.ada, TokenLimit::Full).await;
                    let remove = |token: &str| {
                        rest("DELETE", &format!("/people/{}", s.bo.user))
                            .bearer(token)
                            .empty()
                    };
                    let hostile = s.tries(remove(bos.expose())).await;
                    s.tried_by(&s.bo, s.ask(remove(adas.expose())).await, hostile)
                })
            },
        ),
        far(
            "a token of somebody without a role there",
            "cluster.start",
            "cluster-not-found",
            |s| {
                Box::pin(async move {
                    let (_, bos) = s.token(&s.bo, TokenLimit::Full).await;
                    let start = || {
                        rest("POST", &format!("/clusters/{}/start", s.cluster))
                            .bearer(bos.expose())
                            .empty()
                    };
                    let hostile = s.tries(start()).await;
                    let mut tx = s.house.tx().await;
                    grants::put(&mut tx, s.bo.tenant, s.cluster, s.bo.user, ClusterRole::Admin)
                        .await
                        .unwrap();
                    tx.commit().await.unwrap();
                    s.tried_by(&s.bo, s.ask(start()).await, hostile)
                })
            },
        ),
    ]
}

/// At another tenant's.
fn elsewhere() -> Vec<TooFar> {
    vec![
        foreign(
            "a token at another tenant's cluster",
            "cluster.show",
            |token, id| rest("GET", &format!("/clusters/{id}")).bearer(token).empty(),
        ),
        foreign(
            "a token starts another tenant's cluster",
            "cluster.start",
            |token, id| {
                rest("POST", &format!("/clusters/{id}/start"))
                    .bearer(token)
                    .empty()
            },
        ),
        foreign(
            "a token deletes another tenant's cluster",
            "cluster.delete",
            |token, id| rest("DELETE", &format!("/clusters/{id}")).bearer(token).empty(),
        ),
        foreign(
            "a token explains another tenant's access",
            "access.explain",
            |token, id| {
                rest("GET", &format!("/clusters/{id}/access"))
                    .bearer(token)
                    .empty()
            },
        ),
        foreign(
            "a token lists another tenant's people",
            "cluster_people.list",
            |token, id| {
                rest("GET", &format!("/clusters/{id}/people"))
                    .bearer(token)
                    .empty()
            },
        ),
    ]
}

/// Good tokens, brought in a way that does not count.
fn misplaced() -> Vec<TooFar> {
    vec![
        far("a token as a password (Basic)", "me.show", "not-signed-in", |s| {
            Box::pin(async move {
                s.brought(|token| rest("GET", "/me").header("authorization", &format!("Basic {token}")))
                    .await
            })
        }),
        far("a token without its scheme", "me.show", "not-signed-in", |s| {
            Box::pin(async move {
                s.brought(|token| rest("GET", "/me").header("authorization", token))
                    .await
            })
        }),
        far("two tokens at once", "me.show", "not-signed-in", |s| {
            Box::pin(async move {
                s.brought(|token| rest("GET", "/me").bearer(token).bearer(token))
                    .await
            })
        }),
        far(
            "a bad token beside a good cookie",
            "me.show",
            "not-signed-in",
            |s| {
                Box::pin(async move {
                    s.brought(|token| {
                        rest("GET", "/me")
                            .bearer(&other_end(token))
                            .cookie(&s.ada.token)
                            .header("origin", HERE)
                    })
                    .await
                })
            },
        ),
    ]
}

/// Asked with a token, of one's own cluster and of another tenant's.
fn foreign(name: &'static str, action: &'static str, asked: fn(&str, ClusterId) -> Request<Body>) -> TooFar {
    TooFar {
        name,
        action,
        reason: "cluster-not-found",
        tried: Box::new(move |s| {
            Box::pin(async move {
                let (_, token) = s.token(&s.ada, TokenLimit::Full).await;
                let hostile = s.tries(asked(token.expose(), s.foreign)).await;
                s.tried(s.ask(asked(token.expose(), s.cluster)).await, hostile)
            })
        }),
    }
}

// === impl Scene ===

impl Scene<'_> {
    async fn token(&self, owner: &Someone, limit: TokenLimit) -> (TokenId, ApiToken) {
        self.house.api_token(owner, limit, TimeDelta::hours(1)).await
    }

    async fn token_beside(&self, bad: &str) -> Pair {
        let (_, good) = self.token(&self.ada, TokenLimit::Full).await;
        Pair {
            good: good.expose().to_owned(),
            bad: bad.to_owned(),
        }
    }

    async fn robot(&self) -> Someone {
        let new = rest("POST", "/service-accounts").bearer(&self.ada.token);
        let made: Value = self.ask(new.json(&json!({"name": "robot"}))).await.must_be(201);
        let user: UserId = serde_json::from_value(made["user"].clone()).unwrap();
        Someone {
            user,
            ..self.ada.clone()
        }
    }

    /// With a token of so narrow a limit, and with one of none.
    async fn limited(&self, limit: TokenLimit, asked: impl Fn(&str) -> Request<Body>) -> Tried {
        let (_, narrow) = self.token(&self.ada, limit).await;
        let (_, full) = self.token(&self.ada, TokenLimit::Full).await;
        let hostile = self.tries(asked(narrow.expose())).await;
        let tried = self.tried(self.ask(asked(full.expose())).await, hostile);
        match limit {
            TokenLimit::Scim => Tried {
                by: By::Directory(self.ada.clone()),
                ..tried
            },
            TokenLimit::Full | TokenLimit::Admin | TokenLimit::User => tried,
        }
    }

    /// With a full token, and with a session.
    async fn sessions_own(&self, asked: impl Fn(&str) -> Request<Body>) -> Tried {
        let (_, token) = self.token(&self.ada, TokenLimit::Full).await;
        let hostile = self.tries(asked(token.expose())).await;
        self.tried(self.ask(asked(&self.ada.token)).await, hostile)
    }

    /// A good token in this way, and as it should be.
    async fn brought(&self, how: impl Fn(&str) -> Asked) -> Tried {
        let (_, token) = self.token(&self.ada, TokenLimit::Full).await;
        let control: Answer = self.ask(rest("GET", "/me").bearer(token.expose()).empty()).await;
        let hostile = self.tries(how(token.expose()).empty()).await;
        self.tried_by_nobody(control, hostile)
    }
}
