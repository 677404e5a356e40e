//! Tenants come and go by the operator's hand alone, and people go between them only by what they proved.

use serde_json::{Value, json};
use updraft_app::{SharedByAll, Tenancy};
use updraft_model::{SessionId, TenantId, TenantRole};
use updraft_store::{memberships, operators, tenants};

use crate::support::{PASSWORD, Someone, World, request};

struct Installation {
    world: World,
    home: TenantId,
    operator: Someone,
}

impl Installation {
    async fn new() -> Self {
        Self::of(World::new().await).await
    }

    async fn of(world: World) -> Self {
        let home = world.tenant("home").await;
        let operator = world.owner(home).await;
        let mut tx = world.tx().await;
        operators::ensure_one(&mut tx, home).await.unwrap();
        tx.commit().await.unwrap();
        Self {
            world,
            home,
            operator,
        }
    }

    async fn make(&self, name: &str, email: &str) -> Value {
        let body = json!({"name": name, "owner": {"email": email, "name": "Owner"}});
        self.world
            .post(&self.operator, "/tenants", body)
            .await
            .must_be(201)
    }

    async fn sign_in(&self, email: &str, password: &str) -> crate::support::Answer {
        let body = json!({"email": email, "password": password});
        self.world.send(request("POST", "/sessions").json(&body)).await
    }
}

