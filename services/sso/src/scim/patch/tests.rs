//! What Okta and Entra send, from their own documentation, and what nobody may send.

use serde_json::{Value, json};

use super::{PatchRequest, apply};
use crate::scim::{ENTERPRISE_SCHEMA, ScimType};

fn patch(operations: Value) -> PatchRequest {
    let mut body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]});
    body["Operations"] = operations;
    serde_json::from_value(body).unwrap()
}

fn ada() -> Value {
    json!({
        "userName": "ada@example.com",
        "active": true,
        "name": {"givenName": "Ada", "familyName": "Winter"},
        "emails": [{"type": "work", "value": "ada@example.com", "primary": true}]
    })
}

fn group() -> Value {
    json!({"displayName": "Data", "members": [{"value": "1"}, {"value": "2"}]})
}

#[track_caller]
fn becomes(resource: &Value, operations: Value, pointer: &str, expected: impl Into<Value>) {
    let shown = operations.to_string();
    let changed = apply(resource, &patch(operations)).unwrap_or_else(|refused| panic!("{shown}: {refused}"));
    assert_eq!(
        changed.pointer(pointer).cloned().unwrap_or(Value::Null),
        expected.into(),
        "{shown}"
    );
}

#[test]
fn okta_switches_a_person_off_without_a_path() {
    becomes(
        &ada(),
        json!([{"op": "replace", "value": {"active": false}}]),
        "/active",
        json!(false),
    );
}

#[test]
fn entra_switches_a_person_off_by_path_with_a_text() {
    let operations = json!([{"op": "Replace", "path": "active", "value": "False"}]);
    becomes(&ada(), operations, "/active", json!("False"));
}

