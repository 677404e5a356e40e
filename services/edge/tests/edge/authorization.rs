use http::StatusCode;
use updraft_authz::{SigningKey, mint_airflow_token, mint_session_token};
use updraft_model::{ClusterId, ClusterRole, TenantId};
use uuid::Uuid;

use crate::harness::{ALICE, Answer, BOB, CAROL, Call, World, until};

fn is_sign_in(answer: &Answer) -> bool {
    answer.status == StatusCode::SEE_OTHER && answer.location().starts_with("http://localhost:7700/handover?")
}

#[tokio::test]
async fn a_cluster_without_a_role_looks_like_one_that_does_not_exist() {
    let world = World::start().await;
    let host = world.host(1);
    let bob = world.session(BOB, 1);
    // Bob may use 1; cluster 3 is another tenant's, 99 does not exist. All asked for on Bob's host.
    world
        .publish(|s| {
            for route in &mut s.routes {
                route.host = host.clone();
            }
        })
        .await;
    let ask = |id: i64, path: &str| Call::get(&host, &format!("/airflow-webserver-{id}{path}"));
    for path in ["/", "/api/v2/dags", "/static/none.js", "/execution/health"] {
        let unknown = ask(99, path).signed_in(&bob).send().await.appearance();
        for id in [2, 3] {
            assert_eq!(
                ask(id, path).signed_in(&bob).send().await.appearance(),
                unknown,
                "{id}{path}"
            );
        }
    }
    assert_eq!(ask(1, "/").signed_in(&bob).send().await.status, 200);
    // A stranger learns nothing either, whether a person or a program.
    for accept in ["text/html", "application/json"] {
        let seen: Vec<_> = futures::future::join_all([1, 3, 99].map(|id| {
            let call = ask(id, "/api")
                .with("accept", accept)
                .with("cookie", &format!("updraft_binding={}", "a".repeat(64)));
            async move {
                call.send()
                    .await
                    .appearance()
                    .replace(&format!("webserver-{id}"), "webserver-N")
            }
        }))
        .await;
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
    }
}

#[tokio::test]
async fn a_path_on_the_wrong_host_is_not_found() {
    let world = World::start().await;
    let session = world.session(ALICE, 2);
    let answer = Call::get(&world.host(2), "/airflow-webserver-1/")
        .signed_in(&session)
        .send()
        .await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let rebound = Call::get(&world.host(1), "/airflow-webserver-1/")
        .with("host", "evil.example")
        .signed_in(&world.session(ALICE, 1))
        .send()
        .await;
    assert_eq!(rebound.status, StatusCode::NOT_FOUND);
    assert_eq!(world.upstreams[0].requests(), 0);
}

