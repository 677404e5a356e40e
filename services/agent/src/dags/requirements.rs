//! What a DAG version asks for in its requirements file. Read here and judged by control: this says what the file says.

use std::io::Read as _;

use rustix::fs::OFlags;
use serde::Deserialize;
use std::collections::BTreeMap;
use updraft_api::agent::{LONGEST_REQUIREMENTS, RequirementsReport};
use updraft_model::RequirementsFile;

use super::digest::Digest;
use crate::error::Error;
use crate::layout::Layout;

#[derive(Deserialize)]
struct PyProject {
    project: Option<Project>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Project {
    #[serde(default)]
    dependencies: Vec<String>,
    #[serde(default)]
    optional_dependencies: BTreeMap<String, Vec<String>>,
}

/// None: the version can't be read now, which says nothing of what it asks for.
pub(crate) fn read(layout: &Layout, version: &Digest, file: &RequirementsFile) -> Option<RequirementsReport> {
    let path = &file.path;
    let text = match content(layout, version, path) {
        Ok(bytes) if bytes.len() > LONGEST_REQUIREMENTS => Err(format!(
            "`{path}` has more than {LONGEST_REQUIREMENTS} bytes: write a shorter one"
        )),
        Ok(bytes) => String::from_utf8(bytes)
            .map_err(|_| format!("`{path}` is not UTF-8: save it as UTF-8"))
            .and_then(|text| meant(file, text)),
        Err(Error::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Err(format!(
            "there is no `{path}` in the DAGs: add it, or name another file"
        )),
        Err(error) => {
            tracing::warn!(error = error.chain(), "The DAGs' requirements can't be read");
            return None;
        }
    };
    let (text, trouble) = match text {
        Ok(text) => (text, None),
        Err(trouble) => (String::new(), Some(trouble)),
    };
    Some(RequirementsReport {
        file: file.clone(),
        text,
        trouble,
    })
}

fn content(layout: &Layout, version: &Digest, path: &str) -> Result<Vec<u8>, Error> {
    let path = format!("dags/versions/{version}/{path}");
    let file = layout.place().open_file(&path, OFlags::RDONLY)?;
    let mut bytes = Vec::new();
    file.take(LONGEST_REQUIREMENTS as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::file("read", layout.path(&path)))?;
    Ok(bytes)
}

fn meant(file: &RequirementsFile, text: String) -> Result<String, String> {
    let RequirementsFile { path, extras } = file;
    if !path.ends_with(".toml") {
        return Ok(text);
    }
    let read: PyProject = toml::from_str(&text).map_err(|error| format!("`{path}`: {}", error.message()))?;
    let project = read
        .project
        .ok_or_else(|| format!("`{path}` has no [project]: write the packages under its `dependencies`"))?;
    let mut lines = project.dependencies;
    for extra in extras {
        let more = project.optional_dependencies.get(extra);
        lines.extend_from_slice(
            more.ok_or_else(|| format!("`{path}` has no `{extra}` among its optional-dependencies"))?,
        );
    }
    // A line of its own each: one that holds several is no requirement.
    match lines.iter().find(|line| line.contains(['\n', '\r'])) {
        Some(line) => Err(format!("`{path}`: {line:?} is no requirement")),
        None => Ok(lines.join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use updraft_model::RequirementsFile;

    use super::meant;

    fn file(path: &str, extras: &[&str]) -> RequirementsFile {
        RequirementsFile {
            path: path.to_owned(),
            extras: extras.iter().map(|&extra| extra.to_owned()).collect(),
        }
    }

    const PROJECT: &str = r#"
        [build-system]
        requires = ["hatchling"]
        [project]
        name = "ours"
        dependencies = ["polars==1.0", "rich"]
        [project.optional-dependencies]
        airflow = ["pyarrow>=17"]
        dev = ["pytest"]
    "#;

    #[test]
    fn a_requirements_txt_is_told_as_it_is() {
        let text = "# ours\npolars==1.0\n";
        assert_eq!(
            meant(&file("team/requirements.txt", &[]), text.to_owned()).unwrap(),
            text
        );
    }

    #[test]
    fn a_pyproject_asks_for_its_dependencies_and_the_named_extras() {
        let asked = |extras| meant(&file("pyproject.toml", extras), PROJECT.to_owned());
        assert_eq!(asked(&[]).unwrap(), "polars==1.0\nrich");
        assert_eq!(asked(&["airflow"]).unwrap(), "polars==1.0\nrich\npyarrow>=17");
        assert!(asked(&["docs"]).unwrap_err().contains("no `docs`"));
    }

    #[test]
    fn what_is_no_pyproject_is_said() {
        let trouble = |text: &str| meant(&file("pyproject.toml", &[]), text.to_owned()).unwrap_err();
        assert!(trouble("[tool.poetry]\n").contains("no [project]"));
        assert!(trouble("not toml").starts_with("`pyproject.toml`: "));
        assert!(trouble("[project]\ndependencies = [\"a\\n--index-url x\"]").contains("no requirement"));
    }
}
