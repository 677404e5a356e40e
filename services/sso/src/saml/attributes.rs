//! Attributes: an address, a name, groups. Providers call them differently; the first known name that is there counts.

use chrono::{DateTime, Utc};
use updraft_model::SamlConfig;

use super::name_id::{EMAIL, NameId};
use super::xml::{ASSERTION, Element};
use crate::VouchedIdentity;

const EMAILS: [&str; 4] = [
    "email",
    "mail",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
    "urn:oid:0.9.2342.19200300.100.1.3",
];
const NAMES: [&str; 6] = [
    "name",
    "displayName",
    "http://schemas.microsoft.com/identity/claims/displayname",
    "urn:oid:2.16.840.1.113730.3.1.241",
    "cn",
    "urn:oid:2.5.4.3",
];
const GROUPS: [&str; 5] = [
    "groups",
    "memberOf",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups",
    "http://schemas.xmlsoap.org/claims/Group",
    "urn:oid:1.3.6.1.4.1.5923.1.5.1.1",
];

pub(super) fn identity(
    assertion: Element<'_>,
    config: &SamlConfig,
    name_id: &NameId,
    session_until: DateTime<Utc>,
    session_index: Option<String>,
) -> VouchedIdentity {
    let names = &config.attributes;
    let address = said(assertion, names.email.as_ref(), &EMAILS).into_iter().next();
    let address =
        address.or_else(|| (name_id.format.as_deref() == Some(EMAIL)).then(|| name_id.value.clone()));
    let mut groups = said(assertion, names.groups.as_ref(), &GROUPS);
    groups.sort_unstable();
    groups.dedup();
    VouchedIdentity {
        issuer: config.entity_id.clone(),
        subject: name_id.value.clone(),
        email_verified: address.is_some(),
        email: address,
        name: said(assertion, names.name.as_ref(), &NAMES).into_iter().next(),
        user_name: Some(name_id.value.clone()),
        directory_id: name_id.value.clone(),
        groups,
        hosted_domain: None,
        provider_session: session_index,
        id_token: name_id.keep(),
        refresh_token: None,
        session_until: Some(session_until),
    }
}

/// The configured attribute, or the first known one that is there.
fn said(assertion: Element<'_>, configured: Option<&String>, known: &[&str]) -> Vec<String> {
    match configured {
        Some(name) => values(assertion, name),
        None => known
            .iter()
            .map(|name| values(assertion, name))
            .find(|values| !values.is_empty())
            .unwrap_or_default(),
    }
}

fn values(assertion: Element<'_>, name: &str) -> Vec<String> {
    assertion
        .children_named(ASSERTION, "AttributeStatement")
        .flat_map(|statement| statement.children_named(ASSERTION, "Attribute"))
        .filter(|attribute| {
            attribute.attribute("Name") == Some(name) || attribute.attribute("FriendlyName") == Some(name)
        })
        .flat_map(|attribute| attribute.children_named(ASSERTION, "AttributeValue"))
        .filter_map(Element::text)
        .filter(|value| !value.is_empty() && !value.chars().any(char::is_control))
        .collect()
}
