//! The console over the real use cases and a database of each test's own.

mod audit;
mod aws_accounts;
mod clusters;
mod idp;
mod isolation;
mod logs;
mod pages;
mod passwords;
mod people;
mod signing_in;
mod tenants;
mod through_provider;
mod through_saml;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{Request, Response, StatusCode};
use tower::ServiceExt as _;
use updraft_api::rest::{NewCluster, NewPerson, SignIn};
use updraft_app::{App, AppConfig, Quota};
use updraft_authz::SigningKey;
use updraft_model::{ClusterId, TenantRole};
use updraft_runtimes::Catalogue;
use updraft_sso::outbound::{Outbound, OutboundPolicy};
use updraft_store::secrets::MasterKey;
use updraft_store::testing::TestDatabase;
use url::Url;

use crate::{ConsoleConfig, router};

const HERE: &str = "http://localhost:7700";
const PASSWORD: &str = "correct horse battery";

/// A console with an owner, Ada, and a member, Bo.
struct House {
    app: App,
    router: Router,
    database: TestDatabase,
}

struct Answered {
    status: StatusCode,
    location: Option<String>,
    cookies: Vec<String>,
    policy: String,
    request_id: Option<String>,
    html: String,
}

async fn house() -> House {
    house_with(|_| {}).await
}

async fn house_with(change: impl FnOnce(&mut AppConfig)) -> House {
    house_of(change, |app| app).await
}

async fn house_of(change: impl FnOnce(&mut AppConfig), equip: impl FnOnce(App) -> App) -> House {
    let database = TestDatabase::create().await.unwrap();
    let key = SigningKey::from_seed("test", &[7; 32]).unwrap();
    let mut config = AppConfig::local(7700, 7701, key, Arc::new(MasterKey::from_bytes([7; 32])));
    config.outbound = Outbound::new(OutboundPolicy {
        allow: vec!["127.0.0.1".parse().unwrap()],
        ..OutboundPolicy::default()
    });
    // Every person is due to be asked about at once.
    config.identity_refresh = std::time::Duration::ZERO;
    change(&mut config);
    let app = App::new(
        database.store().clone(),
        Arc::new(Catalogue::embedded().unwrap()),
        config,
    )
    .unwrap();
    let app = equip(app);
    let (quota, password) = (
        Quota {
            max_clusters: 5,
            max_nodes: 50,
        },
        PASSWORD.to_owned().into(),
    );
    assert!(
        app.install_tenant("Example", quota, "ada@example.com", "Ada", &password)
            .await
            .unwrap()
    );
    let house = House {
        router: router(
            app.clone(),
            ConsoleConfig {
                console_url: Url::parse(HERE).unwrap(),
            },
        ),
        app,
        database,
    };
    let ada = house.actor("ada@example.com").await;
    let bo = NewPerson {
        email: "bo@example.com".into(),
        name: "Bo <b>".into(),
        tenant_role: TenantRole::Member,
        password: Some(PASSWORD.into()),
    };
    house.app.add_person(&ada, bo).await.unwrap();
    house
}

impl House {
    fn store(&self) -> &updraft_store::Store {
        self.database.store()
    }

    async fn token(&self, email: &str) -> String {
        let sign_in = SignIn {
            email: email.into(),
            password: PASSWORD.into(),
            code: None,
        };
        self.app
            .sign_in(sign_in, [127, 0, 0, 1].into())
            .await
            .unwrap()
            .token
    }

    async fn actor(&self, email: &str) -> updraft_app::Actor {
        self.app.authenticate(&self.token(email).await).await.unwrap()
    }

    async fn cluster(&self, name: &str) -> ClusterId {
        let ada = self.actor("ada@example.com").await;
        let new: NewCluster = NewCluster {
            name: name.parse().unwrap(),
            runtime: None,
            aws_account: None,
            workers: Some(1),
            worker_concurrency: None,
            worker_queues: Vec::new(),
            schedule: updraft_model::Schedule::default(),
            stop_when_idle: updraft_model::IdleStop::default(),
            on_stop: None,
            metadata_dsn: None,
            metadata_ca: None,
            broker: updraft_model::Broker::default(),
            dag_sources: None,
            config: indexmap::IndexMap::new(),
            environment: None,
            environment_variables: indexmap::IndexMap::new(),
            bootstrap: None,
            logs: None,
            tags: indexmap::IndexMap::new(),
            start: Some(false),
        };
        self.app.create_cluster(&ada, new).await.unwrap().cluster.id
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, token: Option<&str>, path: &str) -> Answered {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header(COOKIE, format!("updraft_session={token}"));
        }
        answered(self.send(request.body(Body::empty()).unwrap()).await).await
    }

    async fn post(&self, token: Option<&str>, path: &str, form: &str) -> Answered {
        self.post_from(Some(HERE), token, path, form).await
    }

    async fn post_from(&self, origin: Option<&str>, token: Option<&str>, path: &str, form: &str) -> Answered {
        let mut request = Request::post(path).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        if let Some(token) = token {
            request = request.header(COOKIE, format!("updraft_session={token}"));
        }
        answered(
            self.send(request.body(Body::from(form.to_owned())).unwrap())
                .await,
        )
        .await
    }
}

async fn answered(response: Response<Body>) -> Answered {
    let (parts, body) = response.into_parts();
    let text = |name| {
        parts
            .headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned)
    };
    Answered {
        status: parts.status,
        location: text(LOCATION),
        request_id: text(crate::audit::REQUEST_ID),
        cookies: parts
            .headers
            .get_all(SET_COOKIE)
            .iter()
            .map(|v| v.to_str().unwrap().to_owned())
            .collect(),
        policy: text(axum::http::header::CONTENT_SECURITY_POLICY).unwrap_or_default(),
        html: String::from_utf8(axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap(),
    }
}
