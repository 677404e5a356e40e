//! One AWS account: what to paste there, what nodes are in it, and whether they could start.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect};
use updraft_api::aws_accounts::{AwsAccountCheck, AwsAccountView};
use updraft_model::AwsAccountName;

use super::aws_account_form::AwsAccountForm;
use crate::error::Complaint;
use crate::extract::{At, Sent};
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;

#[derive(Template)]
#[template(path = "pages/aws_account.html")]
pub(crate) struct AwsAccountPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    view: AwsAccountView,
    form: AwsAccountForm,
    found: Option<AwsAccountCheck>,
}

// === impl AwsAccountPage ===

impl AwsAccountPage {
    pub(crate) fn new(frame: Frame, view: AwsAccountView) -> Self {
        Self {
            frame: frame.on(Here::Credentials),
            complaint: None,
            form: view.config.as_ref().map(AwsAccountForm::of).unwrap_or_default(),
            view,
            found: None,
        }
    }

    pub(crate) fn checked(self, found: AwsAccountCheck) -> Self {
        Self {
            found: Some(found),
            ..self
        }
    }

    /// What is to be pasted: its id on the page, title, where it goes, text.
    fn pastes(&self) -> Vec<(&'static str, &'static str, &'static str, &str)> {
        let view = &self.view;
        [
            (
                "trust",
                "Trust policy",
                "of a new role, in IAM",
                view.trust_policy.as_deref(),
            ),
            (
                "permissions",
                "Permissions",
                "of that role; iam:PassRole is for nodes’ role, taken to be named as its instance profile is",
                view.permissions_policy.as_deref(),
            ),
            (
                "terraform",
                "Or both by Terraform",
                "the module is in Updraft’s repository",
                view.terraform.as_deref(),
            ),
        ]
        .into_iter()
        .filter_map(|(id, title, where_to, text)| Some((id, title, where_to, text?)))
        .collect()
    }
}

// === handlers ===

pub(crate) async fn show(
    State(console): State<Console>,
    visit: Visit,
    At(name): At<AwsAccountName>,
) -> Answer {
    Ok(Html(page(&console, &visit, &name).await?.render()?).into_response())
}

pub(crate) async fn save(
    State(console): State<Console>,
    visit: Visit,
    At(name): At<AwsAccountName>,
    Sent(form): Sent<AwsAccountForm>,
) -> Answer {
    let refused = match form.config() {
        Err(complaint) => (StatusCode::UNPROCESSABLE_ENTITY, complaint),
        Ok(config) => match console.app.update_aws_account(&visit.actor, &name, config).await {
            Ok(_) => return Ok(Redirect::to(&format!("/aws-accounts/{name}")).into_response()),
            Err(error) => correctable(error.into())?,
        },
    };
    let page = AwsAccountPage {
        form,
        ..page(&console, &visit, &name).await?
    };
    draw(page, refused)
}

pub(crate) async fn check(
    State(console): State<Console>,
    visit: Visit,
    At(name): At<AwsAccountName>,
) -> Answer {
    match console.app.check_aws_account(&visit.actor, &name).await {
        Ok(found) => {
            let page = page(&console, &visit, &name).await?.checked(found);
            Ok(Html(page.render()?).into_response())
        }
        Err(error) => {
            let refused = correctable(error.into())?;
            draw(page(&console, &visit, &name).await?, refused)
        }
    }
}

pub(crate) async fn delete(
    State(console): State<Console>,
    visit: Visit,
    At(name): At<AwsAccountName>,
) -> Answer {
    match console.app.delete_aws_account(&visit.actor, &name).await {
        Ok(()) => Ok(Redirect::to("/aws-accounts").into_response()),
        Err(error) => {
            let refused = correctable(error.into())?;
            draw(page(&console, &visit, &name).await?, refused)
        }
    }
}

pub(super) async fn page(
    console: &Console,
    visit: &Visit,
    name: &AwsAccountName,
) -> Result<AwsAccountPage, Refusal> {
    let view = console.app.show_aws_account(&visit.actor, name).await?;
    Ok(AwsAccountPage::new(visit.frame(), view))
}

pub(super) fn correctable(refusal: Refusal) -> Result<(StatusCode, Complaint), Refusal> {
    match refusal.correctable() {
        true => Ok((refusal.status(), refusal.complaint())),
        false => Err(refusal),
    }
}

pub(super) fn draw(page: AwsAccountPage, (status, complaint): (StatusCode, Complaint)) -> Answer {
    let page = AwsAccountPage {
        complaint: Some(complaint),
        ..page
    };
    Ok((status, Html(page.render()?)).into_response())
}
