//! What a list is asked for (RFC 7644 section 3.4.2). Pure.

use updraft_model::{GroupId, UserId};
use updraft_sso::scim::{Condition, Refused, ScimType, conditions};
use updraft_store::scim_groups::GroupFilter;
use updraft_store::scim_users::UserFilter;
use uuid::Uuid;

const USUAL: i64 = 100;
const MOST: i64 = 200;

#[derive(Clone, Debug, Default)]
pub struct ScimQuery {
    pub filter: Option<String>,
    /// From 1 on.
    pub start_index: Option<i64>,
    pub count: Option<i64>,
}

// === impl ScimQuery ===

impl ScimQuery {
    /// Less than 1 counts as 1.
    pub(super) fn start_index(&self) -> i64 {
        self.start_index.unwrap_or(1).max(1)
    }

    pub(super) fn skip(&self) -> i64 {
        self.start_index() - 1
    }

    /// Less than 0 counts as 0.
    pub(super) fn count(&self) -> i64 {
        self.count.unwrap_or(USUAL).clamp(0, MOST)
    }

    pub(super) fn users(&self) -> Result<UserFilter, Refused> {
        let mut filter = UserFilter::default();
        for Condition { attribute, value } in self.conditions()? {
            match attribute.as_str() {
                "id" => filter.id = Some(UserId(id_of(&value))),
                "username" => filter.user_name = Some(value),
                "externalid" => filter.external_id = Some(value),
                "emails" | "emails.value" => filter.email = Some(value),
                "active" => filter.active = Some(value.eq_ignore_ascii_case("true")),
                _ => {
                    return Err(unknown(
                        &attribute,
                        "userName, externalId, id, emails.value and active",
                    ));
                }
            }
        }
        Ok(filter)
    }

    pub(super) fn groups(&self) -> Result<GroupFilter, Refused> {
        let mut filter = GroupFilter::default();
        for Condition { attribute, value } in self.conditions()? {
            match attribute.as_str() {
                "id" => filter.id = Some(GroupId(id_of(&value))),
                "displayname" => filter.display_name = Some(value),
                "externalid" => filter.external_id = Some(value),
                "members" | "members.value" => filter.member = Some(UserId(id_of(&value))),
                _ => {
                    return Err(unknown(
                        &attribute,
                        "displayName, externalId, id and members.value",
                    ));
                }
            }
        }
        Ok(filter)
    }

    fn conditions(&self) -> Result<Vec<Condition>, Refused> {
        self.filter.as_deref().map_or_else(|| Ok(Vec::new()), conditions)
    }
}

/// What is no id is nobody's.
fn id_of(text: &str) -> Uuid {
    Uuid::parse_str(text).unwrap_or_else(|_| Uuid::nil())
}

fn unknown(attribute: &str, known: &str) -> Refused {
    Refused {
        scim_type: ScimType::InvalidFilter,
        detail: format!("There is no filtering by `{attribute}`: use {known}."),
    }
}
