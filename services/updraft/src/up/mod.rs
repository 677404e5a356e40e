//! `updraft up`: everything on this machine, from nothing to a real Airflow, and back down in order.
//!
//! What it starts outlives its own sudden death: databases, storage, control, edge and nodes are adopted by the next
//! `up`. Ctrl-C stops them, the last started first.

mod demo;
mod ground;
mod port_base;
mod processes;
mod seed;
mod servers;
mod storage_socket;
mod summary;
pub(crate) mod template;
mod terminal;
mod visitor;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use updraft_authz::TrustedProxies;
use updraft_embedded::{
    EnvDir, EnvironmentSpec, Layout, Parts, install_environment, install_installer, install_parts,
    stop_leftover, stop_leftovers,
};
use updraft_runtimes::{Catalogue, Runtime};

use crate::cli::UpArgs;
use crate::config::{self, AwsFile, ControlFile, EdgeFile, LocalNodes, MailFile, NodesFile, ReadyRuntime};

use demo::Demo;
use ground::Ground;
use processes::Processes;
pub(crate) use processes::config_file;
use seed::Seeded;
use servers::Servers;
use terminal::Terminal;

/// Below the data directory.
const ASSETS: &str = "assets";

/// # Errors
/// The first step that failed, with its remedy. What an earlier `up` left goes on even so; all else is stopped.
pub(crate) async fn run(args: &UpArgs) -> anyhow::Result<()> {
    let terminal = Arc::new(Terminal::new());
    let ground = Ground::take(args)?;
    terminal.say(&format!("Updraft in {}", ground.layout().root().display()));
    let catalogue = Catalogue::embedded()?;
    let runtime = catalogue
        .newest()
        .context("this binary was built without a runtime")?;

    let (parts, environment) = install(ground.layout(), runtime, &terminal).await?;
    // Tasks may run there: who fails to take them over does not end them.
    let takes_over = crate::compose::nodes_run(ground.layout())?;
    let account = ground.accounts.ensure_user("updraft").await?;
    let servers = Servers::start(ground.layout(), &parts, &account, &ground.ports, &terminal).await?;
    let outcome = bring_up(args, &ground, runtime, &parts, &environment, &servers, &terminal).await;
    match outcome {
        Ok(processes) => {
            wait_for_stop().await?;
            stop(&ground, processes, servers, &terminal).await
        }
        Err(error) if takes_over => {
            terminal.say(
                "What an earlier `updraft up` left goes on: the next one takes it over, `updraft down` stops it.",
            );
            Err(error)
        }
        Err(error) => {
            terminal.say("Stopping what was started …");
            if let Err(error) = stop_after_failure(ground.layout(), servers).await {
                terminal.say(&format!(
                    "Some of it goes on ({error:#}): `updraft down` stops it."
                ));
            }
            Err(error)
        }
    }
}

async fn install(layout: &Layout, runtime: &Runtime, terminal: &Terminal) -> anyhow::Result<(Parts, EnvDir)> {
    let installer = install_installer(layout, terminal).await?;
    let package = runtime.python_package();
    let files: Vec<_> = package
        .iter()
        .map(|file| updraft_embedded::PackageFile {
            path: &file.path,
            contents: file.content,
        })
        .collect();
    let spec = EnvironmentSpec {
        name: runtime.name(),
        lock: runtime.lock(),
        files: &files,
    };
    let (parts, environment) = tokio::join!(
        install_parts(layout, &installer, terminal),
        install_environment(layout, &installer, spec, terminal)
    );
    Ok((parts?, environment?))
}

/// Static files are compressed beside all the rest: until they are there, the edge forwards to Airflow's own.
async fn bring_up(
    args: &UpArgs,
    ground: &Ground,
    runtime: &Runtime,
    parts: &Parts,
    environment: &EnvDir,
    servers: &Servers,
    terminal: &Terminal,
) -> anyhow::Result<Processes> {
    let assets = ground.layout().root().join(ASSETS);
    let prepared = terminal.step(
        "Static files",
        prepare_assets(&environment.site_packages, &assets, runtime.name()),
    );
    let started = start(args, ground, runtime, parts, environment, servers, terminal);
    let (_, (processes, seeded, demo)) = tokio::try_join!(prepared, started)?;
    summary::print(&ground.ports, &seeded, demo.as_ref(), terminal);
    seeded.forget_password();
    Ok(processes)
}

