//! Which environment variables a tenant may set, as plain ones and as secrets. Pure.
//!
//! What Airflow, the interpreter or the loader read to find themselves is refused by name, and so is what Updraft sets:
//! a cluster that sets it would not start, or would be open where it must not be.

use indexmap::IndexMap;
use updraft_model::ClusterSpec;
use updraft_runtimes::Runtime;

use crate::AppError;

const MOST: usize = 100;
const LONGEST_NAME: usize = 128;
const LONGEST_VALUE: usize = 4_096;
/// Of all names and values together: the kernel bounds what a process may be started with.
const ALL: usize = 64 * 1024;

/// Read by the loader, the interpreter, a shell or Celery before anything of the tenant's own runs.
const RESERVED: [&str; 22] = [
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "PWD",
    "ENV",
    "IFS",
    "BASH_ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "GCONV_PATH",
    "NLSPATH",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "RES_OPTIONS",
    "GLIBC_TUNABLES",
    "C_FORCE_ROOT",
    "OPENSSL_CONF",
    "OPENSSL_MODULES",
    "OPENSSL_ENGINES",
    "FORKED_BY_MULTIPROCESSING",
];
const RESERVED_BEGINNINGS: [&str; 8] = [
    "LD_",
    "PYTHON",
    "UPDRAFT",
    "CELERY_",
    "FLOWER_",
    "_AIRFLOW",
    "MALLOC_",
    "BASH_FUNC_",
];
/// Services of one cluster talk to each other over http.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

/// What a name is allowed to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Its value is shown.
    Plain,
    Secret,
}

pub(crate) fn check(spec: &ClusterSpec, runtime: &Runtime) -> Result<(), AppError> {
    let variables = &spec.environment_variables;
    let refuse = |why: String| Err(AppError::invalid("environment_variables", why));
    if variables.len() > MOST {
        return refuse(format!("set at most {MOST} variables"));
    }
    let all: usize = variables
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if all > ALL {
        return refuse(format!("names and values have together at most {ALL} bytes"));
    }
    let wrong = variables.iter().find_map(|(name, value)| {
        let why = name_fault(name, Use::Plain, runtime)
            .or_else(|| value_fault(value, LONGEST_VALUE))
            .or_else(|| option_fault(name, value, &spec.config, runtime))?;
        Some(AppError::invalid(
            format!("environment_variables.{}", shown(name)),
            why,
        ))
    });
    wrong.map_or(Ok(()), Err)
}

/// What is wrong with a variable's name, and what to do.
pub(crate) fn name_fault(name: &str, used: Use, runtime: &Runtime) -> Option<String> {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let fine = name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit());
    if !fine || name.len() > LONGEST_NAME {
        return Some(format!(
            "a name has up to {LONGEST_NAME} letters, digits and `_`, and begins with no digit"
        ));
    }
    let upper = name.to_ascii_uppercase();
    if PROXIES.contains(&upper.as_str()) {
        return Some(
            "services of a cluster talk to each other over http, which a proxy would cut off: set it within the task that needs it"
                .to_owned(),
        );
    }
    if upper.starts_with("AIRFLOW") {
        return airflow_fault(name, used, runtime);
    }
    let reserved = RESERVED.contains(&upper.as_str())
        || RESERVED_BEGINNINGS
            .iter()
            .any(|beginning| upper.starts_with(beginning))
        || runtime.sets_variable(&upper);
    reserved.then(|| "services depend on it, so Updraft sets it: choose another name".to_owned())
}

/// Connections, variables, and options that are not managed are a tenant's own.
fn airflow_fault(name: &str, used: Use, runtime: &Runtime) -> Option<String> {
    if name
        .strip_prefix("AIRFLOW_VAR_")
        .is_some_and(|rest| !rest.is_empty())
    {
        return None;
    }
    if name
        .strip_prefix("AIRFLOW_CONN_")
        .is_some_and(|rest| !rest.is_empty())
    {
        let why = "a connection may hold a password: keep it as a secret, `updraft secrets set CLUSTER NAME`";
        return (used == Use::Plain).then(|| why.to_owned());
    }
    let Some(option) = runtime.option_of_variable(name) else {
        let why = "it is no option of this Airflow release: write AIRFLOW__SECTION__KEY in capitals, AIRFLOW_CONN_NAME or \
                   AIRFLOW_VAR_NAME";
        return Some(why.to_owned());
    };
    if option.managed {
        return Some(format!(
            "`{}` is managed by Updraft and cannot be overridden: leave it out",
            option.key
        ));
    }
    let why = "its value is a secret: keep it as one, `updraft secrets set CLUSTER NAME`";
    (option.sensitive && used == Use::Plain).then(|| why.to_owned())
}

