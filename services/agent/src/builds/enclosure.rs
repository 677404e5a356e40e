//! Keeps a build's processes among themselves: a process table and a `/proc` of their own.
//!
//! What setup code runs has the same user as the cluster's services. In here it sees and signals none of them, reads no
//! secret from their environments, and ends with its first process, wherever it hid. By `unshare` (util-linux): as root
//! it also changes the user; others need a kernel that lets them make user namespaces. Without it the same user's rights
//! are all that stands between, and the log says so.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::place::Owner;
use crate::supervise::detached;

const UNSHARE: &str = "/usr/bin/unshare";

/// The command, enclosed where this machine can.
pub(crate) fn enclosed(
    program: &str,
    arguments: &[String],
    env: &BTreeMap<String, String>,
    directory: &Path,
    owner: Option<Owner>,
) -> Command {
    if !is_possible() {
        return detached(program, arguments, env, directory.to_owned(), owner);
    }
    let mut all = options(owner);
    all.push("--".to_owned());
    all.push(program.to_owned());
    all.extend_from_slice(arguments);
    // It changes the user itself, once it has made what only the agent's may make.
    detached(UNSHARE, &all, env, directory.to_owned(), None)
}

fn options(owner: Option<Owner>) -> Vec<String> {
    let mut options = ["--pid", "--fork", "--mount-proc", "--kill-child"]
        .map(str::to_owned)
        .to_vec();
    match owner {
        Some(owner) => options.extend([
            format!("--setgid={}", owner.gid),
            format!("--setuid={}", owner.uid),
        ]),
        None if rustix::process::geteuid().is_root() => {}
        None => options.extend(["--user", "--map-current-user"].map(str::to_owned)),
    }
    options
}

/// Tried once: it needs the program and, for others than root, the kernel's permission.
fn is_possible() -> bool {
    static POSSIBLE: OnceLock<bool> = OnceLock::new();
    *POSSIBLE.get_or_init(|| {
        let tried = Command::new(UNSHARE)
            .args(options(None))
            .args(["--", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let possible = tried.is_ok_and(|status| status.success());
        if !possible {
            tracing::warn!(
                "Builds of environments see other processes of their user: `unshare` can't make them a table of their own"
            );
        }
        possible
    })
}
