//! Every option of Airflow, searchable: its default, what the cluster sets, and what Updraft manages.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use indexmap::IndexMap;
use serde::Deserialize;
use updraft_api::rest::{ClusterView, ConfigOptionView};
use updraft_model::{ClusterId, ClusterRole, Power};

use super::cluster::{Head, Tab};
use super::log_keeping::LogKeeping;
use super::packages::Packages;
use super::schedule::{self, Times};
use super::settings::Settings;
use super::{tags, worker_queues};
use crate::error::Complaint;
use crate::extract::{Asked, At};
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;

/// Rows shown before one asks for the rest.
const FIRST: usize = 40;

#[derive(Template)]
#[template(path = "pages/configuration.html")]
pub(crate) struct ConfigurationPage {
    pub(crate) frame: Frame,
    pub(crate) head: Head,
    pub(crate) complaint: Option<Complaint>,
    view: View,
    generation: i64,
    /// Workers of `default` and their tasks at once; none: its queue says so.
    default_size: Option<(u32, u32)>,
    worker_queues: String,
    tags: String,
    packages: Packages,
    settings: Settings,
    times: Times,
    upcoming: Vec<String>,
    logs: LogKeeping,
    counts: Counts,
    sections: Vec<Section>,
    hidden: usize,
    edited: Option<Edited>,
    may_change: bool,
}

/// What the address asks to see.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct View {
    pub(crate) q: String,
    pub(crate) show: Show,
    pub(crate) edit: String,
    /// A value that was refused, to be corrected.
    #[serde(skip)]
    pub(crate) attempt: Option<String>,
    /// Tags that were refused, likewise.
    #[serde(skip)]
    pub(crate) tags: Option<String>,
    /// Queues that were refused, likewise.
    #[serde(skip)]
    pub(crate) worker_queues: Option<String>,
    /// Requirements that were refused, likewise.
    #[serde(skip)]
    pub(crate) requirements: Option<String>,
    /// Variables, a script and its object, likewise.
    #[serde(skip)]
    pub(crate) variables: Option<String>,
    #[serde(skip)]
    pub(crate) script: Option<String>,
    #[serde(skip)]
    pub(crate) object: Option<String>,
    /// When it starts and stops, likewise.
    #[serde(skip)]
    pub(crate) schedule: Option<Times>,
    /// How long logs are kept and where, likewise.
    #[serde(skip)]
    pub(crate) logs: Option<LogKeeping>,
    pub(crate) all: Option<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Show {
    #[default]
    All,
    Yours,
    Managed,
}

struct Counts {
    all: usize,
    yours: usize,
    managed: usize,
}

struct Section {
    name: String,
    options: Vec<Row>,
}

struct Row {
    key: String,
    name: String,
    description: Option<String>,
    default: Option<String>,
    yours: Option<String>,
    managed: bool,
}

struct Edited {
    key: String,
    value: String,
    known: bool,
    set: bool,
    description: Option<String>,
    default: Option<String>,
}

// === impl ConfigurationPage ===

impl ConfigurationPage {
    pub(crate) fn new(
        frame: Frame,
        cluster: &ClusterView,
        options: &[ConfigOptionView],
        view: View,
        complaint: Option<Complaint>,
    ) -> Self {
        let yours = &cluster.spec.config;
        let may_change = cluster.role == ClusterRole::Admin && cluster.power != Power::Deleted;
        let (sections, hidden) = sections(options, yours, &view);
        Self {
            frame,
            head: Head::new(cluster, Tab::Configuration),
            complaint,
            generation: cluster.generation.0,
            default_size: (!worker_queues::say_default(&cluster.spec))
                .then_some((cluster.spec.workers, cluster.spec.worker_concurrency)),
            worker_queues: view
                .worker_queues
                .clone()
                .unwrap_or_else(|| worker_queues::write(&cluster.spec.worker_queues)),
            tags: view
                .tags
                .clone()
                .unwrap_or_else(|| tags::write(&cluster.spec.tags)),
            packages: Packages::of(cluster, view.requirements.clone()),
            settings: Settings::of(cluster, &view),
            times: view.schedule.clone().unwrap_or_else(|| {
                Times::of(
                    &cluster.spec.schedule,
                    cluster.spec.stop_when_idle,
                    cluster.spec.on_stop,
                )
            }),
            upcoming: schedule::upcoming(cluster),
            logs: view
                .logs
                .clone()
                .unwrap_or_else(|| LogKeeping::of(&cluster.spec.logs)),
            counts: Counts {
                all: options.len(),
                yours: yours.len(),
                managed: options.iter().filter(|option| option.managed).count(),
            },
            sections,
            hidden,
            edited: Edited::new(options, yours, &view).filter(|_| may_change),
            may_change,
            view,
        }
    }

    fn tabs(&self) -> [(&'static str, &'static str, usize, bool); 3] {
        let show = self.view.show;
        [
            ("All options", "all", self.counts.all, show == Show::All),
            ("Yours", "yours", self.counts.yours, show == Show::Yours),
            ("Managed", "managed", self.counts.managed, show == Show::Managed),
        ]
    }
}

// === impl Show ===

impl Show {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Yours => "yours",
            Self::Managed => "managed",
        }
    }
}

// === impl Edited ===

impl Edited {
    fn new(options: &[ConfigOptionView], yours: &IndexMap<String, String>, view: &View) -> Option<Self> {
        let key = Some(view.edit.trim()).filter(|key| !key.is_empty())?;
        let option = options
            .iter()
            .find(|option| option.key == key)
            .filter(|option| !option.managed);
        let set = yours.get(key);
        let value = view
            .attempt
            .as_ref()
            .or(set)
            .or(option.and_then(|option| option.default.as_ref()));
        Some(Self {
            key: key.to_owned(),
            value: value.cloned().unwrap_or_default(),
            known: option.is_some() || set.is_some(),
            set: set.is_some(),
            description: option.and_then(|option| option.description.clone()),
            default: option.and_then(|option| option.default.clone()),
        })
    }
}

