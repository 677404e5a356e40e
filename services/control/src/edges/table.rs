//! Keeps the picture for edges current: what changed is read whenever the database announces something, and each 30 s
//! whether it did or not. Everything is read at the start, and each ten minutes to be sure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use updraft_app::SessionKeys;
use updraft_authz::{AccessRule, TokenHash, TokenPolicy};
use updraft_model::{ClusterId, TenantId};
use updraft_store::api_tokens::{self, PushedToken};
use updraft_store::changes::{self, Changes, Interest, Mark};
use updraft_store::person_facts::KnownPerson;
use updraft_store::{
    Announcements, Channel, PgConnection, Store, StoreError, access_rules, person_facts, routes,
};

use super::effective::{Rights, by_cluster};
use super::picture::{Cluster, Constants, News, Picture};
use super::route::route;
use crate::installation_keys::InstallationKeys;
use crate::tunnels::Tunnels;

const AT_LEAST_EACH: Duration = Duration::from_secs(30);
const WHOLE_EACH: Duration = Duration::from_secs(600);
const AFTER_AN_ERROR: Duration = Duration::from_secs(1);
/// Announcements come in bursts: one read for all of a burst.
const BURST: Duration = Duration::from_millis(20);
/// While hundreds of clusters start there is always something new: at most a quarter of the time is spent on it.
const REST: u32 = 3;
const LONGEST_REST: Duration = Duration::from_secs(5);

/// What does not come from the database.
pub struct SnapshotSettings {
    pub keys: InstallationKeys,
    pub session_keys: SessionKeys,
    pub console_url: String,
    /// The authority at which people reach a cluster.
    pub host_of: Box<dyn Fn(TenantId, ClusterId) -> String + Send + Sync>,
    /// None: edges reach web nodes directly.
    pub tunnels: Option<Arc<Tunnels>>,
}

/// Runs until shut down; a database that is away only delays news.
pub async fn keep_current(
    store: Store,
    settings: SnapshotSettings,
    sender: watch::Sender<Option<Arc<Picture>>>,
    shutdown: CancellationToken,
) {
    while !shutdown.is_cancelled() {
        let followed = follow(&store, &settings, &sender);
        tokio::select! {
            () = shutdown.cancelled() => return,
            outcome = followed => {
                if let Err(error) = outcome {
                    tracing::warn!(%error, "routes could not be read; edges go on with what they have");
                }
                sleep(AFTER_AN_ERROR).await;
            }
        }
    }
}

async fn follow(
    store: &Store,
    settings: &SnapshotSettings,
    sender: &watch::Sender<Option<Arc<Picture>>>,
) -> Result<(), StoreError> {
    let mut announcements = store.listen(&[Channel::Policy]).await?;
    let (mut mark, mut whole_at) = (None, Instant::now());
    let keys = || (settings.keys.airflow_signing(), settings.keys.token_names());
    let mut known = keys();
    loop {
        let began = Instant::now();
        if began - whole_at > WHOLE_EACH {
            changes::forget_old(&mut *store.connection().await?).await?;
            mark = None;
        }
        let known_now = keys();
        if known != known_now {
            // Digests are keyed with one of them, and every route names tokens of the others.
            (mark, known) = (None, known_now);
        }
        let (now, news) = read(store, settings, mark).await?;
        if news.is_whole {
            whole_at = began;
        }
        mark = Some(now);
        publish(sender, news);
        let rest = (began.elapsed() * REST).clamp(BURST, LONGEST_REST);
        if let Ok(announced) = timeout(AT_LEAST_EACH, announcements.next()).await {
            announced?;
            sleep(rest).await;
            drain(&mut announcements).await?;
        }
    }
}

/// What was announced meanwhile is read with the rest.
async fn drain(announcements: &mut Announcements) -> Result<(), StoreError> {
    while let Ok(announced) = timeout(Duration::ZERO, announcements.next()).await {
        announced?;
    }
    Ok(())
}

fn publish(sender: &watch::Sender<Option<Arc<Picture>>>, news: News) {
    sender.send_if_modified(|current| {
        let is_first = current.is_none();
        let picture = current.get_or_insert_with(|| Arc::new(Picture::empty(news.constants.clone())));
        if news.is_whole && !picture.is_keyed_with(&news.constants) {
            *picture = Arc::new(Picture::empty(news.constants.clone()));
            Arc::make_mut(picture).take(news);
            return true;
        }
        Arc::make_mut(picture).take(news) || is_first
    });
}

/// What changed since the mark, or everything.
async fn read(
    store: &Store,
    settings: &SnapshotSettings,
    mark: Option<Mark>,
) -> Result<(Mark, News), StoreError> {
    let mut transaction = store.snapshot().await?;
    let now = changes::mark(&mut transaction).await?;
    let changed = match mark {
        Some(mark) => changes::between(&mut transaction, mark, now, Interest::Edges).await?,
        None => None,
    };
    let news = match changed {
        Some(changes) => read_some(&mut transaction, settings, changes).await?,
        None => read_whole(&mut transaction, settings).await?,
    };
    transaction.commit().await.map_err(StoreError::from)?;
    Ok((now, news))
}

