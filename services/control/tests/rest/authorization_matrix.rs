//! Who may do what, for every route that REST serves: generated from its OpenAPI, so that no route can be forgotten.
//!
//! Each row is made of things that exist, fresh for the row. The owner's answer is the positive control: it proves
//! that the row's request is a good one, so that a refusal is about rights and nothing else.
//!
//! Rows wait for the database most of their time, so some operations are asked about side by side, each in tenants of its
//! own. Those around signing in go one after another: they claim the same domain.

mod table;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use updraft_model::{ClusterId, ClusterRole, TenantId, TenantRole, TokenLimit};
use updraft_sso::SessionToken;
use updraft_store::{operators, sessions};

use crate::support::{ORIGIN, Someone, World, request};
use crate::{aws_accounts, dag_setup, dags, fake_sts, identity_providers, nodes};
use table::{expected, rule};

/// What the tenant claims, in the rows that need one.
const DOMAIN: &str = "example.com";

/// Operations that are asked about at the same time.
const SIDE_BY_SIDE: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Nobody,
    Stranger,
    Ungranted,
    User,
    Admin,
    /// Members with nothing of their own: a rule gives the role to a group that their identity provider says they are in.
    UserByGroup,
    AdminByGroup,
    /// In the group that is admin of another tenant's clusters, and of no cluster here.
    GroupElsewhere,
    Owner,
    /// Also a positive control: the owner's cookie from one of the console's pages.
    OwnersCookie,
    Expired,
    /// A token of the right form that was never given out.
    Forged,
    Revoked,
    Removed,
    /// The owner's cookie, sent by a browser that another site steers.
    CookieFromOtherOrigin,
    CookieFromOtherSite,
    /// API tokens of the owner: each may no more than its limit.
    FullToken,
    AdminToken,
    UserToken,
    ScimToken,
    ExpiredToken,
    RevokedToken,
    /// The owner, whom the installation made an operator.
    Operator,
}

const CALLERS: [Caller; 23] = [
    Caller::Nobody,
    Caller::Stranger,
    Caller::Ungranted,
    Caller::User,
    Caller::Admin,
    Caller::UserByGroup,
    Caller::AdminByGroup,
    Caller::GroupElsewhere,
    Caller::Owner,
    Caller::OwnersCookie,
    Caller::Expired,
    Caller::Forged,
    Caller::Revoked,
    Caller::Removed,
    Caller::CookieFromOtherOrigin,
    Caller::CookieFromOtherSite,
    Caller::FullToken,
    Caller::AdminToken,
    Caller::UserToken,
    Caller::ScimToken,
    Caller::ExpiredToken,
    Caller::RevokedToken,
    Caller::Operator,
];

