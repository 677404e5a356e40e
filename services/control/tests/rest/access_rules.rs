//! Roles by rule: who gets them, who does not, and why.

use serde_json::{Value, json};
use updraft_model::{ClusterId, ClusterRole, TenantRole};

use crate::support::{Someone, World, request};

/// An owner, with a cluster tagged `env=prod` and one tagged `env=dev`.
async fn two_clusters(world: &World) -> (Someone, ClusterId, ClusterId) {
    let owner = world.owner(world.tenant("acme").await).await;
    let prod = tagged(world, &owner, "prod").await;
    let dev = tagged(world, &owner, "dev").await;
    (owner, prod, dev)
}

async fn tagged(world: &World, owner: &Someone, env: &str) -> ClusterId {
    let new = json!({"name": env, "tags": {"env": env}, "start": false});
    let made = world.post(owner, "/clusters", new).await.must_be(202);
    ClusterId(made["cluster"]["id"].as_i64().unwrap())
}

async fn rule(world: &World, owner: &Someone, who: Value, role: &str, target: Value) -> String {
    let new = json!({"who": who, "role": role, "target": target});
    let made = world.post(owner, "/access-rules", new).await.must_be(201);
    made["id"].as_str().unwrap().to_owned()
}

fn prod_tag() -> Value {
    json!({"tag": {"key": "env", "value": "prod"}})
}

