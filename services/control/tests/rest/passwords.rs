//! Which passwords are taken, links by which one is set, and what several tenants have to do with it.

use serde_json::{Value, json};
use updraft_model::TenantRole;
use updraft_store::operators;

use crate::support::{Answer, PASSWORD, Someone, World, request};

const NEW: &str = "seven quiet mountains";

async fn sign_in(world: &World, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    world.send(request("POST", "/sessions").json(&body)).await
}

async fn set_password(world: &World, link: &str, password: &str) -> Answer {
    let body = json!({"link": link, "password": password});
    world.send(request("POST", "/password").json(&body)).await
}

async fn link_of(world: &World, owner: &Someone, person: &Someone) -> Answer {
    let path = format!("/people/{}/password-link", person.user);
    world.post(owner, &path, Value::Null).await
}

/// What follows `link=`.
fn code(made: &Value) -> String {
    let link = made["link"].as_str().unwrap();
    let (page, code) = link.split_once("?link=").unwrap();
    assert_eq!(page, "http://localhost:7700/password");
    code.to_owned()
}

#[tokio::test]
async fn a_link_sets_a_password_once_ends_all_sessions_and_is_audited() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let (owner, person) = (
        world.owner(tenant).await,
        world.someone(tenant, TenantRole::Member).await,
    );
    let first = code(&link_of(&world, &owner, &person).await.must_be(201));
    let link = code(&link_of(&world, &owner, &person).await.must_be(201));
    assert_eq!(
        set_password(&world, &first, NEW).await.problem(403),
        "password-link-refused",
        "a newer one was made"
    );
    assert_eq!(
        set_password(&world, &link, "short").await.refused_field(422),
        "password"
    );
    set_password(&world, &link, NEW).await.must_be(204);
    assert_eq!(world.get(&person, "/me").await.problem(401), "not-signed-in");
    sign_in(&world, &person.email, PASSWORD).await.problem(401);
    sign_in(&world, &person.email, NEW).await.must_be(201);
    assert_eq!(
        set_password(&world, &link, "another quiet mountain")
            .await
            .problem(403),
        "password-link-refused"
    );
    let log = world
        .get(&owner, "/audit?action=password.reset")
        .await
        .must_be(200);
    let done: Vec<&Value> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["outcome"] == "done")
        .collect();
    assert_eq!(done.len(), 1, "{log}");
    assert!(!log.to_string().contains(&link) && !log.to_string().contains(NEW));
}

#[tokio::test]
async fn no_owner_takes_over_an_account_that_another_tenant_or_the_installation_trusts() {
    let world = World::new().await;
    let (here, there) = (world.tenant("here").await, world.tenant("there").await);
    let owner = world.owner(here).await;
    let shared = world.someone(here, TenantRole::Member).await;
    let early = code(&link_of(&world, &owner, &shared).await.must_be(201));
    world.member(there, &shared, TenantRole::Owner).await;
    assert_eq!(
        link_of(&world, &owner, &shared).await.problem(409),
        "account-not-yours-alone"
    );
    assert_eq!(
        set_password(&world, &early, NEW).await.problem(403),
        "password-link-refused",
        "made before the other tenant trusted the account"
    );
    let factor = format!("/people/{}/second-factor", shared.user);
    assert_eq!(
        world.delete(&owner, &factor).await.problem(409),
        "account-not-yours-alone"
    );

    let operator = world.owner(here).await;
    let mut tx = world.tx().await;
    operators::set(&mut tx, &operator.email, true).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        link_of(&world, &owner, &operator).await.problem(409),
        "account-not-yours-alone"
    );
    sign_in(&world, &shared.email, PASSWORD).await.must_be(201);
}

#[tokio::test]
async fn an_invitation_lets_a_new_person_in_and_tells_nothing_of_one_who_has_an_account() {
    let world = World::new().await;
    let (here, there) = (world.tenant("here").await, world.tenant("there").await);
    let owner = world.owner(here).await;
    let known = world.someone(there, TenantRole::Member).await;
    let invite = async |email: &str| {
        let body = json!({"email": email, "name": "Chi", "tenant_role": "member"});
        world.post(&owner, "/people", body).await.must_be(201)
    };
    let (new, old) = (invite("chi@example.com").await, invite(&known.email).await);
    let parts = |added: &Value| -> Vec<String> { added.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(parts(&new), parts(&old));
    assert_eq!(code(&new["invite"]).len(), code(&old["invite"]).len());

    sign_in(&world, "chi@example.com", "").await.problem(401);
    set_password(&world, &code(&new["invite"]), NEW)
        .await
        .must_be(204);
    sign_in(&world, "chi@example.com", NEW).await.must_be(201);
    assert_eq!(
        set_password(&world, &code(&old["invite"]), NEW)
            .await
            .problem(403),
        "password-link-refused"
    );
    sign_in(&world, &known.email, PASSWORD).await.must_be(201);
}

#[tokio::test]
async fn the_same_passwords_are_refused_wherever_one_is_set() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let (owner, person) = (
        world.owner(tenant).await,
        world.someone(tenant, TenantRole::Member).await,
    );
    let link = code(&link_of(&world, &owner, &person).await.must_be(201));
    for bad in ["password1234", "short", person.email.as_str(), &"a".repeat(129)] {
        let change = json!({"current": PASSWORD, "new": bad});
        let changed = world.send(request("PUT", "/me/password").bearer(&person).json(&change));
        assert_eq!(changed.await.refused_field(422), "new", "{bad}");
        let reset = set_password(&world, &link, bad).await;
        assert_eq!(reset.refused_field(422), "password", "{bad}");
        let new =
            json!({"email": person.email, "name": "A Person", "tenant_role": "member", "password": bad});
        let added = world.post(&owner, "/people", new).await;
        assert_eq!(added.refused_field(422), "password", "{bad}");
    }
}

#[tokio::test]
async fn a_namesake_from_a_directory_has_no_password_to_change() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let (local, namesake) = (world.owner(tenant).await, world.owner(tenant).await);
    let mut tx = world.tx().await;
    sqlx::query("update users set origin = 'directory', email = $2, password_hash = null where id = $1")
        .bind(namesake.user.0)
        .bind(&local.email)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let change = json!({"current": PASSWORD, "new": NEW});
    let put = |person: &Someone| world.send(request("PUT", "/me/password").bearer(person).json(&change));
    let refused = put(&namesake).await;
    assert_eq!(refused.refused_field(422), "current");
    put(&local).await.must_be(204);
}
