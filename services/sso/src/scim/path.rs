//! Paths to attributes (RFC 7644 section 3.5.2): `userName`, `name.givenName`, `emails[type eq "work"].value`,
//! `members[value eq "…"]`, each with or without its schema in front.

use super::refusal::{Refused, ScimType};
use super::{ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// The enterprise extension, when the attribute is in it.
    pub(crate) extension: Option<&'static str>,
    /// As it was written: names count in any case.
    pub(crate) attribute: String,
    /// Which values of a multi-valued attribute: those whose sub-attribute equals this.
    pub(crate) which: Option<(String, String)>,
    pub(crate) sub: Option<String>,
}

// === impl Path ===

impl Path {
    /// # Errors
    /// `invalidPath`
    pub(crate) fn parse(text: &str) -> Result<Self, Refused> {
        let bad = || {
            let detail = format!(
                "`{}` is no path to an attribute. Write it like name.givenName or emails[type eq \"work\"].value.",
                shown(text)
            );
            Refused::new(ScimType::InvalidPath, detail)
        };
        let (extension, rest) = without_schema(text.trim());
        let (head, which, sub) = match rest.split_once('[') {
            Some((head, rest)) => {
                let (filter, after) = rest.split_once(']').ok_or_else(bad)?;
                let sub = match after {
                    "" => None,
                    after => Some(after.strip_prefix('.').ok_or_else(bad)?),
                };
                (head, Some(equality(filter).ok_or_else(bad)?), sub)
            }
            None => match rest.split_once('.') {
                Some((head, sub)) => (head, None, Some(sub)),
                None => (rest, None, None),
            },
        };
        if !is_name(head) || !sub.is_none_or(is_name) {
            return Err(bad());
        }
        Ok(Self {
            extension,
            attribute: head.to_owned(),
            which,
            sub: sub.map(str::to_owned),
        })
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.extension.is_none() && self.attribute.eq_ignore_ascii_case(name)
    }
}

/// The core schemas say nothing; the extension is a part of the resource.
fn without_schema(text: &str) -> (Option<&'static str>, &str) {
    for (schema, extension) in [
        (USER_SCHEMA, None),
        (GROUP_SCHEMA, None),
        (ENTERPRISE_SCHEMA, Some(ENTERPRISE_SCHEMA)),
    ] {
        let (Some(head), Some(rest)) = (text.get(..schema.len()), text.get(schema.len()..)) else {
            continue;
        };
        if let (true, Some(name)) = (head.eq_ignore_ascii_case(schema), rest.strip_prefix(':')) {
            return (extension, name);
        }
    }
    (None, text)
}

/// `type eq "work"`, `primary eq true`
pub(crate) fn equality(text: &str) -> Option<(String, String)> {
    let (name, rest) = text.trim().split_once(char::is_whitespace)?;
    let (operator, value) = rest.trim_start().split_once(char::is_whitespace)?;
    let value = literal(value.trim())?;
    (operator.eq_ignore_ascii_case("eq") && name.split('.').all(is_name)).then(|| (name.to_owned(), value))
}

/// A JSON string, or a bare word: `true`.
fn literal(text: &str) -> Option<String> {
    if text.starts_with('"') {
        return serde_json::from_str(text).ok();
    }
    let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    bare.then(|| text.to_owned())
}

/// RFC 7644: ATTRNAME. `$ref` is the one that begins otherwise.
fn is_name(text: &str) -> bool {
    let text = text.strip_prefix('$').unwrap_or(text);
    text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

pub(crate) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts = (
        Option<&'static str>,
        String,
        Option<(String, String)>,
        Option<String>,
    );

    fn path(text: &str) -> Parts {
        let path = Path::parse(text).unwrap_or_else(|refused| panic!("{text}: {refused}"));
        (path.extension, path.attribute, path.which, path.sub)
    }

    #[test]
    fn paths_are_read_in_all_their_forms() {
        let own = str::to_owned;
        assert_eq!(path("userName"), (None, own("userName"), None, None));
        assert_eq!(
            path("name.givenName"),
            (None, own("name"), None, Some(own("givenName")))
        );
        assert_eq!(
            path(r#"emails[type eq "work"].value"#),
            (
                None,
                own("emails"),
                Some((own("type"), own("work"))),
                Some(own("value"))
            )
        );
        assert_eq!(
            path(r#"members[value EQ "a b\"c"]"#),
            (None, own("members"), Some((own("value"), own("a b\"c"))), None)
        );
        assert_eq!(
            path("urn:ietf:params:scim:schemas:core:2.0:User:userName"),
            (None, own("userName"), None, None)
        );
        assert_eq!(
            path("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"),
            (Some(ENTERPRISE_SCHEMA), own("department"), None, None)
        );
    }

    #[test]
    fn what_is_no_path_is_refused_as_such() {
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a.b.c",
            "emails[",
            "emails[]",
            "emails[type eq]",
            r#"emails[type co "work"]"#,
            r#"emails[type eq "work"]value"#,
            r#"emails[type eq "a" or type eq "b"]"#,
            "a b",
            "1a",
            "urn:example:thing",
            "a\u{0}",
        ] {
            assert_eq!(
                Path::parse(bad).unwrap_err().scim_type,
                ScimType::InvalidPath,
                "{bad:?}"
            );
        }
    }
}
