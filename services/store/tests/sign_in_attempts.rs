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

    async fn begun(tx: &mut Tx, key: &MasterKey) {
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
        });
        let new = NewProvider {
            id: provider,
            tenant,
            name: "Acme",
            config: &config,
            secret: None,
        };
        identity_providers::insert(tx, key, &new).await.unwrap();
        let attempt = NewAttempt {
            state_hash: STATE,
            tenant,
            provider,
            binding_hash: [2; 32],
            memory: &SecretString::from("nonce and verifier"),
            return_to: "/clusters",
            is_test: false,
            expires_at: Utc::now() + Duration::minutes(10),
        };
        sign_in_attempts::insert(tx, key, &attempt).await.unwrap();
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
