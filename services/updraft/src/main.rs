//! The `updraft` binary: parses the command line and hands over to the face that was asked for.

mod cli;
mod compose;
mod config;
mod down;
mod installation_keys;
mod master_key;
mod operator;
mod operator_agents;
mod provider;
mod runtime;
mod telemetry;
mod up;

use std::process::ExitCode;

use cli::args::Format;
use cli::{Command, LocalCommand};

/// The edge allocates for every request: this costs it less than the C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::parse();
    // One provider for all of TLS; a second install would be a mistake of ours.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("error: TLS could not be set up");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the system gives no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match cli.command {
        Command::Remote(command) => runtime.block_on(cli::remote::run(*command, &cli.global)),
        Command::Local(command) => {
            telemetry::start(&command);
            report(runtime.block_on(local(command, cli.global.output)))
        }
    }
}

async fn local(command: LocalCommand, output: Format) -> anyhow::Result<()> {
    match command {
        LocalCommand::Up(args) => up::run(&args).await,
        LocalCommand::Down(args) => down::run(&args).await,
        LocalCommand::Operator(args) => operator::run(&args).await,
        LocalCommand::Provider(args) => provider::run(&args.command, output).await,
        LocalCommand::Runtime(args) => runtime::run(&args.command).await,
        LocalCommand::Control(args) => compose::control(&args.config).await,
        LocalCommand::Edge(args) => compose::edge(&args.config).await,
        LocalCommand::Agent(args) => compose::agent(&args).await,
    }
}

/// An error's chain, once, where it is handled.
fn report(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