/// What exists for one row.
pub(crate) struct Row {
    cluster: ClusterId,
    /// In no other row, and nowhere but in what only those with a role may see.
    secret_name: String,
    operation: String,
    generation: String,
    /// Another member of the tenant, with a grant on the cluster.
    other: Someone,
    owner: Someone,
    /// Another tenant, which has nothing to do with this one.
    away: TenantId,
    /// A tenant without clusters that the owner belongs to as well.
    elsewhere: TenantId,
    /// An identity provider of the tenant that passed its test, where the operation is about one.
    provider: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_every_caller_as_the_table_says() {
    let world = World::with_accounts().await;
    let document = world
        .send(request("GET", "/openapi.json").empty())
        .await
        .must_be(200);

    let (in_turn, at_once): (Vec<_>, Vec<_>) = operations(&document)
        .into_iter()
        .partition(|(path, ..)| is_around_sign_in(path));
    let one_after_another = async {
        let mut wrong = Vec::new();
        for route in &in_turn {
            wrong.extend(wrong_rows(&world, route).await);
        }
        wrong
    };
    let side_by_side = futures::stream::iter(&at_once)
        .map(|route| wrong_rows(&world, route))
        .buffer_unordered(SIDE_BY_SIDE)
        .concat();
    let (mut wrong, others) = futures::join!(one_after_another, side_by_side);
    wrong.extend(others);
    let rows = (in_turn.len() + at_once.len()) * CALLERS.len();
    assert!(
        wrong.is_empty(),
        "{} of {rows} rows are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!("{rows} rows");
}

/// What one operation answers to every caller, where that is not as the table says.
async fn wrong_rows(world: &World, (path, method, operation): &(String, String, String)) -> Vec<String> {
    let Some(rule) = rule(operation) else {
        return vec![format!("{method} {path} ({operation}) is missing from the table")];
    };
    // Of its own, so that no operation lists or counts what the rows of all before it left.
    let home = world.tenant(&format!("{operation} at home")).await;
    let away = world.tenant(&format!("{operation} elsewhere")).await;
    // Never the last owners.
    world.owner(home).await;
    world.owner(away).await;
    let mut wrong = Vec::new();
    for caller in CALLERS {
        let row = row(world, home, away).await;
        let row = with_sign_in_setup(world, row, path).await;
        let answer = ask(world, &row, caller, path, method, operation).await;
        let expected = expected(&rule, caller);
        if answer.0 != expected {
            wrong.push(format!(
                "{operation} as {caller:?}: {} instead of {expected}: {}",
                answer.0, answer.1
            ));
        }
        if is_outsider(caller) && answer.1.contains(&row.secret_name) {
            wrong.push(format!(
                "{operation} told {caller:?} the cluster's name: {}",
                answer.1
            ));
        }
    }
    for tenant in [home, away] {
        identity_providers::clear(world, tenant).await;
    }
    wrong
}

fn is_outsider(caller: Caller) -> bool {
    !matches!(
        caller,
        Caller::User
            | Caller::Admin
            | Caller::UserByGroup
            | Caller::AdminByGroup
            | Caller::Owner
            | Caller::OwnersCookie
            | Caller::FullToken
            | Caller::AdminToken
            | Caller::UserToken
            | Caller::Operator
    )
}

fn is_around_sign_in(path: &str) -> bool {
    path.contains("/identity-providers") || path.contains("/domains")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_has_no_row_for_what_is_not_served() {
    let document = serde_json::to_value(updraft_control::openapi_document()).unwrap();
    let served: Vec<_> = operations(&document)
        .into_iter()
        .map(|(_, _, operation)| operation)
        .collect();
    assert!(served.len() >= 29, "{served:?}");
    for operation in &served {
        assert!(rule(operation).is_some(), "{operation}");
    }
}

/// Path, method and id of everything in the document.
pub(crate) fn operations(document: &Value) -> Vec<(String, String, String)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .iter()
                .map(move |(method, operation)| {
                    let id = operation["operationId"].as_str().unwrap();
                    (path.clone(), method.to_uppercase(), id.to_owned())
                })
        })
        .collect()
}

pub(crate) async fn row(world: &World, home: TenantId, away: TenantId) -> Row {
    let owner = world.owner(home).await;
    let secret_name = format!("s{}", &uuid::Uuid::new_v4().simple().to_string()[..30]);
    let made = world
        .post(&owner, "/clusters", json!({"name": secret_name, "workers": 1}))
        .await
        .must_be(202);
    let cluster = ClusterId(made["cluster"]["id"].as_i64().unwrap());
    let elsewhere = world.tenant(&format!("t{}", uuid::Uuid::new_v4())).await;
    world.member(elsewhere, &owner, TenantRole::Member).await;
    Row {
        elsewhere,
        provider: String::new(),
        cluster,
        secret_name,
        operation: made["operation"]["id"].as_str().unwrap().to_owned(),
        generation: format!("\"{}\"", made["cluster"]["generation"]),
        other: member(world, home, cluster, Some(ClusterRole::User)).await,
        owner,
        away,
    }
}

