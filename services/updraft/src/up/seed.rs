//! The first tenant and its owner, made once, and this `up`'s own session.

use std::path::PathBuf;

use chrono::{Duration, Utc};
use secrecy::SecretString;
use updraft_embedded::Layout;
use updraft_model::{SessionId, TenantId, TenantRole, UserId};
use updraft_sso::{Passwords, SessionToken};
use updraft_store::sessions::{self, NewSession};
use updraft_store::tenants::{self, Quota, Tenant};
use updraft_store::{Store, people, template};
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
    let tenant = match tenants::find_by_name(&mut connection, TENANT).await? {
        Some(tenant) => tenant.id,
        // The file comes first: a crash after the commit must not leave an owner whose password nobody knows.
        None => {
            make_tenant(
                &store,
                &config::ensure_secret(&first_password_file, PASSWORD_BYTES)?,
            )
            .await?
        }
    };
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

async fn make_tenant(store: &Store, password: &SecretString) -> anyhow::Result<TenantId> {
    let hash = Passwords::new()?.hash(password).await?;
    let quota = Quota {
        max_clusters: 20,
        max_nodes: 100,
    };
    let tenant = Tenant {
        id: TenantId(Uuid::now_v7()),
        name: TENANT.to_owned(),
        quota,
    };
    let owner = UserId(Uuid::now_v7());
    let mut transaction = store.begin().await?;
    tenants::insert(&mut transaction, &tenant).await?;
    people::insert_user(&mut transaction, owner, EMAIL, "Admin", Some(&hash)).await?;
    people::insert_membership(&mut transaction, tenant.id, owner, TenantRole::Owner).await?;
    transaction.commit().await?;
    Ok(tenant.id)
}

async fn open_session(store: &Store, tenant: TenantId) -> anyhow::Result<SecretString> {
    let mut connection = store.connection().await?;
    let owner = people::first_owner(&mut connection, tenant).await?;
    let token = SessionToken::random();
    let session = NewSession {
        id: SessionId(Uuid::now_v7()),
        token_hash: token.hash(),
        tenant,
        user: owner,
        expires_at: Utc::now() + Duration::hours(1),
    };
    sessions::insert(&mut connection, &session).await?;
    Ok(token.expose().to_owned().into())
}
