//! Completion scripts, made from the same tree that parses.

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use super::error::CliError;
use super::{Cli, output};

#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell to complete in
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "updraft", &mut script);
    output::print(String::from_utf8_lossy(&script).trim_end())
}
