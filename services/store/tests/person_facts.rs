//! What rules go by: a provider's word counts while the provider is enabled, a directory's as long as it is said.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use updraft_authz::PersonFacts;
    use updraft_model::{ProviderId, TenantId, UserId};
    use updraft_store::testing::TestDatabase;
    use updraft_store::{Tx, identity_providers, person_facts};
    use uuid::Uuid;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));
    const ADA: UserId = UserId(Uuid::from_u128(2));
    const OKTA: ProviderId = ProviderId(Uuid::from_u128(3));
    const OTHER: ProviderId = ProviderId(Uuid::from_u128(4));

    /// Ada, known to two providers and to the directory.
    async fn known(database: &TestDatabase) -> Tx {
        let mut tx = database.store().begin().await.unwrap();
        let (tenant, ada, okta, other) = (TENANT, ADA, OKTA, OTHER);
        let rows = format!(
            "insert into tenants (id, name) values ('{tenant}', 'Acme');
             insert into users (id, email, name, origin) values ('{ada}', 'ada@example.com', 'Ada', 'directory');
             insert into memberships (tenant_id, user_id, role) values ('{tenant}', '{ada}', 'member');
             insert into identity_providers (id, tenant_id, kind, name, enabled, config)
                 values ('{okta}', '{tenant}', 'oidc', 'Okta', true, '{{}}'),
                        ('{other}', '{tenant}', 'saml', 'Other', true, '{{}}');
             insert into identities (tenant_id, issuer, subject, provider_id, user_id, groups, email_verified, hosted_domain)
                 values ('{tenant}', 'okta', 'ada', '{okta}', '{ada}', array['data'], true, 'Example.com'),
                        ('{tenant}', 'other', 'ada', '{other}', '{ada}', array['ops'], false, null);
             insert into scim_groups (id, tenant_id, display_name) values ('{other}', '{tenant}', 'everywhere');
             insert into scim_group_members (tenant_id, group_id, user_id) values ('{tenant}', '{other}', '{ada}');"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(rows))
            .execute(&mut *tx)
            .await
            .unwrap();
        tx
    }

    async fn facts(tx: &mut Tx) -> PersonFacts {
        person_facts::find(tx, TENANT, ADA).await.unwrap().unwrap().facts
    }

    fn named<T: Ord, I: IntoIterator<Item = T>>(all: I) -> BTreeSet<T> {
        all.into_iter().collect()
    }

    #[tokio::test]
    async fn a_disabled_providers_word_counts_for_nothing() {
        let database = TestDatabase::create().await.unwrap();
        let mut tx = known(&database).await;
        let all = facts(&mut tx).await;
        let words = ["data", "everywhere", "ops"].map(str::to_owned);
        assert_eq!(named(all.groups), named(words));
        assert!(all.vouched_emails.is_empty(), "one of two does not vouch");

        identity_providers::set_enabled(&mut tx, TENANT, OTHER, false)
            .await
            .unwrap();
        let okta_alone = facts(&mut tx).await;
        assert_eq!(
            named(okta_alone.groups),
            named(["data", "everywhere"].map(str::to_owned))
        );
        assert_eq!(
            named(okta_alone.vouched_emails),
            named(["ada@example.com".to_owned()])
        );
        assert_eq!(
            named(okta_alone.hosted_domains),
            named(["example.com".to_owned()])
        );

        identity_providers::set_enabled(&mut tx, TENANT, OKTA, false)
            .await
            .unwrap();
        let nobodys = facts(&mut tx).await;
        assert_eq!(named(nobodys.groups), named(["everywhere".to_owned()]));
        assert!(nobodys.vouched_emails.is_empty() && nobodys.hosted_domains.is_empty());

        identity_providers::set_enabled(&mut tx, TENANT, OKTA, true)
            .await
            .unwrap();
        assert_eq!(facts(&mut tx).await.groups.len(), 2);
    }

    #[tokio::test]
    async fn whoever_disables_a_provider_waits_for_sign_ins_that_are_under_way() {
        let database = TestDatabase::create().await.unwrap();
        known(&database).await.commit().await.unwrap();
        let mut signing_in = database.store().begin().await.unwrap();
        assert!(
            identity_providers::hold_enabled(&mut signing_in, TENANT, OKTA)
                .await
                .unwrap()
        );
        let disable = async || {
            let mut tx = database.store().begin().await.unwrap();
            sqlx::raw_sql("set local lock_timeout = '50ms'")
                .execute(&mut *tx)
                .await
                .unwrap();
            identity_providers::set_enabled(&mut tx, TENANT, OKTA, false).await?;
            tx.commit().await.map_err(updraft_store::StoreError::from)
        };
        assert!(disable().await.is_err(), "it did not wait");
        signing_in.commit().await.unwrap();
        disable().await.unwrap();
        let mut late = database.store().begin().await.unwrap();
        assert!(
            !identity_providers::hold_enabled(&mut late, TENANT, OKTA)
                .await
                .unwrap()
        );
    }
}
