//! `updraft control`: REST, console, the internal endpoints and the reconciler in one process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use chrono::Utc;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use updraft_app::{AirflowUrl, App, AppConfig, AwsIdentity};
use updraft_authz::SigningKey;
use updraft_aws::{Client, OwnCredentials, Place, Renewed};
use updraft_control::agents::{self, AgentsState};
use updraft_control::assignments::{Desk, News};
use updraft_control::audit_export::{AuditBucket, AuditExport};
use updraft_control::edges::{self, EdgesState, SnapshotSettings};
use updraft_control::environments::Environments;
use updraft_control::installation_keys::{InstallationKeys, KeyTurner, Purpose};
use updraft_control::log_sweep::sweep_logs;
use updraft_control::mail::{Post, Smtp};
use updraft_control::master_key::Keyring;
use updraft_control::proxies;
use updraft_control::reconciler::{Liveness, Parts, Reconciler, Settings};
use updraft_control::role_renewal::renew_roles;
use updraft_control::schedules::{follow_idleness, follow_schedules};
use updraft_control::storage_sessions::Renewal;
use updraft_control::tunnels::Tunnels;
use updraft_model::Protocol;
use updraft_provider::local::LocalProvider;
use updraft_runtimes::Catalogue;
use updraft_sso::outbound::{Outbound, OutboundPolicy};
use updraft_store::Store;
use updraft_store::metadata::MetadataServer;
use updraft_store::node_agents;
use updraft_store::secrets::{MasterKey, ensure_control_key};
use url::Url;

use super::identities;
use super::listen;
use super::nodes::Nodes;
use super::pushes::ClusterBuckets;
use super::shutdown;
use crate::config::{self, AwsFile, ControlFile, Ports};

/// Of the keys that turn. Without tunnels nobody would ever say that they go by any of theirs.
fn purposes(file: &ControlFile) -> &'static [Purpose] {
    match &file.tunnel_address {
        Some(_) => &Purpose::ALL,
        None => &[Purpose::Airflow],
    }
}

/// Everything that more than one part needs.
struct Ground {
    file: ControlFile,
    /// Certificates that nodes hold the metadata server to.
    metadata_authority: Option<String>,
    ports: Ports,
    store: Store,
    master_key: Arc<MasterKey>,
    keyring: Arc<Keyring>,
    catalogue: Arc<Catalogue>,
    app: App,
    /// That others go by, and that turn.
    keys: InstallationKeys,
    liveness: Arc<Liveness>,
    nodes: Nodes,
    tunnels: Option<Arc<Tunnels>>,
    buckets: Arc<ClusterBuckets>,
    shutdown: CancellationToken,
}

