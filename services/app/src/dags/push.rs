//! Pushed archives: judged, put into the cluster's own bucket by their digest, and named as the latest.

use std::fmt::Debug;
use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use updraft_api::agent::CurrentPush;
use updraft_api::dags::Pushed;
use updraft_authz::{Actor, ClusterAction};
use updraft_model::{ClusterId, DagFolder, DagSource};
use updraft_provider::StorageAccess;
use updraft_store::clusters::ClusterRecord;
use updraft_store::{PgConnection, StoreError, dag_wishes, event_log, secrets};

use super::archive::{self, Contents};
use super::sources::push_prefix;
use super::{DagRefusal, wishes};
use crate::audit::{Attempt, Change, Target, attempt};
use crate::{App, AppError, access};

/// Packed.
const LARGEST: u64 = 256 << 20;
const AT_ONCE: usize = 4;
const LONGEST_MESSAGE: usize = 500;
/// A cluster's access to its bucket, among its secrets.
const STORAGE: &str = "storage";

/// Puts objects into a cluster's bucket.
#[async_trait]
pub trait PushBucket: Send + Sync {
    /// The whole file, from its beginning.
    ///
    /// # Errors
    /// In words for the log, when it may not be there.
    async fn put_file(&self, access: &StorageAccess, key: &str, file: File) -> Result<(), String>;

    /// # Errors
    /// In words for the log, when it may not be there.
    async fn put(&self, access: &StorageAccess, key: &str, bytes: Vec<u8>) -> Result<(), String>;
}

/// For a process without storage.
pub(crate) struct NoBucket;

#[async_trait]
impl PushBucket for NoBucket {
    async fn put_file(&self, _: &StorageAccess, _: &str, _: File) -> Result<(), String> {
        Err("this process has no way to buckets".to_owned())
    }

    async fn put(&self, _: &StorageAccess, _: &str, _: Vec<u8>) -> Result<(), String> {
        Err("this process has no way to buckets".to_owned())
    }
}

/// Where pushes go, and how many at once.
#[derive(Clone)]
pub(crate) struct Pushes {
    pub(crate) bucket: Arc<dyn PushBucket>,
    places: Arc<Semaphore>,
}

/// A push that may begin: somebody with the right to, a folder that is pushed to, a place among those under way.
#[must_use]
pub struct PushBegun {
    cluster: ClusterId,
    folder: DagFolder,
    message: Option<String>,
    access: StorageAccess,
    attempt: Attempt,
    _place: OwnedSemaphorePermit,
}

// === impl Pushes ===

impl Pushes {
    pub(crate) fn into(bucket: Arc<dyn PushBucket>) -> Self {
        Self {
            bucket,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Debug for Pushes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pushes").finish_non_exhaustive()
    }
}

// === impl PushBegun ===

impl PushBegun {
    /// Bytes that a packed archive has at most.
    pub const LARGEST: u64 = LARGEST;

    /// The refusal of a larger one.
    #[must_use]
    pub fn too_large() -> AppError {
        DagRefusal::TooLarge { limit: LARGEST }.into()
    }
}

impl App {
    /// Before anything of the archive is read.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`]; [`AppError::Invalid`] on `folder` or `message`;
    /// [`DagRefusal::NeverStarted`], [`DagRefusal::ManyPushes`].
    pub async fn begin_push(
        &self,
        actor: &Actor,
        id: ClusterId,
        folder: DagFolder,
        message: Option<String>,
    ) -> Result<PushBegun, AppError> {
        let attempt = attempt("dags.push").on(Target::new("cluster", id, None));
        let mut connection = self.store().connection().await?;
        let (cluster, _) = access::cluster(&mut connection, actor, id, ClusterAction::Change).await?;
        let attempt = attempt.on(Target::cluster(id, &cluster.name));
        check_folder(&cluster, &folder)?;
        let message = message.map(checked_message).transpose()?;
        let access = self.storage_of(&mut connection, id).await?;
        let place = self.pushes().places.clone().try_acquire_owned();
        Ok(PushBegun {
            cluster: id,
            folder,
            message,
            access,
            attempt,
            _place: place.map_err(|_| DagRefusal::ManyPushes)?,
        })
    }

