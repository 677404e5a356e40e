//! A whole control plane for one test: a fresh database, the use cases and REST over it, and people to ask.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use chrono::Utc;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use updraft_app::{App, AppConfig, Quota, SignInQuota};
use updraft_authz::{ApiToken, SigningKey};
use updraft_control::{RestConfig, RestState, rest_router};
use updraft_model::{ClusterId, ClusterRole, SessionId, TenantId, TenantRole, TokenId, TokenLimit, UserId};
use updraft_runtimes::Catalogue;
use updraft_sso::{Passwords, SessionToken};
use updraft_store::secrets::MasterKey;
use updraft_store::sessions::NewSession;
use updraft_store::tenants::{self, Tenant};
use updraft_store::testing::TestDatabase;
use updraft_store::{Tx, api_tokens, grants, people, sessions};
use uuid::Uuid;

use crate::fake_bucket::FakeBucket;
use crate::fake_dns::FakeDns;
use crate::fake_sts::Accounts;
use crate::logs::FakeLogs;

pub(crate) const HOST: &str = "localhost:7700";
pub(crate) const ORIGIN: &str = "http://localhost:7700";
pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) router: Router,
    password_hash: String,
    pub(crate) dns: Arc<FakeDns>,
    pub(crate) pushed: Arc<FakeBucket>,
    pub(crate) logs: Arc<FakeLogs>,
    // Last: the database goes when nobody uses it any more.
    pub(crate) database: TestDatabase,
}

/// A member of a tenant with a session of their own.
#[derive(Clone)]
pub(crate) struct Someone {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) email: String,
    pub(crate) session: SessionId,
    pub(crate) token: String,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

fn generous() -> SignInQuota {
    SignInQuota {
        account_burst: NonZeroU32::new(10_000).unwrap(),
        account_refill: Duration::from_secs(1),
        address_burst: NonZeroU32::new(10_000).unwrap(),
        address_refill: Duration::from_secs(1),
    }
}

// === impl World ===

impl World {
    /// With tenants' own AWS accounts, too.
    pub(crate) async fn with_accounts() -> Self {
        let accounts = Accounts::open(true).await;
        Self::with_config(|config| {
            config.sign_in_quota = generous();
            config.forgotten_quota = generous();
            accounts.give(config);
        })
        .await
    }

    pub(crate) async fn new() -> Self {
        Self::with_sign_in_quota(generous()).await
    }

    pub(crate) async fn with_sign_in_quota(sign_in_quota: SignInQuota) -> Self {
        Self::with_config(|config| {
            config.sign_in_quota = sign_in_quota;
            config.forgotten_quota = sign_in_quota;
        })
        .await
    }

    pub(crate) async fn with_config(change: impl FnOnce(&mut AppConfig)) -> Self {
        let database = TestDatabase::create()
            .await
            .expect("DATABASE_URL names a Postgres server");
        let key = SigningKey::from_seed("test", &[7; 32]).unwrap();
        let mut config = AppConfig::local(7700, 7701, key, Arc::new(MasterKey::from_bytes([7; 32])));
        let dns = Arc::<FakeDns>::default();
        config.dns = dns.clone();
        config.sends_mail = true;
        change(&mut config);
        let runtimes = Arc::new(Catalogue::embedded().unwrap());
        let pushed = Arc::<FakeBucket>::default();
        let logs = Arc::<FakeLogs>::default();
        let app = App::new(database.store().clone(), runtimes, config)
            .unwrap()
            .with_push_bucket(pushed.clone())
            .with_log_buckets(logs.clone());
        let rest = RestConfig {
            allowed_hosts: vec![HOST.to_owned()],
            allowed_origins: vec![ORIGIN.to_owned()],
        };
        let router = rest_router(RestState::new(app.clone(), rest, CancellationToken::new()));
        let password_hash = Passwords::new()
            .unwrap()
            .hash(&SecretString::from(PASSWORD), &[])
            .await
            .unwrap();
        Self {
            app,
            router,
            password_hash,
            dns,
            pushed,
            logs,
            database,
        }
    }

