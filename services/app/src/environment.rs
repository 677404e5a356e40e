//! What a tenant may ask of an environment, and what a changed wish means for the one that a cluster has.

mod found;

use std::path::Path;

use updraft_authz::Actor;
use updraft_model::address::is_https;
use updraft_model::{
    BootstrapSpec, ClusterId, ClusterSpec, EnvironmentSpec, Generation, PackageIndex, RequirementsFile,
    TenantId,
};
use updraft_store::environment_changes::{self, EnvironmentChange, Stage};
use updraft_store::{PgConnection, StoreError, Tx};

use crate::AppError;

pub(crate) use found::is_settled;
pub use found::{Brought, Following, take_found};

const MAX_CHARACTERS: usize = 65_536;
const MAX_LINES: usize = 500;
const MAX_LINE: usize = 500;
const MAX_EXTRAS: usize = 20;
const FIELD: &str = "environment.requirements";

/// Refuses what is out of bounds; whether it can be solved turns out on a node.
pub(crate) fn check(environment: &EnvironmentSpec) -> Result<(), AppError> {
    if !(10..=1500).contains(&environment.build_time_limit_s) {
        let why = "an environment is given 10 to 1,500 s to be built";
        return Err(AppError::invalid("environment.build_time_limit_s", why));
    }
    if environment.requirements.len() > MAX_CHARACTERS || environment.lines().count() > MAX_LINES {
        let why = format!("write at most {MAX_LINES} requirements in {MAX_CHARACTERS} characters");
        return Err(AppError::invalid(FIELD, why));
    }
    let wrong = environment.lines().find_map(|(number, line)| {
        let why = fault(line)?;
        Some(AppError::invalid(FIELD, format!("line {number}: {why}")))
    });
    wrong.map_or(Ok(()), Err)?;
    environment.package_index.as_ref().map_or(Ok(()), check_index)?;
    environment.from_dags.as_ref().map_or(Ok(()), check_file)
}

fn check_index(index: &PackageIndex) -> Result<(), AppError> {
    if is_https(&index.url) {
        return Ok(());
    }
    let why = "use an `https://` address without user and password: make them a credential with \
               `updraft credential create package-index`, and name it";
    Err(AppError::invalid("environment.package_index.url", why))
}

fn check_file(file: &RequirementsFile) -> Result<(), AppError> {
    let path = &file.path;
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control);
    if path.chars().count() > MAX_LINE || path.contains('\\') || !path.split('/').all(plain) {
        let why = "name a file within the DAGs, for example `requirements.txt` or `team_a/pyproject.toml`";
        return Err(AppError::invalid("environment.from_dags.path", why));
    }
    let is_project = Path::new(path).extension().is_some_and(|end| end == "toml");
    if !is_project && !file.extras.is_empty() {
        let why = "only a `pyproject.toml` has extras: name one, or leave them out";
        return Err(AppError::invalid("environment.from_dags.extras", why));
    }
    let is_name = |extra: &String| {
        (1..=60).contains(&extra.len())
            && extra
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    if file.extras.len() > MAX_EXTRAS || !file.extras.iter().all(is_name) {
        let why = format!("name at most {MAX_EXTRAS} extras, each 1 to 60 of a-z, A-Z, 0-9 and `._-`");
        return Err(AppError::invalid("environment.from_dags.extras", why));
    }
    Ok(())
}

/// What was asked for, with what is known already of the file it names and of plugins: nobody but Updraft says what is
/// in there.
pub(crate) fn asked(asked: EnvironmentSpec, current: Option<&EnvironmentSpec>) -> EnvironmentSpec {
    let same = current.filter(|current| current.from_dags.is_some() && current.from_dags == asked.from_dags);
    EnvironmentSpec {
        found: same.and_then(|current| current.found.clone()),
        plugins: current.and_then(|current| current.plugins.clone()),
        ..asked
    }
}

/// What is wrong with one requirement.
fn fault(line: &str) -> Option<&'static str> {
    if line.chars().count() > MAX_LINE || line.chars().any(char::is_control) {
        return Some("a requirement is one line of at most 500 printable characters");
    }
    if line.starts_with('-') {
        return Some(
            "options of pip are not taken here; write names with versions, for example `pandas==2.3.0`",
        );
    }
    if line.ends_with('\\') {
        return Some("write each requirement on one line, without `\\` at its end");
    }
    let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)));
    let (name, rest) = line.split_at(name_end.unwrap_or(line.len()));
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || rest.starts_with([':', '/']) {
        return Some("begin with a package's name, for example `pandas==2.3.0`");
    }
    match rest.split_once('@') {
        Some((_, address)) if !address.trim_start().starts_with("https://") => {
            Some("a package's own address begins with https://")
        }
        Some(_) | None => None,
    }
}

/// What is written about a new spec.
#[derive(Debug, PartialEq, Eq)]
enum Decision<'a> {
    /// Nodes are given the new spec as soon as it is written.
    Keep,
    /// They keep what they have until the new environment is built.
    Begin { before: &'a ClusterSpec },
    /// The environment is the one they have: nothing is to be built any more.
    Settle,
}