/// A session that a tenant's identity provider vouched for.
async fn vouched(world: &World, tenant: TenantId, who: &Someone) -> Someone {
    let session = world
        .session(tenant, who.user, who.email.clone(), chrono::Duration::hours(1))
        .await;
    let provider = uuid::Uuid::now_v7();
    let mut tx = world.tx().await;
    sqlx::query("insert into identity_providers (id, tenant_id, kind, name, config) values ($1, $2, 'oidc', $3, '{}')")
        .bind(provider)
        .bind(tenant.0)
        .bind(provider.to_string())
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query("update sessions set provider_id = $1 where id = $2")
        .bind(provider)
        .bind(session.session.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    session
}

#[tokio::test]
async fn an_operator_makes_a_tenant_whose_owner_signs_in_with_a_password_shown_once() {
    let installation = Installation::new().await;
    let made = installation.make("Lab", "Ada@lab.example").await;
    let password = made["owner_password"].as_str().unwrap();
    let signed_in = installation
        .sign_in("ada@lab.example", password)
        .await
        .must_be(201);
    assert_eq!(signed_in["me"]["tenant_name"], "Lab");
    assert_eq!(
        (&signed_in["me"]["tenant_role"], &signed_in["me"]["operator"]),
        (&json!("owner"), &json!(false))
    );
    let listed = installation.world.get(&installation.operator, "/tenants").await;
    assert!(!listed.text.contains(password));
    let names: Vec<_> = listed.must_be(200)["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["name"].clone())
        .collect();
    assert_eq!(names, ["Lab", "home"]);
}

#[tokio::test]
async fn a_password_that_is_shown_once_is_not_kept_for_who_repeats_the_request() {
    let installation = Installation::new().await;
    let body = json!({"name": "Lab", "owner": {"email": "ada@lab.example", "name": "Ada"}});
    let asked = || {
        let request = request("POST", "/tenants").bearer(&installation.operator);
        request.header("idempotency-key", "k").json(&body)
    };
    let first = installation.world.send(asked()).await.must_be(201);
    assert!(first["owner_password"].is_string());
    let again = installation.world.send(asked()).await;
    assert_eq!((again.status.as_u16(), again.text.as_str()), (201, ""));
}

#[tokio::test]
async fn somebody_with_an_account_becomes_owner_with_the_password_they_have() {
    let installation = Installation::new().await;
    let ada = installation
        .world
        .someone(installation.home, TenantRole::Member)
        .await;
    let made = installation.make("Lab", &ada.email).await;
    assert!(made["owner_password"].is_null());
    installation.sign_in(&ada.email, PASSWORD).await.must_be(201);
    let mine = installation.world.get(&ada, "/me/tenants").await.must_be(200);
    assert_eq!(mine.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_account_of_another_tenant_is_added_without_a_word_about_it() {
    let installation = Installation::new().await;
    let world = &installation.world;
    let lab = world.tenant("lab").await;
    let (bob, ada) = (
        world.owner(lab).await,
        world.someone(installation.home, TenantRole::Member).await,
    );
    let person = |email: &str| json!({"email": email, "name": "Chosen Name", "tenant_role": "member", "password": "chosen by the owner"});
    let known = world.post(&bob, "/people", person(&ada.email)).await.must_be(201);
    let fresh = world
        .post(&bob, "/people", person("new@lab.example"))
        .await
        .must_be(201);
    let shape = |answer: &Value| answer.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(shape(&known), shape(&fresh));
    assert_eq!(
        (&known["name"], &known["user"]),
        (&json!("Chosen Name"), &json!(ada.user))
    );
    assert_eq!(
        installation
            .sign_in(&ada.email, "chosen by the owner")
            .await
            .problem(401),
        "wrong-credentials"
    );
    installation.sign_in(&ada.email, PASSWORD).await.must_be(201);
    world.get(&ada, "/me").await.must_be(200);
    assert_eq!(
        world.post(&bob, "/people", person(&ada.email)).await.problem(409),
        "email-taken"
    );
}

#[tokio::test]
async fn a_tenant_is_given_more_room_and_less() {
    let installation = Installation::new().await;
    let world = &installation.world;
    let made = installation.make("Lab", "ada@lab.example").await;
    let path = format!("/tenants/{}", made["tenant"]["id"].as_str().unwrap());
    let patch = async |body: Value| {
        world
            .send(request("PATCH", &path).bearer(&installation.operator).json(&body))
            .await
    };
    let changed = patch(json!({"max_clusters": 0})).await.must_be(200);
    assert_eq!(
        (&changed["max_clusters"], &changed["max_nodes"]),
        (&json!(0), &json!(100))
    );
    assert_eq!(
        patch(json!({"max_nodes": 1_000_000})).await.refused_field(422),
        "max_nodes"
    );
    assert_eq!(patch(json!({"name": "x"})).await.refused_field(422), "name");
    let password = made["owner_password"].as_str().unwrap();
    let token = installation
        .sign_in("ada@lab.example", password)
        .await
        .must_be(201)["token"]
        .clone();
    let ada = Someone {
        token: token.as_str().unwrap().to_owned(),
        ..installation.operator.clone()
    };
    assert_eq!(
        world
            .post(&ada, "/clusters", json!({"name": "a"}))
            .await
            .problem(403),
        "quota-exceeded"
    );
}

#[tokio::test]
async fn only_an_empty_tenant_is_deleted_and_its_people_go_unless_they_belong_elsewhere() {
    let installation = Installation::new().await;
    let world = &installation.world;
    let lab = world.tenant("lab").await;
    let (bob, ada) = (
        world.owner(lab).await,
        world.someone(installation.home, TenantRole::Member).await,
    );
    world.member(lab, &ada, TenantRole::Member).await;
    world.cluster(&bob, "demo").await;
    let path = format!("/tenants/{lab}");
    let delete = async || world.delete(&installation.operator, &path).await;
    assert_eq!(delete().await.problem(409), "tenant-not-empty");
    let mut tx = world.tx().await;
    sqlx::query("update clusters set deleted_at = now() where tenant_id = $1")
        .bind(lab.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    delete().await.must_be(204);
    assert_eq!(delete().await.problem(404), "tenant-not-found");
    assert_eq!(world.get(&bob, "/me").await.problem(401), "not-signed-in");
    assert_eq!(
        installation.sign_in(&bob.email, PASSWORD).await.problem(401),
        "wrong-credentials"
    );
    world.get(&ada, "/me").await.must_be(200);
}

#[tokio::test]
async fn an_operators_only_way_in_is_not_deleted() {
    let installation = Installation::new().await;
    let path = format!("/tenants/{}", installation.home);
    let refused = installation.world.delete(&installation.operator, &path).await;
    assert_eq!(refused.problem(409), "operators-own-tenant");
    let lab = installation.world.tenant("lab").await;
    let other = installation.world.owner(lab).await;
    let mut tx = installation.world.tx().await;
    operators::set(&mut tx, &other.email, true).await.unwrap();
    tx.commit().await.unwrap();
    let refused = installation
        .world
        .delete(&installation.operator, &format!("/tenants/{lab}"))
        .await;
    assert_eq!(refused.problem(409), "operators-own-tenant");
}

#[tokio::test]
async fn what_a_new_tenant_lacks_is_named() {
    let installation = Installation::new().await;
    let owner = json!({"email": "ada@lab.example", "name": "Ada"});
    for (body, field) in [
        (json!({"name": "", "owner": owner}), "name"),
        (
            json!({"name": "Lab", "owner": {"email": "ada", "name": "Ada"}}),
            "owner.email",
        ),
        (
            json!({"name": "Lab", "owner": {"email": "a@b.c", "name": ""}}),
            "owner.name",
        ),
        (
            json!({"name": "Lab", "owner": {"email": "a@b.c", "name": "A", "password": "short"}}),
            "owner.password",
        ),
        (
            json!({"name": "Lab", "owner": owner, "max_clusters": 10_001}),
            "max_clusters",
        ),
        (
            json!({"name": "Lab", "owner": owner, "operator": true}),
            "operator",
        ),
    ] {
        let answer = installation
            .world
            .post(&installation.operator, "/tenants", body.clone())
            .await;
        assert_eq!(answer.refused_field(422), field, "{body}");
    }
    let again = json!({"name": "home", "owner": owner});
    let answer = installation
        .world
        .post(&installation.operator, "/tenants", again)
        .await;
    assert_eq!(answer.problem(409), "tenant-name-taken");
}

#[tokio::test]
async fn where_clusters_share_a_user_or_keys_there_is_one_tenant() {
    for (shared, told, not_told) in [
        (SharedByAll::User, "as root", "node_keys"),
        (SharedByAll::BucketKeys, "tenants_trust_each_other", "root"),
    ] {
        let world = World::with_config(|config| config.tenancy = Tenancy::One(shared)).await;
        let installation = Installation::of(world).await;
        let body = json!({"name": "Lab", "owner": {"email": "a@b.c", "name": "A"}});
        let refused = installation
            .world
            .post(&installation.operator, "/tenants", body)
            .await;
        assert_eq!(refused.problem(409), "one-tenant-only");
        let says = |word| refused.text.contains(word);
        assert!(says(told) && !says(not_told), "{}", refused.text);
    }
}

#[tokio::test]
async fn where_all_clusters_share_a_host_there_is_one_tenant() {
    for (host, alone) in [
        ("airflow.example.com", true),
        ("{tenant}.example.com", false),
        ("c{cluster}.example.com", false),
    ] {
        let template = format!("https://{host}/airflow-webserver-{{cluster}}/");
        let world = World::with_config(|config| config.airflow_url = template.parse().unwrap()).await;
        let installation = Installation::of(world).await;
        let world = &installation.world;
        world.app.check_hosts().await.unwrap();
        let body = json!({"name": "Lab", "owner": {"email": "a@b.c", "name": "A"}});
        let made = world.post(&installation.operator, "/tenants", body).await;
        if alone {
            assert_eq!(made.problem(409), "tenants-share-a-host");
            assert!(made.text.contains("{cluster}"), "{}", made.text);
            world.tenant("from before").await;
        } else {
            made.must_be(201);
        }
        assert_eq!(world.app.check_hosts().await.is_err(), alone, "{host}");
    }
}

#[tokio::test]
async fn an_identity_provider_never_makes_an_operator() {
    let installation = Installation::new().await;
    let world = &installation.world;
    let vouched = vouched(world, installation.home, &installation.operator).await;
    assert_eq!(world.get(&vouched, "/me").await.must_be(200)["operator"], false);
    assert_eq!(
        world.get(&vouched, "/tenants").await.problem(403),
        "operators-only"
    );
    assert_eq!(
        world.get(&installation.operator, "/me").await.must_be(200)["operator"],
        true
    );
    let mut tx = world.tx().await;
    sqlx::query("update users set origin = 'directory' where id = $1")
        .bind(installation.operator.user.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        world.get(&installation.operator, "/tenants").await.problem(403),
        "operators-only"
    );
}

#[tokio::test]
async fn the_first_operator_is_made_once_and_others_by_name() {
    let installation = Installation::new().await;
    let world = &installation.world;
    let second = world.owner(installation.home).await;
    let mut tx = world.tx().await;
    operators::ensure_one(&mut tx, installation.home).await.unwrap();
    let names = async |tx: &mut updraft_store::Tx| {
        let all = operators::list(tx).await.unwrap();
        all.into_iter().map(|operator| operator.email).collect::<Vec<_>>()
    };
    assert_eq!(names(&mut tx).await, [installation.operator.email.as_str()]);
    operators::set(&mut tx, &second.email, true).await.unwrap();
    operators::set(&mut tx, &installation.operator.email, false)
        .await
        .unwrap();
    assert_eq!(names(&mut tx).await, [second.email.as_str()]);
    assert!(operators::set(&mut tx, "nobody@example.com", true).await.is_err());
}

#[tokio::test]
async fn a_person_goes_to_another_tenant_of_theirs_and_the_old_session_ends() {
    let installation = Installation::new().await;
    let world = &installation.world;
    let lab = world.tenant("lab").await;
    let ada = world.someone(installation.home, TenantRole::Owner).await;
    world.member(lab, &ada, TenantRole::Member).await;
    let mine = world.get(&ada, "/me/tenants").await.must_be(200);
    let shown: Vec<_> = mine
        .as_array()
        .unwrap()
        .iter()
        .map(|t| (t["name"].clone(), t["current"].clone(), t["obstacle"].clone()))
        .collect();
    assert_eq!(
        shown,
        [
            (json!("home"), json!(true), Value::Null),
            (json!("lab"), json!(false), Value::Null)
        ]
    );

    let switched = world
        .post(&ada, "/me/tenant", json!({"tenant": lab}))
        .await
        .must_be(201);
    assert_eq!(
        (&switched["me"]["tenant_name"], &switched["me"]["tenant_role"]),
        (&json!("lab"), &json!("member"))
    );
    assert_eq!(world.get(&ada, "/me").await.problem(401), "not-signed-in");
    let there = Someone {
        token: switched["token"].as_str().unwrap().to_owned(),
        ..ada.clone()
    };
    assert_eq!(world.get(&there, "/people").await.problem(403), "forbidden");
    let stay = world.post(&there, "/me/tenant", json!({"tenant": lab})).await;
    assert_eq!(stay.refused_field(422), "tenant");
}

#[tokio::test]
async fn a_session_never_lasts_longer_by_switching() {
    let installation = Installation::new().await;
    let world = &installation.world;
    let lab = world.tenant("lab").await;
    let ada = world.someone(installation.home, TenantRole::Member).await;
    world.member(lab, &ada, TenantRole::Member).await;
    let until = async |session: SessionId| {
        let mut tx = world.tx().await;
        memberships::standing(&mut tx, installation.home, session)
            .await
            .unwrap()
            .unwrap()
            .expires_at
    };
    let before = until(ada.session).await;
    let switched = world
        .post(&ada, "/me/tenant", json!({"tenant": lab}))
        .await
        .must_be(201);
    let after: chrono::DateTime<chrono::Utc> = switched["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(after <= before, "{after} {before}");
}

#[tokio::test]
async fn nobody_goes_where_they_are_not_expected() {
    let installation = Installation::new().await;
    let world = &installation.world;
    let (lab, closed) = (world.tenant("lab").await, world.tenant("closed").await);
    let ada = world.someone(installation.home, TenantRole::Owner).await;
    let go = async |who: &Someone, tenant: TenantId| {
        world.post(who, "/me/tenant", json!({"tenant": tenant})).await
    };
    assert_eq!(go(&ada, lab).await.problem(404), "tenant-not-found");
    let never = go(&ada, TenantId(uuid::Uuid::now_v7())).await;
    assert_eq!(never.problem(404), "tenant-not-found");

    world.member(lab, &ada, TenantRole::Member).await;
    world.member(closed, &ada, TenantRole::Member).await;
    let mut tx = world.tx().await;
    sqlx::query("update tenants set password_sign_in = false where id = $1")
        .bind(closed.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    assert!(tenants::find(&mut tx, closed).await.unwrap().is_some());
    tx.commit().await.unwrap();
    assert_eq!(go(&ada, closed).await.problem(403), "cannot-switch");
    let vouched = vouched(world, installation.home, &ada).await;
    assert_eq!(go(&vouched, lab).await.problem(403), "cannot-switch");

    let mut tx = world.tx().await;
    memberships::disable(&mut tx, lab, ada.user, chrono::Utc::now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(go(&ada, lab).await.problem(404), "tenant-not-found");
    world.get(&ada, "/me").await.must_be(200);
}
