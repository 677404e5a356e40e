//! Resources as the directory sees them. Pure.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use updraft_model::{GroupId, UserId};
use updraft_sso::scim::{ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA};
use updraft_store::scim_groups::{GroupMember, GroupOfUser, ScimGroup};
use updraft_store::scim_users::ScimUser;

use super::ScimQuery;

const LIST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// A resource and the version it is at.
#[derive(Clone, Debug)]
pub struct ScimResource {
    pub body: Value,
    /// A weak entity tag: `W/"3"`
    pub etag: String,
    pub location: String,
}

pub(super) fn user_path(user: UserId) -> String {
    format!("/scim/v2/Users/{user}")
}

fn group_path(group: GroupId) -> String {
    format!("/scim/v2/Groups/{group}")
}

pub(super) fn etag(version: i64) -> String {
    format!("W/\"{version}\"")
}

pub(super) fn user(base: &str, record: ScimUser, groups: &[GroupOfUser]) -> ScimResource {
    let location = format!("{base}{}", user_path(record.user));
    let etag = etag(record.version);
    let mut body = record.attributes.as_object().cloned().unwrap_or_default();
    let mut schemas = vec![USER_SCHEMA];
    if body.contains_key(ENTERPRISE_SCHEMA) {
        schemas.push(ENTERPRISE_SCHEMA);
    }
    let groups = groups
        .iter()
        .filter(|group| group.user == record.user)
        .map(|group| {
            json!({"value": group.group, "display": group.display_name, "type": "direct",
               "$ref": format!("{base}{}", group_path(group.group))})
        });
    body.insert("schemas".to_owned(), json!(schemas));
    body.insert("id".to_owned(), json!(record.user));
    body.insert("userName".to_owned(), json!(record.user_name));
    body.insert("active".to_owned(), json!(record.active));
    body.insert("groups".to_owned(), groups.collect());
    body.insert(
        "meta".to_owned(),
        meta("User", record.created_at, record.updated_at, &location, &etag),
    );
    external_id(&mut body, record.external_id);
    ScimResource {
        body: Value::Object(body),
        etag,
        location,
    }
}

pub(super) fn group(base: &str, record: ScimGroup, members: &[GroupMember]) -> ScimResource {
    let location = format!("{base}{}", group_path(record.id));
    let etag = etag(record.version);
    let mut body = Map::new();
    let members = members
        .iter()
        .filter(|member| member.group == record.id)
        .map(|member| {
            json!({"value": member.user, "display": member.user_name, "type": "User",
               "$ref": format!("{base}{}", user_path(member.user))})
        });
    body.insert("schemas".to_owned(), json!([GROUP_SCHEMA]));
    body.insert("id".to_owned(), json!(record.id));
    body.insert("displayName".to_owned(), json!(record.display_name));
    body.insert("members".to_owned(), members.collect());
    body.insert(
        "meta".to_owned(),
        meta("Group", record.created_at, record.updated_at, &location, &etag),
    );
    external_id(&mut body, record.external_id);
    ScimResource {
        body: Value::Object(body),
        etag,
        location,
    }
}

pub(super) fn list(query: &ScimQuery, total: i64, resources: Vec<ScimResource>) -> Value {
    let resources: Vec<_> = resources.into_iter().map(|resource| resource.body).collect();
    json!({
        "schemas": [LIST_SCHEMA],
        "totalResults": total,
        "startIndex": query.start_index(),
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

fn external_id(body: &mut Map<String, Value>, id: Option<String>) {
    body.extend(id.map(|id| ("externalId".to_owned(), Value::String(id))));
}

fn meta(kind: &str, created: DateTime<Utc>, changed: DateTime<Utc>, location: &str, etag: &str) -> Value {
    let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    json!({
        "resourceType": kind,
        "created": at(created),
        "lastModified": at(changed),
        "location": location,
        "version": etag,
    })
}