    /// The same with boots that left something.
    pub(crate) fn with_boot_logs(self, logs: Arc<dyn updraft_app::BootLogs>) -> Self {
        let app = self.app.clone().with_boot_logs(logs);
        let rest = RestConfig {
            allowed_hosts: vec![HOST.to_owned()],
            allowed_origins: vec![ORIGIN.to_owned()],
        };
        Self {
            router: rest_router(RestState::new(app.clone(), rest, CancellationToken::new())),
            app,
            ..self
        }
    }

    pub(crate) async fn tx(&self) -> Tx {
        self.database.store().begin().await.unwrap()
    }

    pub(crate) async fn tenant(&self, name: &str) -> TenantId {
        self.tenant_with_quota(
            name,
            Quota {
                max_clusters: 10_000,
                max_nodes: 100_000,
            },
        )
        .await
    }

    pub(crate) async fn tenant_with_quota(&self, name: &str, quota: Quota) -> TenantId {
        let tenant = Tenant {
            id: TenantId(Uuid::now_v7()),
            name: name.to_owned(),
            quota,
        };
        let mut tx = self.tx().await;
        tenants::insert(&mut tx, &tenant).await.unwrap();
        tx.commit().await.unwrap();
        tenant.id
    }

    /// A new person with [`PASSWORD`] and a session.
    pub(crate) async fn someone(&self, tenant: TenantId, role: TenantRole) -> Someone {
        let user = UserId(Uuid::now_v7());
        let email = format!("p{}@example.com", user.0.simple());
        let mut tx = self.tx().await;
        people::insert_user(&mut tx, user, &email, "A Person", Some(&self.password_hash))
            .await
            .unwrap();
        people::insert_membership(&mut tx, tenant, user, role)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        self.session(tenant, user, email, chrono::Duration::hours(1))
            .await
    }

    /// Makes somebody a member of another tenant too.
    pub(crate) async fn member(&self, tenant: TenantId, person: &Someone, role: TenantRole) {
        let mut tx = self.tx().await;
        people::insert_membership(&mut tx, tenant, person.user, role)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) async fn owner(&self, tenant: TenantId) -> Someone {
        self.someone(tenant, TenantRole::Owner).await
    }

    /// Another session of the same person.
    pub(crate) async fn session(
        &self,
        tenant: TenantId,
        user: UserId,
        email: String,
        lasts: chrono::Duration,
    ) -> Someone {
        let token = SessionToken::random();
        let id = SessionId(Uuid::now_v7());
        let session = NewSession {
            id,
            token_hash: token.hash(),
            tenant,
            user,
            expires_at: Utc::now() + lasts,
        };
        let mut tx = self.tx().await;
        sessions::insert(&mut tx, &session).await.unwrap();
        tx.commit().await.unwrap();
        Someone {
            tenant,
            user,
            email,
            session: id,
            token: token.expose().to_owned(),
        }
    }

