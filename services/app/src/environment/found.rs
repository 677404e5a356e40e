//! What a cluster's DAGs ask for in their requirements file: a change of the spec that nobody typed.

use updraft_api::agent::RequirementsReport;
use updraft_model::{
    ClusterId, ClusterSpec, EnvironmentSpec, Failure, FoundRequirements, Generation, OperationId,
    OperationKind, TenantId, requirement_lines,
};
use updraft_store::operations::{self, NewOperation};
use updraft_store::{PgConnection, StoreError, clusters, event_log};
use uuid::Uuid;

use super::{MAX_LINES, fault};

/// A cluster as it is while its DAGs are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Following<'a> {
    pub tenant: TenantId,
    pub cluster: ClusterId,
    pub generation: Generation,
    pub spec: &'a ClusterSpec,
}

/// Writes what the file asks for as a new generation, with an operation of Updraft's own; false when it is what is known.
///
/// # Errors
/// [`StoreError::Missing`] when the cluster was changed meanwhile.
pub async fn take_found(
    tx: &mut PgConnection,
    following: Following<'_>,
    said: &RequirementsReport,
) -> Result<bool, StoreError> {
    let Following {
        tenant,
        cluster,
        generation,
        spec,
    } = following;
    let is_meant = spec.environment.from_dags.as_ref() == Some(&said.file);
    if !is_meant || is_found(said, &spec.environment) {
        return Ok(false);
    }
    let path = &said.file.path;
    let found = judged(path, &said.text, said.trouble.as_deref());
    let message = format!("`{path}` of the DAGs asks for other packages");
    let wanted = ClusterSpec {
        environment: EnvironmentSpec {
            found: Some(found),
            ..spec.environment.clone()
        },
        ..spec.clone()
    };
    // What asks for nothing more than there is, is only noted.
    let is_news = wanted.environment.key() != spec.environment.key();
    super::change(tx, tenant, cluster, (spec, generation), &wanted).await?;
    clusters::set_spec(tx, tenant, cluster, generation, &wanted).await?;
    if is_news {
        let operation = NewOperation {
            id: OperationId(Uuid::now_v7()),
            tenant,
            cluster,
            kind: OperationKind::Update,
            generation: generation.next(),
            requested_by: None,
        };
        operations::open(tx, &operation).await?;
        event_log::append(tx, tenant, Some(cluster), "update_requested", &message).await?;
    }
    Ok(true)
}

/// Whether the spec has what a report says of the file.
pub(crate) fn is_found(said: &RequirementsReport, environment: &EnvironmentSpec) -> bool {
    let found = judged(&said.file.path, &said.text, said.trouble.as_deref());
    environment.found.as_ref() == Some(&found)
}

/// The same bounds as for what people type: a file is no way around them.
fn judged(path: &str, said: &str, trouble: Option<&str>) -> FoundRequirements {
    let wrong = requirement_lines(said).find_map(|(number, line)| {
        let why = fault(line)?;
        Some(format!("`{path}`, line {number}: {why}"))
    });
    let many = requirement_lines(said).count() > MAX_LINES;
    let many = many.then(|| format!("`{path}` has more than {MAX_LINES} requirements"));
    match trouble.map(str::to_owned).or(wrong).or(many) {
        Some(trouble) => FoundRequirements {
            requirements: String::new(),
            trouble: Some(trouble),
        },
        None => FoundRequirements {
            requirements: requirement_lines(said)
                .map(|(_, line)| format!("{line}\n"))
                .collect(),
            trouble: None,
        },
    }
}

/// Why there is nothing to be built of it.
pub(super) fn failure(environment: &EnvironmentSpec) -> Option<Failure> {
    let trouble = environment.found.as_ref()?.trouble.as_ref()?;
    Some(Failure {
        code: "environment_requirements_file".to_owned(),
        message: format!("The DAGs' requirements can't be used; nothing was changed: {trouble}."),
        remedy: "Correct the file, or take `from_dags` out of the cluster's environment.".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::judged;

    #[test]
    fn comments_are_no_change_and_lines_keep_their_numbers_in_complaints() {
        let one = judged("requirements.txt", "# ours\npolars==1.0  # frames\n", None);
        assert_eq!(one, judged("requirements.txt", "polars==1.0", None));
        assert_eq!(one.requirements, "polars==1.0\n");
        let wrong = judged("requirements.txt", "# ours\n\n-r other.txt\n", None);
        let trouble = wrong.trouble.unwrap();
        assert!(trouble.starts_with("`requirements.txt`, line 3: "), "{trouble}");
        assert_eq!(wrong.requirements, "");
    }

    #[test]
    fn a_file_asks_for_no_more_than_people_may() {
        assert!(judged("r.txt", &"a\n".repeat(500), None).trouble.is_none());
        assert!(judged("r.txt", &"a\n".repeat(501), None).trouble.is_some());
        for bad in ["--index-url http://evil", "own @ file:///etc/passwd", "../x"] {
            assert!(judged("r.txt", bad, None).trouble.is_some(), "{bad}");
        }
    }
}
