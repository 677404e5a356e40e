//! Who may use or change one cluster, and why.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use serde::Deserialize;
use updraft_api::rest::{ClusterView, GrantView, Person, PutGrant};
use updraft_app::PageRequest;
use updraft_authz::{TenantAction, tenant_allows};
use updraft_model::{ClusterId, ClusterRole, TenantRole, UserId};

use super::cluster::{Head, Tab, back_to};
use super::people;
use crate::error::Complaint;
use crate::extract::{At, Sent};
use crate::frame::{Frame, Here};
use crate::icon::icon;
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::tone::{Pill, Tone};

#[derive(Template)]
#[template(path = "pages/access.html")]
pub(crate) struct AccessPage {
    pub(crate) frame: Frame,
    pub(crate) head: Head,
    pub(crate) complaint: Option<Complaint>,
    rows: Vec<Row>,
    candidates: Vec<Candidate>,
    may_change: bool,
    knows_people: bool,
}

struct Row {
    name: Option<String>,
    email: String,
    role: Pill,
    means: &'static str,
    why: &'static str,
    /// The grant that can be taken back.
    granted: Option<UserId>,
}

struct Candidate {
    user: UserId,
    label: String,
}

// === impl AccessPage ===

impl AccessPage {
    /// `people` is known to owners only; `grants` to admins of the cluster only.
    pub(crate) fn new(
        frame: Frame,
        cluster: &ClusterView,
        grants: &[GrantView],
        people: Option<&[Person]>,
        complaint: Option<Complaint>,
    ) -> Self {
        let owners = people
            .unwrap_or_default()
            .iter()
            .filter(|person| person.tenant_role == TenantRole::Owner);
        let members = people
            .unwrap_or_default()
            .iter()
            .filter(|person| person.tenant_role == TenantRole::Member);
        let is_owner = |user| {
            people
                .unwrap_or_default()
                .iter()
                .any(|p| p.user == user && p.tenant_role == TenantRole::Owner)
        };
        let granted = grants
            .iter()
            .filter(|grant| !is_owner(grant.user))
            .map(|grant| Row::granted(grant, people));
        Self {
            frame,
            head: Head::new(cluster, Tab::Access),
            complaint,
            rows: owners.map(Row::owner).chain(granted).collect(),
            candidates: members.map(Candidate::new).collect(),
            may_change: cluster.role == ClusterRole::Admin,
            knows_people: people.is_some(),
        }
    }
}

// === impl Row ===

impl Row {
    fn owner(person: &Person) -> Self {
        Self {
            name: Some(person.name.clone()),
            email: person.email.clone(),
            role: role(ClusterRole::Admin),
            means: means(ClusterRole::Admin),
            why: "Owner of the organisation: admin of each of its clusters",
            granted: None,
        }
    }

    fn granted(grant: &GrantView, people: Option<&[Person]>) -> Self {
        let person = people
            .unwrap_or_default()
            .iter()
            .find(|person| person.user == grant.user);
        Self {
            name: person.map(|person| person.name.clone()),
            email: grant.email.clone(),
            role: role(grant.role),
            means: means(grant.role),
            why: "Given on this cluster",
            granted: Some(grant.user),
        }
    }
}

// === impl Candidate ===

impl Candidate {
    fn new(person: &Person) -> Self {
        Self {
            user: person.user,
            label: format!("{} ({})", person.name, person.email),
        }
    }
}

fn role(role: ClusterRole) -> Pill {
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

pub(crate) async fn show(State(console): State<Console>, visit: Visit, At(id): At<ClusterId>) -> Answer {
    draw(&console, &visit, id, None).await
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
        Err(failure) if failure.correctable() => draw(console, visit, id, Some(failure)).await,
        Err(failure) => Err(failure),
    }
}

async fn draw(console: &Console, visit: &Visit, id: ClusterId, failure: Option<Refusal>) -> Answer {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    let most = PageRequest {
        cursor: None,
        limit: Some(200),
    };
    let grants = match cluster.role {
        ClusterRole::Admin => console.app.list_grants(&visit.actor, id, most).await?.items,
        ClusterRole::User => Vec::new(),
    };
    let people = match tenant_allows(&visit.actor, TenantAction::ManagePeople) {
        true => Some(people::all(console, &visit.actor).await?),
        false => None,
    };
    let complaint = failure.as_ref().map(Refusal::complaint);
    let frame = visit.frame().on(Here::Clusters);
    let page = AccessPage::new(frame, &cluster, &grants, people.as_deref(), complaint);
    let status = failure.map_or(axum::http::StatusCode::OK, |failure| failure.status());
    Ok((status, Html(page.render()?)).into_response())
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::AccessPage;
    use crate::fixtures;

    #[test]
    fn everyone_with_access_is_listed_with_the_reason() {
        let (cluster, grants, people) = (
            fixtures::cluster(1, "demo"),
            fixtures::grants(),
            fixtures::people(),
        );
        let page = AccessPage::new(fixtures::frame(), &cluster, &grants, Some(&people), None);
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        assert!(
            html.contains("Owner of the organisation") && html.contains("Given on this cluster"),
            "{html}"
        );
        assert!(html.contains("/clusters/1/access/remove"), "{html}");
    }

    #[test]
    fn an_admin_who_is_no_owner_is_told_who_can_choose_people() {
        let cluster = fixtures::cluster(1, "demo");
        let html = AccessPage::new(fixtures::member_frame(), &cluster, &[], None, None)
            .render()
            .unwrap();
        fixtures::assert_accessible(&html);
        assert!(html.contains("owner"), "{html}");
    }

    #[test]
    fn hostile_names_stay_text() {
        let (cluster, mut people) = (fixtures::cluster(1, "demo"), fixtures::people());
        people[1].name = r#""><script>alert(1)</script>"#.into();
        let page = AccessPage::new(fixtures::frame(), &cluster, &[], Some(&people), None);
        assert!(!page.render().unwrap().contains("<script>alert"));
    }
}
