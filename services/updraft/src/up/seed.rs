//! The first tenant and its owner, made once, and this `up`'s own session.

use std::path::PathBuf;

use anyhow::Context as _;
use chrono::{Duration, Utc};
use secrecy::SecretString;
use serde_json::json;
use updraft_app::audit::{By, Change, Target, besides};
use updraft_app::{FirstOwner, Quota, install_tenant};
use updraft_embedded::Layout;
use updraft_model::{SessionId, TenantId};
use updraft_sso::{Passwords, SessionToken};
use updraft_store::sessions::{self, NewSession};
use updraft_store::tenants;
use updraft_store::{Store, StoreError, operators, people, template};
use uuid::Uuid;

use crate::config;

const DATABASE: &str = "updraft";
const TENANT: &str = "local";
const EMAIL: &str = "admin@localhost";
/// Bytes of randomness; the password is twice as many hexadecimal digits.
const PASSWORD_BYTES: usize = 10;

pub(crate) struct Seeded {
    pub(crate) database_url: SecretString,
    pub(crate) email: &'static str,
    /// The owner's first password, as long as nobody was shown it.
    pub(crate) password: Option<SecretString>,
    /// `up` acts as the owner with it.
    pub(crate) session: SecretString,
    first_password_file: PathBuf,
}

// === impl Seeded ===

impl Seeded {
    /// The password was shown: from now on only its owner knows it.
    pub(crate) fn forget_password(&self) {
        let _ = std::fs::remove_file(&self.first_password_file);
    }
}

/// # Errors
/// When control's database server is not there, or holds tables of a newer Updraft.
pub(crate) async fn ensure(admin: &SecretString, layout: &Layout) -> anyhow::Result<Seeded> {
    template::ensure(admin, DATABASE).await?;
    let database_url = template::address_of(admin, DATABASE)?;
    let store = Store::connect(&database_url, 2).await?;
    store.migrate().await?;
    let first_password_file = layout.secrets().join("first-password");
    let mut connection = store.connection().await?;
    if tenants::find_by_name(&mut connection, TENANT).await?.is_none() {
        // The file comes first: a crash after the commit must not leave an owner whose password nobody knows.
        let password = config::ensure_secret(&first_password_file, PASSWORD_BYTES)?;
        let owner = FirstOwner {
            email: EMAIL,
            name: "Admin",
            password: &password,
        };
        let quota = Quota {
            max_clusters: 20,
            max_nodes: 100,
        };
        install_tenant(&store, &Passwords::new()?, TENANT, quota, owner).await?;
    }
    let tenant = tenants::find_by_name(&mut connection, TENANT)
        .await?
        .context("the first tenant is gone")?
        .id;
    operators::ensure_one(&mut connection, tenant).await?;
    let password = first_password_file
        .exists()
        .then(|| config::read_secret(&first_password_file))
        .transpose()?;
    let session = open_session(&store, tenant).await?;
    Ok(Seeded {
        database_url,
        email: EMAIL,
        password,
        session,
        first_password_file,
    })
}

async fn open_session(store: &Store, tenant: TenantId) -> anyhow::Result<SecretString> {
    let mut tx = store.begin().await?;
    let owner = people::first_owner(&mut tx, tenant).await?;
    let token = SessionToken::random();
    let session = NewSession {
        id: SessionId(Uuid::now_v7()),
        token_hash: token.hash(),
        tenant,
        user: owner,
        expires_at: Utc::now() + Duration::hours(1),
    };
    sessions::insert(&mut tx, &session).await?;
    let change = Change::made(json!({"session": session.id}));
    besides("sign_in.up")
        .on(Target::new("person", owner, None))
        .done(&mut tx, By::system(Some(tenant)), change)
        .await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(token.expose().to_owned().into())
}
