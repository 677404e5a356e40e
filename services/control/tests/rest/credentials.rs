//! What clusters prove themselves with elsewhere: kept, named, never shown.

use serde_json::{Value, json};

use crate::support::{Someone, World, request};

const SECRET: &str = "planted-secret-77aa";

async fn world() -> (World, Someone) {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    (world, owner)
}

fn github() -> Value {
    json!({"name": "github", "config": {"kind": "git_token", "host": "GitHub.com"}, "secret": format!("{SECRET}\n")})
}

fn git(url: &str, credential: &str) -> Value {
    json!([{"source": {"kind": "git", "url": url, "credential": credential}}])
}

#[tokio::test]
async fn a_credential_is_kept_listed_and_never_shown() {
    let (world, owner) = world().await;
    let made = world.post(&owner, "/credentials", github()).await;
    assert!(!made.text.contains(SECRET), "{}", made.text);
    assert_eq!(made.must_be(201)["config"]["host"], "github.com");
    assert_eq!(
        world.post(&owner, "/credentials", github()).await.problem(409),
        "credential-name-taken"
    );
    let listed = world.get(&owner, "/credentials").await;
    assert!(!listed.text.contains(SECRET), "{}", listed.text);
    assert_eq!(listed.must_be(200)["items"][0]["name"], "github");
    let log = world.get(&owner, "/audit").await;
    assert!(log.text.contains("credential.create") && !log.text.contains(SECRET));
    let away = world.tenant("away").await;
    let stranger = world.owner(away).await;
    let listed = world.get(&stranger, "/credentials").await.must_be(200);
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn what_is_no_credential_is_refused_by_field() {
    let (world, owner) = world().await;
    let hosts =
        "example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    for (config, secret, field) in [
        (
            json!({"kind": "git_token", "host": "https://github.com"}),
            json!("x"),
            "config.host",
        ),
        (
            json!({"kind": "git_token", "host": "a/b"}),
            json!("x"),
            "config.host",
        ),
        (
            json!({"kind": "git_token", "host": "a", "username": "a:b"}),
            json!("x"),
            "config.username",
        ),
        (json!({"kind": "git_token", "host": "a"}), json!(null), "secret"),
        (json!({"kind": "git_token", "host": "a"}), json!("a\nb"), "secret"),
        (
            json!({"kind": "ssh_key", "known_hosts": ""}),
            json!(null),
            "config.known_hosts",
        ),
        (
            json!({"kind": "ssh_key", "known_hosts": hosts}),
            json!("no key"),
            "secret",
        ),
        (
            json!({"kind": "ssh_key", "known_hosts": hosts}),
            json!("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----"),
            "secret",
        ),
        (
            json!({"kind": "s3_keys", "access_key": "a b"}),
            json!("x"),
            "config.access_key",
        ),
    ] {
        let new = json!({"name": "one", "config": config, "secret": secret});
        let answer = world.post(&owner, "/credentials", new).await;
        assert_eq!(answer.refused_field(422), field, "{config}");
    }
    let named = json!({"name": "One", "config": {"kind": "s3_keys", "access_key": "abc"}, "secret": "x"});
    assert_eq!(
        world.post(&owner, "/credentials", named).await.refused_field(422),
        "name"
    );
}

#[tokio::test]
async fn an_ssh_key_that_nobody_gives_is_made_and_its_public_half_shown() {
    let (world, owner) = world().await;
    let hosts =
        "example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    let new = json!({"name": "deploy", "config": {"kind": "ssh_key", "known_hosts": hosts}});
    let made = world.post(&owner, "/credentials", new).await;
    assert!(!made.text.contains("PRIVATE KEY"), "{}", made.text);
    let public = made.must_be(201)["public_key"].as_str().unwrap().to_owned();
    assert!(
        public.starts_with("ssh-ed25519 ") && public.ends_with(" updraft-deploy"),
        "{public}"
    );
    let sources = git("git@example.com:a/b.git", "deploy");
    let cluster = json!({"name": "demo", "dag_sources": sources});
    let made = world.post(&owner, "/clusters", cluster).await.must_be(202);
    assert_eq!(
        made["cluster"]["spec"]["dag_sources"][0]["source"]["url"],
        "ssh://git@example.com/a/b.git"
    );
}

#[tokio::test]
async fn sources_name_credentials_that_are_there_and_fit() {
    let (world, owner) = world().await;
    world.post(&owner, "/credentials", github()).await.must_be(201);
    let create = async |sources: Value| {
        let new = json!({"name": "demo", "dag_sources": sources});
        world.post(&owner, "/clusters", new).await
    };
    for sources in [
        git("https://github.com/a/b", "unknown"),
        git("https://github.example/a/b", "github"),
        git("https://github.com:8443/a/b", "github"),
        git("ssh://git@github.com/a/b", "github"),
        json!([{"source": {"kind": "s3", "bucket": "abc", "region": "eu-west-1", "credential": "github"}}]),
    ] {
        let answer = create(sources.clone()).await;
        assert_eq!(
            answer.refused_field(422),
            "dag_sources[0].source.credential",
            "{sources}"
        );
    }
    create(git("https://github.com/a/b", "github")).await.must_be(202);
    let other = world.cluster(&owner, "other").await;
    let change = json!({"dag_sources": git("https://github.example/a/b", "github")});
    let update = request("PATCH", &format!("/clusters/{other}"))
        .bearer(&owner)
        .header("if-match", "\"1\"");
    let answer = world.send(update.json(&change)).await;
    assert_eq!(answer.refused_field(422), "dag_sources[0].source.credential");
}

#[tokio::test]
async fn a_credential_in_use_is_replaced_but_not_deleted() {
    let (world, owner) = world().await;
    world.post(&owner, "/credentials", github()).await.must_be(201);
    let new = json!({"name": "demo", "dag_sources": git("https://github.com/a/b", "github")});
    world.post(&owner, "/clusters", new).await.must_be(202);
    let listed = world.get(&owner, "/credentials").await.must_be(200);
    assert_eq!(listed["items"][0]["used_by"], json!(["demo"]));
    let refused = world.delete(&owner, "/credentials/github").await;
    assert_eq!(refused.problem(409), "credential-in-use");

    let before = world.get(&owner, "/clusters/1/dags").await.must_be(200)["sync"].clone();
    let put = |body: Value| request("PUT", "/credentials/github").bearer(&owner).json(&body);
    let other = json!({"config": {"kind": "git_token", "host": "github.com"}, "secret": "another"});
    world.send(put(other)).await.must_be(200);
    let after = world.get(&owner, "/clusters/1/dags").await.must_be(200)["sync"].clone();
    assert!(
        after.as_i64() > before.as_i64(),
        "nodes are told: {before} {after}"
    );
    let kind = json!({"config": {"kind": "s3_keys", "access_key": "abc"}, "secret": "x"});
    assert_eq!(world.send(put(kind)).await.refused_field(422), "config.kind");

    let change = json!({"dag_sources": [{"source": {"kind": "push"}}]});
    let update = request("PATCH", "/clusters/1")
        .bearer(&owner)
        .header("if-match", "\"1\"");
    world.send(update.json(&change)).await.must_be(202);
    world.delete(&owner, "/credentials/github").await.must_be(204);
    assert_eq!(
        world.delete(&owner, "/credentials/github").await.problem(404),
        "credential-not-found"
    );
}
