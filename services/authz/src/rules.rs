//! Access rules as data: who gets which role where. [`crate::effective_role`] reads them.

use std::collections::BTreeSet;
use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use updraft_model::{ClusterId, ClusterRole, RuleId, TenantRole, UserId};
use utoipa::ToSchema;

/// "group `data-platform` → admin on tag `env=prod`". Rules only ever give; none takes away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessRule {
    pub id: RuleId,
    pub who: Who,
    pub role: ClusterRole,
    pub target: Target,
}

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Members of a group, named exactly as the identity provider or the directory (SCIM) names it.
    Group(String),
    /// People whose address the identity provider vouched for in this very domain, not one below it.
    Domain(String),
    /// The person whose address this is, by the identity provider's word.
    Email(String),
    /// Every person of the organisation. No service account: those get roles by name.
    Everyone,
}

/// Which clusters a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    EveryCluster,
    Cluster(ClusterId),
    /// Clusters with this very tag.
    Tag(Tag),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

/// What rules need to know of a person, as their own tenant's provider and directory last said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonFacts {
    pub user: UserId,
    pub tenant_role: TenantRole,
    pub is_service: bool,
    /// What the person is called here. Rules never go by it: anybody may have typed it.
    pub email: String,
    pub groups: BTreeSet<String>,
    /// Addresses the provider vouched for, in lower case.
    pub vouched_emails: BTreeSet<String>,
    /// Google's hosted domains, in lower case.
    pub hosted_domains: BTreeSet<String>,
}

/// What rules need to know of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFacts {
    pub id: ClusterId,
    pub tags: IndexMap<String, String>,
}

// === impl AccessRule ===

impl AccessRule {
    #[must_use]
    pub fn gives(&self, person: &PersonFacts, cluster: &ClusterFacts) -> bool {
        self.target.is(cluster) && self.who.is(person)
    }
}

// === impl Who ===

impl Who {
    #[must_use]
    pub fn is(&self, person: &PersonFacts) -> bool {
        match self {
            Self::Group(name) => person.groups.contains(name),
            Self::Domain(domain) => person
                .vouched_domains()
                .any(|own| own.eq_ignore_ascii_case(domain)),
            Self::Email(email) => person
                .vouched_emails
                .iter()
                .any(|own| own.eq_ignore_ascii_case(email)),
            Self::Everyone => !person.is_service,
        }
    }

    /// Whether it would be this person, had anybody vouched for their address.
    pub(crate) fn wants_vouching(&self, person: &PersonFacts) -> bool {
        match self {
            Self::Domain(domain) => {
                domain_of(&person.email).is_some_and(|own| own.eq_ignore_ascii_case(domain))
            }
            Self::Email(email) => person.email.eq_ignore_ascii_case(email),
            Self::Group(_) | Self::Everyone => false,
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(name) => write!(f, "group `{name}`"),
            Self::Domain(domain) => write!(f, "addresses in `{domain}`"),
            Self::Email(email) => write!(f, "`{email}`"),
            Self::Everyone => f.write_str("everyone"),
        }
    }
}

// === impl Target ===

impl Target {
    #[must_use]
    pub fn is(&self, cluster: &ClusterFacts) -> bool {
        match self {
            Self::EveryCluster => true,
            Self::Cluster(id) => *id == cluster.id,
            Self::Tag(tag) => cluster.tags.get(&tag.key) == Some(&tag.value),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EveryCluster => f.write_str("every cluster"),
            Self::Cluster(id) => write!(f, "cluster {id}"),
            Self::Tag(Tag { key, value }) => write!(f, "clusters tagged `{key}={value}`"),
        }
    }
}

// === impl PersonFacts ===

impl PersonFacts {
    /// Somebody of whom no provider ever said anything.
    #[must_use]
    pub fn unvouched(user: UserId, tenant_role: TenantRole, email: &str) -> Self {
        Self {
            user,
            tenant_role,
            is_service: false,
            email: email.to_owned(),
            groups: BTreeSet::new(),
            vouched_emails: BTreeSet::new(),
            hosted_domains: BTreeSet::new(),
        }
    }

    /// In lower case; the domain of an address twice over is no harm.
    pub(crate) fn vouched_domains(&self) -> impl Iterator<Item = &str> {
        let of_addresses = self.vouched_emails.iter().filter_map(|email| domain_of(email));
        self.hosted_domains.iter().map(String::as_str).chain(of_addresses)
    }
}

/// What follows the last `@`.
fn domain_of(email: &str) -> Option<&str> {
    email.rsplit_once('@').map(|(_, domain)| domain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ClusterId, Tag, Target, Who};

    #[test]
    fn rules_are_kept_as_the_database_documents_them() {
        let tag = Tag {
            key: "env".into(),
            value: "prod".into(),
        };
        let kept = [
            serde_json::to_value([
                Who::Group("data-platform".into()),
                Who::Domain("example.com".into()),
                Who::Email("ada@example.com".into()),
                Who::Everyone,
            ]),
            serde_json::to_value([
                Target::EveryCluster,
                Target::Cluster(ClusterId(7)),
                Target::Tag(tag),
            ]),
        ]
        .map(Result::unwrap);
        assert_eq!(
            kept,
            [
                json!([{"group": "data-platform"}, {"domain": "example.com"}, {"email": "ada@example.com"}, "everyone"]),
                json!(["every_cluster", {"cluster": 7}, {"tag": {"key": "env", "value": "prod"}}]),
            ]
        );
    }
}
