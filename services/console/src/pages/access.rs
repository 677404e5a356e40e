//! Who may use or change one cluster, and why.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse};
use serde::Deserialize;
use updraft_api::access::{AccessExplanation, ClusterPerson, Through};
use updraft_api::rest::{ClusterView, Page, PutGrant};
use updraft_app::{PageRequest, PeopleFilter};
use updraft_model::{ClusterId, ClusterRole, UserId};

use super::cluster::{Head, Tab, back_to};
use super::why::Explanation;
use crate::error::Complaint;
use crate::extract::{Asked, At, Sent};
use crate::frame::{Frame, Here};
use crate::icon::icon;
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::tone::{Pill, Tone};

/// People offered at once; more are found by name.
const MOST: u32 = 200;

#[derive(Template)]
#[template(path = "pages/access.html")]
pub(crate) struct AccessPage {
    pub(crate) frame: Frame,
    pub(crate) head: Head,
    pub(crate) complaint: Option<Complaint>,
    view: View,
    rows: Vec<Row>,
    candidates: Vec<Candidate>,
    /// There are people who are not among the candidates.
    more: bool,
    may_change: bool,
    explanation: Option<Explanation>,
}

/// What the address asks to see.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct View {
    /// Whom to explain.
    pub(crate) why: Option<UserId>,
    /// Whom to give access, by name or address.
    pub(crate) find: String,
}

/// What is known of people: everything by admins of the cluster, nothing by others.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) with_role: Vec<ClusterPerson>,
    pub(crate) found: Page<ClusterPerson>,
}

struct Row {
    user: UserId,
    name: String,
    email: String,
    role: Pill,
    means: &'static str,
    why: String,
    /// There is a grant that can be taken back.
    granted: bool,
}

struct Candidate {
    user: UserId,
    label: String,
}

// === impl AccessPage ===

impl AccessPage {
    pub(crate) fn new(
        frame: Frame,
        cluster: &ClusterView,
        view: View,
        known: Option<&Known>,
        explanation: Option<&AccessExplanation>,
        complaint: Option<Complaint>,
    ) -> Self {
        let with_role = known.iter().flat_map(|known| &known.with_role);
        let found = known.iter().flat_map(|known| &known.found.items);
        Self {
            frame,
            head: Head::new(cluster, Tab::Access),
            complaint,
            rows: with_role.filter_map(Row::new).collect(),
            candidates: found
                .filter(|person| person.through != Some(Through::Owner))
                .map(Candidate::new)
                .collect(),
            more: !view.find.is_empty() || known.is_some_and(|known| known.found.next.is_some()),
            view,
            may_change: cluster.role == ClusterRole::Admin,
            explanation: explanation.map(Explanation::new),
        }
    }
}

// === impl Row ===

impl Row {
    fn new(person: &ClusterPerson) -> Option<Self> {
        let held = person.role?;
        Some(Self {
            user: person.user,
            name: person.name.clone(),
            email: person.email.clone(),
            role: role(held),
            means: means(held),
            why: person.through.as_ref().map(through).unwrap_or_default(),
            granted: person.granted.is_some(),
        })
    }
}

// === impl Candidate ===

impl Candidate {
    fn new(person: &ClusterPerson) -> Self {
        Self {
            user: person.user,
            label: format!("{} ({})", person.name, person.email),
        }
    }
}

/// Where a role comes from, as a sentence's beginning.
pub(crate) fn through(through: &Through) -> String {
    match through {
        Through::Owner => "Owner of the organisation: admin of each of its clusters".to_owned(),
        Through::Grant => "Given on this cluster".to_owned(),
        Through::Rule { who, target, .. } => format!("Rule: {who}, on {target}"),
    }
}

pub(crate) fn role(role: ClusterRole) -> Pill {
    match role {
        ClusterRole::Admin => Pill {
            icon: icon("lock"),
            ..Pill::new(Tone::Busy, "Admin")
        },
        ClusterRole::User => Pill {
            icon: icon("account"),
            ..Pill::new(Tone::Quiet, "User")
        },
    }
}

fn means(role: ClusterRole) -> &'static str {
    match role {
        ClusterRole::Admin => "Changes the cluster, sees every page of Airflow",
        ClusterRole::User => "Uses Airflow without its Admin pages",
    }
}

