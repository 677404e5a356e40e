//! Made-up DAG versions and credentials: for the tests of pages and for the preview.

use chrono::TimeDelta;
use updraft_api::agent::{ImportError, SourceRevision};
use updraft_api::dags::{
    CredentialView, DagArrival, DagHookView, DagParsed, DagSourceView, DagState, DagVersionView,
};
use updraft_model::{CredentialConfig, DagHookId, FolderSource};
use uuid::Uuid;

use crate::fixtures::{cluster, now};
use crate::frame::Frame;
use crate::pages::credentials::CredentialsPage;
use crate::pages::dags::{Dags, DagsPage};

/// A version with an import error, an older one, and a source in trouble.
pub(crate) fn dags() -> (DagState, Vec<DagVersionView>) {
    let at = |minutes: i64| now() - TimeDelta::minutes(minutes);
    let version = |digest: &str, age: i64, errors: Vec<ImportError>| DagVersionView {
        digest: digest.repeat(8),
        published_at: at(age),
        files: 212,
        bytes: 1_480_000,
        sources: vec![SourceRevision {
            folder: "team_a".into(),
            revision: "c0ffee12ab34cd56ef78c0ffee12ab34cd56ef78".into(),
            author: Some("Ada Lovelace".into()),
            message: Some("Load orders by the hour".into()),
            pushed_at: Some(at(age)),
        }],
        arrivals: vec![DagArrival {
            node: "scheduler-1".into(),
            at: at(age),
        }],
        parsed: Some(DagParsed {
            at: at(age),
            dags: 41,
            import_errors: errors,
        }),
    };
    let error = ImportError {
        file: "etl/load.py".into(),
        line: Some(12),
        message: "Traceback (most recent call last):\n  File \"etl/load.py\", line 12\nModuleNotFoundError: No module named 'pandas'"
            .into(),
    };
    let versions = vec![
        version("3f9ac27b", 4, vec![error]),
        version("77d0e14c", 190, Vec::new()),
    ];
    let source = |folder: &str, text: &str, trouble: Option<&str>| {
        let typed = format!("{folder}={text}").parse::<FolderSource>();
        let typed = typed.unwrap_or_else(|_| unreachable!("fixtures have good sources"));
        DagSourceView {
            folder: typed.folder,
            source: typed.source,
            trouble: trouble.map(str::to_owned),
        }
    };
    let state = DagState {
        sources: vec![
            source("team_a", "push", None),
            source(
                "team_b",
                "git+https://github.com/acme/dags.git@main#path=dags",
                Some("the repository is away: the last good version keeps serving. It is tried again"),
            ),
        ],
        current: Some(versions[0].digest.clone()),
        live: Some(versions[0].clone()),
        pinned: None,
        nodes_on_live: 3,
        nodes: 3,
        sync: 4,
        synced: Some(4),
        environment: None,
    };
    (state, versions)
}

pub(crate) fn dags_page(frame: Frame) -> DagsPage {
    let cluster = cluster(1, "demo");
    let (state, versions) = dags();
    let dags = Dags::new(&cluster, &state, &versions, now());
    let hook = DagHookView {
        id: DagHookId(Uuid::from_u128(5)),
        folder: "team_b".into(),
        url: "https://updraft.example.com/api/v1/hooks/dags/00000000-0000-0000-0000-000000000005".into(),
        created_at: now(),
        called_at: None,
    };
    DagsPage::new(frame, &cluster, dags, vec![hook], now())
}

pub(crate) fn credentials_page(frame: Frame) -> CredentialsPage {
    let one = |name: &str, config, public_key: Option<&str>, used_by: &[&str]| CredentialView {
        name: name
            .parse()
            .unwrap_or_else(|_| unreachable!("fixtures have good names")),
        config,
        public_key: public_key.map(str::to_owned),
        trust_policy: None,
        refusal: None,
        used_by: used_by.iter().map(|name| (*name).to_owned()).collect(),
        created_at: now(),
        updated_at: now() - TimeDelta::days(3),
    };
    let token = CredentialConfig::GitToken {
        host: "github.com".into(),
        username: "x-access-token".into(),
    };
    let key = CredentialConfig::SshKey {
        known_hosts: "git.example.com ssh-ed25519 AAAA".into(),
    };
    let public =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl updraft-deploy";
    let id = "updraft-0123456789abcdef0123456789abcdef";
    let role = CredentialConfig::AwsRole {
        role_arn: "arn:aws:iam::123456789012:role/airflow-logs".into(),
        external_id: Some(id.into()),
    };
    let role = CredentialView {
        trust_policy: Some(format!("{{\n  \"sts:ExternalId\": \"{id}\"\n}}")),
        refusal: Some("the role of the credential `logs` can't be assumed: AWS does not let Updraft assume it (AccessDenied)".into()),
        ..one("logs", role, None, &["demo"])
    };
    let all = vec![
        one("deploy", key, Some(public), &[]),
        one("github", token, None, &["demo", "reports"]),
        role,
    ];
    CredentialsPage::new(frame, all, now())
}
