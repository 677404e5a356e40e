//! Closes to everybody the databases of the server that are no cluster's.
//!
//! PostgreSQL lets every role into a database that says nothing else. A cluster's has no business there, and what it leaves
//! there (a large object needs no right) would keep its role from being dropped.

use sqlx::PgConnection;

use super::{quoted, run};
use crate::StoreError;

/// The administrator's own and those that servers are born with, where they are the administrator's to close.
const OPEN: &str = "select datname::text from pg_database d
    where datname in (current_database(), 'postgres', 'template1') and pg_has_role(datdba, 'usage')
      and exists (
          select from aclexplode(coalesce(datacl, acldefault('d', datdba)))
          where grantee = 0 and privilege_type in ('CONNECT', 'TEMPORARY'))";

/// Looks, and changes what it finds open; nothing when it was done before.
pub(super) async fn close(admin: &mut PgConnection) -> Result<(), StoreError> {
    for name in open(admin).await? {
        let statement = format!(
            "revoke connect, temporary on database {} from public",
            quoted(&name)
        );
        let closed = run(admin, statement).await;
        // The server refuses whoever comes second at the same moment: then it is done.
        if closed.is_err() && open(admin).await?.contains(&name) {
            return closed;
        }
    }
    Ok(())
}

async fn open(admin: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar(OPEN).fetch_all(admin).await?)
}