// === handlers ===

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Give {
    user: UserId,
    role: ClusterRole,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Take {
    user: UserId,
}

pub(crate) async fn show(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Asked(view): Asked<View>,
) -> Answer {
    draw(&console, &visit, id, view, None).await
}

pub(crate) async fn give(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Sent(give): Sent<Give>,
) -> Answer {
    let given = console
        .app
        .put_grant(&visit.actor, id, give.user, PutGrant { role: give.role })
        .await;
    answer(&console, &visit, id, given.map(drop).map_err(Refusal::from)).await
}

pub(crate) async fn take(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Sent(take): Sent<Take>,
) -> Answer {
    let taken = console.app.remove_grant(&visit.actor, id, take.user).await;
    answer(&console, &visit, id, taken.map_err(Refusal::from)).await
}

async fn answer(console: &Console, visit: &Visit, id: ClusterId, done: Result<(), Refusal>) -> Answer {
    match done {
        Ok(()) => Ok(back_to(id, "/access")),
        Err(failure) if failure.correctable() => {
            draw(console, visit, id, View::default(), Some(failure)).await
        }
        Err(failure) => Err(failure),
    }
}

async fn draw(
    console: &Console,
    visit: &Visit,
    id: ClusterId,
    view: View,
    failure: Option<Refusal>,
) -> Answer {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    let known = match cluster.role {
        ClusterRole::Admin => Some(known(console, visit, id, &view).await?),
        ClusterRole::User => None,
    };
    // Whoever sees nothing of others sees why they are here themselves.
    let explained = view.why.or((known.is_none()).then_some(visit.actor.user));
    let explanation = match explained {
        Some(user) => Some(console.app.explain_access(&visit.actor, id, Some(user)).await?),
        None => None,
    };
    let complaint = failure.as_ref().map(Refusal::complaint);
    let frame = visit.frame().on(Here::Clusters);
    let page = AccessPage::new(
        frame,
        &cluster,
        view,
        known.as_ref(),
        explanation.as_ref(),
        complaint,
    );
    let status = failure.map_or(StatusCode::OK, |failure| failure.status());
    Ok((status, Html(page.render()?)).into_response())
}

async fn known(console: &Console, visit: &Visit, id: ClusterId, view: &View) -> Result<Known, Refusal> {
    let mut request = PageRequest {
        cursor: None,
        limit: Some(MOST),
    };
    let people = |query: Option<String>, with_role, request: PageRequest| {
        let filter = PeopleFilter { query, with_role };
        console.app.list_cluster_people(&visit.actor, id, filter, request)
    };
    let found = people(Some(view.find.clone()), false, request.clone()).await?;
    let mut with_role = Vec::new();
    loop {
        let page = people(None, true, request.clone()).await?;
        with_role.extend(page.items);
        request.cursor = page.next;
        if request.cursor.is_none() {
            return Ok(Known { with_role, found });
        }
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use updraft_model::ClusterRole;

    use super::{AccessPage, View};
    use crate::fixtures;

    #[test]
    fn everyone_with_access_is_listed_with_the_reason() {
        let (cluster, known) = (fixtures::cluster(1, "demo"), fixtures::known());
        let why = fixtures::explanation();
        let page = AccessPage::new(
            fixtures::frame(),
            &cluster,
            View::default(),
            Some(&known),
            Some(&why),
            None,
        );
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        for reason in [
            "Owner of the organisation",
            "Given on this cluster",
            "Rule: group `data-platform`, on clusters tagged `env=prod`",
            "is about other people",
        ] {
            assert!(
                html.contains(&reason.replace('`', "&#96;")) || html.contains(reason),
                "{reason}: {html}"
            );
        }
        // Only what was given by name can be taken back.
        assert_eq!(html.matches("/clusters/1/access/remove").count(), 1, "{html}");
    }

    #[test]
    fn a_user_of_the_cluster_sees_why_they_are_one_and_no_one_else() {
        let mut cluster = fixtures::cluster(1, "demo");
        cluster.role = ClusterRole::User;
        let why = fixtures::explanation();
        let page = AccessPage::new(
            fixtures::member_frame(),
            &cluster,
            View::default(),
            None,
            Some(&why),
            None,
        );
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        assert!(html.contains("Why") && !html.contains("bo@example.com"), "{html}");
    }

    #[test]
    fn hostile_names_stay_text() {
        let (cluster, mut known) = (fixtures::cluster(1, "demo"), fixtures::known());
        known.with_role[1].name = r#""><script>alert(1)</script>"#.into();
        known.found.items[1].name = r#""><script>alert(1)</script>"#.into();
        let page = AccessPage::new(
            fixtures::frame(),
            &cluster,
            View::default(),
            Some(&known),
            None,
            None,
        );
        assert!(!page.render().unwrap().contains("<script>alert"));
    }
}
