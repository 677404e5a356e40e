//! Setting one option, putting it back to its default, changing size, packages and tags. What is refused comes back on the page.

use axum::extract::State;
use serde::Deserialize;
use updraft_api::rest::UpdateCluster;
use updraft_model::{ClusterId, EnvironmentSpec, Generation};

use super::cluster::back_to;
use super::configuration::{View, draw};
use super::tags;
use crate::extract::{At, Sent};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;

/// One option's new value. `generation` is what the person saw: a change made meanwhile is not overwritten.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Change {
    generation: Generation,
    key: String,
    #[serde(default)]
    value: String,
    change: Verb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Set,
    Reset,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Resize {
    generation: Generation,
    workers: u32,
    worker_concurrency: u32,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Retag {
    generation: Generation,
    #[serde(default)]
    tags: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Repack {
    generation: Generation,
    #[serde(default)]
    requirements: String,
    #[serde(default)]
    allow_source_builds: Option<String>,
}

pub(crate) async fn change(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Sent(change): Sent<Change>,
) -> Answer {
    let mut config = console.app.show_cluster(&visit.actor, id).await?.spec.config;
    match change.change {
        Verb::Set => config.insert(change.key.clone(), change.value.clone()),
        Verb::Reset => config.shift_remove(&change.key),
    };
    let update = UpdateCluster {
        config: Some(config),
        ..UpdateCluster::default()
    };
    let view = View {
        edit: change.key,
        attempt: Some(change.value),
        ..View::default()
    };
    apply(&console, &visit, id, change.generation, update, view).await
}

pub(crate) async fn resize(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Sent(size): Sent<Resize>,
) -> Answer {
    let (workers, concurrency) = (Some(size.workers), Some(size.worker_concurrency));
    let update = UpdateCluster {
        workers,
        worker_concurrency: concurrency,
        ..UpdateCluster::default()
    };
    apply(&console, &visit, id, size.generation, update, View::default()).await
}

pub(crate) async fn retag(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Sent(retag): Sent<Retag>,
) -> Answer {
    let update = UpdateCluster {
        tags: Some(tags::read(&retag.tags)),
        ..UpdateCluster::default()
    };
    let view = View {
        tags: Some(retag.tags),
        ..View::default()
    };
    apply(&console, &visit, id, retag.generation, update, view).await
}

pub(crate) async fn repack(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Sent(repack): Sent<Repack>,
) -> Answer {
    let current = console.app.show_cluster(&visit.actor, id).await?.spec.environment;
    let update = UpdateCluster {
        environment: Some(EnvironmentSpec {
            // Browsers end lines as mail does.
            requirements: repack.requirements.replace("\r\n", "\n"),
            allow_source_builds: repack.allow_source_builds.is_some(),
            ..current
        }),
        ..UpdateCluster::default()
    };
    let view = View {
        requirements: Some(repack.requirements),
        ..View::default()
    };
    apply(&console, &visit, id, repack.generation, update, view).await
}

async fn apply(
    console: &Console,
    visit: &Visit,
    id: ClusterId,
    seen: Generation,
    update: UpdateCluster,
    view: View,
) -> Answer {
    let after = if update.config.is_some() {
        "/configuration?show=yours"
    } else {
        "/configuration"
    };
    match console
        .app
        .update_cluster(&visit.actor, id, seen, update)
        .await
        .map_err(Refusal::from)
    {
        Ok(_) => Ok(back_to(id, after)),
        Err(failure) if failure.correctable() => draw(console, visit, id, view, Some(failure)).await,
        Err(failure) => Err(failure),
    }
}
