//! The node's own script: run once, and again with growing pauses until it works.

use std::time::Duration;

use updraft_api::agent::{ScriptAssignment, ScriptOutcome, ScriptReport};

use super::output::Output;
use super::run::{Run, remove};
use super::{Failed, Ground, text};
use crate::error::{Error, Result};
use crate::layout::{BOOTSTRAP, Layout, SCRIPTS};
use crate::place::Ownership;

const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// What nodes may go back to needs not be run again.
const KEPT: usize = 2;

/// Whether this node has run it to its good end, in whichever agent's life.
pub(super) fn was_run(layout: &Layout, digest: &str) -> bool {
    let there = layout.path(&directory(digest)).is_dir();
    there && done(layout).iter().any(|done| done == digest)
}

/// Runs it until it has worked. Each end is told.
pub(super) async fn until_done(
    wanted: ScriptAssignment,
    ground: Ground,
    tell: impl Fn(ScriptReport) + Send + Sync + 'static,
) {
    let tell = |outcome| {
        tell(ScriptReport {
            digest: wanted.digest.clone(),
            outcome,
        });
    };
    let mut pause = FIRST_PAUSE;
    loop {
        match once(&wanted, &ground).await {
            Ok(()) => return tell(ScriptOutcome::Done),
            Err(failed) => tell(failed.outcome()),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn once(wanted: &ScriptAssignment, ground: &Ground) -> std::result::Result<(), Failed> {
    let text = text::of(&wanted.from, &ground.delivery).await?;
    let mut output = Output::open(&ground.layout)?;
    output.note("The bootstrap script begins.");
    let run = Run {
        ground,
        text: &text,
        directory: directory(&wanted.digest),
        env: wanted.env.clone(),
        limits: wanted.limits,
    };
    match run.to_its_end(&mut output).await {
        Ok(()) => {
            output.note("The bootstrap script is done.");
            Ok(note_done(ground, &wanted.digest)?)
        }
        Err(failed) => {
            let how = failed.message.lines().next().unwrap_or_default();
            output.note(&format!("The bootstrap script failed. {how}"));
            remove(ground, &run.directory)?;
            Err(failed)
        }
    }
}

fn directory(digest: &str) -> String {
    format!("{BOOTSTRAP}/{digest}")
}

/// Newest last.
fn done(layout: &Layout) -> Vec<String> {
    let read = layout.place().read(SCRIPTS).ok().flatten();
    read.and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

fn note_done(ground: &Ground, digest: &str) -> Result<()> {
    let mut all = done(&ground.layout);
    all.retain(|other| other != digest);
    all.push(digest.to_owned());
    let gone: Vec<_> = all.drain(..all.len().saturating_sub(KEPT)).collect();
    let bytes = serde_json::to_vec(&all).map_err(|source| Error::Format {
        path: ground.layout.path(SCRIPTS),
        source,
    })?;
    ground
        .layout
        .place()
        .write(SCRIPTS, &bytes, 0o600, Ownership::Agent)?;
    gone.iter()
        .try_for_each(|digest| remove(ground, &directory(digest)))
}