/// Somebody new in the tenant, with that role on the cluster.
async fn member(world: &World, tenant: TenantId, cluster: ClusterId, role: Option<ClusterRole>) -> Someone {
    let person = world.someone(tenant, TenantRole::Member).await;
    if let Some(role) = role {
        world.grant(&person, cluster, role).await;
    }
    person
}

/// What the operations around signing in are about; whatever earlier rows left is taken away.
pub(crate) async fn with_sign_in_setup(world: &World, row: Row, path: &str) -> Row {
    if !is_around_sign_in(path) {
        return row;
    }
    for tenant in [row.owner.tenant, row.away] {
        identity_providers::clear(world, tenant).await;
    }
    let body =
        json!({"name": "Acme", "config": {"kind": "oidc", "issuer": "https://127.0.0.1", "client_id": "a"}});
    let provider = identity_providers::tested_provider(world, &row.owner, body).await;
    let claim = json!({"domain": DOMAIN});
    let domain = world.post(&row.owner, "/domains", claim).await.must_be(201);
    let record = |part: &str| domain[part].as_str().unwrap().to_owned();
    world.dns.set(&record("record_name"), &record("record_value"));
    Row {
        provider: provider.to_string(),
        ..row
    }
}

async fn ask(
    world: &World,
    row: &Row,
    caller: Caller,
    path: &str,
    method: &str,
    operation: &str,
) -> (u16, String) {
    let request = as_caller(world, row, caller, path, method, operation).await;
    let response = world.router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    // A stream has no end to be read to.
    if matches!(operation, "watch_events" | "watch_logs") && status == StatusCode::OK {
        return (200, String::new());
    }
    let bytes = axum::body::to_bytes(response.into_body(), 16 << 20)
        .await
        .unwrap();
    (status.as_u16(), String::from_utf8_lossy(&bytes).into_owned())
}

