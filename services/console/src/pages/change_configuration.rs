//! Setting one option, putting it back to its default, changing size, packages and tags. What is refused comes back on the page.

use axum::extract::State;
use serde::Deserialize;
use updraft_api::rest::UpdateCluster;
use updraft_app::AppError;
use updraft_model::{ClusterId, CredentialName, EnvironmentSpec, Generation, PackageIndex, RequirementsFile};

use super::cluster::back_to;
use super::configuration::{View, draw};
use super::{tags, worker_queues};
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
    /// Absent where its queue says how many `default` has.
    #[serde(default)]
    workers: Option<u32>,
    #[serde(default)]
    worker_concurrency: Option<u32>,
    #[serde(default)]
    worker_queues: Option<String>,
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
    from_dags: String,
    #[serde(default)]
    extras: String,
    #[serde(default)]
    package_index: String,
    #[serde(default)]
    index_credential: String,
    #[serde(default)]
    allow_source_builds: Option<String>,
    #[serde(default)]
    own_builds: Option<String>,
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
    let queues = size.worker_queues.as_deref().map(worker_queues::read).transpose();
    let view = View {
        worker_queues: size.worker_queues,
        ..View::default()
    };
    let queues = match queues {
        Ok(queues) => queues,
        Err(error) => return draw(&console, &visit, id, view, Some(error.into())).await,
    };
    // A queue named `default` takes the place of the fields beside it.
    let says_default = queues.iter().flatten().any(|queue| queue.name.is_default());
    let update = UpdateCluster {
        workers: size.workers.filter(|_| !says_default),
        worker_concurrency: size.worker_concurrency.filter(|_| !says_default),
        worker_queues: queues,
        ..UpdateCluster::default()
    };
    apply(&console, &visit, id, size.generation, update, view).await
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
    let view = View {
        requirements: Some(repack.requirements.clone()),
        ..View::default()
    };
    let package_index = match index(&repack.package_index, &repack.index_credential) {
        Ok(index) => index,
        Err(error) => return draw(&console, &visit, id, view, Some(error.into())).await,
    };
    let update = UpdateCluster {
        environment: Some(EnvironmentSpec {
            // Browsers end lines as mail does.
            requirements: repack.requirements.replace("\r\n", "\n"),
            allow_source_builds: repack.allow_source_builds.is_some(),
            own_builds: repack.own_builds.is_some(),
            from_dags: file(&repack.from_dags, &repack.extras),
            package_index,
            ..current
        }),
        ..UpdateCluster::default()
    };
    apply(&console, &visit, id, repack.generation, update, view).await
}

fn file(path: &str, extras: &str) -> Option<RequirementsFile> {
    let path = path.trim();
    (!path.is_empty()).then(|| RequirementsFile {
        path: path.to_owned(),
        extras: extras.split_whitespace().map(str::to_owned).collect(),
    })
}

fn index(url: &str, credential: &str) -> Result<Option<PackageIndex>, AppError> {
    let (url, credential) = (url.trim(), credential.trim());
    if url.is_empty() {
        return Ok(None);
    }
    let named = (!credential.is_empty()).then(|| credential.parse::<CredentialName>());
    let credential = named.transpose().map_err(|error| AppError::Invalid {
        field: "environment.package_index.credential".to_owned(),
        why: error.to_string(),
    })?;
    Ok(Some(PackageIndex {
        url: url.to_owned(),
        credential,
    }))
}

pub(super) async fn apply(
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
