//! The command line as a whole: it parses, and `docs/cli.md` says what it says.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Command, CommandFactory as _, Parser as _};

use super::Cli;

const HEAD: &str = "\
# The `updraft` command

Made from the program's own help by `UPDRAFT_BLESS=1 cargo test -p updraft cli_reference`; a test compares the two.
";

#[test]
fn the_tree_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn cli_reference_is_up_to_date() {
    let mut text = HEAD.to_owned();
    describe(&mut root(), &mut text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    if std::env::var_os("UPDRAFT_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/cli.md is old: run UPDRAFT_BLESS=1 cargo test -p updraft cli_reference"
    );
}

#[test]
fn every_command_that_can_be_run_shows_an_example() {
    fn walk(command: &Command) {
        if command.has_subcommands() && command.get_after_help().is_none() {
            command.get_subcommands().for_each(walk);
        } else {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                help.contains("Example"),
                "`updraft {}` shows no example",
                command.get_name()
            );
            command.get_subcommands().for_each(walk);
        }
    }
    walk(&root());
}

#[test]
fn no_secret_can_be_given_on_the_command_line() {
    for wrong in [["login", "--password", "x"], ["status", "--token", "x"]] {
        let typed = ["updraft"].into_iter().chain(wrong);
        assert!(Cli::try_parse_from(typed).is_err(), "{wrong:?}");
    }
}

#[test]
fn usual_commands_parse() {
    for typed in [
        "up",
        "up --data-dir /x --port-base 8800 --no-demo -y",
        "down",
        "control --config f",
        "edge --config f",
        "agent --bootstrap f",
        "login http://localhost:1 --email a@b.c --password-stdin",
        "status -o json",
        "cluster create a --workers 2 --config core.parallelism=4 --wait --timeout 90s",
        "cluster services demo",
        "cluster services restart demo worker --node worker-1 --wait",
        "cluster delete demo --yes",
        "cluster events 1 --follow",
        "completions zsh",
        "up --smtp-url smtps://a@b.c --smtp-password-file f --mail-from a@b.c",
        "person password-link a@b.c",
        "person remove-second-factor a@b.c",
        "session list --person a@b.c",
        "session revoke 0197c2c4-7a10-7d1e-b7a3-2f1f1a7c9f00",
        "session revoke --all --person a@b.c",
        "tenant create Lab --owner a@b.c --max-clusters 3",
        "tenant list --all",
        "tenant switch Lab",
        "tenant delete Lab --yes",
        "operator grant a@b.c --data-dir /x",
    ] {
        Cli::try_parse_from(["updraft"].into_iter().chain(typed.split(' ')))
            .unwrap_or_else(|e| panic!("{e}"));
    }
    for typed in [
        "cluster create A",
        "cluster start",
        "cluster services",
        "cluster update demo",
        "cluster start a --timeout 5",
        "up --smtp-url smtps://a:secret@b.c --mail-from a@b.c",
        "up --smtp-url smtps://a@b.c",
        "up --smtp-password-file f",
        "session revoke",
        "session revoke --person a@b.c",
        "tenant create Lab",
        "tenant update Lab",
        "tenant delete Lab",
    ] {
        assert!(
            Cli::try_parse_from(["updraft"].into_iter().chain(typed.split(' '))).is_err(),
            "{typed}"
        );
    }
}

fn root() -> Command {
    let mut root = Cli::command().term_width(100);
    root.build();
    root
}

fn describe(command: &mut Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or("updraft").to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<_> = help.trim_end().lines().map(str::trim_end).collect();
    writeln!(text, "\n## {name}\n\n```text\n{}\n```", help.join("\n")).unwrap();
    for sub in command.get_subcommands_mut() {
        describe(sub, text);
    }
}
