//! One secret in each table that holds any, written and read as the product does.

use chrono::{Duration, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::Executor as _;
use updraft_model::{
    ClusterId, CredentialConfig, CredentialName, OidcConfig, OidcPreset, ProviderConfig, ProviderId,
    SessionId, TenantId, TenantRole, UserId,
};
use updraft_store::credentials::{self, NewCredential};
use updraft_store::dag_hooks::{self, HookRecord};
use updraft_store::identities::{self, IdentityName, Said};
use updraft_store::identity_providers::{self, NewProvider};
use updraft_store::mail_outbox::{self, Addressed, Asked};
use updraft_store::password_links::{self, NewLink, Way};
use updraft_store::people;
use updraft_store::provider_sessions::{self, ProviderSession};
use updraft_store::secrets::{self, MasterKey};
use updraft_store::sessions::{self, NewSession};
use updraft_store::sign_in_attempts::{self, NewAttempt};
use updraft_store::tenants::{self, Quota, Tenant};
use updraft_store::testing::TestDatabase;
use updraft_store::{PgConnection, second_factors, task_secrets};
use uuid::Uuid;

pub(crate) struct House {
    tenant: TenantId,
    user: UserId,
    cluster: ClusterId,
    provider: ProviderId,
    session: SessionId,
    hook: HookRecord,
    credential: CredentialName,
}

const STATE: [u8; 32] = [0xab; 32];
const LINK: [u8; 32] = [3; 32];
/// With braces, as nothing forbids.
const SUBJECT: &str = "ada{}";

// === impl House ===

impl House {
    pub(crate) async fn fill(database: &TestDatabase, key: &MasterKey) -> Self {
        let mut tx = database.store().begin().await.unwrap();
        let (tenant, user) = people(&mut tx).await;
        let cluster = cluster(&mut tx, tenant).await;
        let provider = provider(&mut tx, key, tenant).await;
        let session = session(&mut tx, key, (tenant, user), provider).await;
        secrets::put(&mut tx, key, cluster, "fernet_key", &"of a cluster".into())
            .await
            .unwrap();
        secrets::ensure_control_key(&mut tx, key, "session", &"of control".into())
            .await
            .unwrap();
        task_secrets::put(&mut tx, key, tenant, cluster, "token", &"of tasks".into())
            .await
            .unwrap();
        second_factors::begin(&mut tx, key, user, &"of a person".into())
            .await
            .unwrap();
        let credential: CredentialName = "git".parse().unwrap();
        insert_credential(&mut tx, key, tenant, &credential).await;
        let hook = hook(&mut tx, key, tenant, cluster).await;
        attempt(&mut tx, key, tenant, provider).await;
        mail(&mut tx, key, tenant, user).await;
        tx.commit().await.unwrap();
        Self {
            tenant,
            user,
            cluster,
            provider,
            session,
            hook,
            credential,
        }
    }

    /// What is used up by being read stays, since nothing is committed.
    pub(crate) async fn opens_all(&self, database: &TestDatabase, key: &MasterKey) {
        let mut tx = database.store().begin().await.unwrap();
        let of_cluster = secrets::get(&mut tx, key, self.cluster, "fernet_key").await;
        assert_eq!(of_cluster.unwrap().unwrap().expose_secret(), "of a cluster");
        let of_control = secrets::ensure_control_key(&mut tx, key, "session", &"".into()).await;
        assert_eq!(of_control.unwrap().expose_secret(), "of control");
        let of_tasks = task_secrets::open(&mut tx, key, self.tenant, self.cluster).await;
        assert_eq!(of_tasks.unwrap()[0].value.expose_secret(), "of tasks");
        let of_person = second_factors::find(&mut tx, key, self.user).await;
        assert_eq!(of_person.unwrap().unwrap().secret.expose_secret(), "of a person");
        let of_git = credentials::open(&mut tx, key, self.tenant, &self.credential).await;
        assert_eq!(of_git.unwrap().unwrap().secret.expose_secret(), "of git");
        let of_hook = dag_hooks::secret(&mut tx, key, &self.hook).await;
        assert_eq!(of_hook.unwrap().expose_secret(), "of a hook");
        let of_provider = identity_providers::secret(&mut tx, key, self.tenant, self.provider).await;
        assert_eq!(of_provider.unwrap().unwrap().expose_secret(), "of a provider");
        let of_session = provider_sessions::find(&mut tx, key, self.tenant, self.session).await;
        let id_token = of_session.unwrap().unwrap().id_token.unwrap();
        assert_eq!(id_token.expose_secret(), "of a session");
        let now = Utc::now();
        let due = identities::take_due(&mut tx, key, now, now, 10).await.unwrap();
        assert_eq!(due[0].refresh_token.expose_secret(), "of an identity");
        let attempt = sign_in_attempts::take(&mut tx, key, &STATE, now).await.unwrap();
        assert_eq!(attempt.unwrap().memory.expose_secret(), "of an attempt");
        let mail = mail_outbox::claim_due(&mut tx, key, now, now)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(mail.link.expose_secret(), "of a mail");
    }
}

async fn people(connection: &mut PgConnection) -> (TenantId, UserId) {
    let (tenant, user) = (TenantId(Uuid::now_v7()), UserId(Uuid::now_v7()));
    let quota = Quota {
        max_clusters: 1,
        max_nodes: 1,
    };
    let row = Tenant {
        id: tenant,
        name: "Acme".into(),
        quota,
    };
    tenants::insert(connection, &row).await.unwrap();
    people::insert_user(connection, user, "ada@example.com", "Ada", None)
        .await
        .unwrap();
    people::insert_membership(connection, tenant, user, TenantRole::Owner)
        .await
        .unwrap();
    (tenant, user)
}

async fn cluster(connection: &mut PgConnection, tenant: TenantId) -> ClusterId {
    let statement = format!(
        "insert into clusters (tenant_id, name, spec, power) values ('{tenant}', 'demo', '{{\"runtime\":\"r\"}}', 'stopped')
         returning id"
    );
    let row = connection
        .fetch_one(sqlx::query(sqlx::AssertSqlSafe(statement)))
        .await
        .unwrap();
    ClusterId(sqlx::Row::get(&row, 0))
}

async fn provider(connection: &mut PgConnection, key: &MasterKey, tenant: TenantId) -> ProviderId {
    let config = ProviderConfig::Oidc(OidcConfig {
        issuer: "https://idp.example.com".into(),
        client_id: "updraft".into(),
        preset: OidcPreset::Generic,
        scopes: Vec::new(),
        groups_claim: None,
        hosted_domains: Vec::new(),
        link_scim_by: None,
    });
    let id = ProviderId(Uuid::now_v7());
    let new = NewProvider {
        id,
        tenant,
        name: "Acme",
        config: &config,
        secret: Some(&"of a provider".into()),
    };
    identity_providers::insert(connection, key, &new).await.unwrap();
    identity_providers::set_enabled(connection, tenant, id, true)
        .await
        .unwrap();
    id
}

/// With the identity behind it.
async fn session(
    connection: &mut PgConnection,
    key: &MasterKey,
    (tenant, user): (TenantId, UserId),
    provider: ProviderId,
) -> SessionId {
    let new = NewSession {
        id: SessionId(Uuid::now_v7()),
        token_hash: [1; 32],
        tenant,
        user,
        expires_at: Utc::now() + Duration::hours(1),
    };
    sessions::insert(connection, &new).await.unwrap();
    let by = ProviderSession {
        provider,
        subject: SUBJECT,
        session: None,
        id_token: Some(&"of a session".into()),
    };
    provider_sessions::vouch(connection, key, new.id, &by)
        .await
        .unwrap();
    let name = IdentityName {
        tenant,
        issuer: "https://idp.example.com".into(),
        subject: SUBJECT.into(),
    };
    let said = Said {
        provider,
        groups: &[],
        email_verified: true,
        hosted_domain: None,
        refresh_token: Some(&"of an identity".into()),
        refresh_at: Some(Utc::now() - Duration::minutes(1)),
    };
    identities::put(connection, key, &name, user, &said)
        .await
        .unwrap();
    new.id
}

async fn insert_credential(
    connection: &mut PgConnection,
    key: &MasterKey,
    tenant: TenantId,
    name: &CredentialName,
) {
    let config = CredentialConfig::GitToken {
        host: "github.com".into(),
        username: "git".into(),
    };
    let new = NewCredential {
        name,
        config: &config,
        public_key: None,
        secret: &"of git".into(),
    };
    credentials::insert(connection, key, tenant, &new).await.unwrap();
}

async fn hook(
    connection: &mut PgConnection,
    key: &MasterKey,
    tenant: TenantId,
    cluster: ClusterId,
) -> HookRecord {
    let id = updraft_model::DagHookId(Uuid::new_v4());
    let hook = dag_hooks::put(connection, tenant, cluster, id, &"dags".parse().unwrap())
        .await
        .unwrap();
    dag_hooks::put_secret(connection, key, &hook, &"of a hook".into())
        .await
        .unwrap();
    hook
}

async fn attempt(connection: &mut PgConnection, key: &MasterKey, tenant: TenantId, provider: ProviderId) {
    let attempt = NewAttempt {
        state_hash: STATE,
        tenant,
        provider,
        binding_hash: [2; 32],
        memory: &SecretString::from("of an attempt"),
        return_to: "/clusters",
        is_test: false,
        expires_at: Utc::now() + Duration::minutes(10),
    };
    sign_in_attempts::insert(connection, key, &attempt).await.unwrap();
}

async fn mail(connection: &mut PgConnection, key: &MasterKey, tenant: TenantId, user: UserId) {
    let (id, expires_at) = (Uuid::new_v4(), Utc::now() + Duration::hours(1));
    let asked = Asked {
        id,
        recipient: "ada@example.com".into(),
        address: None,
        user_agent: None,
        request_id: "r".into(),
    };
    mail_outbox::insert(connection, &asked).await.unwrap();
    let link = NewLink {
        hash: LINK,
        user,
        way: Way::Mail,
        expires_at,
    };
    password_links::insert(connection, &link).await.unwrap();
    let addressed = Addressed {
        tenant,
        recipient: "ada@example.com",
        link_hash: LINK,
        link: &"of a mail".into(),
        expires_at,
    };
    mail_outbox::set_addressed(connection, key, id, &addressed)
        .await
        .unwrap();
}
