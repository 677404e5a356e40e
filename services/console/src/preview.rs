//! Every page over made-up data, without a database: to look at, and for screenshots.

use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use updraft_api::logs::LogPage;

use crate::error::Complaint;
use crate::fixtures as made_up;
use crate::frame::{Frame, Here};
use crate::pages::{
    access, account, activity, audit, boot_log, clusters, configuration, delete_cluster, logs, new_cluster,
    nodes, notice, people, provider, rotate_keys, sign_in, sign_out, sso, through_provider,
};
use crate::shell::{self, Shell};
use crate::{fixtures_aws, fixtures_dags, fixtures_logs, fixtures_sign_in};

/// `/` lists what there is.
pub fn router() -> Router {
    Router::new()
        .route("/", get(index))
        .route("/preview/{page}", get(page))
        .route("/assets/{hash}/{name}", get(crate::assets::serve))
        .layer(axum::middleware::from_fn(shell::protect))
}

const PAGES: [&str; 38] = [
    "sign-in",
    "sign-in-refused",
    "continue",
    "sign-out",
    "sso",
    "provider",
    "sign-in-trouble",
    "clusters",
    "no-clusters",
    "no-clusters-member",
    "new-cluster",
    "starting",
    "running",
    "degraded",
    "failed",
    "stopped",
    "nodes",
    "nodes-stopped",
    "nodes-kept",
    "boot-log",
    "boot-log-missing",
    "dags",
    "logs",
    "logs-task",
    "logs-found",
    "logs-empty",
    "credentials",
    "aws-accounts",
    "aws-account",
    "configuration",
    "access",
    "activity",
    "people",
    "audit",
    "audit-empty",
    "account",
    "delete",
    "not-found",
];

async fn index() -> Html<String> {
    let items: String = PAGES
        .iter()
        .map(|page| format!("<li><a href=\"/preview/{page}\">{page}</a></li>"))
        .collect();
    Html(format!("<!doctype html><title>Preview</title><ul>{items}</ul>"))
}

async fn page(Path(name): Path<String>, shell: Shell) -> Response {
    let stranger = Frame {
        viewer: None,
        here: Here::Elsewhere,
        ..shell.frame(None)
    };
    let frame = Frame {
        viewer: made_up::frame().viewer,
        ..shell.frame(None)
    }
    .on(Here::Clusters);
    match render(&name, frame, stranger) {
        Some(Ok(html)) => Html(html).into_response(),
        Some(Err(error)) => error.to_string().into_response(),
        None => axum::http::StatusCode::NOT_FOUND.into_response(),
    }
}