    pub(crate) async fn grant(&self, person: &Someone, cluster: ClusterId, role: ClusterRole) {
        let mut tx = self.tx().await;
        grants::put(&mut tx, person.tenant, cluster, person.user, role)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// An API token of this person, as somebody to ask as.
    pub(crate) async fn api_token(&self, owner: &Someone, limit: TokenLimit) -> Someone {
        let (_, token) = self.token(owner, limit, chrono::Duration::hours(1)).await;
        token
    }

    pub(crate) async fn expired_token(&self, owner: &Someone) -> Someone {
        let (_, token) = self
            .token(owner, TokenLimit::Full, chrono::Duration::seconds(-1))
            .await;
        token
    }

    pub(crate) async fn revoked_token(&self, owner: &Someone) -> Someone {
        let (id, token) = self
            .token(owner, TokenLimit::Full, chrono::Duration::hours(1))
            .await;
        let mut tx = self.tx().await;
        api_tokens::revoke(&mut tx, owner.tenant, id, Utc::now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        token
    }

    pub(crate) async fn token_id(&self, owner: &Someone) -> TokenId {
        let (id, _) = self
            .token(owner, TokenLimit::Full, chrono::Duration::hours(1))
            .await;
        id
    }

    async fn token(&self, owner: &Someone, limit: TokenLimit, lasts: chrono::Duration) -> (TokenId, Someone) {
        let token = ApiToken::from_random(&updraft_sso::random_bits());
        let row = api_tokens::NewToken {
            id: TokenId(Uuid::now_v7()),
            tenant: owner.tenant,
            user: owner.user,
            name: "a token",
            limit,
            token_hash: token.hash().0,
            hint: token.hint(),
            created_by: owner.user,
            expires_at: Some(Utc::now() + lasts),
        };
        let mut tx = self.tx().await;
        api_tokens::insert(&mut tx, &row).await.unwrap();
        tx.commit().await.unwrap();
        let someone = Someone {
            token: token.expose().to_owned(),
            ..owner.clone()
        };
        (row.id, someone)
    }

    /// A service account made by `owner` through REST.
    pub(crate) async fn service_account(&self, owner: &Someone) -> UserId {
        let name = format!("s{}", &Uuid::new_v4().simple().to_string()[..20]);
        let made = self.post(owner, "/service-accounts", json!({"name": name})).await;
        serde_json::from_value(made.must_be(201)["user"].clone()).unwrap()
    }

    /// A cluster made by `owner` through REST.
    pub(crate) async fn cluster(&self, owner: &Someone, name: &str) -> ClusterId {
        let made = self
            .post(owner, "/clusters", json!({"name": name}))
            .await
            .must_be(202);
        ClusterId(made["cluster"]["id"].as_i64().unwrap())
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 4 << 20).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn get(&self, who: &Someone, path: &str) -> Answer {
        self.send(request("GET", path).bearer(who).empty()).await
    }

    pub(crate) async fn post(&self, who: &Someone, path: &str, body: Value) -> Answer {
        self.send(request("POST", path).bearer(who).json(&body)).await
    }

    pub(crate) async fn delete(&self, who: &Someone, path: &str) -> Answer {
        self.send(request("DELETE", path).bearer(who).empty()).await
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    #[track_caller]
    pub(crate) fn must_be(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// The problem's type, without what all have in common.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> String {
        let problem = self.must_be(status);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(problem["status"], status);
        assert_eq!(
            problem["request_id"],
            self.headers["x-request-id"].to_str().unwrap()
        );
        for part in ["title", "detail"] {
            assert!(!problem[part].as_str().unwrap().is_empty(), "{}", self.text);
        }
        problem["type"]
            .as_str()
            .unwrap()
            .strip_prefix("urn:updraft:problem:")
            .unwrap()
            .to_owned()
    }

    #[track_caller]
    pub(crate) fn refused_field(&self, status: u16) -> String {
        self.problem(status);
        self.json()["field"]
            .as_str()
            .unwrap_or_else(|| panic!("no field: {}", self.text))
            .to_owned()
    }
}

/// A request below `/api/v1`, as it is put together.
pub(crate) struct Asked(axum::http::request::Builder);

pub(crate) fn request(method: &str, path: &str) -> Asked {
    Asked(
        Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, HOST),
    )
}

// === impl Asked ===

impl Asked {
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub(crate) fn bearer(self, who: &Someone) -> Self {
        let value = format!("Bearer {}", who.token);
        self.header("authorization", &value)
    }

    pub(crate) fn cookie(self, who: &Someone) -> Self {
        let value = format!("theme=dark; updraft_session={}", who.token);
        self.header("cookie", &value)
    }

    pub(crate) fn empty(self) -> Request<Body> {
        self.0.body(Body::empty()).unwrap()
    }

    pub(crate) fn json(self, body: &Value) -> Request<Body> {
        self.text("application/json", &body.to_string())
    }

    pub(crate) fn text(self, content_type: &str, body: &str) -> Request<Body> {
        self.bytes(content_type, body.as_bytes().to_vec())
    }

    pub(crate) fn bytes(self, content_type: &str, body: Vec<u8>) -> Request<Body> {
        self.0
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(body))
            .unwrap()
    }
}