pub(crate) async fn as_caller(
    world: &World,
    row: &Row,
    caller: Caller,
    path: &str,
    method: &str,
    operation: &str,
) -> Request<Body> {
    let owner = &row.owner;
    let (account, external_id) = match operation {
        "show_aws_account"
        | "update_aws_account"
        | "check_aws_account"
        | "delete_aws_account"
        | "make_next_external_id" => aws_accounts::one_of(world, owner).await,
        "use_next_external_id" | "drop_next_external_id" => {
            (aws_accounts::rotating_one_of(world, owner).await, String::new())
        }
        _ => Default::default(),
    };
    let path = match operation {
        _ if !account.is_empty() => path.replace("{account}", &account),
        "replace_credential" | "delete_credential" => {
            path.replace("{credential}", &dag_setup::credential(world, owner).await)
        }
        "show_boot_log" => path.replace("{node}", &nodes::one_of(world, row.cluster).await.to_string()),
        "delete_dag_hook" => path.replace("{hook}", &dag_setup::hook(world, owner, row.cluster).await),
        "call_dag_hook" => path.replace("{hook}", &uuid::Uuid::new_v4().to_string()),
        "delete_access_rule" => path.replace("{rule}", &rule_of(world, owner, json!("everyone")).await),
        "delete_service_account" => path.replace("{user}", &world.service_account(owner).await.to_string()),
        "revoke_token" => path.replace("{token}", &world.token_id(&row.other).await.to_string()),
        _ => path.to_owned(),
    };
    let asked = request(method, &filled(&path, operation, row)).header("if-match", &row.generation);
    let member = |role| member(world, owner.tenant, row.cluster, role);
    let asked = match caller {
        Caller::Nobody => asked,
        Caller::Stranger => asked.bearer(&world.owner(row.away).await),
        Caller::Ungranted => asked.bearer(&member(None).await),
        Caller::User => asked.bearer(&member(Some(ClusterRole::User)).await),
        Caller::Admin => asked.bearer(&member(Some(ClusterRole::Admin)).await),
        Caller::UserByGroup => asked.bearer(&by_group(world, row, owner, "user").await),
        Caller::AdminByGroup => asked.bearer(&by_group(world, row, owner, "admin").await),
        Caller::GroupElsewhere => {
            asked.bearer(&by_group(world, row, &world.owner(row.away).await, "admin").await)
        }
        Caller::Owner => asked.bearer(owner),
        Caller::Operator => {
            let mut tx = world.tx().await;
            operators::set(&mut tx, &owner.email, true).await.unwrap();
            tx.commit().await.unwrap();
            asked.bearer(owner)
        }
        Caller::OwnersCookie => asked.cookie(owner).header("origin", ORIGIN),
        Caller::Expired => {
            let past = chrono::Duration::seconds(-1);
            asked.bearer(
                &world
                    .session(owner.tenant, owner.user, owner.email.clone(), past)
                    .await,
            )
        }
        Caller::Forged => asked.bearer(&Someone {
            token: SessionToken::random().expose().to_owned(),
            ..owner.clone()
        }),
        Caller::Revoked => {
            let mut tx = world.tx().await;
            sessions::revoke(&mut tx, owner.session, chrono::Utc::now())
                .await
                .unwrap();
            tx.commit().await.unwrap();
            asked.bearer(owner)
        }
        Caller::Removed => {
            let removed = world.owner(owner.tenant).await;
            let path = format!("/people/{}", removed.user);
            world.delete(owner, &path).await.must_be(204);
            asked.bearer(&removed)
        }
        Caller::CookieFromOtherOrigin => asked.cookie(owner).header("origin", "http://127.0.0.1:7701"),
        Caller::FullToken => asked.bearer(&world.api_token(owner, TokenLimit::Full).await),
        Caller::AdminToken => asked.bearer(&world.api_token(owner, TokenLimit::Admin).await),
        Caller::UserToken => asked.bearer(&world.api_token(owner, TokenLimit::User).await),
        Caller::ScimToken => asked.bearer(&world.api_token(owner, TokenLimit::Scim).await),
        Caller::ExpiredToken => asked.bearer(&world.expired_token(owner).await),
        Caller::RevokedToken => asked.bearer(&world.revoked_token(owner).await),
        Caller::CookieFromOtherSite => asked.cookie(owner).header("sec-fetch-site", "cross-site"),
    };
    match operation {
        "push_dags" => {
            dag_setup::take_pushes(world, row.cluster).await;
            return asked.bytes("application/gzip", dags::archive("a.py", b"x = 1"));
        }
        "rollback_dags" => dag_setup::publish(world, row.cluster).await,
        _ => {}
    }
    if let Some(form) = form(operation) {
        return asked.text("application/x-www-form-urlencoded", form);
    }
    if operation == "update_aws_account" {
        return asked.json(&aws_accounts::config(&fake_sts::role(&external_id)));
    }
    match body(operation, row, caller) {
        Some(body) => asked.json(&body),
        None => asked.empty(),
    }
}

/// A member of the row's tenant in a group to which a rule of `owner` gives the role: on the row's cluster, if it is
/// theirs.
async fn by_group(world: &World, row: &Row, owner: &Someone, role: &str) -> Someone {
    let group = uuid::Uuid::new_v4().to_string();
    let target = if owner.tenant == row.owner.tenant {
        json!({"cluster": row.cluster})
    } else {
        json!("every_cluster")
    };
    let rule = json!({"who": {"group": group}, "role": role, "target": target});
    world.post(owner, "/access-rules", rule).await.must_be(201);
    world.someone_in(row.owner.tenant, &[&group]).await
}

/// A rule that gives nothing on any cluster there is.
async fn rule_of(world: &World, owner: &Someone, who: Value) -> String {
    let nowhere = json!({"tag": {"key": "no", "value": "where"}});
    let rule = json!({"who": who, "role": "user", "target": nowhere});
    let made = world.post(owner, "/access-rules", rule).await.must_be(201);
    made["id"].as_str().unwrap().to_owned()
}

