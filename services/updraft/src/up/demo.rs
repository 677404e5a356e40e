//! The first cluster: made once, with sample DAGs in its bucket, and shown to run one of them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use include_dir::{Dir, include_dir};
use indexmap::IndexMap;
use object_store::aws::AmazonS3Builder;
use object_store::{ObjectStoreExt as _, PutPayload};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, sleep};
use updraft_api::rest::{ClusterView, NewCluster};
use updraft_client::{Client, IdempotencyKey};
use updraft_embedded::Progress as _;
use updraft_model::{DagSource, IdleStop, Phase, Power, Schedule};

use super::ground::Ground;
use super::seed::Seeded;
use super::servers::Servers;
use super::terminal::Terminal;
use super::visitor::Visitor;
use crate::compose::storage_credentials;
use crate::config;

static SAMPLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../infra/sample-dags");

const NAME: &str = "demo";
const FIRST_DAG: &str = "hello_updraft";
const PATIENCE: Duration = Duration::from_secs(300);
/// A failure may be from before this start, and services are tried again.
const CHANCE: Duration = Duration::from_secs(20);
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

pub(crate) struct Demo {
    pub(crate) airflow_url: String,
    pub(crate) dag_location: String,
    /// None when the DAGs come from elsewhere than the cluster's own bucket.
    pub(crate) how_to_add: Option<String>,
}

/// Makes the cluster at the first start, and waits until it runs whenever it is wanted to.
///
/// # Errors
/// When it does not come to run, with the reason control gives.
pub(crate) async fn ensure(
    wanted: bool,
    ground: &Ground,
    seeded: &Seeded,
    servers: &Servers,
    terminal: &Terminal,
) -> anyhow::Result<Option<Demo>> {
    let console = ground.ports.console_url();
    let client = Client::new(&console)?.with_token(seeded.session.clone());
    let clusters = client.clusters().await?;
    let known = clusters.into_iter().find(|cluster| cluster.name.as_str() == NAME);
    let first_time = known.is_none();
    let cluster = match known {
        Some(cluster) => cluster,
        None if wanted && seeded.password.is_some() => create(&client, servers).await?,
        None => return Ok(None),
    };
    if cluster.power == Power::Running {
        await_running(&client, &console, seeded, &cluster, terminal).await?;
    }
    if first_time {
        terminal
            .step("First DAG run", await_first_run(&console, seeded, &cluster))
            .await?;
    }
    Ok(Some(Demo {
        how_to_add: has_own_bucket(&cluster)
            .then(|| how_to_add(ground, servers, &cluster))
            .transpose()?,
        airflow_url: cluster.airflow_url,
        dag_location: cluster.dag_location,
    }))
}

async fn create(client: &Client, servers: &Servers) -> anyhow::Result<ClusterView> {
    let demo = NewCluster {
        name: NAME.parse()?,
        runtime: None,
        aws_account: None,
        workers: None,
        worker_concurrency: None,
        worker_queues: Vec::new(),
        schedule: Schedule::default(),
        stop_when_idle: IdleStop::default(),
        on_stop: None,
        metadata_dsn: None,
        metadata_ca: None,
        broker: updraft_model::Broker::default(),
        dag_sources: None,
        config: IndexMap::new(),
        environment: None,
        environment_variables: IndexMap::new(),
        bootstrap: None,
        logs: None,
        tags: IndexMap::new(),
        start: Some(true),
    };
    let cluster = client
        .create_cluster(&demo, IdempotencyKey::random())
        .await?
        .cluster;
    upload_samples(servers, &cluster).await?;
    Ok(cluster)
}

async fn upload_samples(servers: &Servers, cluster: &ClusterView) -> anyhow::Result<()> {
    let (bucket, prefix) = bucket_and_prefix(cluster)?;
    servers.s3.ensure_bucket(bucket).await?;
    let admin = servers.s3.admin();
    let store = AmazonS3Builder::new()
        .with_endpoint(servers.s3.endpoint())
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name(bucket)
        .with_access_key_id(&admin.access_key)
        .with_secret_access_key(admin.secret_key.expose_secret())
        .build()?;
    for file in SAMPLES
        .files()
        .filter(|file| file.path().extension().is_some_and(|kind| kind == "py"))
    {
        let key = format!("{prefix}{}", file.path().display());
        store
            .put(&key.as_str().into(), PutPayload::from_static(file.contents()))
            .await?;
    }
    Ok(())
}

