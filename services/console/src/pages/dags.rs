//! A cluster's DAGs: sources, the live version and its receipt, what cannot be imported, and versions to go back to.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use updraft_api::agent::ImportError;
use updraft_api::dags::{DagHookMade, DagHookView, DagState, DagVersionView, PutDagHook, short};
use updraft_api::rest::{ClusterView, UpdateCluster};
use updraft_model::{ClusterId, ClusterRole, DagFolder, DagHookId, FolderSource, Generation};

use super::cluster::{Head, Tab, back_to};
use super::packages;
use crate::error::Complaint;
use crate::extract::{At, Sent};
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::text::{Moment, bytes, count};

#[derive(Template)]
#[template(path = "pages/dags.html")]
pub(crate) struct DagsPage {
    pub(crate) frame: Frame,
    pub(crate) head: Head,
    pub(crate) complaint: Option<Complaint>,
    pub(crate) dags: Dags,
    pub(crate) may_change: bool,
    pub(crate) generation: Generation,
    /// One `folder=source` a line.
    pub(crate) sources: String,
    pub(crate) hooks: Vec<Hook>,
    /// Just made: its secret is on this page and never again.
    pub(crate) made: Option<DagHookMade>,
}

/// What is live on the page.
#[derive(Template)]
#[template(path = "pages/dag_state.html")]
pub(crate) struct Dags {
    cluster: ClusterId,
    may_change: bool,
    sources: Vec<Source>,
    receipt: Option<String>,
    /// Where the version asks for packages that nodes do not have.
    packages: Option<String>,
    current: Option<String>,
    pinned: Option<String>,
    errors: Vec<ImportError>,
    versions: Vec<Version>,
}

struct Source {
    folder: String,
    place: String,
    trouble: Option<String>,
}

struct Version {
    digest: String,
    brief: String,
    of: String,
    message: Option<String>,
    age: Moment,
    size: String,
    read: String,
    errors: usize,
    live: bool,
    pinned: bool,
}

pub(crate) struct Hook {
    id: DagHookId,
    folder: String,
    url: String,
    called: Option<Moment>,
}

impl HtmlSafe for Dags {}

// === impl Dags ===

impl Dags {
    pub(crate) fn new(
        cluster: &ClusterView,
        state: &DagState,
        versions: &[DagVersionView],
        now: DateTime<Utc>,
    ) -> Self {
        let live = state.live.as_ref();
        let parsed = live.and_then(|live| live.parsed.as_ref());
        Self {
            cluster: cluster.id,
            may_change: cluster.role == ClusterRole::Admin,
            sources: state
                .sources
                .iter()
                .map(|one| Source {
                    folder: one.folder.to_string(),
                    place: one.source.to_string(),
                    trouble: one.trouble.clone(),
                })
                .collect(),
            receipt: live.map(|live| live.receipt(state.nodes_on_live, state.nodes)),
            packages: state.environment.as_ref().map(packages::of_dags),
            current: state.current.as_deref().map(short),
            pinned: state.pinned.as_deref().map(short),
            errors: parsed
                .map(|parsed| parsed.import_errors.clone())
                .unwrap_or_default(),
            versions: versions
                .iter()
                .map(|version| Version::new(version, state, now))
                .collect(),
        }
    }
}

// === impl Version ===

impl Version {
    fn new(version: &DagVersionView, state: &DagState, now: DateTime<Utc>) -> Self {
        let of = version.sources.iter().map(|source| {
            let author = source.author.as_deref().map(|author| format!(" by {author}"));
            short(&source.revision) + &author.unwrap_or_default()
        });
        let parsed = version.parsed.as_ref();
        let dags = parsed.map(|parsed| usize::try_from(parsed.dags).unwrap_or(usize::MAX));
        Self {
            brief: short(&version.digest),
            of: of.collect::<Vec<_>>().join(", "),
            message: version.sources.iter().find_map(|source| source.message.clone()),
            age: Moment::new(version.published_at, now),
            size: format!(
                "{}, {}",
                count(
                    usize::try_from(version.files).unwrap_or(usize::MAX),
                    "file",
                    "files"
                ),
                bytes(version.bytes)
            ),
            read: dags.map_or_else(|| "not read yet".to_owned(), |dags| count(dags, "DAG", "DAGs")),
            errors: parsed.map_or(0, |parsed| parsed.import_errors.len()),
            live: state.current.as_ref() == Some(&version.digest),
            pinned: state.pinned.as_ref() == Some(&version.digest),
            digest: version.digest.clone(),
        }
    }
}

// === impl DagsPage ===

impl DagsPage {
    pub(crate) fn new(
        frame: Frame,
        cluster: &ClusterView,
        dags: Dags,
        hooks: Vec<DagHookView>,
        now: DateTime<Utc>,
    ) -> Self {
        let lines: Vec<_> = cluster.spec.dag_sources.iter().map(FolderSource::typed).collect();
        Self {
            frame,
            head: Head::new(cluster, Tab::Dags),
            complaint: None,
            may_change: dags.may_change,
            dags,
            generation: cluster.generation,
            sources: lines.join("\n"),
            hooks: hooks
                .into_iter()
                .map(|hook| Hook {
                    id: hook.id,
                    folder: hook.folder,
                    url: hook.url,
                    called: hook.called_at.map(|at| Moment::new(at, now)),
                })
                .collect(),
            made: None,
        }
    }
}

// === handlers ===

#[derive(Deserialize)]
pub(crate) struct Sources {
    generation: i64,
    sources: String,
}

#[derive(Deserialize)]
pub(crate) struct Back {
    digest: String,
}