/// The clusters somebody sees, with their role.
async fn sees(world: &World, who: &Someone) -> Vec<(i64, String)> {
    let list = world.get(who, "/clusters").await.must_be(200);
    let of = |item: &Value| {
        (
            item["id"].as_i64().unwrap(),
            item["role"].as_str().unwrap().to_owned(),
        )
    };
    list["items"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn a_group_rule_gives_its_role_where_it_says_and_nowhere_else() {
    let world = World::new().await;
    let (owner, prod, dev) = two_clusters(&world).await;
    let member = world.someone_in(owner.tenant, &["data-platform", "other"]).await;
    assert!(sees(&world, &member).await.is_empty());
    let id = rule(
        &world,
        &owner,
        json!({"group": "data-platform"}),
        "admin",
        prod_tag(),
    )
    .await;

    assert_eq!(sees(&world, &member).await, [(prod.0, "admin".to_owned())]);
    world.get(&member, &format!("/clusters/{dev}")).await.must_be(404);
    world
        .get(&member, &format!("/events?cluster={dev}"))
        .await
        .must_be(404);
    for (cluster, status) in [(prod, 200), (dev, 404)] {
        let path = format!("/clusters/{cluster}/events");
        world.get(&member, &path).await.must_be(status);
    }
    world
        .post(&member, &format!("/clusters/{prod}/start"), json!({}))
        .await
        .must_be(202);

    world
        .delete(&owner, &format!("/access-rules/{id}"))
        .await
        .must_be(204);
    assert!(sees(&world, &member).await.is_empty());
    world
        .get(&member, &format!("/clusters/{prod}"))
        .await
        .must_be(404);
    world
        .get(&member, &format!("/clusters/{prod}/events"))
        .await
        .must_be(404);
}

#[tokio::test]
async fn what_the_directory_or_a_tag_takes_away_is_gone_with_the_next_request() {
    let world = World::new().await;
    let (owner, prod, dev) = two_clusters(&world).await;
    rule(&world, &owner, json!({"group": "data"}), "user", prod_tag()).await;
    let member = world.someone_in(owner.tenant, &["data"]).await;
    assert_eq!(sees(&world, &member).await, [(prod.0, "user".to_owned())]);

    let (path, tags) = (format!("/clusters/{dev}"), json!({"tags": {"env": "prod"}}));
    let retag = |path: &str, generation: i64, tags: &Value| {
        request("PATCH", path)
            .bearer(&owner)
            .header("if-match", &format!("\"{generation}\""))
            .json(tags)
    };
    let changed = world.send(retag(&path, 1, &tags)).await.must_be(202);
    assert_eq!(changed["cluster"]["spec"]["tags"], json!({"env": "prod"}));
    assert_eq!(sees(&world, &member).await.len(), 2);
    world
        .send(retag(&path, 2, &json!({"tags": {}})))
        .await
        .must_be(202);
    assert_eq!(sees(&world, &member).await, [(prod.0, "user".to_owned())]);

    world.now_in(&member, &["Data", "datа"]).await;
    assert!(sees(&world, &member).await.is_empty());
    world.now_in(&member, &["data"]).await;
    assert_eq!(sees(&world, &member).await.len(), 1);
    world.providers_are_enabled(owner.tenant, false).await;
    assert!(
        sees(&world, &member).await.is_empty(),
        "what a disabled provider said"
    );
    let group = uuid::Uuid::new_v4();
    let (tenant, user) = (member.tenant, member.user);
    world
        .execute(&format!(
            "insert into scim_groups (id, tenant_id, display_name) values ('{group}', '{tenant}', 'data');
             insert into scim_group_members values ('{tenant}', '{group}', '{user}');"
        ))
        .await;
    assert_eq!(sees(&world, &member).await.len(), 1);
    world
        .execute(&format!(
            "update scim_groups set display_name = 'renamed' where id = '{group}'"
        ))
        .await;
    assert!(sees(&world, &member).await.is_empty());
}

#[tokio::test]
async fn an_address_that_nobody_vouched_for_opens_nothing() {
    let world = World::new().await;
    let (owner, prod, _) = two_clusters(&world).await;
    let member = world.someone_in(owner.tenant, &[]).await;
    rule(
        &world,
        &owner,
        json!({"domain": "example.com"}),
        "user",
        prod_tag(),
    )
    .await;
    rule(
        &world,
        &owner,
        json!({"email": member.email}),
        "admin",
        prod_tag(),
    )
    .await;
    let opens = async || sees(&world, &member).await;
    let user = member.user;
    assert!(opens().await.is_empty(), "a local account's typed-in address");
    world
        .execute(&format!(
            "update identities set email_verified = true where user_id = '{user}'"
        ))
        .await;
    assert!(
        opens().await.is_empty(),
        "still the account's own, whatever the provider says"
    );
    world
        .execute(&format!(
            "update users set origin = 'directory' where id = '{user}'"
        ))
        .await;
    assert_eq!(opens().await, [(prod.0, "admin".to_owned())]);
    world
        .execute(&format!(
            "update identities set email_verified = false where user_id = '{user}'"
        ))
        .await;
    assert!(opens().await.is_empty(), "an address the provider did not verify");
    world
        .execute(&format!(
            "update identities set hosted_domain = 'Example.com' where user_id = '{user}'"
        ))
        .await;
    assert_eq!(
        opens().await,
        [(prod.0, "user".to_owned())],
        "the hosted domain, not the address"
    );
}

#[tokio::test]
async fn rules_groups_and_clusters_of_another_tenant_mean_nothing_here() {
    let world = World::new().await;
    let (owner, prod, _) = two_clusters(&world).await;
    let stranger = world.owner(world.tenant("other").await).await;
    let theirs = tagged(&world, &stranger, "prod").await;
    let id = rule(
        &world,
        &stranger,
        json!("everyone"),
        "admin",
        json!("every_cluster"),
    )
    .await;
    let (ours, other) = (
        world.someone_in(owner.tenant, &["data"]).await,
        world.someone_in(stranger.tenant, &["data"]).await,
    );
    assert!(sees(&world, &ours).await.is_empty());
    assert_eq!(sees(&world, &other).await, [(theirs.0, "admin".to_owned())]);
    assert_eq!(
        world
            .delete(&owner, &format!("/access-rules/{id}"))
            .await
            .problem(404),
        "access-rule-not-found"
    );
    assert!(
        world.get(&owner, "/access-rules").await.must_be(200)["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let on_theirs = json!({"who": "everyone", "role": "user", "target": {"cluster": theirs.0}});
    assert_eq!(
        world
            .post(&owner, "/access-rules", on_theirs)
            .await
            .refused_field(422),
        "target.cluster"
    );
    let about = format!("/clusters/{prod}/access?user={}", other.user);
    assert_eq!(world.get(&owner, &about).await.problem(404), "person-not-found");
    let people = world.get(&owner, &format!("/clusters/{prod}/people")).await;
    assert!(!people.text.contains(&other.email) && people.text.contains(&ours.email));
}

#[tokio::test]
async fn a_rule_that_makes_no_sense_is_refused_by_its_field() {
    let world = World::new().await;
    let owner = world.owner(world.tenant("acme").await).await;
    for (who, target, field) in [
        (json!({"group": ""}), json!("every_cluster"), "who.group"),
        (
            json!({"domain": "@example.com"}),
            json!("every_cluster"),
            "who.domain",
        ),
        (
            json!({"domain": "*.example.com"}),
            json!("every_cluster"),
            "who.domain",
        ),
        (json!({"email": "ada"}), json!("every_cluster"), "who.email"),
        (json!("everyone"), json!({"cluster": 99}), "target.cluster"),
        (
            json!("everyone"),
            json!({"tag": {"key": "", "value": "x"}}),
            "target.tag",
        ),
    ] {
        let new = json!({"who": who, "role": "user", "target": target});
        assert_eq!(
            world.post(&owner, "/access-rules", new).await.refused_field(422),
            field
        );
    }
    for malformed in [
        json!({"who": "nobody", "role": "user", "target": "every_cluster"}),
        json!({"who": "everyone", "role": "owner", "target": "every_cluster"}),
        json!({"who": "everyone", "role": "user", "target": {"tag": {"key": "a", "value": "b", "or": "c"}}}),
        json!({"who": "everyone", "role": "user", "target": "every_cluster", "id": "mine"}),
    ] {
        world.post(&owner, "/access-rules", malformed).await.problem(422);
    }
}

#[tokio::test]
async fn why_she_may_is_told_to_herself_to_admins_and_to_owners_each_what_is_theirs_to_know() {
    let world = World::new().await;
    let (owner, prod, dev) = two_clusters(&world).await;
    let her = world.someone_in(owner.tenant, &["data"]).await;
    let user = world.someone(owner.tenant, TenantRole::Member).await;
    world.grant(&user, prod, ClusterRole::User).await;
    let by_tag = rule(&world, &owner, json!({"group": "data"}), "admin", prod_tag()).await;
    rule(
        &world,
        &owner,
        json!({"group": "finance"}),
        "admin",
        json!("every_cluster"),
    )
    .await;
    rule(
        &world,
        &owner,
        json!({"group": "data"}),
        "user",
        json!({"cluster": dev.0}),
    )
    .await;
    rule(
        &world,
        &owner,
        json!({"domain": "example.com"}),
        "user",
        json!("every_cluster"),
    )
    .await;

    let outcomes = async |who: &Someone, about: &Someone| {
        let path = format!("/clusters/{prod}/access?user={}", about.user);
        let told = world.get(who, &path).await.must_be(200);
        let reasons = told["reasons"].as_array().unwrap().iter();
        reasons
            .map(|reason| reason["outcome"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let told = world
        .get(&her, &format!("/clusters/{prod}/access"))
        .await
        .must_be(200);
    assert_eq!(
        (&told["role"], &told["user"]),
        (&json!("admin"), &json!(her.user))
    );
    assert_eq!(told["reasons"][0]["through"]["id"], by_tag);
    assert_eq!(told["reasons"][0]["outcome"], "decides");
    assert_eq!(
        outcomes(&owner, &her).await,
        ["decides", "other_people", "other_clusters", "address_not_vouched"]
    );
    assert_eq!(
        outcomes(&her, &user).await,
        ["decides", "other_people", "other_people", "address_not_vouched"]
    );
    assert_eq!(outcomes(&user, &user).await, ["decides", "address_not_vouched"]);
    let about_her = format!("/clusters/{prod}/access?user={}", her.user);
    assert_eq!(world.get(&user, &about_her).await.problem(403), "forbidden");
    let outsider = world.someone(owner.tenant, TenantRole::Member).await;
    assert_eq!(
        world
            .get(&outsider, &format!("/clusters/{prod}/access"))
            .await
            .problem(404),
        "cluster-not-found"
    );
}

#[tokio::test]
async fn a_cluster_admin_finds_people_to_share_with_and_learns_no_more_of_them() {
    let world = World::new().await;
    let (owner, prod, dev) = two_clusters(&world).await;
    let admin = world.someone_in(owner.tenant, &["data"]).await;
    rule(&world, &owner, json!({"group": "data"}), "admin", prod_tag()).await;
    let other = world.someone(owner.tenant, TenantRole::Member).await;
    let list = async |query: &str| {
        world
            .get(&admin, &format!("/clusters/{prod}/people{query}"))
            .await
            .must_be(200)
    };

    let of = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|item| item["email"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut everybody = vec![owner.email.clone(), admin.email.clone(), other.email.clone()];
    everybody.sort();
    assert_eq!(of(&list("").await), everybody);
    let first = list("?limit=2").await;
    let rest = list(&format!("?limit=2&cursor={}", first["next"].as_str().unwrap())).await;
    assert_eq!([of(&first), of(&rest)].concat(), everybody);
    let found = list(&format!("?query={}", other.email.to_uppercase())).await;
    assert_eq!(
        found["items"],
        json!([{"user": other.user, "name": "A Person", "email": other.email,
                "role": null, "through": null, "granted": null}])
    );
    let with_role = list("?with_role=true").await;
    let through = |email: &str| {
        let items = with_role["items"].as_array().unwrap();
        items
            .iter()
            .find(|item| item["email"] == email)
            .map(|item| item["through"]["kind"].clone())
    };
    assert_eq!(through(&owner.email), Some(json!("owner")));
    assert_eq!(through(&admin.email), Some(json!("rule")));
    assert_eq!(through(&other.email), None);

    let give = request("PUT", &format!("/clusters/{prod}/grants/{}", other.user)).bearer(&admin);
    world.send(give.json(&json!({"role": "user"}))).await.must_be(200);
    assert_eq!(
        world
            .get(&other, &format!("/clusters/{prod}/people"))
            .await
            .problem(403),
        "forbidden"
    );
    assert_eq!(
        world
            .get(&admin, &format!("/clusters/{dev}/people"))
            .await
            .problem(404),
        "cluster-not-found"
    );
}

#[tokio::test]
async fn a_changed_tenant_role_counts_in_the_same_session_and_the_last_owner_stays_one() {
    let world = World::new().await;
    let (owner, ..) = two_clusters(&world).await;
    let member = world.someone(owner.tenant, TenantRole::Member).await;
    let make = async |by: &Someone, who: &Someone, role: &str| {
        let change = request("PATCH", &format!("/people/{}", who.user)).bearer(by);
        world.send(change.json(&json!({"tenant_role": role}))).await
    };
    assert_eq!(make(&owner, &owner, "member").await.problem(409), "last-owner");
    assert_eq!(make(&member, &member, "owner").await.problem(403), "forbidden");
    assert_eq!(
        make(&owner, &member, "owner").await.must_be(200)["tenant_role"],
        "owner"
    );
    assert_eq!(sees(&world, &member).await.len(), 2);
    make(&member, &owner, "member").await.must_be(200);
    assert!(sees(&world, &owner).await.is_empty());
    assert_eq!(world.get(&owner, "/people").await.problem(403), "forbidden");
    assert_eq!(make(&member, &member, "member").await.problem(409), "last-owner");
    let stranger = world.owner(world.tenant("other").await).await;
    assert_eq!(
        make(&stranger, &member, "member").await.problem(404),
        "person-not-found"
    );
}

#[tokio::test]
async fn a_person_switched_off_has_nothing_left() {
    let world = World::new().await;
    let (owner, prod, _) = two_clusters(&world).await;
    rule(&world, &owner, json!("everyone"), "user", prod_tag()).await;
    let member = world.someone(owner.tenant, TenantRole::Member).await;
    assert_eq!(sees(&world, &member).await.len(), 1);
    let user = member.user;
    world
        .execute(&format!(
            "update memberships set disabled_at = now() where user_id = '{user}'"
        ))
        .await;
    assert_eq!(
        world.get(&member, "/clusters").await.problem(401),
        "not-signed-in"
    );
    let people = world
        .get(&owner, &format!("/clusters/{prod}/people?with_role=true"))
        .await
        .must_be(200);
    assert!(!people.to_string().contains(&member.email));
}
