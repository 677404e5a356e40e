//! A sign-in on its way is good once and for minutes, and what it remembers opens nowhere else.

#[cfg(test)]
mod tests {
    use chrono::{Duration, Utc};
    use secrecy::{ExposeSecret as _, SecretString};
    use updraft_model::{OidcConfig, OidcPreset, ProviderConfig, ProviderId, TenantId};
    use updraft_store::Tx;
    use updraft_store::identity_providers::{self, NewProvider};
    use updraft_store::secrets::MasterKey;
    use updraft_store::sign_in_attempts::{self, NewAttempt, Unusable};
    use updraft_store::tenants::{self, Quota, Tenant};
    use updraft_store::testing::TestDatabase;
    use uuid::Uuid;

    const STATE: [u8; 32] = [1; 32];

    async fn begun(tx: &mut Tx, key: &MasterKey) -> (TenantId, ProviderId) {
        let (tenant, provider) = (TenantId(Uuid::now_v7()), ProviderId(Uuid::now_v7()));
        let quota = Quota {
            max_clusters: 1,
            max_nodes: 1,
        };
        let row = Tenant {
            id: tenant,
            name: "Acme".into(),
            quota,
        };
        tenants::insert(tx, &row).await.unwrap();
        let config = ProviderConfig::Oidc(OidcConfig {
            issuer: "https://idp.example.com".into(),
            client_id: "updraft".into(),
            preset: OidcPreset::Generic,
            scopes: Vec::new(),
            groups_claim: None,
            hosted_domains: Vec::new(),
            link_scim_by: None,
        });
        let new = NewProvider {
            id: provider,
            tenant,
            name: "Acme",
            config: &config,
            secret: None,
        };
        identity_providers::insert(tx, key, &new).await.unwrap();
        begin(tx, key, (tenant, provider), STATE, 10).await;
        (tenant, provider)
    }

    async fn begin(
        tx: &mut Tx,
        key: &MasterKey,
        (tenant, provider): (TenantId, ProviderId),
        state_hash: [u8; 32],
        minutes: i64,
    ) {
        let attempt = NewAttempt {
            state_hash,
            tenant,
            provider,
            binding_hash: [2; 32],
            memory: &SecretString::from("nonce and verifier"),
            return_to: "/clusters",
            is_test: false,
            expires_at: Utc::now() + Duration::minutes(minutes),
        };
        sign_in_attempts::insert(tx, key, &attempt).await.unwrap();
    }

    #[tokio::test]
    async fn of_one_provider_the_newest_attempts_are_remembered() {
        let database = TestDatabase::create().await.unwrap();
        let key = MasterKey::from_bytes([7; 32]);
        let mut tx = database.store().begin().await.unwrap();
        let of = begun(&mut tx, &key).await;
        for (state, minutes) in [(2, 11), (3, 12)] {
            begin(&mut tx, &key, of, [state; 32], minutes).await;
        }
        let (tenant, provider) = of;
        let other = ProviderId(Uuid::now_v7());
        for (provider, keep, gone) in [(provider, 3, 0), (other, 0, 0), (provider, 2, 1)] {
            let forgotten = sign_in_attempts::forget_older(&mut tx, tenant, provider, keep).await;
            assert_eq!(forgotten.unwrap(), gone);
        }
        for (state, known) in [(STATE, false), ([2; 32], true), ([3; 32], true)] {
            let taken = sign_in_attempts::take(&mut tx, &key, &state, Utc::now())
                .await
                .unwrap();
            assert_eq!(taken.is_ok(), known, "{state:?}");
        }
    }

    #[tokio::test]
    async fn an_attempt_is_good_once_and_for_ten_minutes() {
        let database = TestDatabase::create().await.unwrap();
        let key = MasterKey::from_bytes([7; 32]);
        let mut tx = database.store().begin().await.unwrap();
        begun(&mut tx, &key).await;
        let unknown = sign_in_attempts::take(&mut tx, &key, &[9; 32], Utc::now())
            .await
            .unwrap();
        assert_eq!(unknown.unwrap_err(), Unusable::Unknown);
        let late = Utc::now() + Duration::minutes(11);
        let expired = sign_in_attempts::take(&mut tx, &key, &STATE, late).await.unwrap();
        assert_eq!(expired.unwrap_err(), Unusable::Expired);
        let used = sign_in_attempts::take(&mut tx, &key, &STATE, Utc::now())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(used.memory.expose_secret(), "nonce and verifier");
        let again = sign_in_attempts::take(&mut tx, &key, &STATE, Utc::now())
            .await
            .unwrap();
        assert_eq!(again.unwrap_err(), Unusable::Used);
    }

    #[tokio::test]
    async fn what_an_attempt_remembers_opens_under_its_own_key_alone() {
        let database = TestDatabase::create().await.unwrap();
        let mut tx = database.store().begin().await.unwrap();
        begun(&mut tx, &MasterKey::from_bytes([7; 32])).await;
        let other = MasterKey::from_bytes([8; 32]);
        assert!(
            sign_in_attempts::take(&mut tx, &other, &STATE, Utc::now())
                .await
                .is_err()
        );
    }
}
