//! A cluster's logs, out of its own bucket and with its own access: also while it is stopped and when its nodes are gone.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _, unfold};
use object_store::ObjectStore;
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use updraft_api::Problem;
use updraft_api::logs::{LogPage, LogQuery};
use updraft_authz::{Actor, ClusterAction, Credential};
use updraft_logs::{Begin, Follow, Followed, LogsError, Scope};
use updraft_model::{ClusterId, LogsSpec, TenantId};
use updraft_provider::StorageAccess;
use updraft_store::{PgConnection, secrets};

use crate::error::problem;
use crate::{App, AppError, LogPlace, access, authenticate};

/// What the reconciler calls a cluster's `StorageAccess` among its secrets.
const STORAGE: &str = "storage";
/// Pages read at once by this process: each may take some hundred megabytes and a core.
const READERS: usize = 3;
/// Between looks for new lines.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a right is taken to go on.
const GOOD_FOR: Duration = Duration::from_secs(2);

/// The way to clusters' buckets.
pub trait LogBuckets: Send + Sync {
    /// # Errors
    /// In words for the log, when it can't be reached so.
    fn open(&self, access: &StorageAccess) -> Result<Arc<dyn ObjectStore>, String>;

    /// The same of a tenant's own bucket, by the outbound policy.
    ///
    /// # Errors
    /// In words for the tenant, when its address is not to be asked.
    fn open_foreign(&self, access: &StorageAccess) -> Result<Arc<dyn ObjectStore>, String>;
}

/// A digest of what a bucket was opened with: anything else opens it anew.
type Opened = (String, Arc<dyn ObjectStore>);

/// Buckets that were opened, and how many may read at once.
#[derive(Clone)]
pub(crate) struct LogReader {
    buckets: Arc<dyn LogBuckets>,
    open: Arc<Mutex<HashMap<ClusterId, Opened>>>,
    readers: Arc<Semaphore>,
}

/// For a process without storage.
pub(crate) struct NoBuckets;

impl LogBuckets for NoBuckets {
    fn open(&self, _: &StorageAccess) -> Result<Arc<dyn ObjectStore>, String> {
        Err("this process has no way to buckets".to_owned())
    }

    fn open_foreign(&self, access: &StorageAccess) -> Result<Arc<dyn ObjectStore>, String> {
        self.open(access)
    }
}

/// One stream of lines.
struct Watch {
    app: App,
    credential: Credential,
    cluster: ClusterId,
    action: ClusterAction,
    prefix: String,
    follow: Option<Follow>,
    ready: VecDeque<Followed>,
    looked_at: Instant,
    over: bool,
}

// === impl LogReader ===

impl LogReader {
    pub(crate) fn new(buckets: Arc<dyn LogBuckets>) -> Self {
        Self {
            buckets,
            open: Arc::default(),
            readers: Arc::new(Semaphore::new(READERS)),
        }
    }

    pub(crate) fn open(&self, place: &LogPlace) -> Result<Arc<dyn ObjectStore>, String> {
        match place.foreign {
            true => self.buckets.open_foreign(&place.access),
            false => self.buckets.open(&place.access),
        }
    }

    /// Opened once per cluster and access.
    pub(crate) fn bucket(
        &self,
        cluster: ClusterId,
        place: &LogPlace,
    ) -> Result<Arc<dyn ObjectStore>, AppError> {
        let access = &place.access;
        let key = [
            access.endpoint.as_str(),
            &access.region,
            &access.bucket,
            &access.access_key,
            access.secret_key.expose_secret(),
            access
                .session_token
                .as_ref()
                .map_or("", |token| token.expose_secret()),
        ];
        let key = hex::encode(Sha256::digest(key.join(" ")));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, bucket)) = open.get(&cluster)
            && *known == key
        {
            return Ok(Arc::clone(bucket));
        }
        let bucket = self.open(place).map_err(|why| {
            tracing::error!(cluster.id = %cluster, why, "a log bucket could not be opened");
            AppError::Internal {
                what: "opening the log bucket",
            }
        })?;
        open.insert(cluster, (key, Arc::clone(&bucket)));
        Ok(bucket)
    }
}

impl fmt::Debug for LogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader").finish_non_exhaustive()
    }
}

impl App {
    /// A page of lines: task logs for whoever may use the cluster, services' for its admins.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`], [`AppError::Invalid`], [`AppError::Logs`].
    pub async fn list_logs(
        &self,
        actor: &Actor,
        id: ClusterId,
        query: LogQuery,
    ) -> Result<LogPage, AppError> {
        let scope = Scope::new(query).map_err(refused)?;
        let Some((bucket, prefix)) = self.log_bucket(actor, id, action(&scope)).await? else {
            return Ok(LogPage::default());
        };
        let scope = scope.below(prefix);
        let _reader = self.log_reader().readers.acquire().await;
        updraft_logs::page(&*bucket, &scope).await.map_err(refused)
    }

