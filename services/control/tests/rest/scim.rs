//! A directory at work, with what Okta and Entra really send; and what no directory may do.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use updraft_authz::ApiToken;
use updraft_model::{TenantId, TenantRole, TokenId, TokenLimit, UserId};
use updraft_store::{api_tokens, memberships, people, person_facts, scim_users};
use uuid::Uuid;

use crate::support::{Answer, HOST, Someone, World};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// A tenant with an owner and a directory.
struct Company {
    world: World,
    tenant: TenantId,
    owner: Someone,
    token: String,
}

impl Company {
    async fn new() -> Self {
        let world = World::new().await;
        let tenant = world.tenant("acme").await;
        let owner = world.owner(tenant).await;
        let token = api_token(&world, &owner, TokenLimit::Scim).await;
        Self {
            world,
            tenant,
            owner,
            token,
        }
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        ask(&self.world, &self.token, method, path, body, &[]).await
    }

    async fn get(&self, path: &str) -> Value {
        self.ask("GET", path, None).await.must_be(200)
    }

    async fn person(&self, user_name: &str) -> Value {
        let body = json!({"schemas": [USER], "userName": user_name, "active": true});
        self.ask("POST", "/Users", Some(body)).await.must_be(201)
    }

    async fn patch(&self, path: &str, operations: Value) -> Answer {
        let body = json!({"schemas": [PATCH], "Operations": operations});
        self.ask("PATCH", path, Some(body)).await
    }

    /// The person of the directory with a session of their own.
    async fn signed_in(&self, person: &Value) -> Someone {
        let user = id(person);
        let lasts = chrono::Duration::hours(1);
        self.world.session(self.tenant, user, String::new(), lasts).await
    }

    async fn is_in_the_edges_policy(&self, user: UserId) -> bool {
        let mut tx = self.world.tx().await;
        let known = person_facts::find(&mut tx, self.tenant, user).await.unwrap();
        known.is_some()
    }
}

