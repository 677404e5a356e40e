//! What an agent does first: it becomes the release that this node is to run.
//!
//! The unit always starts the agent that the node was made with, which no later one can change.

use std::convert::Infallible;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fetch::{PROGRAM, directory};
use super::kept::{Kept, Start, Trial};
use crate::bootstrap;
use crate::error::{Error, Result};
use crate::place::Place;

/// Beside an agent's file: the SHA-256 of the archive that it came in.
pub(super) const DIGEST: &str = ".sha256";

/// Does not return where another release is to run here. Where this one is: `Ok`.
///
/// # Errors
/// When the bootstrap file can't be read, or the node's directory not be opened.
pub fn launch(bootstrap_path: &Path) -> Result<()> {
    let bootstrap = bootstrap::read(bootstrap_path)?;
    if bootstrap.instance.is_none() {
        return Ok(());
    }
    let place = Place::open(Path::new(&bootstrap.node_dir), None)?;
    if is_launched(&place) {
        return Ok(());
    }
    let mut kept = Kept::load(&place).unwrap_or_else(|error| {
        tracing::error!(
            error = error.chain(),
            "What was noted of other agents can't be read"
        );
        Kept::default()
    });
    let mut noted = kept.clone();
    // In turn: who can't be started makes the next one's turn.
    loop {
        let start = kept.start();
        if kept != noted
            && let Err(error) = kept.save(&place)
        {
            // A trial that is not noted would be begun for ever.
            tracing::error!(error = error.chain(), "What becomes of the agent can't be noted");
            return Ok(());
        }
        noted.clone_from(&kept);
        let failed = match &start {
            Start::Made => return Ok(()),
            Start::Trial(trial) => become_on_trial(&place, trial),
            Start::Proven(release) => become_release(&place, release),
        };
        let Err(error) = failed;
        tracing::error!(error = error.chain(), "An agent can't be started");
        match start {
            Start::Trial(_) => kept.refuse(error.chain()),
            Start::Proven(_) | Start::Made => kept.give_up_proven(),
        }
    }
}

/// The release that this process is.
pub(super) fn own_release() -> Option<String> {
    let own = std::env::current_exe().ok()?;
    let digest = std::fs::read_to_string(own.parent()?.join(DIGEST)).ok()?;
    let digest = digest.trim();
    (digest.len() == 64).then(|| digest.to_owned())
}

fn is_launched(place: &Place) -> bool {
    let releases = std::fs::canonicalize(place.path().join(super::kept::RELEASES));
    let own = std::env::current_exe();
    matches!((own, releases), (Ok(own), Ok(releases)) if own.starts_with(&releases))
}

/// The kernel ends it when its time is over, however it hangs: an alarm outlives the change of program, and the new one
/// takes it back once control has heard it.
fn become_on_trial(place: &Place, trial: &Trial) -> Result<Infallible> {
    tracing::info!(release = trial.release, "Another agent is tried");
    nix::unistd::alarm::set(trial.prove_within_s.clamp(1, 600));
    let failed = become_release(place, &trial.release);
    nix::unistd::alarm::cancel();
    failed
}

fn become_release(place: &Place, release: &str) -> Result<Infallible> {
    let program: PathBuf = place.path().join(directory(release)).join(PROGRAM);
    let error = Command::new(&program).args(std::env::args_os().skip(1)).exec();
    Err(Error::file("run", &program)(error))
}
