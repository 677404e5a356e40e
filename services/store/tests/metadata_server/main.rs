//! The way to database servers that are reached over a network, and what clusters' roles may do on the one that they share.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod server;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use updraft_model::ClusterId;
use updraft_store::metadata::{MetadataServer, is_verified};
use updraft_store::secrets::random_token;
use updraft_store::testing::TestDatabase;
use updraft_store::{Store, StoreError, template};
use uuid::Uuid;

use server::{NAME, OTHER_NAME, Server};

#[tokio::test]
async fn control_connects_to_nobody_but_the_server_that_it_was_told_of() {
    let server = Server::start().await;
    let store = Store::connect(&server.url(NAME, &server.verified()), 2)
        .await
        .unwrap();
    let mut connection = store.connection().await.unwrap();
    let encrypted: bool = sqlx::query_scalar("select ssl from pg_stat_ssl where pid = pg_backend_pid()")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    assert!(encrypted);

    let wrong = format!(
        "sslmode=verify-full&sslrootcert={}",
        server.other_authority().display()
    );
    for (what, url) in [
        ("another authority's certificates", server.url(NAME, &wrong)),
        ("another name", server.url(OTHER_NAME, &server.verified())),
        (
            "only the machine's authorities",
            server.url(NAME, "sslmode=verify-full"),
        ),
    ] {
        let refused = Store::connect(&url, 1).await.unwrap_err();
        let StoreError::Database(sqlx::Error::Tls(_) | sqlx::Error::Io(_)) = refused else {
            panic!("{what}: {refused:?}");
        };
    }
    let plain = Store::connect(&server.url(NAME, "sslmode=disable"), 1).await;
    assert!(plain.is_err(), "it takes nobody without TLS");
}

#[tokio::test]
async fn a_cluster_gets_its_database_there_without_its_password_being_said() {
    let server = Server::start().await;
    let admin = operator(&server.url(NAME, &server.verified()), &server.verified()).await;
    let template = "template-of-a-runtime";
    template::ensure(&admin, template).await.unwrap();
    // Whoever migrates it is as careful as the administrator.
    let migrated = template::address_of(&admin, template).unwrap();
    connect(&migrated).await.unwrap().close().await.unwrap();
    template::seal(&admin, template).await.unwrap();

    let metadata = MetadataServer::new(admin).reached_at(Some(server.address()));
    let (cluster, password) = (ClusterId(7), random_token());
    let dsn = metadata
        .ensure_database(cluster, template, &password)
        .await
        .unwrap();
    let told = |options: &str| SecretString::from(format!("{}?{options}", dsn.expose_secret()));
    // The server itself finds that this is the password of the verifier that it was given.
    connect(&told(&server.verified()))
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
    let wrong = format!(
        "sslmode=verify-full&sslrootcert={}",
        server.other_authority().display()
    );
    assert!(connect(&told(&wrong)).await.is_err());
    let other = dsn
        .expose_secret()
        .replace(password.expose_secret(), random_token().expose_secret());
    let other = SecretString::from(format!("{other}?{}", server.verified()));
    assert!(connect(&other).await.is_err(), "another password");

    metadata.drop_database(cluster).await.unwrap();
    let log = server.log();
    assert!(log.contains("password 'SCRAM-SHA-256$4096:"), "{log}");
    assert!(!log.contains(password.expose_secret()));
}

#[tokio::test]
async fn a_cluster_that_left_things_in_other_databases_is_removed_all_the_same() {
    let shared = Shared::new().await;
    let dsn = shared.database().await;
    shared.leave_things(&dsn).await;
    let mut own = connect(&dsn).await.unwrap();
    let name = shared.role();
    own.execute(AssertSqlSafe(format!("alter database {name} is_template true")))
        .await
        .unwrap();
    shared.server.drop_database(shared.cluster).await.unwrap();
    assert!(!shared.has_role().await);
    assert!(own.ping().await.is_err(), "its connections ended");
    shared.server.drop_database(shared.cluster).await.unwrap();
    shared.remove().await;
}

#[tokio::test]
async fn where_the_administrator_may_not_follow_it_says_where_something_is_left() {
    let shared = Shared::new().await;
    let dsn = shared.database().await;
    shared.leave_things(&dsn).await;
    let open = shared.open_name();
    let mut superuser = connect(&shared.open.url()).await.unwrap();
    let close = format!("revoke connect on database {open} from public");
    superuser.execute(AssertSqlSafe(close)).await.unwrap();
    let left = shared.server.drop_database(shared.cluster).await.unwrap_err();
    let text = left.to_string();
    assert!(
        text.contains(&open) && text.contains(&format!("drop owned by {}", shared.role())),
        "{text}"
    );
    assert!(connect(&dsn).await.is_err(), "the database itself is gone");

    let obeyed = format!("drop owned by {}", shared.role());
    superuser.execute(AssertSqlSafe(obeyed)).await.unwrap();
    shared.server.drop_database(shared.cluster).await.unwrap();
    assert!(!shared.has_role().await);
    shared.remove().await;
}