#[derive(Deserialize)]
pub(crate) struct HookOf {
    #[serde(default)]
    folder: DagFolder,
}

pub(crate) async fn show(State(console): State<Console>, visit: Visit, At(id): At<ClusterId>) -> Answer {
    let page = page(&console, &visit, id).await?;
    Ok(Html(page.render()?).into_response())
}

pub(crate) async fn change(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Sent(form): Sent<Sources>,
) -> Answer {
    let changed = match read(&form.sources) {
        Err(complaint) => Err((StatusCode::UNPROCESSABLE_ENTITY, complaint)),
        Ok(sources) => {
            let update = UpdateCluster {
                dag_sources: Some(sources),
                ..UpdateCluster::default()
            };
            let seen = Generation(form.generation);
            match console.app.update_cluster(&visit.actor, id, seen, update).await {
                Ok(_) => Ok(()),
                Err(error) => match Refusal::from(error) {
                    refusal if refusal.correctable() => Err((refusal.status(), refusal.complaint())),
                    refusal => return Err(refusal),
                },
            }
        }
    };
    let Err((status, complaint)) = changed else {
        return Ok(back_to(id, "/dags"));
    };
    let page = DagsPage {
        complaint: Some(complaint),
        sources: form.sources,
        ..page(&console, &visit, id).await?
    };
    Ok((status, Html(page.render()?)).into_response())
}

pub(crate) async fn sync(State(console): State<Console>, visit: Visit, At(id): At<ClusterId>) -> Answer {
    console.app.sync_dags(&visit.actor, id).await?;
    Ok(back_to(id, "/dags"))
}

pub(crate) async fn roll_back(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Sent(back): Sent<Back>,
) -> Answer {
    console.app.roll_back_dags(&visit.actor, id, &back.digest).await?;
    Ok(back_to(id, "/dags"))
}

pub(crate) async fn follow(State(console): State<Console>, visit: Visit, At(id): At<ClusterId>) -> Answer {
    console.app.follow_dags(&visit.actor, id).await?;
    Ok(back_to(id, "/dags"))
}

pub(crate) async fn make_hook(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Sent(of): Sent<HookOf>,
) -> Answer {
    let asked = PutDagHook { folder: of.folder };
    let made = console.app.put_dag_hook(&visit.actor, id, asked).await?;
    let page = DagsPage {
        made: Some(made),
        ..page(&console, &visit, id).await?
    };
    Ok(Html(page.render()?).into_response())
}

pub(crate) async fn delete_hook(
    State(console): State<Console>,
    visit: Visit,
    At((id, hook)): At<(ClusterId, DagHookId)>,
) -> Answer {
    console.app.delete_dag_hook(&visit.actor, id, hook).await?;
    Ok(back_to(id, "/dags"))
}

/// What the page and its live stream show.
pub(crate) async fn state(
    console: &Console,
    actor: &updraft_app::Actor,
    cluster: &ClusterView,
) -> Result<Dags, Refusal> {
    let state = console.app.show_dags(actor, cluster.id).await?;
    let versions = console.app.list_dag_versions(actor, cluster.id).await?.items;
    Ok(Dags::new(cluster, &state, &versions, Utc::now()))
}

async fn page(console: &Console, visit: &Visit, id: ClusterId) -> Result<DagsPage, Refusal> {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    let dags = state(console, &visit.actor, &cluster).await?;
    let hooks = match cluster.role {
        ClusterRole::Admin => console.app.list_dag_hooks(&visit.actor, id).await?.items,
        ClusterRole::User => Vec::new(),
    };
    let frame = visit.frame().on(Here::Clusters);
    Ok(DagsPage::new(frame, &cluster, dags, hooks, Utc::now()))
}

/// One source a line.
pub(super) fn read(text: &str) -> Result<Vec<FolderSource>, Complaint> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            line.parse().map_err(|error: updraft_model::InvalidSource| {
                Complaint::new(format!("“{line}” is no source."), error.to_string())
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use updraft_model::ClusterRole;

    use super::{DagsPage, read};
    use crate::{fixtures, fixtures_dags};

    #[test]
    fn an_admin_sees_receipt_errors_versions_and_the_way_back() {
        let html = fixtures_dags::dags_page(fixtures::frame()).render().unwrap();
        for part in [
            "on 3/3 nodes",
            "etl/load.py:12",
            "Roll back",
            "/clusters/1/dags/rollback",
            "the repository is away",
            "Change sources",
            "never",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert_eq!(
            html.matches("Roll back<").count(),
            1,
            "the live version is none to go back to"
        );
    }

    #[test]
    fn a_user_sees_and_changes_nothing() {
        let mut cluster = fixtures::cluster(1, "demo");
        cluster.role = ClusterRole::User;
        let (state, versions) = fixtures_dags::dags();
        let dags = super::Dags::new(&cluster, &state, &versions, fixtures::now());
        let page = DagsPage::new(fixtures::frame(), &cluster, dags, Vec::new(), fixtures::now());
        let html = page.render().unwrap();
        assert!(
            html.contains("on 3/3 nodes") && !html.contains("Roll back<"),
            "{html}"
        );
        assert!(
            !html.contains("Change sources") && !html.contains("/dags/sync"),
            "{html}"
        );
    }

    #[test]
    fn what_is_no_source_is_said_with_its_line() {
        assert_eq!(read("a=push\r\n\n b=bucket:x/ ").unwrap().len(), 2);
        let complaint = read("push\nfile:///etc").unwrap_err();
        assert!(complaint.what.to_string().contains("file:///etc"));
    }
}
