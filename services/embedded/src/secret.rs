//! Secrets as files only their reader may open. They never appear on a command line or in a log.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rand::distr::{Alphanumeric, SampleString};
use secrecy::SecretString;

use crate::{Account, Error, Result};

const LENGTH: usize = 40;

/// A new random secret of letters and digits: safe in a DSN, in JSON and in TOML.
pub(crate) fn generate() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), LENGTH)
}

/// The secret kept in this file, made on first use.
pub(crate) fn ensure(path: &Path) -> Result<SecretString> {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned().into()),
        Ok(_) => Err(Error::Damaged {
            path: path.to_owned(),
            detail: "it is empty".into(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = generate();
            write(path, secret.as_bytes(), None)?;
            Ok(secret.into())
        }
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Writes the file whole or not at all, mode 0600, owned by the account that is to read it (default: this user).
pub(crate) fn write(path: &Path, contents: &[u8], owner: Option<&Account>) -> Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = Path::new(&aside);
    let attempt = || -> io::Result<()> {
        match fs::remove_file(aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(aside)?;
        file.write_all(contents)?;
        if let Some(account) = owner {
            account.own(aside)?;
        }
        file.sync_all()?;
        fs::rename(aside, path)
    };
    attempt().map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn secret_is_made_once_and_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let first = ensure(&path).unwrap();
        assert_eq!(first.expose_secret().len(), LENGTH);
        assert_eq!(first.expose_secret(), ensure(&path).unwrap().expose_secret());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
