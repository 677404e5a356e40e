//! Rules that give roles by group, domain or address: list, add, remove. For owners only.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect};
use serde::Deserialize;
use updraft_api::access::{AccessRuleView, NewAccessRule};
use updraft_api::rest::ClusterView;
use updraft_app::{Actor, PageRequest};
use updraft_authz::{Tag, Target, Who};
use updraft_model::{ClusterId, ClusterRole, RuleId};

use super::access::role;
use super::clusters;
use crate::error::Complaint;
use crate::extract::{At, Sent};
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::tone::Pill;

#[derive(Template)]
#[template(path = "pages/access_rules.html")]
pub(crate) struct AccessRulesPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    form: RuleForm,
    rows: Vec<Row>,
    clusters: Vec<Choice>,
}

struct Choice {
    id: ClusterId,
    name: String,
    chosen: bool,
}

struct Row {
    id: RuleId,
    who: String,
    role: Pill,
    target: String,
    by: Option<String>,
}

/// As it is typed: what the chosen kind does not need is ignored.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RuleForm {
    who: WhoKind,
    /// The group, domain or address.
    name: String,
    role: RoleKind,
    target: TargetKind,
    cluster: Option<ClusterId>,
    tag: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WhoKind {
    #[default]
    Group,
    Domain,
    Email,
    Everyone,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RoleKind {
    #[default]
    User,
    Admin,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TargetKind {
    #[default]
    EveryCluster,
    Cluster,
    Tag,
}

// === impl AccessRulesPage ===

impl AccessRulesPage {
    pub(crate) fn new(
        frame: Frame,
        rules: &[AccessRuleView],
        clusters: &[ClusterView],
        form: RuleForm,
        complaint: Option<Complaint>,
    ) -> Self {
        let choice = |cluster: &ClusterView| Choice {
            id: cluster.id,
            name: cluster.name.to_string(),
            chosen: form.cluster == Some(cluster.id),
        };
        let clusters: Vec<_> = clusters.iter().map(choice).collect();
        Self {
            frame: frame.on(Here::People),
            complaint,
            rows: rules.iter().map(|rule| Row::new(rule, &clusters)).collect(),
            form,
            clusters,
        }
    }
}

// === impl Row ===

impl Row {
    fn new(rule: &AccessRuleView, clusters: &[Choice]) -> Self {
        let name = |id| clusters.iter().find(|cluster| cluster.id == id);
        Self {
            id: rule.id,
            who: rule.who.to_string(),
            role: role(rule.role),
            target: match &rule.target {
                Target::Cluster(id) => name(*id).map_or_else(
                    || format!("cluster {id}, which is deleted"),
                    |cluster| cluster.name.clone(),
                ),
                Target::EveryCluster | Target::Tag(_) => rule.target.to_string(),
            },
            by: rule.created_by.clone(),
        }
    }
}

// === impl RuleForm ===

impl RuleForm {
    fn wish(&self) -> Result<NewAccessRule, Complaint> {
        let name = self.name.trim().to_owned();
        Ok(NewAccessRule {
            who: match self.who {
                WhoKind::Group => Who::Group(name),
                WhoKind::Domain => Who::Domain(name),
                WhoKind::Email => Who::Email(name),
                WhoKind::Everyone => Who::Everyone,
            },
            role: match self.role {
                RoleKind::User => ClusterRole::User,
                RoleKind::Admin => ClusterRole::Admin,
            },
            target: self.target()?,
        })
    }

    fn target(&self) -> Result<Target, Complaint> {
        match self.target {
            TargetKind::EveryCluster => Ok(Target::EveryCluster),
            TargetKind::Cluster => self
                .cluster
                .map(Target::Cluster)
                .ok_or_else(|| Complaint::new("No cluster was chosen.", "Choose one, or another target.")),
            TargetKind::Tag => match self.tag.split_once('=') {
                Some((key, value)) => Ok(Target::Tag(Tag {
                    key: key.trim().to_owned(),
                    value: value.trim().to_owned(),
                })),
                None => Err(Complaint::new(
                    "A tag has a key and a value.",
                    "Write it like env=prod.",
                )),
            },
        }
    }
}

// === handlers ===

pub(crate) async fn show(State(console): State<Console>, visit: Visit) -> Answer {
    draw(&console, &visit, RuleForm::default(), None).await
}

pub(crate) async fn add(State(console): State<Console>, visit: Visit, Sent(form): Sent<RuleForm>) -> Answer {
    let new = match form.wish() {
        Ok(new) => new,
        Err(complaint) => {
            let refused = (StatusCode::UNPROCESSABLE_ENTITY, complaint);
            return draw(&console, &visit, form, Some(refused)).await;
        }
    };
    match console
        .app
        .create_access_rule(&visit.actor, new)
        .await
        .map_err(Refusal::from)
    {
        Ok(_) => Ok(Redirect::to("/access-rules").into_response()),
        Err(failure) if failure.correctable() => {
            let refused = (failure.status(), failure.complaint());
            draw(&console, &visit, form, Some(refused)).await
        }
        Err(failure) => Err(failure),
    }
}

pub(crate) async fn remove(State(console): State<Console>, visit: Visit, At(rule): At<RuleId>) -> Answer {
    console.app.delete_access_rule(&visit.actor, rule).await?;
    Ok(Redirect::to("/access-rules").into_response())
}

async fn all(console: &Console, actor: &Actor) -> Result<Vec<AccessRuleView>, Refusal> {
    let mut all = Vec::new();
    let mut request = PageRequest {
        cursor: None,
        limit: Some(200),
    };
    loop {
        let page = console.app.list_access_rules(actor, request.clone()).await?;
        all.extend(page.items);
        request.cursor = page.next;
        if request.cursor.is_none() {
            return Ok(all);
        }
    }
}

async fn draw(
    console: &Console,
    visit: &Visit,
    form: RuleForm,
    refused: Option<(StatusCode, Complaint)>,
) -> Answer {
    let rules = all(console, &visit.actor).await?;
    let clusters = clusters::all(console, &visit.actor).await?;
    let (status, complaint) = refused.map_or((StatusCode::OK, None), |(status, complaint)| {
        (status, Some(complaint))
    });
    let page = AccessRulesPage::new(visit.frame(), &rules, &clusters, form, complaint);
    Ok((status, Html(page.render()?)).into_response())
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::{AccessRulesPage, RuleForm, TargetKind};
    use crate::fixtures;

    #[test]
    fn rules_read_as_sentences_and_can_be_removed() {
        let page = AccessRulesPage::new(
            fixtures::frame(),
            &fixtures::rules(),
            &fixtures::clusters(),
            RuleForm::default(),
            None,
        );
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        assert!(
            html.contains("data-platform") && html.contains("env=prod"),
            "{html}"
        );
        assert_eq!(
            html.matches("/remove\"").count(),
            fixtures::rules().len(),
            "{html}"
        );
    }

    #[test]
    fn what_was_typed_is_kept_when_it_is_refused() {
        let form = RuleForm {
            name: "data".into(),
            target: TargetKind::Tag,
            tag: "env".into(),
            ..RuleForm::default()
        };
        let complaint = form.wish().unwrap_err();
        let page = AccessRulesPage::new(fixtures::frame(), &[], &[], form, Some(complaint));
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        assert!(
            html.contains(r#"value="env""#) && html.contains(r#"role="alert""#),
            "{html}"
        );
    }
}