async fn read_some(
    connection: &mut PgConnection,
    settings: &SnapshotSettings,
    changes: Changes,
) -> Result<News, StoreError> {
    let mut news = News {
        constants: constants(settings)?,
        is_whole: false,
        rights: Vec::new(),
        clusters: Vec::new(),
        gone: Vec::new(),
        revoked: Vec::new(),
    };
    for tenant in changes.rights {
        news.rights.push((tenant, rights_of(connection, tenant).await?));
    }
    if !changes.clusters.is_empty() {
        let asked: Vec<_> = changes.clusters.iter().copied().collect();
        news.clusters = read_clusters(connection, settings, Some(&asked)).await?;
        let mut gone = changes.clusters;
        for cluster in &news.clusters {
            gone.remove(&cluster.facts.id);
        }
        news.gone = gone.into_iter().collect();
    }
    if !changes.sessions.is_empty() {
        let asked: Vec<_> = changes.sessions.into_iter().collect();
        news.revoked = routes::revoked_sessions(connection, Some(&asked)).await?;
    }
    Ok(news)
}

async fn read_whole(connection: &mut PgConnection, settings: &SnapshotSettings) -> Result<News, StoreError> {
    Ok(News {
        constants: constants(settings)?,
        is_whole: true,
        clusters: read_clusters(connection, settings, None).await?,
        rights: all_rights(connection).await?,
        gone: Vec::new(),
        revoked: routes::revoked_sessions(connection, None).await?,
    })
}

async fn read_clusters(
    connection: &mut PgConnection,
    settings: &SnapshotSettings,
    only: Option<&[ClusterId]>,
) -> Result<Vec<Cluster>, StoreError> {
    let found = routes::clusters(connection, only).await?;
    let mut named = by_cluster(routes::grants(connection, only).await?);
    let read = found.into_iter().map(|cluster| Cluster {
        route: route(&cluster, settings),
        named: named.remove(&cluster.facts.id).unwrap_or_default(),
        facts: cluster.facts,
    });
    Ok(read.collect())
}

async fn rights_of(connection: &mut PgConnection, tenant: TenantId) -> Result<Rights, StoreError> {
    let people = person_facts::of_tenant(connection, tenant).await?;
    let rules = access_rules::of_tenant(connection, tenant).await?;
    let tokens = api_tokens::list_pushed(connection, Some(tenant), Utc::now()).await?;
    Ok(Rights::new(&people, &rules, policies(tokens)))
}

async fn all_rights(connection: &mut PgConnection) -> Result<Vec<(TenantId, Rights)>, StoreError> {
    let mut people: BTreeMap<TenantId, Vec<KnownPerson>> = BTreeMap::new();
    for person in person_facts::of_all_tenants(connection).await? {
        people.entry(person.tenant).or_default().push(person);
    }
    let mut rules: HashMap<TenantId, Vec<AccessRule>> = HashMap::new();
    for (tenant, rule) in access_rules::of_all_tenants(connection).await? {
        rules.entry(tenant).or_default().push(rule);
    }
    let mut tokens: HashMap<TenantId, Vec<PushedToken>> = HashMap::new();
    for token in api_tokens::list_pushed(connection, None, Utc::now()).await? {
        tokens.entry(token.token.tenant).or_default().push(token);
    }
    let rights = people.into_iter().map(|(tenant, people)| {
        let rules = rules.remove(&tenant).unwrap_or_default();
        let tokens = policies(tokens.remove(&tenant).unwrap_or_default());
        (tenant, Rights::new(&people, &rules, tokens))
    });
    Ok(rights.collect())
}

fn constants(settings: &SnapshotSettings) -> Result<Constants, StoreError> {
    let none = StoreError::Missing {
        what: "key for what edges tell Airflow",
    };
    Ok(Constants {
        airflow_key: settings.keys.airflow_signing().ok_or(none)?,
        session_keys: settings.session_keys.published(),
        console_url: settings.console_url.clone(),
        tunnel_authority: settings.keys.tunnel_authority(),
        tunnel_tokens: settings.keys.token_names(),
    })
}

/// In one order, as their digest needs it.
fn policies(tokens: Vec<PushedToken>) -> Vec<(TokenHash, TokenPolicy)> {
    let mut policies: Vec<_> = tokens.into_iter().map(token_policy).collect();
    policies.sort_by_key(|(hash, _)| *hash);
    policies
}

fn token_policy(token: PushedToken) -> (TokenHash, TokenPolicy) {
    let PushedToken {
        token_hash,
        token,
        expires_at,
    } = token;
    let policy = TokenPolicy {
        id: token.id,
        tenant: token.tenant,
        user: token.user,
        limit: token.limit,
        expires_at: expires_at.map(|at| at.timestamp()),
        email: token.email,
        name: token.name,
    };
    (TokenHash(token_hash), policy)
}
