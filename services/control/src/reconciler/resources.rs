//! A cluster's secrets, metadata database and storage: made once, completed after a crash, removed with the cluster.

use std::fmt::Display;
use std::future::Future;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;
use updraft_store::StoreError;
use updraft_store::events::{self, EventSeverity, NewEvent};
use updraft_store::leases::{self, Lease};
use updraft_store::resources::{self, ResourceKind};
use updraft_store::secrets::{self, random_fernet_key, random_token};
use updraft_store::task_secrets;

use super::execute::{Progress, commit};
use super::observe::View;
use super::{ReconcileError, Reconciler};

/// Names of a cluster's secrets.
pub mod secret {
    pub const FERNET_KEY: &str = "fernet_key";
    /// Those that something may be encrypted with still, newest first and joined by commas; there while a turn is under way.
    pub const FERNET_KEYS_BEFORE: &str = "fernet_keys_before";
    pub const JWT_SECRET: &str = "jwt_secret";
    pub const BROKER_PASSWORD: &str = "broker_password";
    pub const DATABASE_PASSWORD: &str = "database_password";
    /// `postgresql://…` of the cluster's own role; there once the database is.
    pub const DSN: &str = updraft_app::metadata::DSN;
    /// A `StorageAccess` as JSON; there once the storage is.
    pub const STORAGE: &str = "storage";
    /// Of the cluster's certificate authority, PEM.
    pub const CA_CERTIFICATE: &str = "ca_certificate";
    pub const CA_KEY: &str = "ca_key";
}

impl Reconciler {
    /// Generated once: what is there stays.
    pub(super) async fn ensure_secrets(
        &self,
        lease: &Lease,
        view: &View,
    ) -> Result<Progress, ReconcileError> {
        let cluster = view.cluster.id;
        let authority = match self.parts.assignments.new_authority(cluster) {
            Ok(authority) => authority,
            Err(error) => return self.failed(lease, view, ResourceKind::Secrets, &error).await,
        };
        let fresh = [
            (secret::FERNET_KEY, random_fernet_key()),
            (secret::JWT_SECRET, random_token()),
            (secret::BROKER_PASSWORD, random_token()),
            (secret::DATABASE_PASSWORD, random_token()),
            (secret::CA_CERTIFICATE, SecretString::from(authority.0)),
            (secret::CA_KEY, authority.1),
        ];
        let mut tx = self.fenced(lease).await?;
        resources::begin(&mut tx, cluster, ResourceKind::Secrets).await?;
        for (name, value) in &fresh {
            secrets::ensure(&mut tx, &self.parts.master_key, cluster, name, value).await?;
        }
        resources::set_ready(&mut tx, cluster, ResourceKind::Secrets).await?;
        commit(tx).await?;
        Ok(Progress::Made)
    }

    pub(super) async fn ensure_database(
        &self,
        lease: &Lease,
        view: &View,
    ) -> Result<Progress, ReconcileError> {
        let cluster = view.cluster.id;
        let mut tx = self.fenced(lease).await?;
        resources::begin(&mut tx, cluster, ResourceKind::Database).await?;
        if view.desired.brings_database {
            // The way to it was sealed with the wish; nodes alone connect to it.
            resources::set_ready(&mut tx, cluster, ResourceKind::Database).await?;
            commit(tx).await?;
            return Ok(Progress::Made);
        }
        let key = &self.parts.master_key;
        secrets::ensure(&mut tx, key, cluster, secret::DATABASE_PASSWORD, &random_token()).await?;
        commit(tx).await?;
        let template = self.parts.assignments.template_of(&view.cluster.spec.runtime);
        let metadata = &self.parts.metadata;
        let made = metadata.ensure_database_with(cluster, &template, self.database_password(lease, view));
        match self.within(made).await {
            Ok(dsn) => {
                self.ready(lease, view, ResourceKind::Database, secret::DSN, &dsn)
                    .await
            }
            Err(why) => self.failed(lease, view, ResourceKind::Database, &why).await,
        }
    }

    /// The one of now, for as long as this driver has the cluster.
    async fn database_password(&self, lease: &Lease, view: &View) -> Result<SecretString, StoreError> {
        let mut tx = self.parts.store.begin().await?;
        leases::hold(&mut tx, lease).await?;
        let kept = secrets::get(
            &mut tx,
            &self.parts.master_key,
            view.cluster.id,
            secret::DATABASE_PASSWORD,
        );
        let what = "database password";
        kept.await
            .map_err(|_| StoreError::Corrupt { what })?
            .ok_or(StoreError::Missing { what })
    }

