//! What a cluster's environment has beyond its runtime's packages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A tenant's own packages. They are solved against the runtime's, which never move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnvironmentSpec {
    /// Text of a `requirements.txt`: names with versions, extras and markers, one a line; no options of pip.
    pub requirements: String,
    /// Packages without a wheel may be built, which runs their own code on a node of the cluster.
    pub allow_source_builds: bool,
    /// Longest time for solving, installing and checking together: 10 to 1,500 s.
    pub build_time_limit_s: u32,
}

/// What of an [`EnvironmentSpec`] makes one environment differ from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnvironmentKey {
    pub requirements: Vec<String>,
    pub allow_source_builds: bool,
}

// === impl EnvironmentSpec ===

impl EnvironmentSpec {
    /// None: the runtime's own packages are all there is.
    #[must_use]
    pub fn key(&self) -> Option<EnvironmentKey> {
        let requirements: Vec<_> = self.lines().map(|(_, line)| line.to_owned()).collect();
        (!requirements.is_empty()).then_some(EnvironmentKey {
            requirements,
            allow_source_builds: self.allow_source_builds,
        })
    }

    /// The lines that ask for something, with their numbers from 1. Comments begin as pip has them: a `#` at the
    /// beginning or after a space.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let bare = |line: &str| line.find(" #").or_else(|| line.starts_with('#').then_some(0));
        self.requirements
            .lines()
            .enumerate()
            .filter_map(move |(index, line)| {
                let line = line.trim();
                let line = bare(line).map_or(line, |end| &line[..end]).trim_end();
                (!line.is_empty()).then_some((index + 1, line))
            })
    }
}

impl Default for EnvironmentSpec {
    fn default() -> Self {
        Self {
            requirements: String::new(),
            allow_source_builds: false,
            build_time_limit_s: 600,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EnvironmentSpec;

    fn asked(requirements: &str) -> EnvironmentSpec {
        EnvironmentSpec {
            requirements: requirements.to_owned(),
            ..EnvironmentSpec::default()
        }
    }

    #[test]
    fn comments_and_blank_lines_make_no_other_environment() {
        assert_eq!(asked("\n# nothing\n  \n").key(), None);
        let one = asked("# ours\npandas==2.3.0   # frames\n\n");
        assert_eq!(one.key(), asked("pandas==2.3.0").key());
        assert_eq!(one.lines().collect::<Vec<_>>(), [(2, "pandas==2.3.0")]);
    }

    #[test]
    fn a_hash_within_a_word_is_no_comment() {
        assert_eq!(asked("a @ https://x/a.whl#sha256=1").lines().count(), 1);
    }
}
