//! Where log lines go: standard error, which whoever started the process sends to its file.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::cli::LocalCommand;

/// `RUST_LOG` decides what is said; without it, people at a terminal are told of warnings only.
pub(crate) fn start(command: &LocalCommand) {
    let default = match command {
        LocalCommand::Up(_)
        | LocalCommand::Down(_)
        | LocalCommand::Operator(_)
        | LocalCommand::Provider(_)
        | LocalCommand::Runtime(_) => "warn",
        LocalCommand::Control(_) | LocalCommand::Edge(_) | LocalCommand::Agent(_) => "info",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