    /// Takes the archive: from now on it is what the folder's source holds.
    ///
    /// # Errors
    /// [`DagRefusal::Archive`], [`DagRefusal::TooLarge`], [`DagRefusal::StorageAway`]; the cluster's own, when it was
    /// deleted meanwhile.
    pub async fn finish_push(&self, actor: &Actor, begun: PushBegun, file: File) -> Result<Pushed, AppError> {
        let judged = tokio::task::spawn_blocking(move || judge(file));
        let (file, revision, contents) = judged.await.map_err(|_| AppError::Internal {
            what: "looking through an archive",
        })??;
        let pushed_at = self.now();
        let current = CurrentPush {
            sha256: revision.clone(),
            author: Some(actor.email.clone()),
            message: begun.message.clone(),
            pushed_at,
        };
        self.put(&begun, file, &current).await?;

        let (id, folder) = (begun.cluster, &begun.folder);
        let mut tx = self.store().begin().await?;
        access::cluster(&mut tx, actor, id, ClusterAction::Change).await?;
        dag_wishes::sync(&mut tx, actor.tenant, id).await?;
        let sync = wishes::asked(&mut tx, actor.tenant, id).await?;
        let said = format!(
            "{} pushed {} DAG files{}",
            actor.email,
            contents.files,
            into_words(folder)
        );
        event_log::append(&mut tx, actor.tenant, Some(id), "dags_pushed", &said).await?;
        let pushed = Pushed {
            folder: folder.clone(),
            revision,
            files: contents.files,
            bytes: contents.bytes,
            pushed_at,
            sync,
        };
        begun
            .attempt
            .done(&mut tx, actor, Change::made(json!(pushed)))
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(pushed)
    }

    /// The archive first: whoever reads what is current finds it.
    async fn put(&self, begun: &PushBegun, file: File, current: &CurrentPush) -> Result<(), AppError> {
        let (bucket, prefix) = (&self.pushes().bucket, push_prefix(&begun.folder));
        let away = |why: String| {
            tracing::warn!(cluster.id = %begun.cluster, why, "a push could not be stored");
            AppError::from(DagRefusal::StorageAway)
        };
        let key = format!("{prefix}{}.tar.gz", current.sha256);
        bucket.put_file(&begun.access, &key, file).await.map_err(away)?;
        let text = serde_json::to_vec(current).map_err(|_| AppError::Internal {
            what: "describing a push",
        })?;
        let key = format!("{prefix}current");
        bucket.put(&begun.access, &key, text).await.map_err(away)
    }

    async fn storage_of(
        &self,
        connection: &mut PgConnection,
        id: ClusterId,
    ) -> Result<StorageAccess, AppError> {
        let kept = secrets::get(connection, &self.config().master_key, id, STORAGE).await?;
        let kept = kept.ok_or(DagRefusal::NeverStarted)?;
        serde_json::from_str(kept.expose_secret()).map_err(|_| AppError::Internal {
            what: "reading a cluster's storage",
        })
    }
}

fn check_folder(cluster: &ClusterRecord, folder: &DagFolder) -> Result<(), AppError> {
    let pushed = |one: &&updraft_model::FolderSource| matches!(one.source, DagSource::Push {});
    let mut folders = cluster
        .spec
        .dag_sources
        .iter()
        .filter(pushed)
        .map(|one| &one.folder);
    if folders.clone().any(|one| one == folder) {
        return Ok(());
    }
    let first = folders.next();
    let why = match first {
        Some(other) if other.is_top() => {
            "pushes go to the top of this cluster's DAGs: leave the folder out".to_owned()
        }
        Some(other) => format!("nothing is pushed to this folder; `{other}` is one that is"),
        None => {
            "this cluster's DAGs are not pushed: make it a source with `updraft cluster update --dags push`"
                .to_owned()
        }
    };
    Err(AppError::invalid("folder", why))
}

fn checked_message(message: String) -> Result<String, AppError> {
    if message.chars().count() <= LONGEST_MESSAGE && !message.chars().any(|c| c.is_control() && c != '\n') {
        return Ok(message);
    }
    let why = format!("a message has up to {LONGEST_MESSAGE} printable characters");
    Err(AppError::invalid("message", why))
}

fn into_words(folder: &DagFolder) -> String {
    match folder.as_str() {
        "" => String::new(),
        name => format!(" to {name}"),
    }
}

/// The file again, its digest, and what is in it.
fn judge(mut file: File) -> Result<(File, String, Contents), AppError> {
    let broken = |_| AppError::Internal {
        what: "reading a received archive",
    };
    let length = file.seek(SeekFrom::End(0)).map_err(broken)?;
    if length > LARGEST {
        return Err(PushBegun::too_large());
    }
    let open = || {
        let mut again = file.try_clone()?;
        again.seek(SeekFrom::Start(0))?;
        Ok(Box::new(again) as Box<dyn Read>)
    };
    let contents = archive::check(open)?;
    let mut digest = Sha256::new();
    std::io::copy(&mut open().map_err(broken)?, &mut digest).map_err(broken)?;
    file.seek(SeekFrom::Start(0)).map_err(broken)?;
    Ok((file, hex::encode(digest.finalize()), contents))
}
