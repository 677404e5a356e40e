use std::path::Path;

use http::StatusCode;
use updraft_edge::assets;

use crate::harness::{ALICE, Call, World, until};

const SCRIPT: &str = "assets/index-1ifPC3Lo.js";

/// An environment with a small UI in it.
fn environment(dir: &Path, script: &str) {
    let dist = dir.join("lib/python3.12/site-packages/airflow/ui/dist");
    std::fs::create_dir_all(dist.join("assets")).unwrap();
    std::fs::create_dir_all(dist.join(".vite")).unwrap();
    std::fs::write(dist.join("index.html"), "{{ template }}").unwrap();
    std::fs::write(dist.join(".vite/manifest.json"), "{}").unwrap();
    std::fs::write(dist.join("pin_32.png"), [1, 2, 3]).unwrap();
    std::fs::write(dist.join(SCRIPT), script.repeat(1000)).unwrap();
}

async fn world_with_assets() -> World {
    let mut world = World::prepare().await;
    environment(&world.dir.path().join("env"), "console.log(1);");
    assets::build(
        &world.dir.path().join("env"),
        &world.config.asset_dir.join("airflow-test"),
    )
    .unwrap();
    world.start_edge().await;
    world
}

#[tokio::test]
async fn files_come_compressed_from_the_edge_and_never_from_the_api_server() {
    let world = world_with_assets().await;
    let script = world.get(1, &format!("/static/{SCRIPT}"));
    for (accepted, sent) in [
        ("gzip, deflate, br, zstd", Some("br")),
        ("gzip, zstd", Some("zstd")),
        ("gzip, br;q=0", Some("gzip")),
        ("identity", None),
    ] {
        let answer = script.clone().with("accept-encoding", accepted).send().await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("content-encoding"), sent, "{accepted}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/javascript; charset=utf-8")
        );
        assert_eq!(
            answer.header("cache-control"),
            Some("public, max-age=31536000, immutable")
        );
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        assert_eq!(answer.body.len() < 1000, sent.is_some());

        let again = script
            .clone()
            .with("accept-encoding", accepted)
            .with("if-none-match", answer.header("etag").unwrap());
        let again = again.send().await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    }
    let icon = world.get(1, "/static/pin_32.png").send().await;
    assert_eq!(&*icon.body, [1, 2, 3]);
    assert!(!icon.header("cache-control").unwrap().contains("immutable"));
    assert_eq!(world.upstreams[0].requests(), 0);
}

#[tokio::test]
async fn what_is_no_asset_is_not_found() {
    let world = world_with_assets().await;
    let session = world.session(ALICE, 1);
    for file in [
        "index.html",
        ".vite/manifest.json",
        "manifest.json",
        "assets/index-1ifPC3Lo.js.br",
        "none.js",
    ] {
        let answer = world
            .get(1, &format!("/static/{file}"))
            .signed_in(&session)
            .send()
            .await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{file}");
    }
    assert_eq!(world.upstreams[0].requests(), 0);
}

#[tokio::test]
async fn assets_tell_nobody_which_clusters_exist() {
    let world = world_with_assets().await;
    let ask = |id: i64, file: &str| {
        Call::get(&world.host(1), &format!("/airflow-webserver-{id}/static/{file}")).send()
    };
    for file in [SCRIPT, "none.js"] {
        assert_eq!(ask(1, file).await.appearance(), ask(99, file).await.appearance());
    }
}

#[tokio::test]
async fn an_old_pages_scripts_survive_an_upgrade() {
    let world = world_with_assets().await;
    let newer = world.dir.path().join("newer");
    environment(&newer, "x");
    let dist = newer.join("lib/python3.12/site-packages/airflow/ui/dist");
    std::fs::rename(dist.join(SCRIPT), dist.join("assets/index-NEWhash1.js")).unwrap();
    assets::build(&newer, &world.config.asset_dir.join("airflow-newer")).unwrap();
    world
        .publish(|s| s.routes[0].runtime = "airflow-newer".into())
        .await;
    for file in ["assets/index-NEWhash1.js", SCRIPT] {
        assert_eq!(
            world.get(1, &format!("/static/{file}")).send().await.status,
            StatusCode::OK,
            "{file}"
        );
    }
}

#[tokio::test]
async fn without_compressed_assets_the_api_server_serves_them_to_those_who_may() {
    let world = World::start().await;
    let script = world.get(1, &format!("/static/{SCRIPT}"));
    assert_eq!(script.clone().send().await.status, StatusCode::SEE_OTHER);
    assert_eq!(
        script.signed_in(&world.session(ALICE, 1)).send().await.json()["upstream"],
        "airflow-1"
    );
}

#[test]
fn building_twice_at_once_makes_one_set() {
    let dir = tempfile::tempdir().unwrap();
    environment(&dir.path().join("env"), "y");
    let build = || assets::build(&dir.path().join("env"), &dir.path().join("out")).unwrap();
    let built: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(build)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(built.iter().any(|b| b.fresh));
    assert!(built.iter().all(|b| b.files == 2), "{built:?}");
    assert!(!build().fresh);
    let left: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn an_environment_without_a_ui_is_named() {
    let error = assets::build(Path::new("/nonexistent"), Path::new("/nonexistent/out")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent"), "{error}");
}

#[tokio::test]
async fn assets_compressed_while_the_edge_runs_are_served_from_then_on() {
    let mut world = World::prepare().await;
    let env = world.dir.path().join("env");
    environment(&env, "console.log(1);");
    world.start_edge().await;
    let script = world
        .get(1, &format!("/static/{SCRIPT}"))
        .with("accept-encoding", "br")
        .signed_in(&world.session(ALICE, 1));
    let before = script.clone().send().await;
    assert_eq!(before.json()["upstream"], "airflow-1");
    assets::build(&env, &world.config.asset_dir.join("airflow-test")).unwrap();
    until("the edge's own copy", || async {
        script.clone().send().await.header("content-encoding") == Some("br")
    })
    .await;
}
