//! The application: two control processes over one database, with console, REST and the door for edges, and people to ask.
//!
//! Rows are kept apart by tenant and by the address that they come from: so that the log's folding of alike refusals, which
//! is on as always, has nothing to fold.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use chrono::{TimeDelta, Utc};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use updraft_app::{App, AppConfig, Quota};
use updraft_authz::{ApiToken, SigningKey, TrustedProxy};
use updraft_console::ConsoleConfig;
use updraft_control::edges::{self, EdgesState};
use updraft_control::proxies::behind;
use updraft_control::{RestConfig, RestState, rest_router};
use updraft_model::{ClusterId, SessionId, TenantId, TenantRole, TokenId, TokenLimit, UserId};
use updraft_runtimes::Catalogue;
use updraft_sso::outbound::{Outbound, OutboundLimits, OutboundPolicy, Resolve, SystemResolver};
use updraft_sso::{Passwords, SessionToken};
use updraft_store::secrets::MasterKey;
use updraft_store::sessions::NewSession;
use updraft_store::tenants::{self, Tenant};
use updraft_store::testing::TestDatabase;
use updraft_store::{Tx, api_tokens, people, sessions};
use uuid::Uuid;

pub(crate) const HERE: &str = "http://localhost:7700";
pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const EDGE_TOKEN: &str = "the edge's own";

pub(crate) struct House {
    /// Where everything is set up, and the controls are done.
    pub(crate) first: Process,
    /// Has just begun: it knows nothing of what providers said to the other.
    pub(crate) second: Process,
    password_hash: String,
    networks: AtomicU16,
    // Last: the database goes when nobody uses it any more.
    pub(crate) database: TestDatabase,
}

/// A control process.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) app: App,
    public: Router,
    internal: Router,
}

/// A member of a tenant with a session of their own.
#[derive(Clone, Debug)]
pub(crate) struct Someone {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) email: String,
    pub(crate) session: SessionId,
    pub(crate) token: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

// === impl House ===

impl House {
    /// One that may reach these destinations of its own network.
    pub(crate) async fn open_to(allow: &[String]) -> Self {
        Self::with_names(allow, Arc::new(SystemResolver)).await
    }

    pub(crate) async fn with_names(allow: &[String], names: Arc<dyn Resolve>) -> Self {
        let database = TestDatabase::create().await.unwrap();
        let policy = OutboundPolicy {
            allow: allow
                .iter()
                .map(|one| one.trim_start_matches("http://").parse().unwrap())
                .collect(),
            limits: OutboundLimits {
                time: Duration::from_secs(3),
                ..OutboundLimits::default()
            },
        };
        let outbound = Outbound::with_resolver(policy, names);
        let password_hash = Passwords::new()
            .unwrap()
            .hash(&PASSWORD.into(), &[])
            .await
            .unwrap();
        Self {
            first: Process::over(&database, &outbound),
            second: Process::over(&database, &outbound),
            password_hash,
            networks: AtomicU16::new(0),
            database,
        }
    }

    /// An address that nobody else comes from.
    pub(crate) fn somewhere(&self) -> IpAddr {
        let network = self.networks.fetch_add(1, Ordering::Relaxed);
        Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, 1).into()
    }

    pub(crate) async fn tx(&self) -> Tx {
        self.database.store().begin().await.unwrap()
    }

    /// A new tenant's owner.
    pub(crate) async fn owner(&self) -> Someone {
        let id = TenantId(Uuid::now_v7());
        let tenant = Tenant {
            id,
            name: format!("t{}", id.0.simple()),
            quota: Quota {
                max_clusters: 10,
                max_nodes: 100,
            },
        };
        let mut tx = self.tx().await;
        tenants::insert(&mut tx, &tenant).await.unwrap();
        tx.commit().await.unwrap();
        self.someone(id, TenantRole::Owner).await
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
        let nobody_yet = Someone {
            tenant,
            user,
            email,
            session: SessionId(Uuid::nil()),
            token: String::new(),
        };
        self.session(&nobody_yet, TimeDelta::hours(1)).await
    }

    /// Another session of the same person.
    pub(crate) async fn session(&self, person: &Someone, lasts: TimeDelta) -> Someone {
        let (id, token) = (SessionId(Uuid::now_v7()), SessionToken::random());
        let session = NewSession {
            id,
            token_hash: token.hash(),
            tenant: person.tenant,
            user: person.user,
            expires_at: Utc::now() + lasts,
        };
        let mut tx = self.tx().await;
        sessions::insert(&mut tx, &session).await.unwrap();
        tx.commit().await.unwrap();
        Someone {
            session: id,
            token: token.expose().to_owned(),
            ..person.clone()
        }
    }

    /// An API token of this person.
    pub(crate) async fn api_token(
        &self,
        owner: &Someone,
        limit: TokenLimit,
        lasts: TimeDelta,
    ) -> (TokenId, ApiToken) {
        let (id, token) = (
            TokenId(Uuid::now_v7()),
            ApiToken::from_random(&updraft_sso::random_bits()),
        );
        let row = api_tokens::NewToken {
            id,
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
        (id, token)
    }

    /// A cluster made by `owner`.
    pub(crate) async fn cluster(&self, owner: &Someone) -> ClusterId {
        let wish = serde_json::json!({"name": "demo", "start": false});
        let request = rest("POST", "/clusters").bearer(&owner.token).json(&wish);
        let made = self.first.ask(self.somewhere(), request).await.must_be(202);
        ClusterId(made["cluster"]["id"].as_i64().unwrap())
    }
}