/// # Errors
/// When the configuration is unreadable, a port taken, or the database not there.
pub(crate) async fn control(path: &Path) -> anyhow::Result<()> {
    let file: ControlFile = config::read(path)?;
    let smtp = smtp(&file)?;
    let ground = Ground::prepare(file).await?;
    let news = Arc::new(News::default());
    let desk = Arc::new(desk(&ground, news.clone()));
    let reconciler = Arc::new(reconciler(&ground, desk.clone()));
    let (snapshots, snapshot) = watch::channel(None);
    let turner = key_turner(&ground, &reconciler, news.clone());
    // Before anybody is told of a key by this process, the others know of it.
    turner.look().await?;

    let known = Arc::<agents::Identities>::default();
    let internal = agents::router(AgentsState {
        identities: known.clone(),
        reports: reconciler.reports(),
        instances: ground.nodes.are_instances,
        agent: ground.nodes.agent.clone(),
        environments: Environments::new(desk.clone(), ground.buckets.clone()),
        desk,
    })
    .merge(edges::router(EdgesState {
        app: ground.app.clone(),
        edge_token: config::read_secret(&ground.file.edge_token_file)?,
        snapshot,
        tunnels: ground.tunnels.clone(),
    }));
    let public = super::public::router(&ground.app, &ground.file.console_url, ground.shutdown.clone())?;
    let public = proxies::behind(ground.file.trusted_proxies.clone(), public);

    let shutdown = &ground.shutdown;
    let background = [
        tokio::spawn(edges::keep_current(
            ground.store.clone(),
            snapshot_settings(&ground),
            snapshots,
            shutdown.clone(),
        )),
        tokio::spawn(agents::follow(ground.store.clone(), news, shutdown.clone())),
        tokio::spawn({
            let (store, shutdown) = (ground.store.clone(), shutdown.clone());
            async move { known.keep_true(&store, shutdown).await }
        }),
        tokio::spawn(supervise(ground.nodes.supervised.clone(), shutdown.clone())),
        tokio::spawn({
            let (reconciler, shutdown) = (reconciler, shutdown.clone());
            async move { reconciler.run(shutdown).await }
        }),
        tokio::spawn(post(ground.app.clone(), smtp, shutdown.clone())),
        tokio::spawn(tidy(ground.app.clone(), shutdown.clone())),
        tokio::spawn(identities::refresh(ground.app.clone(), shutdown.clone())),
        tokio::spawn(identities::recheck_domains(ground.app.clone(), shutdown.clone())),
        tokio::spawn(audit_export(
            ground.store.clone(),
            ground.nodes.audit.clone(),
            shutdown.clone(),
        )),
        tokio::spawn(sweep_logs(ground.app.clone(), shutdown.clone())),
        tokio::spawn(follow_schedules(ground.app.clone(), shutdown.clone())),
        tokio::spawn(follow_idleness(ground.app.clone(), shutdown.clone())),
        tokio::spawn(renew_roles(ground.app.clone(), shutdown.clone())),
        tokio::spawn({
            let (keyring, shutdown) = (ground.keyring.clone(), shutdown.clone());
            async move { keyring.run(shutdown).await }
        }),
        tokio::spawn(renew_storage(&ground, shutdown.clone())),
        tokio::spawn(close_metadata(ground.nodes.metadata.clone(), shutdown.clone())),
        tokio::spawn(turn_session_keys(ground.app.clone(), shutdown.clone())),
        tokio::spawn({
            let shutdown = shutdown.clone();
            async move { turner.run(shutdown).await }
        }),
    ];
    let served = serve(&ground, public, internal).await;
    shutdown.cancel();
    for task in background {
        let _ = task.await;
    }
    served
}

// === impl Ground ===

impl Ground {
    async fn prepare(file: ControlFile) -> anyhow::Result<Self> {
        let metadata_authority = file.metadata_authority()?;
        if file.believes_any_database() {
            tracing::warn!(
                "control believes whoever answers as its database: where that is on another machine, `database_url` should end in \
                 `?sslmode=verify-full&sslrootcert=FILE`"
            );
        }
        let ports = Ports::from_base(file.port_base);
        let store = Store::connect(&file.database_url, 40)
            .await
            .context("control's database is not there")?;
        understand_agents(&store).await?;
        store.migrate().await?;
        let keyring = Arc::new(Keyring::open(store.clone(), &file.master_key_file).await?);
        let master_key = keyring.key().clone();
        let session_key = control_key(&store, &master_key, "session").await?;
        let keys = InstallationKeys::open(&store, &master_key, purposes(&file)).await?;
        let catalogue = Arc::new(Catalogue::embedded()?);
        let nodes = Nodes::open(&file, &store).await?.with_accounts_of(&store);
        let outbound = Outbound::new(OutboundPolicy {
            allow: file.outbound_allow.clone(),
            ..OutboundPolicy::default()
        });
        let settings = AppConfig {
            airflow_url: airflow_url(&file)?,
            console_url: file.console_url.clone(),
            tenancy: nodes.tenancy,
            instance_types: nodes.are_instances,
            rabbitmq: (!nodes.are_instances).then(|| nodes.places.rabbitmq_binary().into()),
            sends_mail: file.mail.is_some(),
            identity_refresh: Duration::from_secs(file.identity_refresh_seconds),
            outbound: outbound.clone(),
            aws: file.aws.as_ref().map(aws_identity).transpose()?,
            accounts: nodes.accounts.clone(),
            ..AppConfig::local(ports.console, ports.edge, session_key, master_key.clone())
        };
        let settings = match nodes.dag_location.clone() {
            Some(dag_location) => AppConfig {
                dag_location,
                ..settings
            },
            None => settings,
        };
        let buckets = Arc::new(ClusterBuckets { outbound });
        let liveness = Arc::new(Liveness::new(Utc::now()));
        let app = App::new(store.clone(), catalogue.clone(), settings)?
            .with_live_reports(liveness.clone())
            .with_push_bucket(buckets.clone())
            .with_log_buckets(buckets.clone());
        let app = match nodes.boot_logs.clone() {
            Some(logs) => app.with_boot_logs(logs),
            None => app,
        };
        app.check_hosts().await.with_context(|| {
            format!(
                "`airflow_url` ({}) needs {{cluster}} or {{tenant}} in its host",
                file.airflow_url
            )
        })?;
        app.turn_session_keys().await?;
        let address = file.tunnel_address.clone();
        let tunnels = address.map(|address| Arc::new(Tunnels::new(address, keys.clone())));
        let shutdown = shutdown::on_signal()?;
        Ok(Self {
            file,
            metadata_authority,
            ports,
            store,
            master_key,
            keyring,
            catalogue,
            app,
            keys,
            liveness,
            nodes,
            tunnels,
            buckets,
            shutdown,
        })
    }
}

