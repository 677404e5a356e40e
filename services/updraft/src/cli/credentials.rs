//! The stored sign-ins: one file in the config home that only its owner can read. No network.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::error::{CliError, Exit};

pub(super) struct CredentialsFile {
    path: PathBuf,
}

#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Credentials {
    /// The server signed in to last.
    pub(super) current: Option<String>,
    #[serde(default)]
    pub(super) servers: BTreeMap<String, SignIn>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct SignIn {
    pub(super) email: String,
    #[serde(serialize_with = "expose")]
    pub(super) token: SecretString,
    /// None: the sign-in's own matter, as with an API token.
    #[serde(default)]
    pub(super) expires_at: Option<DateTime<Utc>>,
}

// === impl CredentialsFile ===

impl CredentialsFile {
    /// `$XDG_CONFIG_HOME/updraft/credentials.json`, else below `~/.config`.
    pub(super) fn of_user() -> Result<Self, CliError> {
        let absolute = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let home = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
        match home {
            Some(home) => Ok(Self::at(home.join("updraft/credentials.json"))),
            None => Err(CliError::new(Exit::Failure, "there is no place for credentials")
                .why("neither XDG_CONFIG_HOME nor HOME is set")
                .next("set one of them, or use UPDRAFT_URL and UPDRAFT_TOKEN")),
        }
    }

    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Empty when there is none yet.
    pub(super) fn read(&self) -> Result<Credentials, CliError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Credentials::default()),
            Err(error) => return Err(self.failed("read", &error)),
        };
        self.refuse_when_others_can_read()?;
        serde_json::from_str(&text).map_err(|error| {
            CliError::new(Exit::Failure, format!("{} is damaged", self.path.display()))
                .why(error.to_string())
                .next("delete it and sign in again with `updraft login`")
        })
    }

    /// Replaces the file in one step: a crash leaves the old or the new one.
    pub(super) fn write(&self, credentials: &Credentials) -> Result<(), CliError> {
        let text = serde_json::to_vec_pretty(credentials).map_err(|error| {
            CliError::new(Exit::Failure, "credentials cannot be stored").why(error.to_string())
        })?;
        self.replace(&text).map_err(|error| self.failed("write", &error))
    }

    fn replace(&self, text: &[u8]) -> std::io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let fresh = self.path.with_extension(format!("{}.new", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)
    }

    fn refuse_when_others_can_read(&self) -> Result<(), CliError> {
        let mode = fs::metadata(&self.path)
            .map_err(|error| self.failed("read", &error))?
            .permissions()
            .mode();
        if mode & 0o077 == 0 {
            return Ok(());
        }
        let path = self.path.display();
        Err(CliError::new(
            Exit::Failure,
            format!("{path} can be read by other users of this machine"),
        )
        .why(format!("its mode is {:o}; it holds tokens", mode & 0o777))
        .next(format!(
            "`chmod 600 {path}`, then `updraft logout` and sign in again"
        )))
    }

    fn failed(&self, verb: &str, error: &std::io::Error) -> CliError {
        CliError::io(format!("cannot {verb} {}", self.path.display()), error)
    }
}

fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (PathBuf, CredentialsFile) {
        let directory = std::env::temp_dir().join(format!("updraft-credentials-{}", uuid::Uuid::new_v4()));
        let path = directory.join("updraft/credentials.json");
        (directory, CredentialsFile::at(path))
    }

    fn signed_in() -> Credentials {
        let sign_in = SignIn {
            email: "a@b.c".to_owned(),
            token: SecretString::from("t0ken"),
            expires_at: Some(Utc::now()),
        };
        Credentials {
            current: Some("http://x".to_owned()),
            servers: BTreeMap::from([("http://x".to_owned(), sign_in)]),
        }
    }

    #[test]
    fn a_sign_in_is_kept_for_its_owner_alone() {
        let (directory, file) = file();
        assert!(file.read().unwrap().servers.is_empty());
        file.write(&signed_in()).unwrap();
        let read = file.read().unwrap();
        assert_eq!(read.servers["http://x"].token.expose_secret(), "t0ken");
        assert_eq!(
            fs::metadata(&file.path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_others_can_read_is_refused_and_a_damaged_one_explained() {
        let (directory, file) = file();
        file.write(&signed_in()).unwrap();
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(file.read().unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file.path, "{").unwrap();
        assert!(file.read().unwrap_err().to_string().contains("damaged"));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_token_is_never_printed() {
        assert!(!format!("{:?}", signed_in()).contains("t0ken"));
    }
}
