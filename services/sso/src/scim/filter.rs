//! Filters of lists (RFC 7644 section 3.4.2.2), as far as directories ask: equalities, joined by `and`.

use super::path::{equality, shown};
use super::refusal::{Refused, ScimType};

/// `userName eq "ada@example.com"`, the attribute in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub attribute: String,
    pub value: String,
}

/// All of them must hold.
///
/// # Errors
/// `invalidFilter` for what is no filter, or asks for more than equality.
pub fn conditions(filter: &str) -> Result<Vec<Condition>, Refused> {
    let bad = || {
        let detail = format!(
            "`{}` cannot be filtered by. Use equalities joined by `and`, for example userName eq \"ada@example.com\".",
            shown(filter)
        );
        Refused::new(ScimType::InvalidFilter, detail)
    };
    if filter.len() > 1_000 {
        return Err(bad());
    }
    let mut found = Vec::new();
    for part in parts(filter) {
        let flat = flattened(part.trim());
        let (attribute, value) = equality(&flat).ok_or_else(bad)?;
        found.push(Condition {
            attribute: attribute.to_ascii_lowercase(),
            value,
        });
    }
    Ok(found)
}

/// Split at each `and` outside quotation marks.
fn parts(filter: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in filter.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ' ' if !quoted
                && filter
                    .get(at..at + 5)
                    .is_some_and(|w| w.eq_ignore_ascii_case(" and ")) =>
            {
                parts.push(&filter[start..at]);
                start = at + 4;
            }
            _ => {}
        }
    }
    parts.push(&filter[start..]);
    parts
}

/// `emails[type eq "work"].value eq "x"` asks for an address: which kind of address matters to nobody here.
fn flattened(part: &str) -> String {
    match (part.find('['), part.find("].")) {
        (Some(open), Some(close)) if open < close && equality(&part[open + 1..close]).is_some() => {
            format!("{}{}", &part[..open], &part[close + 1..])
        }
        _ => part.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(filter: &str) -> Vec<(String, String)> {
        let found = conditions(filter).unwrap_or_else(|refused| panic!("{filter}: {refused}"));
        found.into_iter().map(|c| (c.attribute, c.value)).collect()
    }

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec()
    }

    #[test]
    fn filters_of_okta_and_entra_are_read() {
        assert_eq!(
            read(r#"userName eq "ada@example.com""#),
            pairs([("username", "ada@example.com")])
        );
        assert_eq!(read(r#"externalId eq "00u1""#), pairs([("externalid", "00u1")]));
        assert_eq!(
            read(r#"displayName Eq "A \"B\" and C""#),
            pairs([("displayname", "A \"B\" and C")])
        );
        assert_eq!(
            read(r#"id eq "1" and members eq "2""#),
            pairs([("id", "1"), ("members", "2")])
        );
        assert_eq!(
            read(r#"emails[type eq "work"].value eq "a@b.c""#),
            pairs([("emails.value", "a@b.c")])
        );
        assert_eq!(read("active eq true"), pairs([("active", "true")]));
    }

    #[test]
    fn anything_else_is_refused_as_a_filter() {
        for bad in [
            "",
            "userName",
            "userName eq",
            r#"userName co "a""#,
            r#"userName eq "a" or userName eq "b""#,
            r#"not (userName eq "a")"#,
            r#"(userName eq "a")"#,
            r#"userName eq "a"#,
            "userName eq 'a'",
            "title pr",
            r#"userName eq "a"; drop table users"#,
            &format!(r#"userName eq "{}""#, "x".repeat(2_000)),
        ] {
            assert_eq!(
                conditions(bad).unwrap_err().scim_type,
                ScimType::InvalidFilter,
                "{bad:?}"
            );
        }
    }
}