/// Before anything is migrated: agents that this release does not understand could be told nothing, and would be in the
/// dark until their nodes were replaced.
async fn understand_agents(store: &Store) -> anyhow::Result<()> {
    let mut connection = store.connection().await?;
    let apart = node_agents::too_far_apart(&mut connection).await?;
    if let Some((protocol, nodes)) = apart.first() {
        anyhow::bail!(
            "{nodes} nodes have agents of protocol {protocol}, which this release ({}) does not understand: start the release \
             between the two, and let it replace them (`updraft operator agents`)",
            Protocol::OWN
        );
    }
    Ok(())
}

fn desk(ground: &Ground, news: Arc<News>) -> Desk {
    let app = ground.app.clone();
    Desk {
        store: ground.store.clone(),
        master_key: ground.master_key.clone(),
        catalogue: ground.catalogue.clone(),
        places: ground.nodes.places.clone(),
        keys: ground.keys.clone(),
        outbound_allow: ground
            .file
            .outbound_allow
            .iter()
            .map(ToString::to_string)
            .collect(),
        log_disk_bytes: ground.file.log_disk_bytes,
        metadata_authority: ground.metadata_authority.clone(),
        base_url: Box::new(move |tenant, cluster| app.airflow_url(tenant, cluster)),
        tunnels: ground.tunnels.clone(),
        news,
    }
}

fn reconciler(ground: &Ground, desk: Arc<Desk>) -> Reconciler {
    Reconciler::new(Parts {
        store: ground.store.clone(),
        master_key: ground.master_key.clone(),
        metadata: ground.nodes.metadata.clone(),
        provider: ground.nodes.provider.clone(),
        storage: ground.nodes.storage.clone(),
        assignments: desk,
        liveness: ground.liveness.clone(),
        settings: Settings {
            control_url: ground.nodes.control_url.clone(),
            on_stop: ground.nodes.on_stop,
            scale_in_after: Duration::from_secs(ground.file.scale_in_after_seconds),
            agent_first_in: ground.nodes.agents_first_in,
            agent_release: ground.nodes.agent.as_ref().map(|agent| agent.sha256.clone()),
            ..Settings::default()
        },
    })
}

fn key_turner(ground: &Ground, reconciler: &Reconciler, news: Arc<News>) -> KeyTurner {
    KeyTurner {
        store: ground.store.clone(),
        master_key: ground.master_key.clone(),
        control: reconciler.id(),
        purposes: purposes(&ground.file).to_vec(),
        keys: ground.keys.clone(),
        news,
    }
}

fn aws_identity(file: &AwsFile) -> anyhow::Result<AwsIdentity> {
    let place = Place {
        region: file.region.clone(),
        endpoint: file.endpoint.clone(),
    };
    let own = Arc::new(Renewed::new(OwnCredentials::new()?));
    let sts = Client::new(place, own)?;
    Ok(AwsIdentity::new(file.identity.clone(), sts))
}

async fn audit_export(store: Store, bucket: Option<Arc<dyn AuditBucket>>, shutdown: CancellationToken) {
    if let Some(bucket) = bucket {
        AuditExport::new(store, bucket).run(shutdown).await;
    }
}

fn renew_storage(ground: &Ground, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let (store, master_key) = (ground.store.clone(), ground.master_key.clone());
    let renewal = ground.nodes.sessions.clone().map(|sessions| Renewal {
        store,
        master_key,
        sessions,
    });
    async move {
        if let Some(renewal) = renewal {
            renewal.run(shutdown).await;
        }
    }
}