    pub(super) async fn ensure_storage(
        &self,
        lease: &Lease,
        view: &View,
    ) -> Result<Progress, ReconcileError> {
        self.begin(lease, view, ResourceKind::Storage).await?;
        match self.within(self.parts.storage.ensure(view.cluster.id)).await {
            Ok(access) => {
                let access =
                    serde_json::to_string(&access).map_err(|_| StoreError::Corrupt { what: "storage" })?;
                self.ready(
                    lease,
                    view,
                    ResourceKind::Storage,
                    secret::STORAGE,
                    &access.into(),
                )
                .await
            }
            Err(why) => self.failed(lease, view, ResourceKind::Storage, &why).await,
        }
    }

    pub(super) async fn drop_database(&self, lease: &Lease, view: &View) -> Result<Progress, ReconcileError> {
        if view.desired.brings_database {
            return self.leave_database(lease, view).await;
        }
        self.begin(lease, view, ResourceKind::Database).await?;
        let dropped = self
            .within(self.parts.metadata.drop_database(view.cluster.id))
            .await;
        self.removed(lease, view, ResourceKind::Database, dropped).await
    }

    /// It is the tenant's own: nothing of it is touched.
    async fn leave_database(&self, lease: &Lease, view: &View) -> Result<Progress, ReconcileError> {
        let database = view.cluster.spec.metadata_database.iter();
        let named: String = database
            .map(|own| format!("{}:{}/{}", own.host, own.port, own.database))
            .collect();
        let message = format!(
            "The cluster's own metadata database {named} stays as it is. For another cluster to take it, run `drop table \
             updraft_owner` in it."
        );
        let mut tx = self.fenced(lease).await?;
        resources::forget(&mut tx, view.cluster.id, ResourceKind::Database).await?;
        let kept = NewEvent {
            tenant: view.cluster.tenant,
            cluster: Some(view.cluster.id),
            node: None,
            service: None,
            kind: "metadata_database_kept",
            severity: EventSeverity::Info,
            message: &message,
        };
        events::append(&mut tx, &kept).await?;
        commit(tx).await?;
        Ok(Progress::Made)
    }

    pub(super) async fn remove_storage(
        &self,
        lease: &Lease,
        view: &View,
    ) -> Result<Progress, ReconcileError> {
        self.begin(lease, view, ResourceKind::Storage).await?;
        let removed = self.within(self.parts.storage.remove(view.cluster.id)).await;
        self.removed(lease, view, ResourceKind::Storage, removed).await
    }

    pub(super) async fn remove_secrets(
        &self,
        lease: &Lease,
        view: &View,
    ) -> Result<Progress, ReconcileError> {
        let mut tx = self.fenced(lease).await?;
        secrets::remove_all(&mut tx, view.cluster.id).await?;
        task_secrets::remove_all(&mut tx, view.cluster.tenant, view.cluster.id).await?;
        resources::forget(&mut tx, view.cluster.id, ResourceKind::Secrets).await?;
        commit(tx).await?;
        Ok(Progress::Made)
    }

    pub(super) async fn begin(
        &self,
        lease: &Lease,
        view: &View,
        kind: ResourceKind,
    ) -> Result<(), ReconcileError> {
        let mut tx = self.fenced(lease).await?;
        resources::begin(&mut tx, view.cluster.id, kind).await?;
        commit(tx).await
    }

    async fn ready(
        &self,
        lease: &Lease,
        view: &View,
        kind: ResourceKind,
        name: &str,
        access: &SecretString,
    ) -> Result<Progress, ReconcileError> {
        let mut tx = self.fenced(lease).await?;
        secrets::put(&mut tx, &self.parts.master_key, view.cluster.id, name, access).await?;
        resources::set_ready(&mut tx, view.cluster.id, kind).await?;
        commit(tx).await?;
        debug_assert!(!access.expose_secret().is_empty());
        Ok(Progress::Made)
    }

    async fn failed(
        &self,
        lease: &Lease,
        view: &View,
        kind: ResourceKind,
        why: &impl Display,
    ) -> Result<Progress, ReconcileError> {
        tracing::warn!(cluster.id = view.cluster.id.0, resource = kind.as_str(), %why, "a resource is not ready");
        let mut tx = self.fenced(lease).await?;
        resources::set_failed(&mut tx, view.cluster.id, kind, &why.to_string(), false).await?;
        commit(tx).await?;
        Ok(Progress::Made)
    }

    async fn removed(
        &self,
        lease: &Lease,
        view: &View,
        kind: ResourceKind,
        removed: Result<(), String>,
    ) -> Result<Progress, ReconcileError> {
        if let Err(why) = removed {
            return self.failed(lease, view, kind, &why).await;
        }
        let mut tx = self.fenced(lease).await?;
        resources::forget(&mut tx, view.cluster.id, kind).await?;
        commit(tx).await?;
        Ok(Progress::Made)
    }

    /// The whole chain of causes is for the log; people get the outermost words.
    async fn within<T, E: std::error::Error>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        match timeout(self.parts.settings.call_timeout, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                tracing::warn!(error = ?error, "a resource's call failed");
                Err(error.to_string())
            }
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}
