//! The served OpenAPI document is the one kept in the repository.

use std::path::Path;

use crate::support::{World, request};

/// After a change that is meant: `UPDATE_OPENAPI=1 cargo test -p updraft-control --test rest openapi`.
#[tokio::test]
async fn the_document_in_the_repository_is_the_one_that_is_served() {
    let world = World::new().await;
    let served = world
        .send(request("GET", "/openapi.json").empty())
        .await
        .must_be(200);
    let served = serde_json::to_string_pretty(&served).unwrap() + "\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &served).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == served,
        "docs/openapi.json differs: look at the change, then run this with UPDATE_OPENAPI=1"
    );
}

#[tokio::test]
async fn it_is_openapi_3_1_and_every_operation_says_how_it_fails() {
    let document = serde_json::to_value(updraft_control::openapi_document()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    for methods in document["paths"].as_object().unwrap().values() {
        for operation in methods.as_object().unwrap().values() {
            let problem =
                &operation["responses"]["default"]["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(problem, "#/components/schemas/Problem");
            assert!(!operation["summary"].as_str().unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn every_schema_that_is_named_is_there() {
    let document = serde_json::to_value(updraft_control::openapi_document()).unwrap();
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn the_docs_page_needs_nothing_from_elsewhere() {
    let world = World::new().await;
    let page = world.send(request("GET", "/docs").empty()).await;
    assert_eq!(page.status, 200);
    assert!(
        page.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    assert!(
        page.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'")
    );
    for word in ["POST /clusters/{id}/start", "If-Match", "schema-ClusterView"] {
        assert!(page.text.contains(word), "{word}");
    }
    assert!(!page.text.contains("<script"));
}
