//! `Schemas` (RFC 7643 section 7): the attributes that Updraft goes by. Others are kept and given back as they came.

use serde_json::{Value, json};
use updraft_sso::scim::{ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA};

pub(super) fn all(base: &str) -> Vec<Value> {
    vec![
        schema(base, USER_SCHEMA, "User", "A person of the organisation", &user()),
        schema(
            base,
            GROUP_SCHEMA,
            "Group",
            "A group of people, for access rules",
            &group(),
        ),
        schema(
            base,
            ENTERPRISE_SCHEMA,
            "EnterpriseUser",
            "Kept, not used",
            &enterprise(),
        ),
    ]
}

fn schema(base: &str, id: &str, name: &str, description: &str, attributes: &Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": id,
        "name": name,
        "description": description,
        "attributes": attributes,
        "meta": {"resourceType": "Schema", "location": format!("{base}/scim/v2/Schemas/{id}")},
    })
}

fn user() -> Value {
    let name = vec![text("formatted"), text("familyName"), text("givenName")];
    let email = vec![text("value"), text("type"), truth("primary")];
    let mut user_name = text("userName");
    user_name["required"] = json!(true);
    user_name["uniqueness"] = json!("server");
    json!([
        user_name,
        exact("externalId"),
        text("displayName"),
        truth("active"),
        parts("name", false, &name),
        parts("emails", true, &email),
        read_only(parts("groups", true, &[exact("value"), text("display")])),
    ])
}

fn group() -> Value {
    let mut display_name = text("displayName");
    display_name["required"] = json!(true);
    display_name["uniqueness"] = json!("server");
    let members = parts("members", true, &[exact("value"), text("display")]);
    json!([display_name, exact("externalId"), members])
}

fn enterprise() -> Value {
    json!([text("department"), text("organization"), text("employeeNumber")])
}

fn text(name: &str) -> Value {
    attribute(name, "string")
}

fn exact(name: &str) -> Value {
    let mut attribute = text(name);
    attribute["caseExact"] = json!(true);
    attribute
}

fn truth(name: &str) -> Value {
    attribute(name, "boolean")
}

fn parts(name: &str, many: bool, parts: &[Value]) -> Value {
    let mut attribute = attribute(name, "complex");
    attribute["multiValued"] = json!(many);
    attribute["subAttributes"] = json!(parts);
    attribute
}

fn read_only(mut attribute: Value) -> Value {
    attribute["mutability"] = json!("readOnly");
    attribute
}

fn attribute(name: &str, kind: &str) -> Value {
    json!({
        "name": name,
        "type": kind,
        "multiValued": false,
        "required": false,
        "caseExact": false,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": "none",
    })
}