    /// Lines as they are shipped, after the one of the id `last` if it is given, whatever else is asked. Ends when the
    /// session does, or the actor loses the right to them; whoever may go on reconnects with the last id they saw.
    ///
    /// # Errors
    /// As [`App::list_logs`].
    pub async fn watch_logs(
        &self,
        actor: &Actor,
        id: ClusterId,
        query: LogQuery,
        last: Option<String>,
    ) -> Result<BoxStream<'static, Followed>, AppError> {
        let begin = begin(last, &query);
        let scope = Scope::of_stream(query).map_err(refused)?;
        let action = action(&scope);
        let (follow, prefix) = match self.log_bucket(actor, id, action).await? {
            None => (None, String::new()),
            Some((bucket, prefix)) => {
                let follow = Follow::begin(bucket, scope.below(prefix.clone()), begin, self.now());
                (Some(follow.await.map_err(refused)?), prefix)
            }
        };
        let watch = Watch {
            app: self.clone(),
            credential: actor.credential,
            cluster: id,
            action,
            prefix,
            follow,
            ready: VecDeque::new(),
            looked_at: Instant::now(),
            over: false,
        };
        Ok(unfold(watch, Watch::step).boxed())
    }

    /// And the prefix of its logs there. None: it has had no bucket yet, and thus no log.
    async fn log_bucket(
        &self,
        actor: &Actor,
        id: ClusterId,
        action: ClusterAction,
    ) -> Result<Option<(Arc<dyn ObjectStore>, String)>, AppError> {
        let mut connection = self.store().connection().await?;
        let (record, _) = access::cluster(&mut connection, actor, id, action).await?;
        let of = (actor.tenant, id);
        let Some(place) = self.log_place(&mut connection, of, &record.spec.logs).await? else {
            return Ok(None);
        };
        let bucket = self.log_reader().bucket(id, &place)?;
        Ok(Some((bucket, place.prefix)))
    }

    /// None: it has had no storage yet.
    pub(crate) async fn log_place(
        &self,
        connection: &mut PgConnection,
        (tenant, cluster): (TenantId, ClusterId),
        spec: &LogsSpec,
    ) -> Result<Option<LogPlace>, AppError> {
        let key = &self.config().master_key;
        let Some(kept) = secrets::get(connection, key, cluster, STORAGE).await? else {
            return Ok(None);
        };
        let storage = serde_json::from_str(kept.expose_secret()).map_err(|_| AppError::Internal {
            what: "reading a cluster's storage access",
        })?;
        Ok(LogPlace::of(connection, key, (tenant, cluster), spec, storage).await?)
    }
}

// === impl Watch ===

impl Watch {
    async fn step(mut self) -> Option<(Followed, Self)> {
        loop {
            if self.looked_at.elapsed() > GOOD_FOR && !self.may_go_on().await {
                return None;
            }
            if let Some(line) = self.ready.pop_front() {
                return Some((line, self));
            }
            if self.over {
                return None;
            }
            self.look().await;
            if self.ready.is_empty() {
                sleep(LOOK_EVERY).await;
            }
        }
    }

    async fn look(&mut self) {
        let Some(follow) = &mut self.follow else { return };
        match follow.look().await {
            Ok(lines) => self.ready.extend(lines),
            // The bucket may come back, or its keys have ended and others are there: it is asked again.
            Err(LogsError::Bucket(error)) => {
                tracing::warn!(
                    cluster.id = %self.cluster,
                    error = &error as &dyn std::error::Error,
                    "a log bucket does not answer"
                );
                self.open_again().await;
            }
            Err(LogsError::Packed | LogsError::Interrupted) => {}
            Err(LogsError::TooMuch(_) | LogsError::Invalid { .. }) => self.over = true,
        }
    }

    async fn open_again(&mut self) {
        let Ok(Some((bucket, prefix))) = self.place().await else {
            return;
        };
        match &mut self.follow {
            Some(follow) if prefix == self.prefix => follow.read_from(bucket),
            // Logs go elsewhere now.
            _ => self.over = true,
        }
    }

    async fn place(&self) -> Result<Option<(Arc<dyn ObjectStore>, String)>, AppError> {
        let mut connection = self.app.store().connection().await?;
        let actor = authenticate::actor_again(&mut connection, self.credential, self.app.now()).await?;
        drop(connection);
        let Some(actor) = actor else { return Ok(None) };
        self.app.log_bucket(&actor, self.cluster, self.action).await
    }

    async fn may_go_on(&mut self) -> bool {
        self.looked_at = Instant::now();
        match self.right().await {
            Ok(there) => there,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a stream of logs ended early"
                );
                false
            }
        }
    }

    async fn right(&self) -> Result<bool, AppError> {
        let mut connection = self.app.store().connection().await?;
        let actor = authenticate::actor_again(&mut connection, self.credential, self.app.now()).await?;
        let Some(actor) = actor else { return Ok(false) };
        match access::cluster(&mut connection, &actor, self.cluster, self.action).await {
            Ok(_) => Ok(true),
            Err(AppError::NotFound(_) | AppError::Forbidden { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn action(scope: &Scope) -> ClusterAction {
    if scope.is_of_tasks() {
        ClusterAction::ReadTaskLogs
    } else {
        ClusterAction::ReadServiceLogs
    }
}

fn begin(last: Option<String>, query: &LogQuery) -> Begin {
    match (last, query.tail, query.since) {
        (Some(last), ..) => Begin::After(last),
        (None, Some(tail), _) => Begin::Tail(usize::try_from(tail.min(1000)).unwrap_or_default()),
        (None, None, Some(since)) => Begin::Since(since),
        (None, None, None) => Begin::Tail(0),
    }
}

fn refused(error: LogsError) -> AppError {
    match error {
        LogsError::Invalid { field, why } => AppError::invalid(field, why),
        other => AppError::Logs(other),
    }
}

/// Both are other crates' types: no `From` can be written here.
pub(crate) fn problem_of(error: &LogsError) -> Problem {
    match error {
        LogsError::TooMuch(why) => problem(
            422,
            "too-many-logs",
            "That is too much to look through.",
            why.as_str(),
        ),
        LogsError::Invalid { .. } | LogsError::Bucket(_) | LogsError::Packed | LogsError::Interrupted => {
            problem(
                503,
                "logs-away",
                "The cluster's log bucket did not answer.",
                "Try again in a moment. Nothing is lost: agents keep what they can't ship.",
            )
        }
    }
}
