//! Starting agents, each in a session of its own: they outlive control and no terminal's Ctrl-C reaches them.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};
use updraft_model::NodeId;

use super::layout::{AgentRecord, LocalLayout, bootstrap_in};
use super::process::{ProcessId, boot_id};

/// Variables an agent inherits (among them whose certificates are trusted); all else is control's own business.
const INHERITED: [&str; 8] = [
    "PATH",
    "LANG",
    "TZ",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Starts the node's agent and records it. The child is returned to be waited for.
pub(super) fn spawn(layout: &LocalLayout, program: &[OsString], node: NodeId) -> io::Result<Child> {
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(layout.agent_log(node))?;
    let mut command = detached(program)?;
    told(&mut command, &layout.bootstrap(node), &layout.node_dir(node));
    command.stdout(log.try_clone()?).stderr(log);
    let child = command.spawn()?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let process = pid
        .and_then(ProcessId::of)
        .ok_or_else(|| io::Error::other("the agent ended at once"))?;
    layout.write_agent(
        node,
        &AgentRecord {
            process,
            boot: boot_id(),
        },
    )?;
    Ok(child)
}

/// Starts what ships the logs of a node that is gone: it ends by itself, or when it is dropped.
pub(super) fn spawn_for_remains(program: &[OsString], remains: &Path) -> io::Result<Child> {
    let (name, arguments) = split(program)?;
    let mut command = Command::new(name);
    command.args(arguments);
    told(&mut command, &bootstrap_in(remains), remains);
    command
        .arg("--remains")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

fn told(command: &mut Command, bootstrap: &Path, directory: &Path) {
    command
        .arg("--bootstrap")
        .arg(bootstrap)
        .current_dir(directory)
        .env_clear()
        .envs(
            INHERITED
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .stdin(Stdio::null());
}

fn split(program: &[OsString]) -> io::Result<(&OsString, &[OsString])> {
    program
        .split_first()
        .ok_or_else(|| io::Error::other("no agent program is configured"))
}

/// Without `setsid` (util-linux) a process group of its own must do; the agent's services have sessions anyway.
fn detached(program: &[OsString]) -> io::Result<Command> {
    let (name, arguments) = split(program)?;
    let mut command = match find("setsid") {
        Some(setsid) => {
            let mut command = Command::new(setsid);
            command.arg(name);
            command
        }
        None => {
            let mut command = Command::new(name);
            command.process_group(0);
            command
        }
    };
    command.args(arguments).kill_on_drop(false);
    Ok(command)
}

fn find(program: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(program))
        .find(|path| path.is_file())
}
