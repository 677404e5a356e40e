//! What access rules go by: what a tenant's own provider and directory say of its people. Nobody who is switched off
//! is here.

use sqlx::PgConnection;
use updraft_authz::PersonFacts;
use updraft_model::{TenantId, UserId};

use crate::StoreError;
use crate::error::word;

/// A person as rules and as people know them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPerson {
    pub tenant: TenantId,
    pub name: String,
    pub facts: PersonFacts,
}

struct Row {
    tenant_id: uuid::Uuid,
    user_id: uuid::Uuid,
    tenant_role: String,
    email: String,
    name: String,
    is_service: bool,
    groups: Vec<String>,
    email_vouched: bool,
    hosted_domains: Vec<String>,
}

/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
) -> Result<Option<KnownPerson>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select tenant_id as "tenant_id!", user_id as "user_id!", tenant_role as "tenant_role!",
                  email as "email!", name as "name!", is_service as "is_service!", groups as "groups!",
                  email_vouched as "email_vouched!", hosted_domains as "hosted_domains!"
           from person_facts where tenant_id = $1 and user_id = $2"#,
        tenant.0,
        user.0,
    )
    .fetch_optional(connection)
    .await?;
    row.map(KnownPerson::try_from).transpose()
}

/// Everybody in the tenant, by address.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_tenant(
    connection: &mut PgConnection,
    tenant: TenantId,
) -> Result<Vec<KnownPerson>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select tenant_id as "tenant_id!", user_id as "user_id!", tenant_role as "tenant_role!",
                  email as "email!", name as "name!", is_service as "is_service!", groups as "groups!",
                  email_vouched as "email_vouched!", hosted_domains as "hosted_domains!"
           from person_facts where tenant_id = $1 order by email, user_id"#,
        tenant.0,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(KnownPerson::try_from).collect()
}

/// Everybody, for the picture that edges decide by.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_all_tenants(connection: &mut PgConnection) -> Result<Vec<KnownPerson>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select tenant_id as "tenant_id!", user_id as "user_id!", tenant_role as "tenant_role!",
                  email as "email!", name as "name!", is_service as "is_service!", groups as "groups!",
                  email_vouched as "email_vouched!", hosted_domains as "hosted_domains!"
           from person_facts"#
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(KnownPerson::try_from).collect()
}

// === impl KnownPerson ===

impl TryFrom<Row> for KnownPerson {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let vouched = row.email_vouched.then(|| row.email.to_lowercase());
        let facts = PersonFacts {
            user: UserId(row.user_id),
            tenant_role: word("tenant role", &row.tenant_role)?,
            is_service: row.is_service,
            email: row.email,
            groups: row.groups.into_iter().collect(),
            vouched_emails: vouched.into_iter().collect(),
            hosted_domains: row.hosted_domains.into_iter().collect(),
        };
        Ok(Self {
            tenant: TenantId(row.tenant_id),
            name: row.name,
            facts,
        })
    }
}