/// Both must hold at once: what control says may be from before the machine was restarted, and Airflow's pages are there
/// before its last worker is.
async fn await_running(
    client: &Client,
    console: &str,
    seeded: &Seeded,
    cluster: &ClusterView,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let step = format!("Cluster {}", cluster.name);
    let waiting = async {
        let deadline = Instant::now() + PATIENCE;
        let mut visitor = None;
        let mut failed_since = None;
        loop {
            if visitor.is_none() {
                visitor = Visitor::sign_in(console, &seeded.session, &cluster.airflow_url)
                    .await
                    .ok();
            }
            let answers = match &visitor {
                Some(visitor) => visitor.get_json("api/v2/monitor/health").await.is_ok(),
                None => false,
            };
            let phase = client.cluster(cluster.id).await?.phase;
            if !matches!(phase, Phase::Failed { .. }) {
                failed_since = None;
            }
            match phase {
                Phase::Running if answers => return Ok(()),
                Phase::Failed { reason }
                    if failed_since.get_or_insert_with(Instant::now).elapsed() > CHANCE =>
                {
                    bail!("{}: {}; {}", cluster.name, reason.message, reason.remedy)
                }
                Phase::Starting { waiting_for } => {
                    terminal.advanced(&step, None, &waiting_for.unwrap_or_default());
                }
                Phase::Running
                | Phase::Stopped
                | Phase::Degraded { .. }
                | Phase::Stopping
                | Phase::Deleting
                | Phase::Failed { .. } => {}
            }
            if Instant::now() > deadline {
                let name = &cluster.name;
                bail!(
                    "{name} does not run after {} s: its page in the console says why",
                    PATIENCE.as_secs()
                );
            }
            sleep(BETWEEN_LOOKS).await;
        }
    };
    terminal.step(&step, waiting).await
}

/// As a person would: signed in, through the edge.
async fn await_first_run(console: &str, seeded: &Seeded, cluster: &ClusterView) -> anyhow::Result<()> {
    let visitor = Visitor::sign_in(console, &seeded.session, &cluster.airflow_url).await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let runs = visitor
            .get_json(&format!("api/v2/dags/{FIRST_DAG}/dagRuns?limit=1"))
            .await
            .unwrap_or_default();
        match runs["dag_runs"][0]["state"].as_str() {
            Some("success") => return Ok(()),
            Some("failed") => bail!(
                "the DAG {FIRST_DAG} failed: its log is at {}",
                cluster.airflow_url
            ),
            _ if Instant::now() > deadline => {
                bail!(
                    "the DAG {FIRST_DAG} has not run after {} s: look at {}",
                    PATIENCE.as_secs(),
                    cluster.airflow_url
                )
            }
            _ => sleep(BETWEEN_LOOKS).await,
        }
    }
}

fn has_own_bucket(cluster: &ClusterView) -> bool {
    let sources = cluster.spec.dag_sources.as_slice();
    matches!(sources, [one] if one.folder.is_top() && matches!(one.source, DagSource::ClusterBucket { .. }))
}

/// A file for `curl -K`, so that the key is on no command line.
fn how_to_add(ground: &Ground, servers: &Servers, cluster: &ClusterView) -> anyhow::Result<String> {
    let (bucket, prefix) = bucket_and_prefix(cluster)?;
    let (access, secret) = storage_credentials(&ground.storage_key()?, cluster.id);
    let file: PathBuf = ground.layout().secrets().join(format!("{}.curl", cluster.name));
    let options = format!(
        "user = \"{access}:{}\"\naws-sigv4 = \"aws:amz:us-east-1:s3\"\nfail\n",
        secret.expose_secret()
    );
    config::write_private(&file, options.as_bytes())?;
    let endpoint = servers.s3.endpoint();
    Ok(format!(
        "curl -K {} -T my_dag.py {endpoint}/{bucket}/{prefix}",
        file.display()
    ))
}

fn bucket_and_prefix(cluster: &ClusterView) -> anyhow::Result<(&str, &str)> {
    cluster
        .dag_location
        .strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'))
        .with_context(|| format!("{} is no bucket", cluster.dag_location))
}
