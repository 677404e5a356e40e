//! What opens a tenant's bucket: keys that were given, or the session of a role.

use updraft_api::agent::KeyPair;
use updraft_model::CredentialConfig;
use updraft_store::credentials::OpenCredential;

use crate::aws_identity::RoleSession;

/// None: the credential is for something else, or a role that was never assumed.
#[must_use]
pub fn bucket_keys(opened: &OpenCredential) -> Option<KeyPair> {
    match &opened.config {
        CredentialConfig::S3Keys { access_key } => Some(KeyPair {
            access_key: access_key.clone(),
            secret_key: opened.secret.clone(),
            session_token: None,
        }),
        CredentialConfig::AwsRole { .. } => RoleSession::kept(&opened.secret).map(RoleSession::into_keys),
        CredentialConfig::GitToken { .. }
        | CredentialConfig::SshKey { .. }
        | CredentialConfig::PackageIndex { .. } => None,
    }
}
