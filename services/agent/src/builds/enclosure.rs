//! Keeps a build's processes among themselves: a process table, a `/proc` and shared memory of their own, and none of the
//! cluster's own places.
//!
//! What setup code runs has the same user as the cluster's services. In here it sees and signals none of them, reads no
//! secret from their environments or files, leaves nothing that they would load, reaches no socket of theirs that is a
//! file, gains no right from a set-user-id program, and ends with its first process, wherever it hid. What everybody may
//! write to is its own directory's `tmp`, so that it counts as its own. By `unshare`, `mount` and `setpriv` (util-linux): as
//! root it also changes the user; others need a kernel that lets them make user namespaces. Without it the same user's
//! rights are all that stands between, and the log says so.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::place::Owner;
use crate::supervise::detached;

const UNSHARE: &str = "/usr/bin/unshare";
const SHELL: &str = "/bin/sh";
/// What is run, one that stays readable (or nothing), what is covered, `--`, what becomes its own `tmp`, `--`, the command.
/// Descriptors lead to what lies below a cover; the environment is a tenant's, and not for what mounts.
const COVER: &str = r#"set -e
place() { /usr/bin/env -i /usr/bin/mount "$@"; }
own=$1; kept=$2; shift 2
exec 8<"$own"
if [ -n "$kept" ]; then exec 9<"$kept"; fi
all=
while [ "$1" != -- ]; do
  place -t tmpfs -o size=64k,mode=755,nosuid,nodev updraft "$1"
  all="$all $#"; eval "covered_$#=\$1"; shift
done
shift
mkdir -p "$own"
place -c --bind /proc/self/fd/8 "$own"
if [ -n "$kept" ]; then
  mkdir -p "$kept"
  place -c --bind /proc/self/fd/9 "$kept"
  place -o remount,bind,ro "$kept"
fi
for number in $all; do eval "place -o remount,bind,ro \"\$covered_$number\""; done
while [ "$1" != -- ]; do place --bind "$own/tmp" "$1"; shift; done
shift
cd "$own"
exec 8<&- 9<&-
exec "$@""#;
/// Everybody writes there.
const OPEN_TO_ALL: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/run/lock"];

/// What processes in it have of the machine's files.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// Where they work; has a `tmp`.
    pub(crate) own: &'a Path,
    /// Stays readable though it lies in what is covered.
    pub(crate) kept: Option<&'a Path>,
    /// Nothing of it is seen.
    pub(crate) covered: &'a [PathBuf],
}

/// All that a cluster's services have on this machine beside environments: its nodes' directories and what they share.
pub(crate) fn private_places(node: &Path, shared: &Path) -> Vec<PathBuf> {
    let ours = node.symlink_metadata().map(|meta| (meta.uid(), meta.gid())).ok();
    let beside = node.parent().and_then(|parent| std::fs::read_dir(parent).ok());
    let nodes = beside
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.join("agent").is_dir()
                && path.symlink_metadata().map(|meta| (meta.uid(), meta.gid())).ok() == ours
        });
    let mut places: Vec<_> = nodes.chain([node.to_owned(), shared.to_owned()]).collect();
    places.sort();
    places.dedup();
    places.retain(|path| path.is_dir());
    places
}

/// The command, enclosed where this machine can.
pub(crate) fn enclosed(
    program: &str,
    arguments: &[String],
    env: &BTreeMap<String, String>,
    view: &View<'_>,
    owner: Option<Owner>,
) -> Command {
    if !is_possible() {
        return detached(program, arguments, env, view.own.to_owned(), owner);
    }
    let mut all = options();
    all.extend(view.words(program));
    all.extend(dropping(owner));
    all.push(program.to_owned());
    all.extend_from_slice(arguments);
    // It changes the user itself, once it has made what only the agent's may make.
    detached(UNSHARE, &all, env, view.own.to_owned(), None)
}

/// Whoever mounts is root in there.
fn options() -> Vec<String> {
    let table = ["--pid", "--fork", "--mount-proc", "--ipc", "--kill-child"];
    let user = ["--user", "--map-root-user"];
    let is_root = rustix::process::geteuid().is_root();
    let user = if is_root { &[][..] } else { &user[..] };
    let all = table
        .iter()
        .chain(user)
        .chain(&["--", SHELL, "-c", COVER, "cover"]);
    all.map(|word| (*word).to_owned()).collect()
}

/// From root to who the services are; without any right to undo what was made.
fn dropping(owner: Option<Owner>) -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let user = format!("--map-user={}", uid.as_raw());
        let group = format!("--map-group={}", gid.as_raw());
        return [UNSHARE, "--user", &user, &group, "--"]
            .map(str::to_owned)
            .to_vec();
    }
    let Some(owner) = owner else {
        return Vec::new();
    };
    let (uid, gid) = (format!("--reuid={}", owner.uid), format!("--regid={}", owner.gid));
    let rights = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"];
    ["/usr/bin/setpriv", &uid, &gid, "--clear-groups"]
        .iter()
        .chain(&rights)
        .map(|word| (*word).to_owned())
        .collect()
}

/// Tried once: it needs the programs and, for others than root, the kernel's permission.
pub(crate) fn is_possible() -> bool {
    static POSSIBLE: OnceLock<bool> = OnceLock::new();
    *POSSIBLE.get_or_init(|| {
        let words = ["/proc", "", "/dev/shm", "--", "--"].map(str::to_owned);
        let tried = Command::new(UNSHARE)
            .args(options())
            .args(words)
            .args(dropping(None))
            .arg("true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let possible = tried.is_ok_and(|status| status.success());
        if !possible {
            tracing::warn!(
                "Builds of environments see other processes and files of their user: `unshare` can't keep them apart"
            );
        }
        possible
    })
}

// === impl View ===

impl View<'_> {
    fn words(&self, program: &str) -> Vec<String> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let covered = self.covered.iter().map(|path| text(path));
        let end = || std::iter::once("--".to_owned());
        let open = OPEN_TO_ALL.into_iter().filter(|place| {
            let needed = self.own.starts_with(place) || Path::new(program).starts_with(place);
            Path::new(place).is_dir() && !needed
        });
        [text(self.own), self.kept.map(text).unwrap_or_default()]
            .into_iter()
            .chain(covered)
            .chain(end())
            .chain(open.map(str::to_owned))
            .chain(end())
            .collect()
    }
}