fn sections(
    options: &[ConfigOptionView],
    yours: &IndexMap<String, String>,
    view: &View,
) -> (Vec<Section>, usize) {
    let found: Vec<_> = options
        .iter()
        .filter(|option| matches(option, yours, view))
        .collect();
    let shown = if view.all.is_some() {
        found.len()
    } else {
        found.len().min(FIRST)
    };
    let mut sections: Vec<Section> = Vec::new();
    for option in &found[..shown] {
        let (section, name) = option.key.split_once('.').unwrap_or(("", &option.key));
        let row = Row::new(option, name, yours.get(&option.key));
        match sections.last_mut().filter(|last| last.name == section) {
            Some(last) => last.options.push(row),
            None => sections.push(Section {
                name: section.to_owned(),
                options: vec![row],
            }),
        }
    }
    (sections, found.len() - shown)
}

fn matches(option: &ConfigOptionView, yours: &IndexMap<String, String>, view: &View) -> bool {
    let shown = match view.show {
        Show::All => true,
        Show::Yours => yours.contains_key(&option.key),
        Show::Managed => option.managed,
    };
    let wanted = view.q.trim().to_lowercase();
    let says = |text: &Option<String>| {
        text.as_ref()
            .is_some_and(|text| text.to_lowercase().contains(&wanted))
    };
    shown && (wanted.is_empty() || option.key.contains(&wanted) || says(&option.description))
}

// === impl Row ===

impl Row {
    fn new(option: &ConfigOptionView, name: &str, yours: Option<&String>) -> Self {
        Self {
            key: option.key.clone(),
            name: name.to_owned(),
            description: option.description.as_deref().map(first_sentence),
            default: option.default.clone(),
            yours: yours.cloned(),
            managed: option.managed,
        }
    }
}

/// Enough to know an option by; the whole text is shown when it is edited.
fn first_sentence(text: &str) -> String {
    const LONGEST: usize = 140;
    let line = text
        .split("\n\n")
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let sentence = line.split_inclusive(". ").next().unwrap_or_default().trim_end();
    match sentence.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &sentence[..end]),
        None => sentence.to_owned(),
    }
}

// === handlers ===

pub(crate) async fn show(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Asked(view): Asked<View>,
) -> Answer {
    draw(&console, &visit, id, view, None).await
}

pub(crate) async fn draw(
    console: &Console,
    visit: &Visit,
    id: ClusterId,
    view: View,
    failure: Option<Refusal>,
) -> Answer {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    let options = console.app.config_options(&visit.actor, &cluster.spec.runtime)?;
    let complaint = failure.as_ref().map(Refusal::complaint);
    let mut page = ConfigurationPage::new(
        visit.frame().on(Here::Clusters),
        &cluster,
        &options,
        view,
        complaint,
    );
    if page.may_change {
        let kept = console.app.list_task_secrets(&visit.actor, id).await?;
        page.settings.secrets = kept.items;
    }
    let status = failure.map_or(axum::http::StatusCode::OK, |failure| failure.status());
    Ok((status, Html(page.render()?)).into_response())
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use updraft_model::ClusterRole;

    use super::{ConfigurationPage, Show, View, first_sentence};
    use crate::fixtures;

    fn page(view: View) -> String {
        let cluster = fixtures::cluster(1, "demo");
        let page = ConfigurationPage::new(fixtures::frame(), &cluster, &fixtures::options(), view, None);
        page.render().unwrap()
    }

    #[test]
    fn an_option_shows_default_yours_and_managed() {
        let html = page(View::default());
        fixtures::assert_accessible(&html);
        assert!(
            html.contains("parallelism") && html.contains("Managed by Updraft"),
            "{html}"
        );
    }

    #[test]
    fn options_are_found_by_key_and_description() {
        assert!(
            page(View {
                q: "PARALLEL".to_lowercase(),
                ..View::default()
            })
            .contains("parallelism")
        );
        assert!(
            page(View {
                q: "no such thing".into(),
                ..View::default()
            })
            .contains("No option matches")
        );
        assert!(
            !page(View {
                show: Show::Managed,
                ..View::default()
            })
            .contains(">parallelism<")
        );
    }

    #[test]
    fn an_edited_option_has_a_labelled_field_with_its_present_value() {
        let html = page(View {
            edit: "core.parallelism".into(),
            ..View::default()
        });
        fixtures::assert_accessible(&html);
        assert!(
            html.contains(r#"action="/clusters/1/configuration""#) && html.contains(r#"value="64""#),
            "{html}"
        );
    }

    #[test]
    fn a_managed_option_cannot_be_edited_and_a_user_can_edit_nothing() {
        let html = page(View {
            edit: "core.executor".into(),
            ..View::default()
        });
        assert!(html.contains("is no option"), "{html}");
        let mut cluster = fixtures::cluster(1, "demo");
        cluster.role = ClusterRole::User;
        let view = View {
            edit: "core.parallelism".into(),
            ..View::default()
        };
        let html = ConfigurationPage::new(fixtures::frame(), &cluster, &fixtures::options(), view, None);
        assert!(
            !html
                .render()
                .unwrap()
                .contains(r#"method="post" action="/clusters/"#)
        );
    }

    #[test]
    fn descriptions_are_cut_at_their_first_sentence() {
        assert_eq!(
            first_sentence("The executor class\nto use. Choices include …"),
            "The executor class to use."
        );
        assert_eq!(first_sentence(&"é".repeat(300)).chars().count(), 141);
    }
}
