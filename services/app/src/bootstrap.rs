//! What a tenant may ask nodes to run before their services start. Pure, but for the credential that it names.

use updraft_model::{BootstrapScript, BootstrapSpec, CredentialConfig, TenantId};
use updraft_store::{PgConnection, credentials};

use crate::AppError;
use crate::dags::sources::object_fault;

const MAX_BYTES: usize = 32 * 1024;

/// Refuses what is out of bounds; whether it works turns out where it is tried.
pub(crate) fn check(bootstrap: &BootstrapSpec) -> Result<(), AppError> {
    if !(5..=300).contains(&bootstrap.time_limit_s) {
        let why = "a bootstrap script is given 5 to 300 s on a node";
        return Err(AppError::invalid("bootstrap.time_limit_s", why));
    }
    let fault = match &bootstrap.script {
        None => None,
        Some(BootstrapScript::Inline { text }) => text_fault(text).map(|why| ("text", why)),
        Some(BootstrapScript::S3 {
            bucket,
            key,
            region,
            endpoint,
            ..
        }) => object_fault(bucket, key, region, endpoint.as_deref()),
    };
    fault.map_or(Ok(()), |(field, why)| {
        Err(AppError::invalid(format!("bootstrap.script.{field}"), why))
    })
}

fn text_fault(text: &str) -> Option<&'static str> {
    if text.len() > MAX_BYTES {
        return Some("a script has at most 32 KiB: fetch from within it what is larger, or keep it in S3");
    }
    if text.contains('\0') {
        return Some("a script is text, without NUL");
    }
    text.trim()
        .is_empty()
        .then_some("write what is to be run, or leave the script out")
}

/// Refuses a credential that is not there, or is for something else.
pub(crate) async fn check_named(
    connection: &mut PgConnection,
    tenant: TenantId,
    bootstrap: &BootstrapSpec,
) -> Result<(), AppError> {
    let Some(BootstrapScript::S3 {
        credential: Some(name),
        ..
    }) = &bootstrap.script
    else {
        return Ok(());
    };
    let refuse = |why: String| Err(AppError::invalid("bootstrap.script.credential", why));
    match credentials::find(connection, tenant, name).await? {
        None => refuse(format!(
            "there is no credential `{name}`: an owner makes it with `updraft credential create`"
        )),
        Some(record) => match record.config {
            CredentialConfig::S3Keys { .. } | CredentialConfig::AwsRole { .. } => Ok(()),
            CredentialConfig::GitToken { .. }
            | CredentialConfig::SshKey { .. }
            | CredentialConfig::PackageIndex { .. } => {
                refuse("name a credential of kind `s3_keys` or `aws_role`".to_owned())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use updraft_model::{BootstrapScript, BootstrapSpec, Generation};

    use super::check;
    use crate::AppError;

    fn refused(script: BootstrapScript, time_limit_s: u32) -> Option<String> {
        let asked = BootstrapSpec {
            script: Some(script),
            time_limit_s,
            read_at: None,
        };
        match check(&asked) {
            Ok(()) => None,
            Err(AppError::Invalid { field, .. }) => Some(field),
            Err(other) => panic!("{other}"),
        }
    }

    fn inline(text: &str) -> BootstrapScript {
        BootstrapScript::Inline {
            text: text.to_owned(),
        }
    }

    fn object(bucket: &str, key: &str, endpoint: Option<&str>) -> BootstrapScript {
        BootstrapScript::S3 {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            region: "eu-west-1".to_owned(),
            endpoint: endpoint.map(str::to_owned),
            credential: None,
        }
    }

    #[test]
    fn scripts_and_their_time_are_bounded() {
        assert_eq!(refused(inline("echo hello"), 120), None);
        assert_eq!(
            refused(inline("echo hello"), 4).as_deref(),
            Some("bootstrap.time_limit_s")
        );
        assert_eq!(
            refused(inline("echo hello"), 301).as_deref(),
            Some("bootstrap.time_limit_s")
        );
        for bad in ["", " \n", "a\0b", &"x".repeat(32 * 1024 + 1)] {
            assert_eq!(
                refused(inline(bad), 120).as_deref(),
                Some("bootstrap.script.text")
            );
        }
    }

    #[test]
    fn an_object_is_one_of_a_bucket_over_https() {
        assert_eq!(refused(object("our-scripts", "nodes/boot.sh", None), 120), None);
        for (bad, field) in [
            (object("x", "boot.sh", None), "bucket"),
            (object("our-scripts", "", None), "key"),
            (object("our-scripts", "/boot.sh", None), "key"),
            (object("our-scripts", "a/../boot.sh", None), "key"),
            (
                object("our-scripts", "boot.sh", Some("http://169.254.169.254")),
                "endpoint",
            ),
            (object("our-scripts", "boot.sh", Some("file:///etc")), "endpoint"),
        ] {
            assert_eq!(refused(bad, 120), Some(format!("bootstrap.script.{field}")));
        }
    }

    #[test]
    fn an_object_is_read_anew_whenever_it_is_asked_for() {
        let asked = |script| BootstrapSpec {
            script: Some(script),
            ..BootstrapSpec::default()
        };
        let object = asked(object("our-scripts", "boot.sh", None));
        assert_ne!(
            object.clone().asked_at(Generation(3)).key(),
            object.asked_at(Generation(4)).key()
        );
        let inline = asked(inline("echo hello"));
        assert_eq!(
            inline.clone().asked_at(Generation(3)).key(),
            inline.asked_at(Generation(4)).key()
        );
    }
}
