//! A cluster's sources together, and what else lies where DAGs may come from. What may be said of one is the model's. Pure.

pub(crate) use updraft_model::address::is_https;
use updraft_model::address::{is_bucket, is_region, is_relative};
use updraft_model::{DagFolder, DagSource, FolderSource, SourceFault};
pub use updraft_model::{credential_fits, push_prefix};

use crate::AppError;

const MAX_SOURCES: usize = 20;

/// What a cluster has unless it is told otherwise.
pub(crate) fn default_sources() -> Vec<FolderSource> {
    vec![FolderSource {
        folder: DagFolder::default(),
        source: DagSource::ClusterBucket {
            prefix: "dags/".to_owned(),
        },
        ca_certificate: None,
    }]
}

/// The sources asked for, each as it is written down.
pub(crate) fn checked(asked: Vec<FolderSource>) -> Result<Vec<FolderSource>, AppError> {
    if asked.is_empty() || asked.len() > MAX_SOURCES {
        let why = format!("name 1 to {MAX_SOURCES} sources");
        return Err(AppError::invalid("dag_sources", why));
    }
    for (index, one) in asked.iter().enumerate() {
        let alone = !one.folder.is_top() || asked.len() == 1;
        if !alone || asked[..index].iter().any(|other| other.folder == one.folder) {
            let why = "give each source a folder of its own; a source for the top (an empty folder) is the only one";
            return Err(AppError::invalid(format!("dag_sources[{index}].folder"), why));
        }
    }
    let each = asked.into_iter().enumerate().map(|(index, one)| {
        let refuse = |fault: SourceFault| {
            AppError::invalid(format!("dag_sources[{index}].source.{}", fault.field), fault.why)
        };
        let source = one.source.checked().map_err(refuse)?;
        if one.ca_certificate.is_some() && !source.is_by_https() {
            let why = "leave it out: only git over https and S3 are reached with certificates; ssh hosts are known by their keys";
            return Err(AppError::invalid(format!("dag_sources[{index}].ca_certificate"), why));
        }
        Ok(FolderSource { source, ..one })
    });
    each.collect()
}

/// What is wrong with the address of one object in a bucket of the tenant's own: the field, and what to do.
pub(crate) fn object_fault(
    bucket: &str,
    key: &str,
    region: &str,
    endpoint: Option<&str>,
) -> Option<(&'static str, &'static str)> {
    if !is_bucket(bucket) {
        return Some(("bucket", "use a bucket's name: 3 to 63 of a-z, 0-9, `.` and `-`"));
    }
    if !is_relative(key) {
        return Some((
            "key",
            "use an object's key like `nodes/bootstrap.sh`, without a slash in front",
        ));
    }
    if !is_region(region) {
        return Some(("region", "use a region's name like `eu-west-1`"));
    }
    let why = "use an `https://` address without user, password or fragment";
    endpoint
        .is_some_and(|address| !is_https(address))
        .then_some(("endpoint", why))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use updraft_model::FolderSource;

    use super::checked;
    use crate::AppError;

    fn asked(sources: Value) -> Result<Vec<FolderSource>, AppError> {
        checked(serde_json::from_value(sources).unwrap())
    }

    fn refused_field(answer: Result<impl std::fmt::Debug, AppError>) -> String {
        match answer {
            Err(AppError::Invalid { field, why }) => {
                assert!(!why.is_empty());
                field
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn an_authority_is_for_servers_that_show_certificates() {
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let with = |source: Value| asked(json!([{"source": source, "ca_certificate": pem}]));
        for source in [
            json!({"kind": "push"}),
            json!({"kind": "git", "url": "git@git.corp:dags", "credential": "key"}),
        ] {
            assert_eq!(refused_field(with(source)), "dag_sources[0].ca_certificate");
        }
        let kept = with(json!({"kind": "git", "url": "https://git.corp/dags"})).unwrap();
        let kept = kept[0].ca_certificate.as_ref().map(|one| one.as_str());
        assert_eq!(kept, Some("MIIB"));
    }

    #[test]
    fn each_source_has_a_folder_of_its_own() {
        let push = |folder: &str| json!({"folder": folder, "source": {"kind": "push"}});
        assert_eq!(refused_field(asked(json!([]))), "dag_sources");
        assert_eq!(
            refused_field(asked(json!([push(""), push("a")]))),
            "dag_sources[0].folder"
        );
        assert_eq!(
            refused_field(asked(json!([push("a"), push("a")]))),
            "dag_sources[1].folder"
        );
        assert_eq!(asked(json!([push("a"), push("b")])).unwrap().len(), 2);
    }
}