// === impl Process ===

impl Process {
    fn over(database: &TestDatabase, outbound: &Outbound) -> Self {
        let key = SigningKey::from_seed("test", &[7; 32]).unwrap();
        let mut config = AppConfig::local(7700, 7701, key, Arc::new(MasterKey::from_bytes([7; 32])));
        config.outbound = outbound.clone();
        let runtimes = Arc::new(Catalogue::embedded().unwrap());
        let app = App::new(database.store().clone(), runtimes, config).unwrap();
        let rest = RestConfig {
            allowed_hosts: vec!["localhost:7700".to_owned()],
            allowed_origins: vec![HERE.to_owned()],
        };
        let rest = rest_router(RestState::new(app.clone(), rest, CancellationToken::new()));
        let console_url = HERE.parse().unwrap();
        let console = updraft_console::router(app.clone(), ConsoleConfig { console_url });
        let (_, snapshot) = watch::channel(None);
        let internal = edges::router(EdgesState {
            app: app.clone(),
            edge_token: EDGE_TOKEN.into(),
            snapshot,
            tunnels: None,
        });
        let balancers = ["10.0.1.0/24".parse::<TrustedProxy>().unwrap()];
        Self {
            public: behind(balancers.into_iter().collect(), rest.merge(console)),
            internal,
            app,
        }
    }

    /// What people and programs reach.
    pub(crate) async fn ask(&self, from: IpAddr, request: Request<Body>) -> Answer {
        answered(self.public.clone(), from, request).await
    }

    /// What edges ask.
    pub(crate) async fn ask_as_edge(&self, request: Request<Body>) -> Answer {
        answered(self.internal.clone(), IpAddr::from([127, 0, 0, 1]), request).await
    }
}

async fn answered(router: Router, from: IpAddr, mut request: Request<Body>) -> Answer {
    let peer = ConnectInfo(SocketAddr::new(from, 50_000));
    request.extensions_mut().insert(peer);
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let is_stream = parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "text/event-stream");
    let text = match is_stream {
        true => String::new(),
        false => String::from_utf8(to_bytes(body, 4 << 20).await.unwrap().to_vec()).unwrap(),
    };
    Answer {
        status: parts.status,
        headers: parts.headers,
        text,
    }
}

// === impl Answer ===

impl Answer {
    #[track_caller]
    pub(crate) fn must_be(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// Of a page what it is about.
    pub(crate) fn said(&self) -> &str {
        let main = self.text.split("<main").nth(1);
        main.and_then(|main| main.split("</main>").next())
            .unwrap_or(&self.text)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location").unwrap_or_default()
    }

    /// The value that this cookie is set to, if it is.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let set = self.headers.get_all(header::SET_COOKIE).iter();
        set.filter_map(|line| line.to_str().ok()?.split(';').next()?.split_once('='))
            .filter(|(own, value)| *own == name && !value.is_empty())
            .map(|(_, value)| value)
            .next_back()
    }
}

/// A request, as it is put together.
pub(crate) struct Asked(axum::http::request::Builder);

/// Of the REST API.
pub(crate) fn rest(method: &str, path: &str) -> Asked {
    request(method, &format!("/api/v1{path}"))
}

pub(crate) fn request(method: &str, path: &str) -> Asked {
    Asked(
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost:7700")
            .header(header::USER_AGENT, "hostile"),
    )
}

// === impl Asked ===

impl Asked {
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn cookie(self, session: &str) -> Self {
        self.header("cookie", &format!("theme=dark; updraft_session={session}"))
    }

    pub(crate) fn empty(self) -> Request<Body> {
        self.0.body(Body::empty()).unwrap()
    }

    pub(crate) fn json(self, body: &Value) -> Request<Body> {
        let asked = self.header("content-type", "application/json");
        asked.0.body(Body::from(body.to_string())).unwrap()
    }

    pub(crate) fn form(self, body: String) -> Request<Body> {
        let asked = self.header("content-type", "application/x-www-form-urlencoded");
        asked.0.body(Body::from(body)).unwrap()
    }
}
