//! What this server can do (RFC 7644 section 4). The same for every tenant; a token is asked for all the same.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use updraft_app::App;
use updraft_sso::scim::{ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA};

use super::answer::{Answer, Refusal, scim};
use super::caller::Caller;
use super::schemas;

pub(super) async fn service_provider_config(State(app): State<App>, Caller(_): Caller) -> Response {
    let base = &app.config().console_url;
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "documentationUri": format!("{base}/api/v1/docs"),
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": 200},
        "changePassword": {"supported": false},
        "sort": {"supported": false},
        "etag": {"supported": true},
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "API token",
            "description": "An API token of the role `scim`, as `Authorization: Bearer`.",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base}/scim/v2/ServiceProviderConfig"),
        },
    });
    scim(StatusCode::OK, &body)
}

pub(super) async fn resource_types(State(app): State<App>, Caller(_): Caller) -> Response {
    scim(StatusCode::OK, &list(&types(&app.config().console_url)))
}

pub(super) async fn resource_type(
    State(app): State<App>,
    Caller(_): Caller,
    Path(id): Path<String>,
) -> Answer {
    named(types(&app.config().console_url), &id)
}

pub(super) async fn schemas(State(app): State<App>, Caller(_): Caller) -> Response {
    scim(StatusCode::OK, &list(&schemas::all(&app.config().console_url)))
}

pub(super) async fn schema(State(app): State<App>, Caller(_): Caller, Path(id): Path<String>) -> Answer {
    named(schemas::all(&app.config().console_url), &id)
}

fn types(base: &str) -> Vec<Value> {
    let one = |name: &str, endpoint: &str, schema: &str, extensions: Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": name,
            "name": name,
            "endpoint": endpoint,
            "schema": schema,
            "schemaExtensions": extensions,
            "meta": {"resourceType": "ResourceType", "location": format!("{base}/scim/v2/ResourceTypes/{name}")},
        })
    };
    let enterprise = json!([{"schema": ENTERPRISE_SCHEMA, "required": false}]);
    vec![
        one("User", "/Users", USER_SCHEMA, enterprise),
        one("Group", "/Groups", GROUP_SCHEMA, json!([])),
    ]
}

fn list(resources: &[Value]) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": resources.len(),
        "startIndex": 1,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

fn named(resources: Vec<Value>, id: &str) -> Answer {
    let found = resources.into_iter().find(|resource| resource["id"] == id);
    found
        .map(|resource| scim(StatusCode::OK, &resource))
        .ok_or_else(Refusal::no_such_resource)
}
