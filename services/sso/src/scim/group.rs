//! A group as a directory describes it.

use serde_json::{Value, json};
use updraft_model::UserId;

use super::refusal::Refused;
use super::user::one_line;

const MOST_MEMBERS: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupResource {
    pub display_name: String,
    pub external_id: Option<String>,
    /// Ids of people, as this server gave them.
    pub members: Vec<UserId>,
}

// === impl GroupResource ===

impl GroupResource {
    /// # Errors
    /// `invalidValue`, naming the attribute.
    pub fn parse(body: &Value) -> Result<Self, Refused> {
        let body = body
            .as_object()
            .ok_or_else(|| Refused::value("the body", "it is an object"))?;
        let (mut display_name, mut external_id, mut found) = (None, None, Vec::new());
        for (key, value) in body.iter().filter(|(_, value)| !value.is_null()) {
            match key.to_ascii_lowercase().as_str() {
                "displayname" => display_name = Some(one_line("displayName", value)?),
                "externalid" => external_id = Some(one_line("externalId", value)?),
                "members" => found = members(value)?,
                _ => {}
            }
        }
        Ok(Self {
            display_name: display_name.ok_or_else(|| Refused::value("displayName", "it is required"))?,
            external_id,
            members: found,
        })
    }

    /// As [`Self::parse`] reads it: what a patch is applied to.
    #[must_use]
    pub fn document(&self) -> Value {
        let members: Vec<_> = self.members.iter().map(|id| json!({"value": id})).collect();
        json!({"displayName": self.display_name, "externalId": self.external_id, "members": members})
    }
}

fn members(value: &Value) -> Result<Vec<UserId>, Refused> {
    let one = |member: &Value| {
        let id = member.get("value").or(Some(member)).and_then(Value::as_str);
        id.and_then(|id| id.parse().ok()).ok_or_else(|| {
            Refused::value(
                "members",
                "each has the `value` of a person's id here; groups in groups are not kept",
            )
        })
    };
    let Some(values) = value.as_array() else {
        return Ok(vec![one(value)?]);
    };
    if values.len() > MOST_MEMBERS {
        return Err(Refused::value(
            "members",
            &format!("a group has at most {MOST_MEMBERS}"),
        ));
    }
    let mut ids = values.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "0198a000-0000-7000-8000-00000000000a";

    #[test]
    fn members_are_people_by_id() {
        let body = json!({"DisplayName": "Data", "members": [{"value": ID, "display": "x"}, {"value": ID}]});
        let group = GroupResource::parse(&body).unwrap();
        assert_eq!((group.display_name.as_str(), group.members.len()), ("Data", 1));
        assert_eq!(GroupResource::parse(&group.document()).unwrap(), group);
    }

    #[test]
    fn a_bad_attribute_is_named() {
        for (body, named) in [
            (json!({}), "displayName"),
            (
                json!({"displayName": "a", "members": [{"value": "nobody"}]}),
                "members",
            ),
            (json!({"displayName": "a", "members": [7]}), "members"),
            (
                json!({"displayName": "a", "members": {"display": "x"}}),
                "members",
            ),
            (json!({"displayName": ["a"]}), "displayName"),
        ] {
            let refused = GroupResource::parse(&body).unwrap_err();
            assert!(refused.detail.contains(named), "{body}: {refused}");
        }
    }
}
