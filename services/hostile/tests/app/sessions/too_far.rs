//! Sessions that reach for what is another's, or are used by another site.

use chrono::TimeDelta;
use serde_json::json;
use updraft_model::{TenantRole, TokenLimit};
use updraft_store::people;

use super::{far, foreign};
use crate::house::{HERE, Someone, request, rest};
use crate::scene::TooFar;

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
