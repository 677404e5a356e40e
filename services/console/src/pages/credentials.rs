//! What clusters prove themselves with elsewhere: owners keep them here, and nobody sees a secret again.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use updraft_api::dags::{CredentialView, NewCredential};
use updraft_app::PageRequest;
use updraft_model::{CredentialConfig, CredentialKind, CredentialName};

use crate::error::Complaint;
use crate::extract::{At, Sent};
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::text::Moment;

#[derive(Template)]
#[template(path = "pages/credentials.html")]
pub(crate) struct CredentialsPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    /// Whether nodes may be in AWS accounts of the organisation's own.
    pub(crate) takes_aws_accounts: bool,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    kind: &'static str,
    of: String,
    public_key: Option<String>,
    trust_policy: Option<String>,
    refusal: Option<String>,
    used_by: Vec<String>,
    changed: Moment,
}

// === impl CredentialsPage ===

impl CredentialsPage {
    pub(crate) fn new(frame: Frame, credentials: Vec<CredentialView>, now: DateTime<Utc>) -> Self {
        Self {
            frame,
            complaint: None,
            takes_aws_accounts: false,
            rows: credentials.into_iter().map(|one| Row::new(one, now)).collect(),
        }
    }
}

// === impl Row ===

impl Row {
    fn new(credential: CredentialView, now: DateTime<Utc>) -> Self {
        let kind = match credential.config.kind() {
            CredentialKind::GitToken => "git token",
            CredentialKind::SshKey => "SSH key",
            CredentialKind::S3Keys => "S3 keys",
            CredentialKind::AwsRole => "AWS role",
            CredentialKind::PackageIndex => "package index",
        };
        let of = match credential.config {
            CredentialConfig::GitToken { host, .. } | CredentialConfig::PackageIndex { host, .. } => host,
            CredentialConfig::SshKey { known_hosts } => {
                let host = known_hosts.split_whitespace().next().unwrap_or_default();
                host.chars().take(60).collect()
            }
            CredentialConfig::S3Keys { access_key } => access_key,
            CredentialConfig::AwsRole { role_arn, .. } => role_arn,
        };
        Self {
            name: credential.name.to_string(),
            kind,
            of,
            public_key: credential.public_key,
            trust_policy: credential.trust_policy,
            refusal: credential.refusal,
            used_by: credential.used_by,
            changed: Moment::new(credential.updated_at, now),
        }
    }
}

// === handlers ===

/// Not `Debug`: it holds a secret.
#[derive(Deserialize)]
pub(crate) struct Make {
    name: String,
    kind: CredentialKind,
    /// Host, access key's id or address.
    #[serde(default)]
    of: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    known_hosts: String,
    #[serde(default)]
    secret: String,
}

pub(crate) async fn show(State(console): State<Console>, visit: Visit) -> Answer {
    Ok(Html(page(&console, &visit).await?.render()?).into_response())
}

pub(crate) async fn make(State(console): State<Console>, visit: Visit, Sent(make): Sent<Make>) -> Answer {
    let made = match make.name.parse::<CredentialName>() {
        Err(error) => Err(Complaint::new(
            "This is no name for a credential.",
            error.to_string(),
        )),
        Ok(name) => match console.app.create_credential(&visit.actor, make.wish(name)).await {
            Ok(_) => Ok(()),
            Err(error) => match Refusal::from(error) {
                refusal if refusal.correctable() => Err(refusal.complaint()),
                refusal => return Err(refusal),
            },
        },
    };
    let Err(complaint) = made else {
        return Ok(Redirect::to("/credentials").into_response());
    };
    let page = CredentialsPage {
        complaint: Some(complaint),
        ..page(&console, &visit).await?
    };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, Html(page.render()?)).into_response())
}

pub(crate) async fn delete(
    State(console): State<Console>,
    visit: Visit,
    At(name): At<CredentialName>,
) -> Answer {
    console.app.delete_credential(&visit.actor, &name).await?;
    Ok(Redirect::to("/credentials").into_response())
}

async fn page(console: &Console, visit: &Visit) -> Result<CredentialsPage, Refusal> {
    let mut request = PageRequest {
        limit: Some(200),
        ..PageRequest::default()
    };
    let mut all = Vec::new();
    loop {
        let page = console
            .app
            .list_credentials(&visit.actor, request.clone())
            .await?;
        all.extend(page.items);
        if page.next.is_none() {
            break;
        }
        request.cursor = page.next;
    }
    let frame = visit.frame().on(Here::Credentials);
    Ok(CredentialsPage {
        takes_aws_accounts: console.app.takes_aws_accounts(),
        ..CredentialsPage::new(frame, all, Utc::now())
    })
}

// === impl Make ===

impl Make {
    fn wish(self, name: CredentialName) -> NewCredential {
        let given = |text: String| Some(text).filter(|text| !text.trim().is_empty());
        let config = match self.kind {
            CredentialKind::GitToken => CredentialConfig::GitToken {
                host: self.of,
                username: given(self.username).unwrap_or_else(|| "x-access-token".to_owned()),
            },
            CredentialKind::SshKey => CredentialConfig::SshKey {
                known_hosts: self.known_hosts,
            },
            CredentialKind::S3Keys => CredentialConfig::S3Keys { access_key: self.of },
            CredentialKind::AwsRole => CredentialConfig::AwsRole {
                role_arn: self.of,
                external_id: None,
            },
            CredentialKind::PackageIndex => CredentialConfig::PackageIndex {
                host: self.of,
                username: given(self.username).unwrap_or_else(|| "__token__".to_owned()),
            },
        };
        NewCredential {
            name,
            config,
            secret: given(self.secret),
        }
    }
}
