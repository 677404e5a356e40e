//! What decides who has a role on a cluster: its tags, and what was granted on it. Of deleted clusters too, for what
//! outlives them.

use indexmap::IndexMap;
use sqlx::PgConnection;
use sqlx::types::Json;
use updraft_authz::ClusterFacts;
use updraft_model::{ClusterId, ClusterRole, TenantId, UserId};

use crate::StoreError;
use crate::error::word;

/// What somebody's role on a cluster depends on, apart from themselves and the tenant's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub cluster: ClusterFacts,
    /// The role granted to the person who asks.
    pub granted: Option<ClusterRole>,
}

struct Row {
    id: i64,
    tags: Json<IndexMap<String, String>>,
    granted: Option<String>,
}

/// One cluster, with what `viewer` was granted on it.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    viewer: UserId,
    cluster: ClusterId,
) -> Result<Option<Standing>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select c.id, coalesce(c.spec -> 'tags', '{}') as "tags!: Json<IndexMap<String, String>>",
                  g.role as "granted?"
           from clusters c left join cluster_grants g on g.cluster_id = c.id and g.user_id = $3
           where c.tenant_id = $1 and c.id = $2"#,
        tenant.0,
        cluster.0,
        viewer.0,
    )
    .fetch_optional(connection)
    .await?;
    row.map(Standing::try_from).transpose()
}

/// The same of every cluster of the tenant.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_tenant(
    connection: &mut PgConnection,
    tenant: TenantId,
    viewer: UserId,
) -> Result<Vec<Standing>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.id, coalesce(c.spec -> 'tags', '{}') as "tags!: Json<IndexMap<String, String>>",
                  g.role as "granted?"
           from clusters c left join cluster_grants g on g.cluster_id = c.id and g.user_id = $2
           where c.tenant_id = $1"#,
        tenant.0,
        viewer.0,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Standing::try_from).collect()
}

// === impl Standing ===

impl TryFrom<Row> for Standing {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            cluster: ClusterFacts {
                id: ClusterId(row.id),
                tags: row.tags.0,
            },
            granted: row.granted.map(|role| word("cluster role", &role)).transpose()?,
        })
    }
}
