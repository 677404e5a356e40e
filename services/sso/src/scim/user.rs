//! A person as a directory describes them: what Updraft goes by, and the rest as it came.

use serde_json::{Map, Value, json};

use super::refusal::Refused;

/// Longest name of anything, in characters.
const LONGEST: usize = 256;
const LONGEST_SHOWN: usize = 100;
/// Set by the server, or never to be kept.
const NOT_KEPT: [&str; 5] = ["schemas", "id", "meta", "groups", "password"];

#[derive(Clone, Debug, PartialEq)]
pub struct UserResource {
    pub user_name: String,
    pub external_id: Option<String>,
    pub active: bool,
    /// Everything else that was sent, but passwords.
    pub attributes: Value,
}

// === impl UserResource ===

impl UserResource {
    /// # Errors
    /// `invalidValue`, naming the attribute.
    pub fn parse(body: &Value) -> Result<Self, Refused> {
        let body = body
            .as_object()
            .ok_or_else(|| Refused::value("the body", "it is an object"))?;
        let mut parsed = Self {
            user_name: String::new(),
            external_id: None,
            active: true,
            attributes: Value::Null,
        };
        let mut rest = Map::new();
        for (key, value) in body.iter().filter(|(_, value)| !value.is_null()) {
            match key.to_ascii_lowercase().as_str() {
                "username" => parsed.user_name = one_line("userName", value)?,
                "externalid" => parsed.external_id = Some(one_line("externalId", value)?),
                "active" => parsed.active = truth("active", value)?,
                known if NOT_KEPT.contains(&known) => {}
                _ => {
                    rest.insert(key.clone(), value.clone());
                }
            }
        }
        if parsed.user_name.is_empty() {
            return Err(Refused::value("userName", "it is required"));
        }
        parsed.attributes = Value::Object(rest);
        Ok(parsed)
    }

    /// As [`Self::parse`] reads it: what a patch is applied to.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut all = self.attributes.as_object().cloned().unwrap_or_default();
        all.insert("userName".to_owned(), json!(self.user_name));
        all.insert("active".to_owned(), json!(self.active));
        if let Some(id) = &self.external_id {
            all.insert("externalId".to_owned(), json!(id));
        }
        Value::Object(all)
    }

    /// The primary address, else the one at work, else the first, else the name they sign in with. In lower case.
    #[must_use]
    pub fn email(&self) -> String {
        let emails = self.attribute("emails").and_then(Value::as_array);
        let emails: Vec<&Value> = emails.into_iter().flatten().collect();
        let primary =
            |email: &&&Value| truth("primary", member(email, "primary").unwrap_or(&Value::Null)) == Ok(true);
        let work = |email: &&&Value| {
            let kind = member(email, "type").and_then(Value::as_str);
            kind.is_some_and(|kind| kind.eq_ignore_ascii_case("work"))
        };
        let chosen = emails.iter().find(primary).or_else(|| emails.iter().find(work));
        let text = chosen
            .or_else(|| emails.first())
            .and_then(|email| member(email, "value"));
        let email = text
            .and_then(Value::as_str)
            .map(str::trim)
            .filter(|email| !email.is_empty());
        email
            .unwrap_or(&self.user_name)
            .chars()
            .take(254)
            .collect::<String>()
            .to_lowercase()
    }

    /// As they are called.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.attribute("name");
        let part = |key| {
            name.and_then(|name| member(name, key))
                .and_then(Value::as_str)
                .map(str::trim)
        };
        let full = [part("givenName"), part("familyName")];
        let full = full.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let shown = self
            .attribute("displayName")
            .and_then(Value::as_str)
            .map(str::trim);
        let candidates = [
            shown,
            part("formatted"),
            Some(full.as_str()),
            Some(self.user_name.as_str()),
        ];
        let chosen = candidates.into_iter().flatten().find(|name| !name.is_empty());
        let plain = chosen.unwrap_or_default().chars().filter(|c| !c.is_control());
        plain.take(LONGEST_SHOWN).collect()
    }

    fn attribute(&self, name: &str) -> Option<&Value> {
        member(&self.attributes, name)
    }
}

