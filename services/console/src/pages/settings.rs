//! A cluster's variables, secrets and bootstrap script on its configuration page, and the forms that change them.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::Deserialize;
use updraft_api::rest::{ClusterView, EnvironmentState, EnvironmentView, UpdateCluster};
use updraft_api::task_secrets::{ChangeTaskSecrets, TaskSecretView};
use updraft_model::{BootstrapScript, BootstrapSpec, ClusterId, DagSource, FolderSource, Generation};

use super::change_configuration::apply;
use super::cluster::back_to;
use super::configuration::{View, draw};
use super::tags;
use crate::extract::{At, Sent};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;

/// What the page shows of them.
pub(crate) struct Settings {
    pub(crate) variables: String,
    pub(crate) script: String,
    /// `s3://…`, when the script is an object.
    pub(crate) object: String,
    pub(crate) time_limit_s: u32,
    /// How far a change of the script is.
    pub(crate) note: Option<&'static str>,
    /// Why it was refused, with its last lines.
    pub(crate) reason: Option<String>,
    pub(crate) secrets: Vec<TaskSecretView>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Vary {
    generation: Generation,
    #[serde(default)]
    variables: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Reboot {
    generation: Generation,
    #[serde(default)]
    script: String,
    #[serde(default)]
    object: String,
    time_limit_s: u32,
}

/// A secret to be set, or one to be removed.
#[derive(Clone, Deserialize)]
pub(crate) struct Conceal {
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    remove: Option<String>,
}

// === impl Settings ===

impl Settings {
    /// What was refused at once comes back to be corrected.
    pub(crate) fn of(cluster: &ClusterView, view: &View) -> Self {
        let bootstrap = &cluster.spec.bootstrap;
        let (script, object) = match &bootstrap.script {
            Some(BootstrapScript::Inline { text }) => (text.clone(), String::new()),
            Some(script @ BootstrapScript::S3 { .. }) => (String::new(), typed(script)),
            None => (String::new(), String::new()),
        };
        let variables = &cluster.spec.environment_variables;
        let change = cluster
            .environment
            .as_ref()
            .filter(|change| change.live_bootstrap.key() != bootstrap.key());
        let failure = change.and_then(|change| change.failure.as_ref());
        Self {
            variables: view.variables.clone().unwrap_or_else(|| tags::write(variables)),
            script: view.script.clone().unwrap_or(script),
            object: view.object.clone().unwrap_or(object),
            time_limit_s: bootstrap.time_limit_s,
            note: change.map(note),
            reason: failure.map(|failure| format!("{}\n\n{}", failure.message, failure.remedy)),
            secrets: Vec::new(),
        }
    }
}

fn note(change: &EnvironmentView) -> &'static str {
    match change.state {
        EnvironmentState::Building => "This is being tried. No node has changed yet.",
        EnvironmentState::RollingOut => {
            "This works where it was tried. Workers change over first, then scheduler and web."
        }
        EnvironmentState::Refused => {
            "This was refused: nodes go on with what they had. Correct it, or take it back."
        }
    }
}

pub(crate) async fn vary(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Sent(vary): Sent<Vary>,
) -> Answer {
    let update = UpdateCluster {
        environment_variables: Some(tags::read(&vary.variables)),
        ..UpdateCluster::default()
    };
    let view = View {
        variables: Some(vary.variables),
        ..View::default()
    };
    apply(&console, &visit, id, vary.generation, update, view).await
}

pub(crate) async fn reboot(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Sent(reboot): Sent<Reboot>,
) -> Answer {
    let update = UpdateCluster {
        bootstrap: Some(BootstrapSpec {
            script: script(&reboot),
            time_limit_s: reboot.time_limit_s,
            read_at: None,
        }),
        ..UpdateCluster::default()
    };
    let view = View {
        script: Some(reboot.script),
        object: Some(reboot.object),
        ..View::default()
    };
    apply(&console, &visit, id, reboot.generation, update, view).await
}

pub(crate) async fn conceal(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Sent(conceal): Sent<Conceal>,
) -> Answer {
    let change = match conceal.remove {
        Some(name) => ChangeTaskSecrets {
            remove: vec![name],
            ..ChangeTaskSecrets::default()
        },
        None => ChangeTaskSecrets {
            // Browsers end lines as mail does.
            set: BTreeMap::from([(
                conceal.name.trim().to_owned(),
                conceal.value.replace("\r\n", "\n"),
            )]),
            ..ChangeTaskSecrets::default()
        },
    };
    let changed = console.app.change_task_secrets(&visit.actor, id, change).await;
    match changed.map_err(Refusal::from) {
        Ok(_) => Ok(back_to(id, "/configuration#secrets")),
        Err(failure) if failure.correctable() => {
            draw(&console, &visit, id, View::default(), Some(failure)).await
        }
        Err(failure) => Err(failure),
    }
}

/// None: nothing is to be run. An object that cannot be read as one is sent as it is typed, and refused by name.
fn script(reboot: &Reboot) -> Option<BootstrapScript> {
    let object = reboot.object.trim();
    if object.is_empty() {
        let text = reboot.script.replace("\r\n", "\n");
        return (!text.trim().is_empty()).then_some(BootstrapScript::Inline { text });
    }
    let source = object.parse::<FolderSource>().map(|source| source.source);
    Some(match source {
        Ok(DagSource::S3 {
            bucket,
            prefix,
            region,
            endpoint,
            credential,
            ..
        }) => BootstrapScript::S3 {
            bucket,
            key: prefix,
            region,
            endpoint,
            credential,
        },
        Ok(_) | Err(_) => BootstrapScript::S3 {
            bucket: String::new(),
            key: object.to_owned(),
            region: String::new(),
            endpoint: None,
            credential: None,
        },
    })
}

/// As it can be typed again.
fn typed(script: &BootstrapScript) -> String {
    let BootstrapScript::S3 {
        bucket,
        key,
        region,
        endpoint,
        credential,
    } = script
    else {
        return String::new();
    };
    let source = DagSource::S3 {
        bucket: bucket.clone(),
        prefix: key.clone(),
        region: region.clone(),
        endpoint: endpoint.clone(),
        credential: credential.clone(),
        queue_url: None,
    };
    FolderSource {
        folder: updraft_model::DagFolder::default(),
        source,
        ca_certificate: None,
    }
    .typed()
}

#[cfg(test)]
mod tests {
    use updraft_model::{BootstrapScript, Generation};

    use super::{Reboot, script, typed};

    fn asked(text: &str, object: &str) -> Option<BootstrapScript> {
        script(&Reboot {
            generation: Generation(1),
            script: text.to_owned(),
            object: object.to_owned(),
            time_limit_s: 120,
        })
    }

    #[test]
    fn a_script_is_typed_or_named_or_neither() {
        assert_eq!(asked(" \r\n", " "), None);
        let Some(BootstrapScript::Inline { text }) = asked("one\r\ntwo\r\n", "") else {
            panic!("it is typed");
        };
        assert_eq!(text, "one\ntwo\n");
        let named = "s3://ours/nodes/boot.sh#region=eu-west-1&credential=aws";
        assert_eq!(typed(&asked("", named).unwrap()), named);
        let wrong = asked("", "ours/boot.sh").unwrap();
        assert!(matches!(wrong, BootstrapScript::S3 { bucket, .. } if bucket.is_empty()));
    }
}