#[test]
fn entra_changes_an_address_by_its_kind() {
    let operations =
        json!([{"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "new@example.com"}]);
    becomes(&ada(), operations, "/emails/0/value", json!("new@example.com"));
    let operations =
        json!([{"op": "Add", "path": "emails[type eq \"home\"].value", "value": "h@example.com"}]);
    becomes(
        &ada(),
        operations,
        "/emails/1",
        json!({"type": "home", "value": "h@example.com"}),
    );
}

#[test]
fn entra_sends_paths_as_keys() {
    let operations = json!([{"op": "Replace", "value": {
        "name.givenName": "Adele",
        "displayName": "Adele Winter",
        "emails[type eq \"work\"].value": "adele@example.com",
        (format!("{ENTERPRISE_SCHEMA}:department")): "Data"
    }}]);
    becomes(&ada(), operations.clone(), "/name/givenName", json!("Adele"));
    becomes(&ada(), operations.clone(), "/name/familyName", json!("Winter"));
    becomes(
        &ada(),
        operations.clone(),
        "/emails/0/value",
        json!("adele@example.com"),
    );
    becomes(
        &ada(),
        operations,
        &format!("/{ENTERPRISE_SCHEMA}/department"),
        json!("Data"),
    );
}

#[test]
fn an_extension_is_changed_by_path_and_by_object() {
    let path = format!("{ENTERPRISE_SCHEMA}:manager");
    let pointer = format!("/{ENTERPRISE_SCHEMA}/manager");
    becomes(
        &ada(),
        json!([{"op": "add", "path": path, "value": "7"}]),
        &pointer,
        json!("7"),
    );
    let operations = json!([{"op": "add", "value": {(ENTERPRISE_SCHEMA): {"manager": "8"}}}]);
    becomes(&ada(), operations, &pointer, json!("8"));
}

#[test]
fn names_count_in_any_case() {
    let operations = json!([{"op": "REPLACE", "path": "UserName", "value": "b"}, {"op": "aDD", "path": "NAME.GIVENNAME", "value": "B"}]);
    becomes(&ada(), operations.clone(), "/userName", json!("b"));
    becomes(&ada(), operations, "/name/givenName", json!("B"));
}

#[test]
fn what_is_read_only_in_a_whole_resource_is_passed_over() {
    let operations = json!([{"op": "replace", "value": {"id": "x", "schemas": [], "displayName": "Data 2"}}]);
    becomes(&group(), operations.clone(), "/displayName", json!("Data 2"));
    becomes(&group(), operations, "/id", Value::Null);
}

#[test]
fn members_come_and_go() {
    let add = json!([{"op": "Add", "path": "members", "value": [{"value": "2"}, {"value": "3"}]}]);
    becomes(
        &group(),
        add,
        "/members",
        json!([{"value": "1"}, {"value": "2"}, {"value": "3"}]),
    );
    let okta = json!([{"op": "remove", "path": "members[value eq \"1\"]"}]);
    becomes(&group(), okta, "/members", json!([{"value": "2"}]));
    let entra = json!([{"op": "Remove", "path": "members", "value": [{"value": "2"}]}]);
    becomes(&group(), entra, "/members", json!([{"value": "1"}]));
    let all = json!([{"op": "remove", "path": "members"}]);
    becomes(&group(), all, "/members", Value::Null);
    let replaced = json!([{"op": "replace", "path": "members", "value": [{"value": "9"}]}]);
    becomes(&group(), replaced, "/members", json!([{"value": "9"}]));
    let gone_already = json!([{"op": "remove", "path": "members[value eq \"7\"]"}]);
    becomes(&group(), gone_already, "/members/1", json!({"value": "2"}));
}

#[test]
fn what_is_removed_is_gone_and_removing_nothing_is_no_error() {
    becomes(
        &ada(),
        json!([{"op": "remove", "path": "name.familyName"}]),
        "/name",
        json!({"givenName": "Ada"}),
    );
    becomes(
        &ada(),
        json!([{"op": "remove", "path": "emails[type eq \"work\"]"}]),
        "/emails",
        json!([]),
    );
    becomes(
        &ada(),
        json!([{"op": "remove", "path": "title"}]),
        "/userName",
        json!("ada@example.com"),
    );
}

#[test]
fn operations_are_done_in_order_or_not_at_all() {
    let operations = json!([
        {"op": "replace", "path": "userName", "value": "b"},
        {"op": "replace", "path": "emails[type eq", "value": "c"}
    ]);
    let before = ada();
    assert!(apply(&before, &patch(operations)).is_err());
    assert_eq!(before, ada());
}

#[test]
fn what_cannot_be_done_is_refused_with_the_standards_word() {
    use ScimType::{InvalidPath, InvalidSyntax, InvalidValue, Mutability, NoTarget};
    for (operations, expected) in [
        (json!([]), InvalidSyntax),
        (
            json!([{"op": "move", "path": "userName", "value": "b"}]),
            InvalidSyntax,
        ),
        (json!([{"op": "remove"}]), NoTarget),
        (json!([{"op": "replace", "path": "userName"}]), InvalidValue),
        (json!([{"op": "add", "value": "x"}]), InvalidValue),
        (
            json!([{"op": "replace", "path": "a b", "value": "x"}]),
            InvalidPath,
        ),
        (
            json!([{"op": "replace", "path": "userName.x", "value": "y"}]),
            InvalidPath,
        ),
        (
            json!([{"op": "replace", "path": "name[type eq \"a\"].b", "value": "y"}]),
            InvalidPath,
        ),
        (
            json!([{"op": "replace", "path": "emails[type eq \"work\"]", "value": "y"}]),
            InvalidValue,
        ),
        (json!([{"op": "replace", "path": "id", "value": "x"}]), Mutability),
        (json!([{"op": "remove", "path": "groups"}]), Mutability),
        (
            json!([{"op": "replace", "path": "META", "value": {}}]),
            Mutability,
        ),
    ] {
        let refused = apply(&ada(), &patch(operations.clone())).unwrap_err();
        assert_eq!(refused.scim_type, expected, "{operations}");
    }
}
