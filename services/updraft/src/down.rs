//! `updraft down`: stops what `up` started on this machine, also when `up` itself is no more.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use updraft_embedded::{Layout, running_pid, stop_leftover, stop_leftovers};

use crate::cli::DownArgs;
use crate::compose;

const PATIENCE: Duration = Duration::from_secs(180);

/// # Errors
/// When something does not end.
pub(crate) async fn run(args: &DownArgs) -> anyhow::Result<()> {
    let layout = Layout::new(args.data_dir.clone().unwrap_or_else(Layout::default_dir));
    if !layout.version_file().exists() {
        bail!(
            "{} is no Updraft data directory: name it with --data-dir",
            layout.root().display()
        );
    }
    if let Some(pid) = running_pid(&layout) {
        return ask_up(&layout, pid).await;
    }
    stop_rest(&layout).await
}

/// `up` runs: it knows the order.
async fn ask_up(layout: &Layout, pid: i32) -> anyhow::Result<()> {
    eprintln!("Stopping `updraft up` (process {pid}) …");
    kill(Pid::from_raw(pid), Signal::SIGTERM)
        .with_context(|| format!("process {pid} cannot be signalled"))?;
    let begun = Instant::now();
    while running_pid(layout).is_some() {
        if begun.elapsed() > PATIENCE {
            bail!(
                "process {pid} is still stopping after {} s: look at its terminal",
                PATIENCE.as_secs()
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eprintln!("Stopped after {:.0} s.", begun.elapsed().as_secs_f32());
    Ok(())
}

/// `up` was killed: control would heal nodes, so it goes before them; databases go last.
async fn stop_rest(layout: &Layout) -> anyhow::Result<()> {
    let control = stop_leftover(layout, "control").await?;
    compose::stop_nodes(layout, Duration::from_secs(120)).await?;
    let mut stopped = stop_leftovers(layout).await?;
    stopped.extend(control.then(|| "control".to_owned()));
    match stopped.as_slice() {
        [] => eprintln!("Nothing was running."),
        names => eprintln!("Stopped {}.", names.join(", ")),
    }
    Ok(())
}
