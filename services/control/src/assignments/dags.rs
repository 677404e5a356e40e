//! What a node is told of its cluster's DAGs. Pure.

use updraft_api::agent::{DagDelivery, GitCredential, IndexDelivery, IndexLogin, SourceDelivery, SourceFrom};
use updraft_app::{bucket_keys, credential_fits, push_prefix};
use updraft_model::{CredentialConfig, CredentialName, DagSource, FolderSource, NodeRole, PackageIndex};
use updraft_store::credentials::OpenCredential;

use super::{AssignmentInputs, DagInputs};

/// Whether it is this role's node that turns sources into versions.
pub(super) fn resolves(role: NodeRole) -> bool {
    role == NodeRole::Scheduler
}

pub(super) fn delivery(inputs: &AssignmentInputs<'_>) -> DagDelivery {
    let resolver = resolves(inputs.role);
    let sources = inputs.spec.dag_sources.iter().filter(|_| resolver);
    DagDelivery {
        endpoint: inputs.storage.endpoint.clone(),
        region: inputs.storage.region.clone(),
        bucket: inputs.storage.bucket.clone(),
        versions_prefix: "updraft/dag-versions/".to_owned(),
        access_key: inputs.storage.access_key.clone(),
        secret_key: inputs.storage.secret_key.clone(),
        session_token: inputs.storage.session_token.clone(),
        resolver,
        sources: sources
            .map(|source| source_delivery(source, inputs.dags))
            .collect(),
        pinned: inputs.dags.pinned.clone(),
        kept: inputs.dags.kept.clone(),
        sync_nonce: inputs.dags.sync_nonce,
        outbound_allow: inputs.dags.outbound_allow.clone(),
    }
}

fn source_delivery(asked: &FolderSource, dags: &DagInputs) -> SourceDelivery {
    // Looked at again here: the credential may have been changed since the spec was.
    let opened = |name: &Option<CredentialName>| {
        let credential = dags.credentials.get(name.as_ref()?)?;
        credential_fits(&asked.source, &credential.config)
            .is_ok()
            .then_some(credential)
    };
    let from = match &asked.source {
        DagSource::ClusterBucket { prefix } => SourceFrom::ClusterBucket {
            prefix: prefix.clone(),
        },
        DagSource::Push {} => SourceFrom::Push {
            prefix: push_prefix(&asked.folder),
        },
        DagSource::S3 {
            bucket,
            prefix,
            region,
            endpoint,
            credential,
            queue_url,
        } => SourceFrom::S3 {
            endpoint: endpoint.clone(),
            region: region.clone(),
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            credential: opened(credential).and_then(bucket_keys),
            queue_url: queue_url.clone(),
        },
        DagSource::Git {
            url,
            reference,
            path,
            submodules,
            credential,
        } => SourceFrom::Git {
            url: url.clone(),
            reference: reference.clone(),
            path: path.clone(),
            submodules: *submodules,
            credential: opened(credential).and_then(git_credential),
        },
    };
    SourceDelivery {
        folder: asked.folder.to_string(),
        from,
        ca_certificate: asked.ca_certificate.as_ref().map(ToString::to_string),
    }
}

fn git_credential(credential: &OpenCredential) -> Option<GitCredential> {
    match &credential.config {
        CredentialConfig::GitToken { username, .. } => Some(GitCredential::Token {
            username: username.clone(),
            token: credential.secret.clone(),
        }),
        CredentialConfig::SshKey { known_hosts } => Some(GitCredential::SshKey {
            private_key: credential.secret.clone(),
            known_hosts: known_hosts.clone(),
        }),
        CredentialConfig::S3Keys { .. }
        | CredentialConfig::AwsRole { .. }
        | CredentialConfig::PackageIndex { .. } => None,
    }
}

/// A tenant's package index, with what it is shown there.
pub(super) fn index_delivery(index: &PackageIndex, opened: Option<OpenCredential>) -> IndexDelivery {
    let fitting = opened.filter(|one| index.fits(&one.config).is_ok());
    let login = fitting.and_then(|opened| match opened.config {
        CredentialConfig::PackageIndex { username, .. } => Some(IndexLogin {
            username,
            password: opened.secret,
        }),
        CredentialConfig::GitToken { .. }
        | CredentialConfig::SshKey { .. }
        | CredentialConfig::S3Keys { .. }
        | CredentialConfig::AwsRole { .. } => None,
    });
    IndexDelivery {
        url: index.url.clone(),
        login,
    }
}

#[cfg(test)]
mod tests {
    use secrecy::{ExposeSecret as _, SecretString};
    use serde_json::{Value, json};
    use updraft_api::agent::SourceFrom;
    use updraft_model::{BootstrapSpec, FolderSource};
    use updraft_store::credentials::OpenCredential;

    use super::{DagInputs, source_delivery};

    fn role(session: &Value) -> OpenCredential {
        let config = json!({
            "kind": "aws_role", "role_arn": "arn:aws:iam::210987654321:role/airflow-dags", "external_id": "updraft-1"});
        OpenCredential {
            config: serde_json::from_value(config).unwrap(),
            secret: SecretString::from(session.to_string()),
        }
    }

    fn session() -> Value {
        json!({"access_key": "ASIA", "secret_key": "s", "session_token": "t", "expires_at": "2026-11-22T04:00:00Z"})
    }

    fn source() -> FolderSource {
        let source = json!({"kind": "s3", "bucket": "b", "region": "eu-west-1", "credential": "dags"});
        serde_json::from_value(json!({"source": source})).unwrap()
    }

    fn told(credential: OpenCredential) -> Option<(String, String)> {
        let dags = DagInputs {
            credentials: [("dags".parse().unwrap(), credential)].into(),
            ..DagInputs::default()
        };
        let SourceFrom::S3 { credential, .. } = source_delivery(&source(), &dags).from else {
            panic!("no longer a bucket")
        };
        let pair = credential?;
        Some((pair.access_key, pair.session_token?.expose_secret().to_owned()))
    }

    #[test]
    fn a_source_is_opened_by_the_session_of_its_role_and_by_nothing_before_there_is_one() {
        assert_eq!(told(role(&session())), Some(("ASIA".to_owned(), "t".to_owned())));
        assert_eq!(told(role(&json!(null))), None);
    }

    #[test]
    fn so_is_a_script() {
        let mut spec: updraft_model::ClusterSpec =
            serde_json::from_value(json!({"runtime": "airflow-3.3.2", "dag_sources": []})).unwrap();
        let script =
            json!({"kind": "s3", "bucket": "b", "key": "k", "region": "eu-west-1", "credential": "dags"});
        spec.bootstrap = BootstrapSpec {
            script: serde_json::from_value(script).unwrap(),
            ..BootstrapSpec::default()
        };
        let credential = role(&session());
        let trial = super::super::scripts::trial(&spec, updraft_model::Generation(1), Some(&credential));
        let pair = trial.unwrap().object.unwrap().credential.unwrap();
        assert_eq!(pair.session_token.unwrap().expose_secret(), "t");
    }
}
