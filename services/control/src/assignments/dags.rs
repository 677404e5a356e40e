//! What a node is told of its cluster's DAGs. Pure.

use updraft_api::agent::{
    DagDelivery, GitCredential, IndexDelivery, IndexLogin, KeyPair, SourceDelivery, SourceFrom,
};
use updraft_app::{credential_fits, push_prefix};
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
        bucket: inputs.storage.bucket.clone(),
        versions_prefix: "updraft/dag-versions/".to_owned(),
        access_key: inputs.storage.access_key.clone(),
        secret_key: inputs.storage.secret_key.clone(),
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
            credential: opened(credential).and_then(key_pair),
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

fn key_pair(credential: &OpenCredential) -> Option<KeyPair> {
    match &credential.config {
        CredentialConfig::S3Keys { access_key } => Some(KeyPair {
            access_key: access_key.clone(),
            secret_key: credential.secret.clone(),
            session_token: None,
        }),
        CredentialConfig::GitToken { .. }
        | CredentialConfig::AwsRole { .. }
        | CredentialConfig::SshKey { .. }
        | CredentialConfig::PackageIndex { .. } => None,
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