/// Names count in any case.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let found = value
        .as_object()?
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

pub(super) fn one_line(attribute: &str, value: &Value) -> Result<String, Refused> {
    let text = value.as_str().map(str::trim);
    let good =
        |text: &&str| (1..=LONGEST).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    match text.filter(good) {
        Some(text) => Ok(text.to_owned()),
        None => Err(Refused::value(
            attribute,
            &format!("it is a text of 1 to {LONGEST} characters"),
        )),
    }
}

/// Entra sends truth as a text.
fn truth(attribute: &str, value: &Value) -> Result<bool, Refused> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        Value::String(word) if word.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(word) if word.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(Refused::value(attribute, "it is true or false")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(body: impl Into<Value>) -> UserResource {
        let body = body.into();
        UserResource::parse(&body).unwrap_or_else(|refused| panic!("{body}: {refused}"))
    }

    #[test]
    fn what_we_go_by_is_read_in_any_case_and_the_rest_is_kept() {
        let parsed = user(json!({
            "schemas": [super::super::USER_SCHEMA], "id": "x", "UserName": " ada ", "externalid": "7",
            "ACTIVE": "False", "password": "t0p secret", "title": "Countess", "nickName": null
        }));
        assert_eq!(
            (parsed.user_name.as_str(), parsed.external_id.as_deref()),
            ("ada", Some("7"))
        );
        assert!(!parsed.active);
        assert_eq!(parsed.attributes, json!({"title": "Countess"}));
        assert_eq!(UserResource::parse(&parsed.document()).unwrap(), parsed);
    }

    #[test]
    fn the_address_is_the_primary_one() {
        let emails = json!([
            {"type": "home", "value": "home@x.example"},
            {"type": "Work", "value": "work@x.example"},
            {"type": "other", "value": "Main@X.example", "primary": "True"}
        ]);
        assert_eq!(
            user(json!({"userName": "ada", "emails": emails})).email(),
            "main@x.example"
        );
        let emails =
            json!([{"type": "home", "value": "h@x.example"}, {"type": "Work", "value": "w@x.example"}]);
        assert_eq!(
            user(json!({"userName": "ada", "emails": emails})).email(),
            "w@x.example"
        );
        assert_eq!(
            user(json!({"userName": "Ada@X.example"})).email(),
            "ada@x.example"
        );
        assert_eq!(user(json!({"userName": "ada", "emails": []})).email(), "ada");
    }

    #[test]
    fn the_name_is_the_best_there_is() {
        let name = json!({"givenName": "Ada", "familyName": "Winter"});
        assert_eq!(
            user(json!({"userName": "a", "displayName": "Ada W.", "name": name})).name(),
            "Ada W."
        );
        assert_eq!(user(json!({"userName": "a", "name": name})).name(), "Ada Winter");
        assert_eq!(user(json!({"userName": "a", "displayName": ""})).name(), "a");
        assert_eq!(user(json!({"userName": "a", "displayName": "x\ny"})).name(), "xy");
    }

    #[test]
    fn a_bad_attribute_is_named() {
        for (body, named) in [
            (json!([]), "the body"),
            (json!({}), "userName"),
            (json!({"userName": ""}), "userName"),
            (json!({"userName": 7}), "userName"),
            (json!({"userName": "x".repeat(257)}), "userName"),
            (json!({"userName": "a\nb"}), "userName"),
            (json!({"userName": "a", "active": "perhaps"}), "active"),
            (json!({"userName": "a", "active": 1}), "active"),
            (json!({"userName": "a", "externalId": {}}), "externalId"),
        ] {
            let refused = UserResource::parse(&body).unwrap_err();
            assert!(refused.detail.contains(named), "{body}: {refused}");
        }
    }
}