async fn start(
    args: &UpArgs,
    ground: &Ground,
    runtime: &Runtime,
    parts: &Parts,
    environment: &EnvDir,
    servers: &Servers,
    terminal: &Terminal,
) -> anyhow::Result<(Processes, Seeded, Option<Demo>)> {
    let layout = ground.layout();
    let metadata = servers.metadata.superuser_dsn();
    let own_database = servers.control.superuser_dsn();
    let template_database = format!("template-{}", runtime.name());
    let ((), seeded) = tokio::try_join!(
        terminal.step(
            "Database template",
            template::ensure(
                &metadata,
                &template_database,
                runtime,
                &environment.path,
                layout.root()
            )
        ),
        terminal.step("Control's database", seed::ensure(&own_database, layout)),
    )?;
    let tunnels = args.tunnels.then(|| ground.ports.tunnel_address());
    let trusted_proxies: TrustedProxies = args.trusted_proxy.iter().copied().collect();
    let control = ControlFile {
        data_dir: layout.root().to_owned(),
        port_base: ground.ports.console,
        listen: None,
        trusted_proxies: trusted_proxies.clone(),
        console_url: ground.ports.console_url(),
        airflow_url: args
            .airflow_url
            .clone()
            .unwrap_or_else(|| ground.ports.airflow_url())
            .to_string(),
        database_url: seeded.database_url.clone(),
        metadata_url: metadata,
        metadata_ca_file: None,
        metadata_plain: false,
        master_key_file: ground.master_key_file(),
        edge_token_file: ground.secret("edge-token", 32)?,
        nodes: NodesFile::Local(LocalNodes {
            storage_socket: storage_socket::path(layout),
            storage_key_file: ground.storage_key_file()?,
            broker_binary: parts.valkey_server.clone(),
            uv_binary: parts.uv.clone(),
            runtimes: [(
                runtime.name().to_owned(),
                ReadyRuntime {
                    environment_dir: environment.path.clone(),
                    template_database,
                },
            )]
            .into(),
        }),
        package_index: args.package_index.clone(),
        outbound_allow: args.outbound_allow.clone(),
        log_disk_bytes: config::log_disk_bytes(),
        mail: mail(args)?,
        aws: args.aws_identity.clone().map(|identity| AwsFile {
            identity,
            region: args.aws_region.clone(),
            endpoint: args.aws_endpoint.clone(),
        }),
        identity_refresh_seconds: args.identity_refresh.as_secs(),
        scale_in_after_seconds: args.scale_in_after.as_secs(),
        tunnel_address: tunnels.map(|address| address.to_string()),
    };
    let edge = EdgeFile {
        state_dir: layout.root().join("edge"),
        asset_dir: layout.root().join(ASSETS),
        control_url: ground.ports.internal_url(),
        plain_http: false,
        ca_file: None,
        console_url: control.console_url.clone(),
        edge_token_file: control.edge_token_file.clone(),
        port: ground.ports.edge,
        listen: None,
        https: false,
        trusted_proxies,
        tunnel_listen: tunnels,
        leave_seconds: 0,
        drain_seconds: config::ten_seconds(),
    };
    config::write(&processes::config_file(layout, "control"), &control)?;
    config::write(&processes::config_file(layout, "edge"), &edge)?;
    let processes = Processes::start(layout, &ground.ports, terminal).await?;
    let demo = demo::ensure(!args.no_demo, ground, &seeded, servers, terminal).await?;
    Ok((processes, seeded, demo))
}

/// Control reads the password itself, each time it starts.
fn mail(args: &UpArgs) -> anyhow::Result<Option<MailFile>> {
    let (Some(smtp_url), Some(from)) = (args.smtp_url.clone(), args.mail_from.clone()) else {
        return Ok(None);
    };
    let file = args.smtp_password_file.as_deref();
    Ok(Some(MailFile {
        smtp_url,
        smtp_password_file: file.map(std::path::absolute).transpose()?,
        from,
    }))
}

async fn prepare_assets(site_packages: &Path, assets: &Path, runtime: &str) -> anyhow::Result<()> {
    let (from, to) = (site_packages.to_owned(), assets.join(runtime));
    tokio::task::spawn_blocking(move || updraft_edge::assets::build(&from, &to)).await??;
    Ok(())
}

async fn wait_for_stop() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        done = tokio::signal::ctrl_c() => done?,
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

/// In the same order as [`stop`]; how far `up` had come does not matter.
async fn stop_after_failure(layout: &Layout, servers: Servers) -> anyhow::Result<()> {
    stop_leftover(layout, "control").await?;
    crate::compose::stop_nodes(layout, Duration::from_secs(30)).await?;
    servers.stop().await?;
    stop_leftovers(layout).await?;
    Ok(())
}

/// Control first, so that it does not heal what is being stopped; then nodes, which finish their tasks; then the rest.
async fn stop(
    ground: &Ground,
    processes: Processes,
    servers: Servers,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    terminal
        .say("\nStopping in order; Ctrl-C again leaves the rest to the next `updraft up` or `updraft down`.");
    let in_order = async {
        terminal.step("Stop control", processes.stop_control()).await?;
        terminal
            .step(
                "Stop nodes",
                crate::compose::stop_nodes(ground.layout(), Duration::from_secs(120)),
            )
            .await?;
        terminal.step("Stop edge", processes.stop_edge()).await?;
        terminal.step("Stop storage and databases", servers.stop()).await
    };
    tokio::select! {
        done = in_order => done,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("stopped half-way: `updraft down` stops the rest"),
    }
}
