//! What may stand behind the `?`. What we do not do (sorting) is passed over, as RFC 7644 section 3.4.2.3 lets us.

use serde::Deserialize;
use serde_json::Value;
use updraft_app::ScimQuery;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Query {
    filter: Option<String>,
    start_index: Option<i64>,
    count: Option<i64>,
    attributes: Option<String>,
    excluded_attributes: Option<String>,
}

/// Which attributes an answer has (RFC 7644 section 3.9). Whole ones: who asks for a part is given the rest of it too.
#[derive(Clone, Debug, Default)]
pub(super) struct Projection {
    wanted: Option<Vec<String>>,
    unwanted: Vec<String>,
}

/// "Always" returned (RFC 7643 section 7).
const ALWAYS: [&str; 2] = ["schemas", "id"];

// === impl Query ===

impl Query {
    pub(super) fn projection(&self) -> Projection {
        Projection {
            wanted: self.attributes.as_deref().map(names),
            unwanted: self.excluded_attributes.as_deref().map(names).unwrap_or_default(),
        }
    }
}

impl From<Query> for ScimQuery {
    fn from(query: Query) -> Self {
        Self {
            filter: query.filter.filter(|filter| !filter.trim().is_empty()),
            start_index: query.start_index,
            count: query.count,
        }
    }
}

// === impl Projection ===

impl Projection {
    pub(super) fn of(&self, mut resource: Value) -> Value {
        if let Value::Object(attributes) = &mut resource {
            attributes.retain(|name, _| self.has(name));
        }
        resource
    }

    pub(super) fn of_list(&self, mut list: Value) -> Value {
        if let Some(Value::Array(resources)) = list.get_mut("Resources") {
            for resource in resources {
                *resource = self.of(resource.take());
            }
        }
        list
    }

    fn has(&self, name: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        ALWAYS.contains(&name) || (self.wanted.as_deref().is_none_or(named) && !named(&self.unwanted))
    }
}

/// `name.familyName` is a part of `name`; a schema in front says nothing.
fn names(list: &str) -> Vec<String> {
    let attribute = |name: &str| {
        let bare = name.trim().rsplit(':').next().unwrap_or_default();
        bare.split(['.', '[']).next().unwrap_or_default().to_owned()
    };
    list.split(',')
        .map(attribute)
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Query;

    #[test]
    fn an_answer_has_what_was_asked_for() {
        let ask = |attributes: Option<&str>, excluded: Option<&str>| {
            let query = Query {
                attributes: attributes.map(str::to_owned),
                excluded_attributes: excluded.map(str::to_owned),
                ..Query::default()
            };
            let group = json!({"schemas": [], "id": "1", "displayName": "a", "members": [], "meta": {}});
            let shown = query.projection().of(group);
            shown
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(ask(None, Some("members")), "displayName id meta schemas");
        assert_eq!(
            ask(Some("DISPLAYNAME,meta.version"), None),
            "displayName id meta schemas"
        );
        assert_eq!(
            ask(
                Some("urn:ietf:params:scim:schemas:core:2.0:Group:displayName"),
                None
            ),
            "displayName id schemas"
        );
        assert_eq!(
            ask(None, Some("id,schemas")),
            "displayName id members meta schemas"
        );
    }
}