async fn api_token(world: &World, whose: &Someone, limit: TokenLimit) -> String {
    let token = ApiToken::from_random(&rand::random());
    let row = api_tokens::NewToken {
        id: TokenId(Uuid::now_v7()),
        tenant: whose.tenant,
        user: whose.user,
        name: "directory",
        limit,
        token_hash: token.hash().0,
        hint: token.hint(),
        created_by: whose.user,
        expires_at: None,
    };
    let mut tx = world.tx().await;
    api_tokens::insert(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
    token.expose().to_owned()
}

async fn ask(
    world: &World,
    token: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(format!(
            "/scim/v2{}",
            path.replace(' ', "%20").replace('"', "%22")
        ))
        .header(header::HOST, HOST)
        .header(header::CONTENT_TYPE, "application/scim+json");
    if !token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    world.send(request.body(body).unwrap()).await
}

fn id(resource: &Value) -> UserId {
    resource["id"].as_str().unwrap().parse().unwrap()
}

/// Status and `scimType` of a refusal in the standard's own form.
#[track_caller]
fn refused(answer: &Answer) -> (u16, String) {
    assert_eq!(
        answer.headers[header::CONTENT_TYPE],
        "application/scim+json",
        "{}",
        answer.text
    );
    let error = answer.json();
    assert_eq!(error["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
    assert_eq!(
        error["status"],
        answer.status.as_str(),
        "a text, as the standard has it"
    );
    assert!(!error["detail"].as_str().unwrap().is_empty());
    (
        answer.status.as_u16(),
        error["scimType"].as_str().unwrap_or_default().to_owned(),
    )
}

/// Okta: developer.okta.com, "SCIM 2.0 protocol reference".
#[tokio::test]
async fn okta_looks_for_a_person_makes_them_and_switches_them_off_and_on() {
    let company = Company::new().await;
    let found = company
        .get("/Users?filter=userName eq \"test.user@okta.local\"&startIndex=1&count=100")
        .await;
    assert_eq!(
        (&found["totalResults"], &found["Resources"]),
        (&json!(0), &json!([]))
    );
    let body = json!({
        "schemas": [USER],
        "userName": "test.user@okta.local",
        "name": {"givenName": "Test", "familyName": "User"},
        "emails": [{"primary": true, "value": "Test.User@okta.local", "type": "work"}],
        "displayName": "Test User",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": true
    });
    let answer = company.ask("POST", "/Users", Some(body.clone())).await;
    let made = answer.must_be(201);
    assert_eq!(
        answer.headers["location"],
        made["meta"]["location"].as_str().unwrap()
    );
    assert_eq!(answer.headers["etag"], "W/\"1\"");
    assert_eq!(
        (&made["displayName"], &made["locale"]),
        (&json!("Test User"), &json!("en-US"))
    );
    assert!(!answer.text.contains("1mz050nq") && made["password"].is_null());

    let path = format!("/Users/{}", made["id"].as_str().unwrap());
    let found = company
        .get("/Users?filter=userName eq \"TEST.USER@okta.local\"")
        .await;
    assert_eq!(found["Resources"][0]["id"], made["id"], "names count in any case");
    let listed = company.world.get(&company.owner, "/people").await;
    assert!(listed.text.contains("test.user@okta.local"), "{}", listed.text);

    let off = company
        .patch(&path, json!([{"op": "replace", "value": {"active": false}}]))
        .await;
    assert_eq!(off.must_be(200)["active"], false);
    assert!(!company.is_in_the_edges_policy(id(&made)).await);
    let mut on = body;
    on["active"] = json!(true);
    assert_eq!(
        company.ask("PUT", &path, Some(on)).await.must_be(200)["active"],
        true
    );
    assert!(company.is_in_the_edges_policy(id(&made)).await);
}

/// Microsoft: learn.microsoft.com, "Develop and plan provisioning for a SCIM endpoint in Microsoft Entra ID".
#[tokio::test]
async fn entra_makes_changes_and_switches_off_a_person_in_its_own_way() {
    let company = Company::new().await;
    let body = json!({
        "schemas": [USER, ENTERPRISE],
        "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
        "userName": "Test_User_ab6490ee-1e48-479e-a20b-2d77186b5dd1",
        "active": true,
        "emails": [{"primary": true, "type": "work", "value": "Test_User_fd0ea19b@testuser.com"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName"},
        "roles": []
    });
    let made = company.ask("POST", "/Users", Some(body)).await.must_be(201);
    let path = format!("/Users/{}", made["id"].as_str().unwrap());
    let operations = json!([
        {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "updatedEmail@testuser.com"},
        {"op": "Replace", "path": "name.familyName", "value": "updatedFamilyName"},
        {"op": "Add", "path": format!("{ENTERPRISE}:department"), "value": "Data"}
    ]);
    let changed = company.patch(&path, operations).await.must_be(200);
    assert_eq!(changed["emails"][0]["value"], "updatedEmail@testuser.com");
    assert_eq!(changed["name"]["familyName"], "updatedFamilyName");
    assert_eq!(changed[ENTERPRISE]["department"], "Data");
    assert_eq!(changed["schemas"], json!([USER, ENTERPRISE]));
    let by_id = company
        .get("/Users?filter=externalId eq \"0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef\"")
        .await;
    assert_eq!(by_id["Resources"][0]["id"], made["id"]);
    let by_address = company
        .get("/Users?filter=emails[type eq \"work\"].value eq \"updatedEmail@testuser.com\"")
        .await;
    assert_eq!(by_address["totalResults"], 1);
    let off = company
        .patch(
            &path,
            json!([{"op": "Replace", "path": "active", "value": "False"}]),
        )
        .await;
    assert_eq!(off.must_be(200)["active"], false);
}

#[tokio::test]
async fn a_person_who_is_switched_off_is_out_at_once_and_old_sessions_stay_ended() {
    let company = Company::new().await;
    for how in ["patch", "delete"] {
        let person = company.person(&format!("{how}@acme.example")).await;
        let path = format!("/Users/{}", person["id"].as_str().unwrap());
        let ada = company.signed_in(&person).await;
        let token = Someone {
            token: api_token(&company.world, &ada, TokenLimit::Full).await,
            ..ada.clone()
        };
        for good in [&ada, &token] {
            company.world.get(good, "/me").await.must_be(200);
        }
        match how {
            "patch" => drop(
                company
                    .patch(
                        &path,
                        json!([{"op": "replace", "path": "active", "value": false}]),
                    )
                    .await
                    .must_be(200),
            ),
            _ => drop(company.ask("DELETE", &path, None).await.must_be(204)),
        }
        for out in [&ada, &token] {
            assert_eq!(
                company.world.get(out, "/me").await.problem(401),
                "not-signed-in",
                "{how}"
            );
        }
        assert!(!company.is_in_the_edges_policy(ada.user).await, "{how}");
        if how == "patch" {
            company
                .patch(&path, json!([{"op": "replace", "path": "active", "value": true}]))
                .await
                .must_be(200);
            assert_eq!(company.world.get(&ada, "/me").await.problem(401), "not-signed-in");
            company.world.get(&token, "/me").await.must_be(200);
        }
    }
}

#[tokio::test]
async fn a_deleted_person_is_not_found_and_is_the_same_when_they_come_back() {
    let company = Company::new().await;
    let made = company.person("ada@acme.example").await;
    let path = format!("/Users/{}", made["id"].as_str().unwrap());
    company.ask("DELETE", &path, None).await.must_be(204);
    assert_eq!(
        refused(&company.ask("GET", &path, None).await),
        (404, String::new())
    );
    assert_eq!(
        refused(&company.ask("DELETE", &path, None).await),
        (404, String::new())
    );
    let again = company.person("ada@acme.example").await;
    assert_eq!(again["id"], made["id"]);
    assert!(company.is_in_the_edges_policy(id(&again)).await);
}

/// Otherwise the directory would switch off somebody else, and the one who signs in would stay.
#[tokio::test]
async fn somebody_who_signed_in_before_the_directory_told_of_them_is_taken_into_it() {
    let company = Company::new().await;
    let (user, nothing) = (UserId(Uuid::now_v7()), json!({}));
    let mut tx = company.world.tx().await;
    let person = scim_users::ScimPerson {
        user_name: "",
        external_id: None,
        attributes: &nothing,
        email: "ada@acme.example",
        name: "Ada",
    };
    scim_users::insert_person(&mut tx, company.tenant, user, &person)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(id(&company.person("Ada@acme.example").await), user);
}

#[tokio::test]
async fn a_directory_reaches_the_people_it_brought_and_nobody_else() {
    let company = Company::new().await;
    let owner = &company.owner;
    let twin = company.person(&owner.email).await;
    assert_ne!(id(&twin), owner.user, "another person, with the same address");
    let path = format!("/Users/{}", owner.user);
    let off = json!([{"op": "replace", "path": "active", "value": false}]);
    assert_eq!(refused(&company.ask("GET", &path, None).await).0, 404);
    assert_eq!(refused(&company.patch(&path, off).await).0, 404);
    assert_eq!(
        refused(&company.ask("PUT", &path, Some(json!({"userName": "x"}))).await).0,
        404
    );
    assert_eq!(refused(&company.ask("DELETE", &path, None).await).0, 404);
    let group = json!({"schemas": [GROUP], "displayName": "Admins", "members": [{"value": owner.user}]});
    let answer = company.ask("POST", "/Groups", Some(group)).await;
    assert_eq!(refused(&answer), (400, "invalidValue".to_owned()));
    let twins = format!("/Users/{}", twin["id"].as_str().unwrap());
    company.ask("DELETE", &twins, None).await.must_be(204);
    company.world.get(owner, "/people").await.must_be(200);
    assert_eq!(
        company.get("/Groups").await["totalResults"],
        0,
        "a refused group was not made"
    );
}

#[tokio::test]
async fn the_last_owner_who_can_work_is_not_switched_off() {
    let company = Company::new().await;
    let made = company.person("ada@acme.example").await;
    let path = format!("/Users/{}", made["id"].as_str().unwrap());
    let mut tx = company.world.tx().await;
    people::set_tenant_role(&mut tx, company.tenant, id(&made), TenantRole::Owner)
        .await
        .unwrap();
    memberships::disable(&mut tx, company.tenant, company.owner.user, chrono::Utc::now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let ada = company.signed_in(&made).await;
    let token = api_token(&company.world, &ada, TokenLimit::Scim).await;
    let off =
        json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": false}]});
    for (method, body) in [("PATCH", Some(off)), ("DELETE", None)] {
        let answer = ask(&company.world, &token, method, &path, body, &[]).await;
        assert_eq!(refused(&answer).0, 409, "{}", answer.text);
    }
    company.world.get(&ada, "/people").await.must_be(200);
}

#[tokio::test]
async fn groups_are_made_filled_emptied_and_deleted() {
    let company = Company::new().await;
    let (ada, bo) = (
        company.person("ada@acme.example").await,
        company.person("bo@acme.example").await,
    );
    let body = json!({
        "schemas": [GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
        "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159",
        "displayName": "data-platform",
        "meta": {"resourceType": "Group"}
    });
    let made = company.ask("POST", "/Groups", Some(body)).await.must_be(201);
    let path = format!("/Groups/{}", made["id"].as_str().unwrap());
    let members = async || {
        let group = company.get(&path).await;
        let ids = group["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| member["value"].clone());
        ids.collect::<Vec<_>>()
    };
    let add = json!([{"op": "Add", "path": "members", "value": [{"$ref": null, "value": ada["id"]}]}]);
    company.patch(&path, add.clone()).await.must_be(204);
    company.patch(&path, add).await.must_be(204);
    company
        .patch(
            &path,
            json!([{"op": "add", "path": "members", "value": [{"value": bo["id"], "display": "bo"}]}]),
        )
        .await
        .must_be(204);
    assert_eq!(members().await, [ada["id"].clone(), bo["id"].clone()]);

    let shown = company
        .get(&format!("/Users/{}", ada["id"].as_str().unwrap()))
        .await;
    assert_eq!(shown["groups"][0]["display"], "data-platform");
    let small = company
        .get("/Groups?excludedAttributes=members&filter=displayName eq \"Data-Platform\"")
        .await;
    assert!(small["Resources"][0]["members"].is_null() && small["totalResults"] == 1);
    let asked = format!(
        "/Groups?filter=id eq \"{}\" and members eq \"{}\"",
        made["id"].as_str().unwrap(),
        bo["id"].as_str().unwrap()
    );
    assert_eq!(company.get(&asked).await["totalResults"], 1);

    let okta = format!("members[value eq \"{}\"]", ada["id"].as_str().unwrap());
    company
        .patch(&path, json!([{"op": "remove", "path": okta}]))
        .await
        .must_be(204);
    assert_eq!(members().await, [bo["id"].clone()]);
    let entra = json!([{"op": "Remove", "path": "members", "value": [{"value": bo["id"]}]}]);
    company.patch(&path, entra).await.must_be(204);
    assert!(members().await.is_empty());
    let renamed = json!([{"op": "replace", "value": {"id": made["id"], "displayName": "data"}}]);
    company.patch(&path, renamed).await.must_be(204);
    let put = json!({"schemas": [GROUP], "displayName": "data", "members": [{"value": bo["id"]}]});
    assert_eq!(
        company.ask("PUT", &path, Some(put)).await.must_be(200)["displayName"],
        "data"
    );
    company
        .ask("DELETE", &format!("/Users/{}", bo["id"].as_str().unwrap()), None)
        .await
        .must_be(204);
    assert!(members().await.is_empty(), "who is gone is in no group");
    company.ask("DELETE", &path, None).await.must_be(204);
    assert_eq!(refused(&company.ask("GET", &path, None).await).0, 404);
}

#[tokio::test]
async fn a_version_that_passed_is_not_overwritten() {
    let company = Company::new().await;
    let made = company.person("ada@acme.example").await;
    let path = format!("/Users/{}", made["id"].as_str().unwrap());
    let name = |name: &str| json!([{"op": "replace", "path": "displayName", "value": name}]);
    let body = |operations: Value| Some(json!({"schemas": [PATCH], "Operations": operations}));
    let with = async |method: &str, body: Option<Value>, header: (&str, &str)| {
        ask(&company.world, &company.token, method, &path, body, &[header]).await
    };
    let first = with("PATCH", body(name("One")), ("if-match", "W/\"1\"")).await;
    assert_eq!(first.must_be(200)["meta"]["version"], "W/\"2\"");
    let late = with("PATCH", body(name("Two")), ("if-match", "W/\"1\"")).await;
    assert_eq!(refused(&late).0, 412);
    assert_eq!(
        refused(&with("DELETE", None, ("if-match", "W/\"1\"")).await).0,
        412
    );
    with("GET", None, ("if-none-match", "W/\"2\"")).await.must_be(304);
    let same = with("PATCH", body(name("One")), ("if-match", "*")).await;
    assert_eq!(
        same.must_be(200)["meta"]["version"],
        "W/\"2\"",
        "the same again is no new version"
    );
}

#[tokio::test]
async fn lists_come_in_pages_that_begin_at_one() {
    let company = Company::new().await;
    for n in 0..5 {
        company.person(&format!("p{n}@acme.example")).await;
    }
    let page = async |query: &str| {
        let list = company.get(&format!("/Users?{query}")).await;
        (
            list["totalResults"].clone(),
            list["startIndex"].clone(),
            list["itemsPerPage"].clone(),
        )
    };
    assert_eq!(page("startIndex=1&count=2").await, (json!(5), json!(1), json!(2)));
    assert_eq!(page("startIndex=5&count=2").await, (json!(5), json!(5), json!(1)));
    assert_eq!(
        page("startIndex=-3&count=0").await,
        (json!(5), json!(1), json!(0))
    );
    assert_eq!(page("startIndex=99").await, (json!(5), json!(99), json!(0)));
    assert_eq!(
        page("sortBy=userName&sortOrder=descending").await.0,
        json!(5),
        "sorting is passed over"
    );
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_in_the_standards_words() {
    let company = Company::new().await;
    let made = company.person("ada@acme.example").await;
    company.person("bo@acme.example").await;
    let group = json!({"schemas": [GROUP], "displayName": "data"});
    company
        .ask("POST", "/Groups", Some(group.clone()))
        .await
        .must_be(201);
    let one = format!("/Users/{}", made["id"].as_str().unwrap());
    let patch = |operations: Value| json!({"schemas": [PATCH], "Operations": operations});
    let rows = [
        (
            "POST",
            "/Users",
            json!({"userName": "ADA@acme.example"}),
            409,
            "uniqueness",
        ),
        (
            "PUT",
            &one,
            json!({"userName": "bo@acme.example"}),
            409,
            "uniqueness",
        ),
        (
            "PATCH",
            &one,
            patch(json!([{"op": "replace", "path": "userName", "value": "BO@acme.example"}])),
            409,
            "uniqueness",
        ),
        ("POST", "/Groups", group, 409, "uniqueness"),
        ("POST", "/Users", json!({}), 400, "invalidValue"),
        ("POST", "/Users", json!([]), 400, "invalidValue"),
        (
            "POST",
            "/Users",
            json!({"userName": "c", "active": "perhaps"}),
            400,
            "invalidValue",
        ),
        (
            "POST",
            "/Groups",
            json!({"displayName": "x", "members": [{"value": Uuid::nil()}]}),
            400,
            "invalidValue",
        ),
        ("PATCH", &one, json!({"schemas": [PATCH]}), 400, "invalidSyntax"),
        ("PATCH", &one, patch(json!([])), 400, "invalidSyntax"),
        (
            "PATCH",
            &one,
            patch(json!([{"op": "jump", "path": "userName", "value": "x"}])),
            400,
            "invalidSyntax",
        ),
        ("PATCH", &one, patch(json!([{"op": "remove"}])), 400, "noTarget"),
        (
            "PATCH",
            &one,
            patch(json!([{"op": "remove", "path": "userName"}])),
            400,
            "invalidValue",
        ),
        (
            "PATCH",
            &one,
            patch(json!([{"op": "replace", "path": "id", "value": "x"}])),
            400,
            "mutability",
        ),
        (
            "PATCH",
            &one,
            patch(json!([{"op": "replace", "path": "a[b", "value": "x"}])),
            400,
            "invalidPath",
        ),
        (
            "GET",
            "/Users?filter=userName co \"a\"",
            Value::Null,
            400,
            "invalidFilter",
        ),
        (
            "GET",
            "/Users?filter=password eq \"a\"",
            Value::Null,
            400,
            "invalidFilter",
        ),
        (
            "GET",
            "/Groups?filter=userName eq \"a\"",
            Value::Null,
            400,
            "invalidFilter",
        ),
        ("GET", "/Users?count=many", Value::Null, 422, ""),
        ("GET", "/Users/nobody", Value::Null, 404, ""),
        (
            "GET",
            "/Groups/00000000-0000-0000-0000-000000000000",
            Value::Null,
            404,
            "",
        ),
        ("GET", "/Nothing", Value::Null, 404, ""),
        ("POST", &one, json!({}), 405, ""),
        ("POST", "/Bulk", json!({}), 501, ""),
        ("GET", "/Me", Value::Null, 501, ""),
    ];
    for (method, path, body, status, word) in rows {
        let answer = company
            .ask(method, path, (!body.is_null()).then(|| body.clone()))
            .await;
        assert_eq!(
            refused(&answer),
            (status, word.to_owned()),
            "{method} {path} {body}: {}",
            answer.text
        );
    }
    let now = company.get(&one).await;
    assert_eq!(now["meta"]["version"], "W/\"1\"", "nothing of it was done");
}

#[tokio::test]
async fn only_a_scim_token_opens_scim_and_it_opens_nothing_else() {
    let company = Company::new().await;
    let with = async |token: &str| refused(&ask(&company.world, token, "GET", "/Users", None, &[]).await).0;
    assert_eq!(with("").await, 401);
    assert_eq!(with("upd_t_forged").await, 401);
    assert_eq!(with(&company.owner.token).await, 403);
    for limit in [TokenLimit::Full, TokenLimit::Admin, TokenLimit::User] {
        let token = api_token(&company.world, &company.owner, limit).await;
        assert_eq!(with(&token).await, 403, "{limit:?}");
    }
    let directory = Someone {
        token: company.token.clone(),
        ..company.owner.clone()
    };
    for path in ["/me", "/people", "/clusters"] {
        assert_eq!(
            company.world.get(&directory, path).await.problem(403),
            "scim-token",
            "{path}"
        );
    }
    let mut tx = company.world.tx().await;
    memberships::disable(&mut tx, company.tenant, company.owner.user, chrono::Utc::now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(with(&company.token).await, 401, "who made it was switched off");
}

#[tokio::test]
async fn two_directories_know_nothing_of_each_other() {
    let company = Company::new().await;
    let other = company.world.tenant("other").await;
    let bob = company.world.owner(other).await;
    let bobs = api_token(&company.world, &bob, TokenLimit::Scim).await;
    let theirs = async |method: &str, path: &str, body: Option<Value>| {
        ask(&company.world, &bobs, method, path, body, &[]).await
    };
    let ada = company.person("ada@acme.example").await;
    let group = company
        .ask(
            "POST",
            "/Groups",
            Some(json!({"displayName": "data", "members": [{"value": ada["id"]}]})),
        )
        .await
        .must_be(201);
    let same = theirs("POST", "/Users", Some(json!({"userName": "ada@acme.example"})))
        .await
        .must_be(201);
    assert_ne!(
        same["id"], ada["id"],
        "the same name in two tenants is two people"
    );
    theirs("POST", "/Groups", Some(json!({"displayName": "data"})))
        .await
        .must_be(201);
    let mine = format!("/Users/{}", ada["id"].as_str().unwrap());
    let never = format!("/Users/{}", Uuid::now_v7());
    let groups = format!("/Groups/{}", group["id"].as_str().unwrap());
    for (method, body) in [
        ("GET", None),
        ("PUT", Some(json!({"userName": "x"}))),
        ("DELETE", None),
    ] {
        let (one, other) = (
            theirs(method, &mine, body.clone()).await,
            theirs(method, &never, body.clone()).await,
        );
        assert_eq!((one.status.as_u16(), &one.text), (404, &other.text), "{method}");
    }
    assert_eq!(refused(&theirs("GET", &groups, None).await).0, 404);
    let asked = format!("/Users?filter=id eq \"{}\"", ada["id"].as_str().unwrap());
    assert_eq!(theirs("GET", &asked, None).await.must_be(200)["totalResults"], 0);
    let thief = json!({"displayName": "thieves", "members": [{"value": ada["id"]}]});
    assert_eq!(
        refused(&theirs("POST", "/Groups", Some(thief)).await),
        (400, "invalidValue".to_owned())
    );
}

#[tokio::test]
async fn the_server_says_what_it_can_do() {
    let company = Company::new().await;
    let config = company.get("/ServiceProviderConfig").await;
    for (what, supported) in [
        ("patch", true),
        ("filter", true),
        ("etag", true),
        ("bulk", false),
        ("sort", false),
        ("changePassword", false),
    ] {
        assert_eq!(config[what]["supported"], supported, "{what}");
    }
    assert_eq!(company.get("/ResourceTypes").await["totalResults"], 2);
    assert_eq!(company.get("/ResourceTypes/User").await["endpoint"], "/Users");
    assert_eq!(company.get("/Schemas").await["totalResults"], 3);
    let user = company.get(&format!("/Schemas/{USER}")).await;
    assert_eq!(user["attributes"][0]["name"], "userName");
    assert_eq!(
        refused(&company.ask("GET", "/Schemas/nothing", None).await).0,
        404
    );
}