/// What is wrong with a value. It is never repeated.
pub(crate) fn value_fault(value: &str, longest: usize) -> Option<String> {
    let wrong = value.len() > longest || value.contains('\0');
    wrong.then(|| format!("a value has at most {longest} bytes, none of them NUL"))
}

/// An option is set in one place, and as what it is.
fn option_fault(
    name: &str,
    value: &str,
    config: &IndexMap<String, String>,
    runtime: &Runtime,
) -> Option<String> {
    let key = &runtime.option_of_variable(name)?.key;
    if config.contains_key(key) {
        return Some(format!(
            "`config.{key}` sets the same option: leave one of them out"
        ));
    }
    let asked = IndexMap::from([(key.clone(), value.to_owned())]);
    runtime
        .check_overrides(&asked)
        .err()
        .map(|error| error.to_string())
}

/// As much of what was sent as names it.
pub(crate) fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use updraft_model::ClusterSpec;
    use updraft_runtimes::Catalogue;

    use super::{Use, check, name_fault};
    use crate::AppError;

    fn asked(name: &str, value: &str) -> Result<(), String> {
        let spec: ClusterSpec = serde_json::from_value(serde_json::json!({
            "runtime": "airflow-3.3.2", "dag_sources": [], "config": {"core.parallelism": "4"},
            "environment_variables": {name: value},
        }))
        .unwrap();
        let catalogue = Catalogue::embedded().unwrap();
        match check(&spec, catalogue.newest().unwrap()) {
            Ok(()) => Ok(()),
            Err(AppError::Invalid { field, why }) => {
                assert_eq!(field, format!("environment_variables.{}", super::shown(name)));
                Err(why)
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn plain_variables_and_free_options_are_taken() {
        for (name, value) in [
            ("REGION", "eu-west-1"),
            ("_x9", ""),
            ("AIRFLOW_VAR_TEAM", "data"),
            ("AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG", "8"),
            ("AWS_DEFAULT_REGION", "eu\nwest"),
        ] {
            assert_eq!(asked(name, value), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_services_depend_on_is_refused_by_name() {
        for name in [
            "PATH",
            "path",
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "HOME",
            "TZ",
            "TMPDIR",
            "AIRFLOW_HOME",
            "AIRFLOW_CONFIG",
            "UPDRAFT_LOGS",
            "UPDRAFT_ADDRESS",
            "CELERY_BROKER_URL",
            "BASH_ENV",
            "_AIRFLOW__AS_LIBRARY",
            "http_proxy",
            "HTTPS_PROXY",
            "BASH_FUNC_x",
        ] {
            assert!(asked(name, "x").is_err(), "{name} was taken");
        }
        for managed in [
            "AIRFLOW__CORE__FERNET_KEY",
            "AIRFLOW__CORE__FERNET_KEY_CMD",
            "AIRFLOW__CORE__EXECUTOR",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET",
            "AIRFLOW__API__SECRET_KEY",
            "airflow__core__executor",
            "AIRFLOW__CORE__NO_SUCH",
        ] {
            assert!(asked(managed, "x").is_err(), "{managed} was taken");
        }
        for bad in ["", "1A", "A-B", "A B", "A=B", "É", &"A".repeat(129)] {
            assert!(asked(bad, "x").is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn an_option_is_of_its_type_and_set_in_one_place() {
        let why = asked("AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG", "many").unwrap_err();
        assert!(why.contains("a whole number"), "{why}");
        let why = asked("AIRFLOW__CORE__PARALLELISM", "8").unwrap_err();
        assert!(why.contains("config.core.parallelism"), "{why}");
    }

    #[test]
    fn what_may_hold_a_password_is_sent_to_secrets() {
        let catalogue = Catalogue::embedded().unwrap();
        let runtime = catalogue.newest().unwrap();
        for name in ["AIRFLOW_CONN_WAREHOUSE", "AIRFLOW__SMTP__SMTP_PASSWORD"] {
            if name.contains("SMTP") && runtime.option_of_variable(name).is_none() {
                continue;
            }
            assert!(
                asked(name, "x").unwrap_err().contains("updraft secrets set"),
                "{name}"
            );
            assert_eq!(name_fault(name, Use::Secret, runtime), None, "{name}");
        }
        assert!(name_fault("AIRFLOW__CORE__FERNET_KEY", Use::Secret, runtime).is_some());
        assert!(name_fault("LD_PRELOAD", Use::Secret, runtime).is_some());
    }

    #[test]
    fn bounds_are_held_and_values_are_never_repeated() {
        let why = asked("LONG", &"hunter2".repeat(1_000)).unwrap_err();
        assert!(!why.contains("hunter2"));
    }
}
