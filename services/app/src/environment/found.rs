//! What a cluster's DAGs bring along beside themselves, packages and plugins: a change of the spec that nobody typed.

use updraft_api::agent::{PluginsReport, Report, RequirementsReport};
use updraft_model::{
    ClusterId, ClusterSpec, EnvironmentSpec, Failure, FoundPlugins, FoundRequirements, Generation,
    OperationId, OperationKind, TenantId, requirement_lines,
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

/// What the node that resolves found in the live version.
#[derive(Clone, Debug)]
pub struct Brought {
    requirements: Option<RequirementsReport>,
    plugins: Option<PluginsReport>,
}

// === impl Brought ===

impl Brought {
    /// None: its plugins are still being read, and what comes together is taken together.
    #[must_use]
    pub fn of(report: &Report) -> Option<Self> {
        let dags = &report.dags;
        let is_read = |plugins: &PluginsReport| report.dag_version.as_ref() == Some(&plugins.version);
        dags.plugins.as_ref().is_none_or(is_read).then(|| Self {
            requirements: dags.requirements.clone(),
            plugins: dags.plugins.clone(),
        })
    }

    /// The environment as it would be with this, and in words what is new.
    fn over(&self, environment: &EnvironmentSpec) -> (EnvironmentSpec, Vec<String>) {
        let (mut wanted, mut news) = (environment.clone(), Vec::new());
        let meant = self.requirements.as_ref();
        let meant = meant.filter(|said| environment.from_dags.as_ref() == Some(&said.file));
        if let Some(said) = meant.filter(|said| !is_found(said, environment)) {
            let path = &said.file.path;
            wanted.found = Some(judged(path, &said.text, said.trouble.as_deref()));
            news.push(format!("`{path}` of the DAGs asks for other packages"));
        }
        if let Some(said) = self.plugins.as_ref().filter(|said| !has(said, environment)) {
            wanted.plugins = said.digest.clone().map(|digest| FoundPlugins {
                digest,
                version: said.version.clone(),
            });
            news.push(match wanted.plugins {
                Some(_) => "the DAGs bring other plugins".to_owned(),
                None => "the DAGs bring no plugins any more".to_owned(),
            });
        }
        (wanted, news)
    }
}

/// Writes what the DAGs bring as a new generation, with an operation of Updraft's own; false when it is what is known.
///
/// # Errors
/// [`StoreError::Missing`] when the cluster was changed meanwhile.
pub async fn take_found(
    tx: &mut PgConnection,
    following: Following<'_>,
    brought: &Brought,
) -> Result<bool, StoreError> {
    let Following {
        tenant,
        cluster,
        generation,
        spec,
    } = following;
    let (environment, news) = brought.over(&spec.environment);
    if news.is_empty() {
        return Ok(false);
    }
    let wanted = ClusterSpec {
        environment,
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
            cause: None,
        };
        operations::open(tx, &operation).await?;
        let message = news.join("; ");
        event_log::append(tx, tenant, Some(cluster), "update_requested", &message).await?;
    }
    Ok(true)
}

/// Whether the spec has all that the live version brings.
pub(crate) fn is_settled(report: &Report, environment: &EnvironmentSpec) -> bool {
    let asked = environment.from_dags.as_ref();
    let said = report.dags.requirements.as_ref();
    let waits = asked.is_some() && said.map(|said| &said.file) != asked;
    !waits && Brought::of(report).is_some_and(|brought| brought.over(environment).1.is_empty())
}

/// Whether the spec has what a report says of the file.
fn is_found(said: &RequirementsReport, environment: &EnvironmentSpec) -> bool {
    let found = judged(&said.file.path, &said.text, said.trouble.as_deref());
    environment.found.as_ref() == Some(&found)
}

/// The same plugins, whichever version has them. What is no digest is nothing that an agent of ours says.
fn has(said: &PluginsReport, environment: &EnvironmentSpec) -> bool {
    let is_digest = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let makes_sense = [&said.version].into_iter().chain(&said.digest).all(is_digest);
    let known = environment.plugins.as_ref().map(|plugins| &plugins.digest);
    !makes_sense || said.digest.as_ref() == known
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
    use updraft_api::agent::PluginsReport;
    use updraft_model::{EnvironmentSpec, FoundPlugins};

    use super::{Brought, judged};

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

    fn digest(letter: &str) -> String {
        letter.repeat(64)
    }

    fn environment(plugins: Option<&str>) -> EnvironmentSpec {
        EnvironmentSpec {
            plugins: plugins.map(|letter| FoundPlugins {
                digest: digest(letter),
                version: digest("1"),
            }),
            ..EnvironmentSpec::default()
        }
    }

    fn with(before: &EnvironmentSpec, plugins: Option<String>) -> (EnvironmentSpec, usize) {
        let brought = Brought {
            requirements: None,
            plugins: Some(PluginsReport {
                version: digest("2"),
                digest: plugins,
            }),
        };
        let (after, news) = brought.over(before);
        (after, news.len())
    }

    #[test]
    fn other_plugins_are_news_and_the_same_ones_of_another_version_are_none() {
        let (none, a) = (environment(None), environment(Some("a")));
        assert_eq!(with(&none, None), (none.clone(), 0));
        assert_eq!(with(&a, Some(digest("a"))), (a.clone(), 0));
        assert_eq!(with(&a, None), (none.clone(), 1));
        let (after, news) = with(&none, Some(digest("b")));
        assert_eq!(news, 1);
        assert_eq!(after.plugins.unwrap().version, digest("2"));
    }

    #[test]
    fn what_is_no_digest_changes_nothing() {
        let a = environment(Some("a"));
        for bad in ["../../etc", "", "a b", &"g".repeat(64)] {
            assert_eq!(with(&a, Some(bad.to_owned())), (a.clone(), 0), "{bad}");
        }
    }
}