fn decide<'a>(
    current: &'a ClusterSpec,
    wanted: &ClusterSpec,
    change: Option<&'a EnvironmentChange>,
) -> Decision<'a> {
    let under_way = change.filter(|change| change.stage != Stage::Settled);
    let before = under_way.map_or(current, |change| &change.before);
    let key = wanted.tried_first();
    let is_same_wish = key == current.tried_first();
    match under_way.map(|change| change.stage) {
        None if is_same_wish => Decision::Keep,
        Some(_) if key == before.tried_first() => Decision::Settle,
        Some(Stage::Building | Stage::Workers | Stage::All) if is_same_wish => Decision::Keep,
        Some(_) | None => Decision::Begin { before },
    }
}

/// Writes what a changed spec means for the environment. In the transaction that writes the spec, before it.
pub(crate) async fn change(
    tx: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    current: (&ClusterSpec, Generation),
    wanted: &ClusterSpec,
) -> Result<(), StoreError> {
    let change = environment_changes::find(tx, tenant, cluster).await?;
    match (decide(current.0, wanted, change.as_ref()), &change) {
        (Decision::Keep, _) | (Decision::Settle, None) => Ok(()),
        (Decision::Begin { before }, _) => {
            let attempt = current.1.next();
            environment_changes::begin(tx, tenant, cluster, attempt, before).await?;
            match found::failure(&wanted.environment) {
                Some(failure) => {
                    let (stage, failure) = (Stage::Abandoned, Some(&failure));
                    environment_changes::move_to(tx, tenant, cluster, attempt, stage, failure).await
                }
                None => Ok(()),
            }
        }
        (Decision::Settle, Some(change)) => {
            environment_changes::move_to(tx, tenant, cluster, change.attempt, Stage::Settled, None).await
        }
    }
}

/// A new cluster begins with the runtime's own packages: it runs while its own environment is built.
pub(crate) async fn begin(
    tx: &mut Tx,
    actor: &Actor,
    cluster: ClusterId,
    spec: &ClusterSpec,
) -> Result<(), StoreError> {
    if spec.tried_first() == (None, None) {
        return Ok(());
    }
    let before = ClusterSpec {
        environment: EnvironmentSpec::default(),
        bootstrap: BootstrapSpec::default(),
        ..spec.clone()
    };
    environment_changes::begin(tx, actor.tenant, cluster, Generation::FIRST, &before).await
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use updraft_model::{ClusterSpec, EnvironmentSpec, Generation};
    use updraft_store::environment_changes::{EnvironmentChange, Stage};

    use super::{Decision, check, decide};
    use crate::AppError;

    fn spec(requirements: &str) -> ClusterSpec {
        serde_json::from_value(serde_json::json!({
            "runtime": "airflow-3.3.2", "dag_sources": [], "environment": {"requirements": requirements},
        }))
        .unwrap()
    }

    fn change(stage: Stage, before: &str) -> EnvironmentChange {
        EnvironmentChange {
            stage,
            attempt: Generation(3),
            before: spec(before),
            failure: None,
            changed_at: Utc::now(),
        }
    }

    #[test]
    fn plain_requirements_are_taken() {
        let taken = "pandas==2.3.0\nscikit-learn[extra]>=1.5; python_version < \"3.13\"\n\
                     own @ https://example.com/own-1.0-py3-none-any.whl\n# a comment\n";
        check(&spec(taken).environment).unwrap();
    }

    #[test]
    fn what_is_no_requirement_is_refused_with_its_line() {
        for bad in [
            "-r other.txt",
            "--index-url https://example.com/simple",
            "-e .",
            "../here",
            "/etc/passwd",
            "file:///etc/passwd",
            "https://example.com/a.whl",
            "own @ file:///etc/passwd",
            "own @ git+ssh://git@example.com/own",
            "own @ http://example.com/a.whl",
            "pandas \\",
            "pan\u{7}das",
        ] {
            let refused = check(&spec(&format!("fine==1\n{bad}\n")).environment);
            let Err(AppError::Invalid { field, why: message }) = refused else {
                panic!("{bad} was taken");
            };
            assert_eq!(field, "environment.requirements");
            assert!(message.starts_with("line 2: "), "{message}");
        }
    }

    #[test]
    fn nodes_keep_what_they_have_until_another_environment_is_built() {
        let (none, one, two) = (spec(""), spec("one"), spec("two"));
        assert_eq!(decide(&none, &none, None), Decision::Keep);
        assert_eq!(decide(&none, &one, None), Decision::Begin { before: &none });
        let building = change(Stage::Building, "");
        assert_eq!(decide(&one, &one, Some(&building)), Decision::Keep);
        assert_eq!(decide(&one, &none, Some(&building)), Decision::Settle);
        let superseded = decide(&one, &two, Some(&building));
        assert_eq!(
            superseded,
            Decision::Begin {
                before: &building.before
            }
        );
    }

    #[test]
    fn what_was_refused_is_tried_anew_with_the_next_change() {
        let (one, refused) = (spec("one"), change(Stage::Abandoned, ""));
        let again = decide(&one, &one, Some(&refused));
        assert_eq!(
            again,
            Decision::Begin {
                before: &refused.before
            }
        );
        let settled = change(Stage::Settled, "");
        assert_eq!(decide(&one, &one, Some(&settled)), Decision::Keep);
    }

    #[test]
    fn bounds_are_held() {
        let hurried = EnvironmentSpec {
            build_time_limit_s: 5,
            ..EnvironmentSpec::default()
        };
        assert!(check(&hurried).is_err());
        assert!(check(&spec(&"a\n".repeat(501)).environment).is_err());
    }
}