/// Once; the same happens with each database that is made or dropped. Without the metadata server control goes on.
async fn close_metadata(server: MetadataServer, shutdown: CancellationToken) {
    if let Some(Err(error)) = shutdown.run_until_cancelled(server.close_to_clusters()).await {
        tracing::warn!(
            error = ?error,
            "databases of the metadata server that are no cluster's may be open to clusters' roles still"
        );
    }
}

async fn supervise(nodes: Option<Arc<LocalProvider>>, shutdown: CancellationToken) {
    if let Some(nodes) = nodes {
        nodes.supervise(shutdown).await;
    }
}

async fn serve(ground: &Ground, public: Router, internal: Router) -> anyhow::Result<()> {
    let shutdown = || ground.shutdown.clone();
    match ground.file.listen {
        None => tokio::try_join!(
            listen::on_loopback(ground.ports.console, public, shutdown()),
            listen::internally(ground.ports.internal, internal, shutdown()),
        )
        .map(|_| ()),
        Some(at) => tokio::try_join!(
            listen::at(at.public, public, shutdown()),
            listen::at(at.internal, internal, shutdown()),
        )
        .map(|_| ()),
    }
}

fn snapshot_settings(ground: &Ground) -> SnapshotSettings {
    let app = ground.app.clone();
    SnapshotSettings {
        keys: ground.keys.clone(),
        session_keys: ground.app.config().session_keys.clone(),
        console_url: ground.file.console_url.clone(),
        host_of: Box::new(move |tenant, cluster| {
            app.config().airflow_host(tenant, cluster).unwrap_or_default()
        }),
        tunnels: ground.tunnels.clone(),
    }
}

/// Refused before anything is served: settings that cannot work.
fn smtp(file: &ControlFile) -> anyhow::Result<Option<Smtp>> {
    let Some(mail) = &file.mail else {
        return Ok(None);
    };
    let password = mail.smtp_password_file.as_deref().map(config::read_secret);
    let console = Url::parse(&file.console_url)?;
    let hello = console.host_str().unwrap_or("localhost");
    let smtp = Smtp::new(
        &mail.smtp_url,
        password.transpose()?.as_ref(),
        mail.from.clone(),
        hello,
    );
    Ok(Some(smtp.context("mail cannot be sent")?))
}

async fn post(app: App, smtp: Option<Smtp>, shutdown: CancellationToken) {
    if let Some(smtp) = smtp {
        Post::new(app, smtp).run(shutdown).await;
    }
}

/// Refused before anything is served: a template that cannot work, or that puts Airflow on the console's host.
fn airflow_url(file: &ControlFile) -> anyhow::Result<AirflowUrl> {
    let template = &file.airflow_url;
    let console =
        Url::parse(&file.console_url).with_context(|| format!("{} is no address", file.console_url))?;
    let url = template.parse::<AirflowUrl>();
    url.and_then(|url| url.keep_apart_from(&console).map(|()| url))
        .with_context(|| format!("`airflow_url` ({template}) cannot be used"))
}

/// The installation's signing key of this name, made at the first start.
async fn control_key(store: &Store, master_key: &MasterKey, name: &str) -> anyhow::Result<SigningKey> {
    let fresh = SecretString::from(hex::encode(rand::random::<[u8; 32]>()));
    let mut connection = store.connection().await?;
    let kept = ensure_control_key(&mut connection, master_key, name, &fresh).await?;
    let mut seed = [0; 32];
    hex::decode_to_slice(kept.expose_secret(), &mut seed).context("a kept key is damaged")?;
    Ok(SigningKey::from_seed(name, &seed)?)
}

/// A key that another control process made has to be known here before it signs.
async fn turn_session_keys(app: App, shutdown: CancellationToken) {
    let forever = async {
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            if let Err(error) = app.turn_session_keys().await {
                tracing::warn!(%error, "session keys could not be looked after");
            }
        }
    };
    shutdown.run_until_cancelled(forever).await;
}

async fn tidy(app: App, shutdown: CancellationToken) {
    let forever = async {
        loop {
            if let Err(error) = app.tidy().await {
                tracing::warn!(%error, "what has expired could not be removed");
            }
            tokio::time::sleep(std::time::Duration::from_secs(600)).await;
        }
    };
    shutdown.run_until_cancelled(forever).await;
}