#[tokio::test]
async fn sessions_that_are_not_good_here_are_no_sessions() {
    let world = World::start().await;
    let good = world.claims(ALICE, 1);
    let stranger = SigningKey::from_seed("session", &[9; 32]).unwrap();
    let now = chrono::Utc::now();
    let altered = {
        let token = world.mint(&good);
        let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        parts[1] = world
            .mint(&world.claims(CAROL, 1))
            .split('.')
            .nth(1)
            .unwrap()
            .to_owned();
        parts.join(".")
    };
    let with = |change: &dyn Fn(&mut updraft_authz::SessionClaims)| {
        let mut claims = good.clone();
        change(&mut claims);
        world.mint(&claims)
    };
    let bad = [
        ("of another host", world.session(ALICE, 2)),
        ("expired", with(&|c| c.exp = c.iat - 1)),
        (
            "for another audience",
            with(&|c| c.aud = "updraft-console".into()),
        ),
        ("from another issuer", with(&|c| c.iss = "updraft-edge".into())),
        (
            "of a tenant the person is not in",
            with(&|c| c.tenant = TenantId(Uuid::from_u128(0x2))),
        ),
        (
            "signed by a stranger",
            mint_session_token(&stranger, &good).unwrap(),
        ),
        ("with another's body", altered),
        (
            "minted for airflow",
            mint_airflow_token(
                &world.airflow_key,
                &good.clone().into(),
                ClusterId(1),
                ClusterRole::Admin,
                now,
            )
            .unwrap(),
        ),
        ("empty", String::new()),
        ("garbage", "a.b.c".into()),
    ];
    for (what, token) in bad {
        assert!(
            is_sign_in(&world.get(1, "/").signed_in(&token).send().await),
            "cookie {what}"
        );
        let bearer = world
            .get(1, "/")
            .with("accept", "*/*")
            .with("authorization", &format!("Bearer {token}"));
        assert_eq!(
            bearer.send().await.status,
            StatusCode::UNAUTHORIZED,
            "bearer {what}"
        );
    }
    assert_eq!(world.upstreams[0].requests(), 0);
    assert_eq!(
        world
            .get(1, "/")
            .signed_in(&world.mint(&good))
            .send()
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_persons_tenant_is_part_of_the_right() {
    let world = World::start().await;
    // Carol's session is valid on this host, but cluster 1 is another tenant's.
    let answer = world.get(1, "/").signed_in(&world.session(CAROL, 1)).send().await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn revocation_and_removal_work_with_the_next_request() {
    let world = World::start().await;
    let (alice, bob) = (world.claims(ALICE, 1), world.claims(BOB, 1));
    let (alice_token, bob_token) = (world.mint(&alice), world.mint(&bob));
    let get = |token: &str| world.get(1, "/").signed_in(token).send();
    assert_eq!(get(&alice_token).await.status, StatusCode::OK);
    assert_eq!(get(&bob_token).await.status, StatusCode::OK);

    world
        .publish(|s| {
            s.policy.revoked_sessions.insert(alice.sid);
        })
        .await;
    assert!(is_sign_in(&get(&alice_token).await));
    assert_eq!(get(&bob_token).await.status, StatusCode::OK);

    world
        .publish(|s| {
            s.policy.clusters.get_mut(&ClusterId(1)).unwrap().grants.clear();
        })
        .await;
    assert_eq!(get(&bob_token).await.status, StatusCode::NOT_FOUND);

    world
        .publish(|s| {
            s.policy.members.get_mut(&bob.tenant).unwrap().remove(&BOB);
        })
        .await;
    assert!(is_sign_in(&get(&bob_token).await));
}

#[tokio::test]
async fn retired_session_keys_end_their_sessions() {
    let world = World::start().await;
    let session = world.session(ALICE, 1);
    assert_eq!(
        world.get(1, "/").signed_in(&session).send().await.status,
        StatusCode::OK
    );
    let fresh = SigningKey::from_seed("session-2", &[3; 32]).unwrap();
    world
        .publish(|s| s.session_keys = vec![fresh.public().clone()])
        .await;
    assert!(is_sign_in(&world.get(1, "/").signed_in(&session).send().await));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_signs_for_airflow_without_a_failed_request_and_control_hears_of_it() {
    let world = World::start().await;
    until("control hears of the key", || async {
        world.control.keys() == "airflow"
    })
    .await;
    let session = world.session(ALICE, 1);
    let call = || world.get(1, "/").signed_in(&session);
    let stop = tokio_util::sync::CancellationToken::new();
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (call, stop) = (call(), stop.clone());
            tokio::spawn(async move {
                let mut signers = std::collections::BTreeMap::<String, usize>::new();
                while !stop.is_cancelled() {
                    let answer = call.clone().send().await;
                    assert_eq!(answer.status, StatusCode::OK);
                    *signers.entry(signer(&answer.json())).or_default() += 1;
                }
                signers
            })
        })
        .collect();
    let fresh = SigningKey::from_seed("airflow-2", &[3; 32]).unwrap();
    world.publish(|s| s.airflow_key = fresh).await;
    until("control hears of the other key", || async {
        world.control.keys() == "airflow-2"
    })
    .await;
    assert_eq!(signer(&call().send().await.json()), "airflow-2");
    stop.cancel();
    for task in load {
        let signers = task.await.unwrap();
        assert!(
            signers.keys().all(|kid| kid == "airflow" || kid == "airflow-2"),
            "{signers:?}"
        );
    }
}

/// Who signed what Airflow was told.
fn signer(echo: &serde_json::Value) -> String {
    use base64::Engine as _;
    let token = echo["headers"]["authorization"].as_str().unwrap();
    let header = token.strip_prefix("Bearer ").unwrap().split('.').next().unwrap();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(header)
        .unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn unsafe_methods_on_a_cookie_need_this_very_origin() {
    let world = World::start().await;
    let session = world.session(ALICE, 1);
    let own = format!("http://{}", world.host(1));
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let call = world.get(1, "/api/v2/dags").method(method).signed_in(&session);
        for origin in [
            format!("http://{}", world.host(2)),
            format!("https://{}", world.host(1)),
            format!("{own}.evil.example"),
            "http://127.0.0.1".into(),
            "null".into(),
        ] {
            assert_eq!(
                call.clone().with("origin", &origin).send().await.status,
                StatusCode::FORBIDDEN,
                "{method} {origin}"
            );
        }
        assert_eq!(
            call.clone().send().await.status,
            StatusCode::FORBIDDEN,
            "{method} without origin"
        );
        assert_eq!(
            call.clone().with("origin", &own).send().await.status,
            StatusCode::OK,
            "{method}"
        );
        let bearer = call
            .without("cookie")
            .with("authorization", &format!("Bearer {session}"));
        assert_eq!(
            bearer.send().await.status,
            StatusCode::OK,
            "{method} with a bearer"
        );
    }
    assert_eq!(world.upstreams[0].requests(), 8);
}

#[tokio::test]
async fn other_origins_can_link_here_but_not_read() {
    let world = World::start().await;
    let call = world.get(1, "/api/v2/dags").signed_in(&world.session(ALICE, 1));
    for site in ["cross-site", "same-site"] {
        let from = |mode: &str, dest: &str| {
            call.clone()
                .with("sec-fetch-site", site)
                .with("sec-fetch-mode", mode)
                .with("sec-fetch-dest", dest)
        };
        for (mode, dest) in [
            ("no-cors", "script"),
            ("cors", "empty"),
            ("navigate", "iframe"),
            ("no-cors", "image"),
        ] {
            assert_eq!(
                from(mode, dest).send().await.status,
                StatusCode::FORBIDDEN,
                "{site} {dest}"
            );
        }
        assert_eq!(
            from("navigate", "document").send().await.status,
            StatusCode::OK,
            "{site}"
        );
    }
    let own = call
        .with("sec-fetch-site", "same-origin")
        .with("sec-fetch-mode", "cors")
        .with("sec-fetch-dest", "empty");
    assert_eq!(own.send().await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_execution_api_is_never_reached() {
    let world = World::start().await;
    let session = world.session(ALICE, 1);
    for path in [
        "/execution",
        "/execution/",
        "/execution/health",
        "/Execution/x",
        "/execution;a/x",
        "/airflow-webserver-1/execution/x",
    ] {
        for call in [world.get(1, path), world.get(1, path).signed_in(&session)] {
            assert_eq!(call.send().await.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
    assert_eq!(world.upstreams[0].requests(), 0);
    assert_eq!(
        world
            .get(1, "/executions")
            .signed_in(&session)
            .send()
            .await
            .status,
        StatusCode::OK
    );
}