#[tokio::test]
async fn clusters_roles_are_let_into_no_database_of_the_administrators() {
    let shared = Shared::new().await;
    let dsn = shared.database().await;
    let own: PgConnectOptions = dsn.expose_secret().parse().unwrap();
    let of_admin: PgConnectOptions = shared.admin.expose_secret().parse().unwrap();
    let admins = of_admin.get_database().unwrap();
    let refused = own.clone().database(admins).connect().await.unwrap_err();
    assert!(
        refused.to_string().contains("permission denied for database"),
        "{refused}"
    );
    let mut admin = connect(&shared.admin).await.unwrap();
    // Whoever makes the template is let in before it is done, and nobody else.
    let open = format!("half_{}", Uuid::new_v4().simple());
    template::ensure(&shared.admin, &open).await.unwrap();
    let refused = own.database(&open).connect().await.unwrap_err();
    assert!(
        refused.to_string().contains("permission denied for database"),
        "{refused}"
    );
    template::ensure(&shared.admin, &open).await.unwrap();
    connect(&template::address_of(&shared.admin, &open).unwrap())
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
    admin
        .execute(AssertSqlSafe(format!("drop database {open} with (force)")))
        .await
        .unwrap();
    shared.server.drop_database(shared.cluster).await.unwrap();
    shared.remove().await;
}

#[test]
fn the_template_is_reached_as_securely_as_the_server() {
    let at = |admin: &str| {
        let address = template::address_of(&admin.to_owned().into(), "template-airflow-3.3.2").unwrap();
        address.expose_secret().to_owned()
    };
    assert_eq!(
        at(
            "postgresql://updraft:p%40ss@db.example.com:5432/updraft?sslmode=verify-full&sslrootcert=/etc/updraft/rds-ca.pem"
        ),
        "postgresql://updraft:p%40ss@db.example.com:5432/template-airflow-3.3.2\
         ?sslmode=verify-full&sslrootcert=/etc/updraft/rds-ca.pem"
    );
    // Words that libpq has not: one is said in its own, the other only control needs.
    assert_eq!(
        at("postgres://u@h/d?statement-cache-capacity=0&ssl-mode=require"),
        "postgres://u@h/template-airflow-3.3.2?sslmode=require"
    );
    assert_eq!(
        at("postgres://u@h:1/d"),
        "postgres://u@h:1/template-airflow-3.3.2"
    );
    assert_eq!(at("postgres://u@h:1"), "postgres://u@h:1/template-airflow-3.3.2");
}

#[test]
fn only_a_server_whose_certificate_is_looked_at_is_verified() {
    for (options, verified) in [
        ("", false),
        ("?sslmode=prefer", false),
        ("?sslmode=require&sslrootcert=/etc/ca.pem", false),
        ("?sslmode=verify-ca", true),
        ("?sslmode=verify-full", true),
    ] {
        let url = format!("postgres://u@db.example.com/d{options}").into();
        assert_eq!(is_verified(&url).unwrap(), verified, "{options}");
    }
}

/// A server that tests share, with an administrator who is no superuser, and a database that is open to everybody.
struct Shared {
    open: TestDatabase,
    admin: SecretString,
    server: MetadataServer,
    template: String,
    cluster: ClusterId,
}

// === impl Shared ===

impl Shared {
    async fn new() -> Self {
        let open = TestDatabase::create().await.unwrap();
        let admin = operator(&open.url(), "").await;
        let template = format!("template_{}", Uuid::new_v4().simple());
        template::ensure(&admin, &template).await.unwrap();
        template::seal(&admin, &template).await.unwrap();
        Self {
            open,
            server: MetadataServer::new(admin.clone()),
            admin,
            template,
            cluster: ClusterId(6_000_000_000 + i64::from(Uuid::new_v4().as_u128() as u32)),
        }
    }

    /// The cluster's, made.
    async fn database(&self) -> SecretString {
        self.server
            .ensure_database(self.cluster, &self.template, &random_token())
            .await
            .unwrap()
    }

    fn role(&self) -> String {
        format!("airflow_{}", self.cluster)
    }

    fn open_name(&self) -> String {
        let options: PgConnectOptions = self.open.url().expose_secret().parse().unwrap();
        options.get_database().unwrap().to_owned()
    }

    /// As any role can where it is let in.
    async fn leave_things(&self, dsn: &SecretString) {
        let own: PgConnectOptions = dsn.expose_secret().parse().unwrap();
        let mut elsewhere = own.database(&self.open_name()).connect().await.unwrap();
        for statement in [
            "select lo_create(0)",
            "alter default privileges grant select on tables to public",
        ] {
            elsewhere.execute(statement).await.unwrap();
        }
        elsewhere.close().await.unwrap();
    }

    async fn has_role(&self) -> bool {
        let mut superuser = connect(&self.open.url()).await.unwrap();
        let found =
            sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)").bind(self.role());
        found.fetch_one(&mut superuser).await.unwrap()
    }

    async fn remove(self) {
        let mut superuser = connect(&self.open.url()).await.unwrap();
        let options: PgConnectOptions = self.admin.expose_secret().parse().unwrap();
        let admin = options.get_database().unwrap();
        for statement in [
            format!("alter database {} is_template false", self.template),
            format!("drop database {}", self.template),
            format!("drop database {admin} with (force)"),
            format!("drop role {admin}"),
        ] {
            superuser.execute(AssertSqlSafe(statement)).await.unwrap();
        }
    }
}

/// As RDS has them: who administers there may make databases and roles, and is no superuser. Its address, with these options.
async fn operator(superuser: &SecretString, options: &str) -> SecretString {
    let name = format!("operator_{}", Uuid::new_v4().simple());
    let mut connection = connect(superuser).await.unwrap();
    for statement in [
        format!("create role {name} login createdb createrole password 'operator'"),
        format!("create database {name} owner {name}"),
    ] {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    let server: PgConnectOptions = superuser.expose_secret().parse().unwrap();
    let (host, port) = (server.get_host(), server.get_port());
    format!("postgresql://{name}:operator@{host}:{port}/{name}?{options}").into()
}

async fn connect(url: &SecretString) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect(url.expose_secret()).await
}
