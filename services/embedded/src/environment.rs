//! Builds an Airflow environment: a venv with exactly the locked packages and our own package beside them, byte-compiled.
//!
//! A venv's scripts hold its absolute path, so it is built where it stays and stamped when complete; one without the
//! stamp is built anew. Its name is the digest of all that went in, so it never changes afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::command::Tool;
use crate::parts::{open_to_all, remove};
use crate::progress::{Progress, Step};
use crate::{Error, Installer, Layout, Result, lock};

/// What an environment is made of.
#[derive(Clone, Copy, Debug)]
pub struct EnvironmentSpec<'a> {
    /// The runtime's name, such as `airflow-3.3.2`: the readable half of the directory's name.
    pub name: &'a str,
    /// A requirements file with a hash for every package.
    pub lock: &'a str,
    /// Files that go into `site-packages` as they are.
    pub files: &'a [PackageFile<'a>],
}

/// One file of a Python package that comes with Updraft.
#[derive(Clone, Copy, Debug)]
pub struct PackageFile<'a> {
    /// Relative to `site-packages`, such as `updraft_airflow/auth.py`.
    pub path: &'a str,
    pub contents: &'a [u8],
}

/// A complete environment. Services may read it and not change it, where they run as other users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvDir {
    pub path: PathBuf,
    pub python: PathBuf,
    pub site_packages: PathBuf,
    /// Of the runtime, its files, the interpreter and the install path.
    pub digest: String,
}

// === impl EnvironmentSpec ===

impl EnvironmentSpec<'_> {
    fn digest(&self, installer: &Installer, directory: &Path) -> String {
        let mut digest = Sha256::new();
        let mut add = |bytes: &[u8]| {
            digest.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(bytes);
        };
        add(self.lock.as_bytes());
        add(installer.interpreter.version_text().as_bytes());
        add(installer.interpreter.path.as_os_str().as_encoded_bytes());
        add(directory.as_os_str().as_encoded_bytes());
        let mut files: Vec<&PackageFile<'_>> = self.files.iter().collect();
        files.sort_by_key(|file| file.path);
        for file in files {
            add(file.path.as_bytes());
            add(file.contents);
        }
        hex::encode(&digest.finalize()[..8])
    }
}

/// Builds the environment, or finds it built. Callers of the same one, in any process, wait for the first.
///
/// # Errors
/// No network, disk full, a package that is not the locked one or has no wheel.
pub async fn install_environment(
    layout: &Layout,
    installer: &Installer,
    spec: EnvironmentSpec<'_>,
    progress: &dyn Progress,
) -> Result<EnvDir> {
    let step = Step::begin(progress, spec.name);
    let digest = spec.digest(installer, &layout.environments());
    let path = layout.environments().join(format!("{}-{digest}", spec.name));
    let (major, minor, _) = installer.interpreter.version;
    let environment = EnvDir {
        python: path.join("bin/python"),
        site_packages: path.join(format!("lib/python{major}.{minor}/site-packages")),
        path,
        digest,
    };
    let stamp = environment.path.join(".complete");
    let _turn = if stamp.exists() {
        None
    } else {
        Some(lock::take(&environment.path.with_added_extension("lock")).await?)
    };
    if stamp.exists() {
        step.was_done();
        return Ok(environment);
    }
    remove(&environment.path)?;
    build(installer, spec, &environment, &step).await?;
    fs::write(&stamp, spec.lock).map_err(Error::io("write", &stamp))?;
    step.done();
    Ok(environment)
}

async fn build(
    installer: &Installer,
    spec: EnvironmentSpec<'_>,
    made: &EnvDir,
    step: &Step<'_>,
) -> Result<()> {
    let doing = format!("installing {}", spec.name);
    installer
        .uv(&doing)
        .args(["venv", "--quiet", "--no-project", "--python"])
        .args([installer.interpreter.path.as_os_str(), made.path.as_os_str()])
        .run(|_| {})
        .await?;
    open_to_all(&made.path)?;
    for file in spec.files {
        write_file(&made.site_packages, file)?;
    }
    let lock = made.path.join("requirements.lock");
    fs::write(&lock, spec.lock).map_err(Error::io("write", &lock))?;
    // Not `sync`: it would take our own package's metadata away again. In a new venv both install the same.
    installer
        .uv(&doing)
        .args([
            "pip",
            "install",
            "--no-deps",
            "--require-hashes",
            "--no-build",
            "--compile-bytecode",
            "--python",
        ])
        .args([made.python.as_os_str(), "-r".as_ref(), lock.as_os_str()])
        .run(|line| step.say(None, line))
        .await?;
    compile(made, spec.files, &doing).await
}

/// uv compiles what it installs and leaves our files alone.
async fn compile(made: &EnvDir, files: &[PackageFile<'_>], doing: &str) -> Result<()> {
    let modules = files
        .iter()
        .map(|file| file.path)
        .filter(|path| path.ends_with(".py"));
    let paths: Vec<PathBuf> = modules.map(|path| made.site_packages.join(path)).collect();
    if paths.is_empty() {
        return Ok(());
    }
    let compiled = Tool::new(doing, &made.python)
        .args(["-m", "compileall", "-q"])
        .args(paths)
        .run(|_| {})
        .await;
    compiled.map(|_quiet| ())
}

fn write_file(site_packages: &Path, file: &PackageFile<'_>) -> Result<()> {
    let relative = Path::new(file.path);
    if !relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        let detail = "a package's file must stay in site-packages".to_owned();
        return Err(Error::Damaged {
            path: relative.to_owned(),
            detail,
        });
    }
    let path = site_packages.join(relative);
    let directory = path.parent().unwrap_or(site_packages);
    fs::create_dir_all(directory).map_err(Error::io("make", directory))?;
    for made in directory
        .ancestors()
        .take_while(|ancestor| *ancestor != site_packages)
    {
        open_to_all(made)?;
    }
    fs::write(&path, file.contents).map_err(Error::io("write", &path))?;
    let readable = fs::Permissions::from_mode(0o644);
    fs::set_permissions(&path, readable).map_err(Error::io("set the mode of", &path))
}
