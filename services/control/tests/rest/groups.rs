//! What a tenant's identity provider and directory say of somebody, put where signing in and SCIM put it.

use updraft_model::TenantRole;
use uuid::Uuid;

use crate::support::{Someone, World};

impl World {
    /// A member of the tenant in these groups, by the word of an identity provider.
    pub(crate) async fn someone_in(&self, tenant: updraft_model::TenantId, groups: &[&str]) -> Someone {
        let someone = self.someone(tenant, TenantRole::Member).await;
        self.now_in(&someone, groups).await;
        someone
    }

    /// The provider now says these groups, and no others.
    pub(crate) async fn now_in(&self, someone: &Someone, groups: &[&str]) {
        let (tenant, user, provider) = (someone.tenant, someone.user, Uuid::new_v4());
        let groups = groups
            .iter()
            .map(|name| format!("'{name}'"))
            .collect::<Vec<_>>()
            .join(",");
        self.execute(&format!(
            "insert into identity_providers (id, tenant_id, kind, name, enabled, config)
                 values ('{provider}', '{tenant}', 'oidc', '{provider}', true, '{{\"kind\": \"oidc\", \"issuer\": \"https://idp.example\", \"client_id\": \"updraft\"}}');
             insert into identities (tenant_id, issuer, subject, provider_id, user_id, groups)
                 values ('{tenant}', 'https://idp.example', '{user}', '{provider}', '{user}', array[{groups}]::text[])
                 on conflict (tenant_id, issuer, subject) do update set groups = excluded.groups;"
        ))
        .await;
    }

    /// Every provider of the tenant signs people in, or none does.
    pub(crate) async fn providers_are_enabled(&self, tenant: updraft_model::TenantId, enabled: bool) {
        self.execute(&format!(
            "update identity_providers set enabled = {enabled} where tenant_id = '{tenant}'"
        ))
        .await;
    }

    pub(crate) async fn execute(&self, statements: &str) {
        let mut tx = self.tx().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned()))
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
}