fn render(name: &str, frame: Frame, stranger: Frame) -> Option<askama::Result<String>> {
    let now = made_up::now();
    let cluster = made_up::cluster(1, "demo");
    Some(match name {
        "sign-in" => sign_in_page(stranger, None),
        "sign-in-refused" => {
            let next = "Check both and try again; after ten failures it pauses for a minute.";
            sign_in_page(
                stranger,
                Some(Complaint::new("E-mail and password do not match.", next)),
            )
        }
        "continue" => sign_in::ContinuePage {
            frame: stranger,
            to: "/preview/clusters".into(),
        }
        .render(),
        "sso" => sso_page(frame),
        "provider" => {
            provider::ProviderPage::new(frame, fixtures_sign_in::provider("Acme"), None, None, now).render()
        }
        "sign-in-trouble" => trouble_page(stranger),
        "sign-out" => sign_out::SignOutPage { frame: stranger }.render(),
        "clusters" => clusters::ClustersPage::new(frame, &made_up::clusters(), "").render(),
        "no-clusters" => clusters::ClustersPage::new(frame, &[], "").render(),
        "no-clusters-member" => {
            let viewer = made_up::member_frame().viewer;
            clusters::ClustersPage::new(Frame { viewer, ..frame }, &[], "").render()
        }
        "new-cluster" => {
            let runtimes = vec!["airflow-3.3.2".to_owned()];
            new_cluster::NewClusterPage::new(frame, runtimes, new_cluster::NewClusterForm::default(), None)
                .render()
        }
        "starting" | "running" | "degraded" | "failed" | "stopped" => {
            let scene = if name == "running" { "done" } else { name };
            made_up::overview_in(frame, scene, now).render()
        }
        "nodes" => nodes::NodesPage::new(frame, &cluster, &made_up::nodes(), now).render(),
        "nodes-stopped" => {
            let stopped = made_up::clusters().swap_remove(3);
            nodes::NodesPage::new(frame, &stopped, &[], now).render()
        }
        "nodes-kept" => {
            let mut nodes = made_up::nodes();
            for node in &mut nodes {
                (node.off, node.phase, node.last_report_at) = (true, None, None);
                (node.cpu_percent, node.memory_bytes) = (None, None);
                node.services.clear();
            }
            nodes::NodesPage::new(frame, &made_up::clusters().swap_remove(3), &nodes, now).render()
        }
        "boot-log" => boot_log::BootLogPage::new(frame, &cluster, made_up::boot_log()).render(),
        "boot-log-missing" => {
            let mut log = made_up::boot_log();
            (log.text, log.missing) = (
                None,
                Some("It is not there yet: a machine leaves it when its boot has ended, well or not. That takes some seconds to minutes.".to_owned()),
            );
            boot_log::BootLogPage::new(frame, &cluster, log).render()
        }
        "dags" => fixtures_dags::dags_page(frame).render(),
        "logs" => logs_page(frame, "", "", &fixtures_logs::services()),
        "logs-task" => logs_page(frame, "orders_hourly", "", &fixtures_logs::tasks()),
        "logs-found" => logs_page(frame, "", "signal 9", &fixtures_logs::services()),
        "logs-empty" => logs_page(frame, "", "nothing", &LogPage::default()),
        "aws-accounts" => fixtures_aws::accounts_page(frame).render(),
        "aws-account" => fixtures_aws::account_page(frame).render(),
        "credentials" => fixtures_dags::credentials_page(frame.on(Here::Credentials)).render(),
        "configuration" => {
            let view = configuration::View {
                edit: "core.parallelism".into(),
                ..Default::default()
            };
            configuration::ConfigurationPage::new(frame, &cluster, &made_up::options(), view, None).render()
        }
        "access" => {
            let (known, why) = (made_up::known(), made_up::explanation());
            let view = access::View::default();
            access::AccessPage::new(frame, &cluster, view, Some(&known), Some(&why), None).render()
        }
        "activity" => {
            let operations = ["starting", "failed", "done"].map(made_up::operation);
            activity::ActivityPage::new(frame, &cluster, &operations, &made_up::events(), now).render()
        }
        "people" => {
            let all = made_up::people();
            people::PeoplePage::new(frame, &all, all[0].user, None, people::Attempt::default()).render()
        }
        "audit" => audit::AuditPage::new(frame, audit::Wanted::default(), &made_up::audit(), now).render(),
        "audit-empty" => audit::AuditPage::new(frame, audit::Wanted::default(), &[], now).render(),
        "account" => account::AccountPage::new(frame, None, true, crate::fixtures::sessions()).render(),
        "rotate-keys" => rotate_keys::RotateKeysPage::new(frame, &cluster).render(),
        "delete" => delete_cluster::DeleteClusterPage::new(frame, &cluster, None).render(),
        "not-found" => {
            let next = "It may have been deleted, or its role was taken back from you.";
            let complaint = Complaint::new("There is no cluster 99 for you.", next);
            let back = ("/clusters".to_owned(), "Go to clusters");
            notice::NoticePage {
                frame,
                status: 404,
                complaint,
                back,
            }
            .render()
        }
        _ => return None,
    })
}

fn logs_page(frame: Frame, dag: &str, search: &str, found: &LogPage) -> askama::Result<String> {
    let asked = logs::Wanted {
        dag: dag.into(),
        search: search.into(),
        ..logs::Wanted::default()
    };
    fixtures_logs::page(frame, asked, found).render()
}

fn sso_page(frame: Frame) -> askama::Result<String> {
    let setup = sso::Setup {
        providers: vec![fixtures_sign_in::provider("Acme")],
        domains: vec![
            fixtures_sign_in::domain("example.com", true),
            fixtures_sign_in::domain("example.org", false),
        ],
        rules: fixtures_sign_in::sign_in_rules(),
        tenant_url: "http://localhost:7700/sign-in/Example".into(),
        scim_url: "http://localhost:7700/scim/v2".into(),
    };
    sso::SsoPage::new(frame, setup, None, made_up::now()).render()
}

fn trouble_page(frame: Frame) -> askama::Result<String> {
    through_provider::SignInTroublePage {
        frame,
        heading: "Your identity provider does not answer",
        theirs: true,
        complaint: Complaint::new("No answer came in time.", "Try again in a minute."),
        again: Some("/preview/sign-in".into()),
        otherwise: "/preview/sign-in".into(),
        reference: "0198f0f0-0000-7000-8000-000000000001".into(),
    }
    .render()
}

fn sign_in_page(frame: Frame, complaint: Option<Complaint>) -> askama::Result<String> {
    let email = complaint
        .as_ref()
        .map(|_| "ada@example.com".to_owned())
        .unwrap_or_default();
    let complaint_shown = complaint.is_some();
    sign_in::SignInPage {
        frame,
        complaint,
        email,
        return_to: "/clusters".into(),
        asks_password: complaint_shown,
        for_airflow: false,
    }
    .render()
}
