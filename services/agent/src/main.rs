//! `updraft-agent`: the agent alone, as nodes get it. It is what `updraft agent` is, without the control plane, its
//! pages and its command line, in a sixth of the size.
//!
//! Exit statuses: 0 when it was stopped, 78 when control refuses this node (starting it again helps nobody), 1 for all
//! else.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

const USAGE: &str = "Usage: updraft-agent --bootstrap FILE [--remains | --check]

  --bootstrap FILE  what this node needs to introduce itself to control, once
  --remains         the node is gone: ship what it left of its logs, and end
  --check           whether this agent could take over the node: change nothing, and end
  --version         print the version and end";

/// `EX_CONFIG` of sysexits.h: the unit does not start it again.
const REFUSED: u8 = 78;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Node(PathBuf),
    Remains(PathBuf),
    Check(PathBuf),
    Version,
}

fn main() -> ExitCode {
    let asked = match parse(std::env::args_os().skip(1)) {
        Ok(asked) => asked,
        Err(mistake) => {
            eprintln!("error: {mistake}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match &asked {
        Asked::Version => {
            println!("updraft-agent {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Asked::Check(bootstrap) => return outcome(updraft_agent::check(bootstrap)),
        Asked::Node(_) | Asked::Remains(_) => log(),
    }
    if let Asked::Node(bootstrap) = &asked
        && let Err(error) = updraft_agent::launch(bootstrap)
    {
        return outcome(Err(error));
    }
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => outcome(runtime.block_on(run(asked))),
        Err(error) => {
            eprintln!("error: the system gives no threads: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Asked, String> {
    let (mut bootstrap, mut remains, mut check) = (None, false, false);
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--bootstrap") => bootstrap = arguments.next().map(PathBuf::from),
            Some("--remains") => remains = true,
            Some("--check") => check = true,
            Some("--version") => return Ok(Asked::Version),
            _ => return Err(format!("{} is not known", argument.display())),
        }
    }
    let bootstrap = bootstrap.ok_or("--bootstrap needs a file")?;
    Ok(match (remains, check) {
        (_, true) => Asked::Check(bootstrap),
        (true, false) => Asked::Remains(bootstrap),
        (false, false) => Asked::Node(bootstrap),
    })
}

/// To standard error, which the node's journal keeps; `RUST_LOG` decides what is said.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

async fn run(asked: Asked) -> updraft_agent::Result<()> {
    match asked {
        Asked::Node(bootstrap) => updraft_agent::run(&bootstrap, stopped()).await,
        Asked::Remains(bootstrap) => updraft_agent::ship_remains(&bootstrap, stopped()).await,
        Asked::Check(_) | Asked::Version => Ok(()),
    }
}

/// Until the process is asked to end.
async fn stopped() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// An error's chain, once, where it is handled.
fn outcome(outcome: updraft_agent::Result<()>) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {}", error.chain());
    match error {
        updraft_agent::Error::ControlRefused { .. } => ExitCode::from(REFUSED),
        _ => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, parse};

    fn asked(line: &str) -> Result<Asked, String> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn a_node_is_told_by_its_file() {
        assert_eq!(asked("--bootstrap /a.json"), Ok(Asked::Node("/a.json".into())));
        assert_eq!(
            asked("--remains --bootstrap /a.json"),
            Ok(Asked::Remains("/a.json".into()))
        );
        assert_eq!(
            asked("--check --bootstrap /a.json"),
            Ok(Asked::Check("/a.json".into()))
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        assert!(asked("--bootstrap").is_err_and(|why| why.contains("needs a file")));
        assert!(asked("--bootstrap /a.json --token x").is_err_and(|why| why.contains("--token")));
    }
}
