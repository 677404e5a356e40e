//! Starting agents, each in a session of its own: they outlive control and no terminal's Ctrl-C reaches them.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};
use updraft_model::NodeId;

use super::layout::{AgentRecord, LocalLayout};
use super::process::{ProcessId, boot_id};

/// Variables an agent inherits; all else is control's own business.
const INHERITED: [&str; 6] = ["PATH", "LANG", "TZ", "RUST_LOG", "RUST_BACKTRACE", "HOME"];

/// Starts the node's agent and records it. The child is returned to be waited for.
pub(super) fn spawn(layout: &LocalLayout, program: &[OsString], node: NodeId) -> io::Result<Child> {
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(layout.agent_log(node))?;
    let mut command = detached(program)?;
    command
        .arg("--bootstrap")
        .arg(layout.bootstrap(node))
        .current_dir(layout.node_dir(node))
        .env_clear()
        .envs(
            INHERITED
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
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

/// Without `setsid` (util-linux) a process group of its own must do; the agent's services have sessions anyway.
fn detached(program: &[OsString]) -> io::Result<Command> {
    let (name, arguments) = program
        .split_first()
        .ok_or_else(|| io::Error::other("no agent program is configured"))?;
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