fn filled(path: &str, operation: &str, row: &Row) -> String {
    let id = if operation == "show_operation" {
        row.operation.clone()
    } else {
        row.cluster.to_string()
    };
    let query = match operation {
        "watch_events" => format!("?cluster={}", row.cluster),
        "list_clusters" | "list_people" | "list_tenants" => "?limit=200".to_owned(),
        _ => String::new(),
    };
    let path = path
        .replace("{id}", &id)
        .replace("{user}", &row.other.user.to_string())
        .replace("{tenant}", &row.elsewhere.to_string())
        .replace("{session}", &row.other.session.to_string())
        .replace("{provider}", &row.provider)
        .replace("{domain}", DOMAIN)
        .replace("{service}", "worker")
        .replace("{verb}", "restart")
        .replace("{name}", "airflow-3.3.2");
    assert!(!path.contains('{'), "the matrix does not know how to fill {path}");
    path + &query
}

/// OAuth's operations take forms.
fn form(operation: &str) -> Option<&'static str> {
    match operation {
        "authorize_device" => Some("client_id=a+test"),
        "poll_device" => {
            Some("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=unknown")
        }
        _ => None,
    }
}

fn body(operation: &str, row: &Row, caller: Caller) -> Option<Value> {
    let fresh = uuid::Uuid::new_v4().simple().to_string();
    Some(match operation {
        "sign_in" => json!({"email": row.other.email, "password": crate::support::PASSWORD}),
        "change_password" => json!({"current": crate::support::PASSWORD, "new": format!("another {fresh}")}),
        "forgot_password" => json!({"email": format!("{fresh}@example.com")}),
        "set_password" => json!({"link": fresh, "password": crate::support::PASSWORD}),
        "confirm_second_factor" => json!({"code": "000000"}),
        "remove_second_factor" => json!({"password": crate::support::PASSWORD}),
        "create_token" => json!({"name": "ci", "role": "user"}),
        "create_service_account" => json!({"name": format!("s{}", &fresh[..20])}),
        "create_cluster" => json!({"name": format!("c{}", &fresh[..20])}),
        "update_cluster" => json!({"workers": 2}),
        "change_task_secrets" => json!({"set": {"A": fresh}}),
        "put_grant" => json!({"role": "admin"}),
        "create_tenant" => {
            let owner = json!({"email": format!("{fresh}@example.com"), "name": "Owner", "password": crate::support::PASSWORD});
            json!({"name": fresh, "owner": owner})
        }
        "update_tenant" => json!({"max_nodes": 7}),
        "help_with_password" | "help_with_second_factor" => json!({"email": row.other.email}),
        "switch_tenant" => json!({"tenant": row.elsewhere}),
        "change_person" => json!({"tenant_role": "owner"}),
        "create_identity_provider" => {
            json!({"name": fresh, "config": {"kind": "oidc", "issuer": format!("https://127.0.0.1/{fresh}"), "client_id": "a"}})
        }
        "update_identity_provider" => json!({"name": fresh}),
        "add_domain" => json!({"domain": format!("{fresh}.example")}),
        "update_domain" => json!({"provider": null}),
        "update_sign_in_rules" => json!({"session_seconds": 7200}),
        "create_aws_account" => json!({"name": format!("a{}", &fresh[..20])}),
        "create_credential" => {
            let config = json!({"kind": "s3_keys", "access_key": "AKIA"});
            json!({"name": format!("c{}", &fresh[..20]), "config": config, "secret": fresh})
        }
        "replace_credential" => {
            json!({"config": {"kind": "s3_keys", "access_key": "AKIB"}, "secret": fresh})
        }
        "rollback_dags" => json!({"digest": dag_setup::DIGEST}),
        "put_dag_hook" => json!({}),
        "create_access_rule" => {
            let nowhere = json!({"tag": {"key": "no", "value": "where"}});
            json!({"who": {"group": fresh}, "role": "admin", "target": nowhere})
        }
        "add_person" => {
            let email = format!("{fresh}@example.com");
            json!({"email": email, "name": format!("{caller:?}"), "tenant_role": "member", "password": crate::support::PASSWORD})
        }
        _ => return None,
    })
}
