//! The plugins that a DAG version brings along: its folder `plugins/`, from the top of all sources.
//!
//! Airflow loads plugins once, when it starts, so they belong to the cluster's environment and not to the version: what is
//! found here is told to control, and comes back as an environment that is to be built.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use updraft_api::agent::{PluginsAssignment, PluginsReport};

use super::archive::manifest_of;
use super::digest::Digest;
use super::shelf::blocking;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::place::Ownership;

const FOLDER: &str = "plugins";
const LOOK: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);

/// What a version on this node's disk brings.
///
/// # Errors
/// When it can't be read, which says nothing of what it brings.
pub(crate) async fn read(layout: &Layout, version: String) -> Result<PluginsReport> {
    let folder = folder(layout, &version);
    let digest = blocking(move || digest(&folder)).await?;
    Ok(PluginsReport {
        version,
        digest: digest.map(|digest| digest.to_string()),
    })
}

/// Where an environment's plugins are on this node: in the version that is live, or in the one that is named, which is
/// fetched when it is not there any more.
///
/// # Errors
/// When it does not come, or brings others.
pub(crate) async fn find(
    layout: &Layout,
    live: Option<&Path>,
    wanted: &PluginsAssignment,
) -> Result<PathBuf> {
    if let Some(live) = live {
        let folder = live.join(FOLDER);
        // What can't be read is looked for where it was found.
        if matches(folder.clone(), wanted).await.unwrap_or(false) {
            return Ok(folder);
        }
    }
    let version: Digest = wanted.version.parse()?;
    await_version(layout, &version).await?;
    let folder = folder(layout, version.as_str());
    if matches(folder.clone(), wanted).await? {
        return Ok(folder);
    }
    Err(Error::Dags(format!(
        "DAG version {version} has other plugins than were found in it: push the DAGs again"
    )))
}

async fn matches(folder: PathBuf, wanted: &PluginsAssignment) -> Result<bool> {
    let found = blocking(move || digest(&folder)).await?;
    Ok(found.is_some_and(|found| found.as_str() == wanted.digest))
}

/// As a run asks for the version that it began with; it also stays for as long.
async fn await_version(layout: &Layout, version: &Digest) -> Result<()> {
    let directory = layout.path(&format!("dags/versions/{version}"));
    let wanted = format!("dags/wanted/{version}");
    layout
        .place()
        .write_soon(&wanted, b"", 0o600, Ownership::Service)?;
    let deadline = Instant::now() + PATIENCE;
    while !directory.is_dir() {
        if Instant::now() >= deadline {
            return Err(Error::Dags(format!(
                "DAG version {version}, which has the plugins, can't be fetched: push the DAGs again"
            )));
        }
        sleep(LOOK).await;
    }
    Ok(())
}

fn folder(layout: &Layout, version: &str) -> PathBuf {
    layout.path(&format!("dags/versions/{version}/{FOLDER}"))
}

fn digest(folder: &Path) -> Result<Option<Digest>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let manifest = manifest_of(folder)?;
    Ok((!manifest.is_empty()).then(|| manifest.digest()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use updraft_api::agent::PluginsAssignment;

    use super::{LOOK, digest, find};
    use crate::layout::Layout;
    use crate::place::Place;

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn plugins_are_what_is_in_the_folder_and_nothing_else_of_the_version() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = [one.path(), two.path()].map(|version| version.join("plugins"));
        assert_eq!(digest(&folders[0]).unwrap(), None);
        for (version, folder) in [one.path(), two.path()].iter().zip(&folders) {
            write(folder, "words.py", "WORD = 1");
            write(version, "dag.py", &version.to_string_lossy());
        }
        assert_eq!(digest(&folders[0]).unwrap(), digest(&folders[1]).unwrap());
        write(&folders[1], "__pycache__/words.pyc", "litter");
        assert_eq!(digest(&folders[0]).unwrap(), digest(&folders[1]).unwrap());
        write(&folders[1], "page/index.html", "hello");
        assert_ne!(digest(&folders[0]).unwrap(), digest(&folders[1]).unwrap());
    }

    fn node(at: &Path) -> Layout {
        Layout::ensure(Place::open(at, None).unwrap()).unwrap()
    }

    fn asked(version: &str, folder: &Path) -> PluginsAssignment {
        PluginsAssignment {
            digest: digest(folder).unwrap().unwrap().to_string(),
            version: version.to_owned(),
        }
    }

    #[tokio::test]
    async fn the_live_versions_plugins_are_taken_when_they_are_the_same() {
        let (dir, live) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(live.path(), "plugins/words.py", "WORD = 1");
        let wanted = asked(&"a".repeat(64), &live.path().join("plugins"));
        let found = find(&node(dir.path()), Some(live.path()), &wanted).await;
        assert_eq!(found.unwrap(), live.path().join("plugins"));
    }

    #[tokio::test]
    async fn a_version_that_is_not_here_any_more_is_asked_for_and_held_to_its_digest() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (layout, version) = (node(dir.path()), "a".repeat(64));
        write(other.path(), "plugins/words.py", "WORD = 1");
        let wanted = asked(&version, &other.path().join("plugins"));
        let delivered = dir.path().join("dags/versions").join(&version);
        let deliver = async {
            while !dir.path().join("dags/wanted").join(&version).exists() {
                tokio::time::sleep(LOOK).await;
            }
            write(&delivered, "plugins/words.py", "WORD = 1");
        };
        let (found, ()) = tokio::join!(find(&layout, None, &wanted), deliver);
        assert_eq!(found.unwrap(), delivered.join("plugins"));
        write(&delivered, "plugins/words.py", "WORD = 2");
        assert!(find(&layout, None, &wanted).await.is_err());
    }
}
