//! A metadata database of the tenant's own. Its DSN comes from a file: a command line is public.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::cli::error::{CliError, Exit};

/// Far more than is taken; the server says the bound.
const MOST: u64 = 1 << 20;

#[derive(Args, Debug)]
pub(crate) struct MetadataArgs {
    /// Keep Airflow's metadata in a Postgres database of your own: a file (or `-` for standard input) with
    /// postgresql://user:password@host:port/database?sslmode=require. Nodes alone connect to it, and it is never deleted. For update, the
    /// cluster has to be stopped
    #[arg(long, value_name = "FILE", group = "change")]
    metadata_dsn_file: Option<PathBuf>,
    /// File with the certificates (PEM) of the authority that this database's server is held to
    #[arg(long, value_name = "FILE", requires = "metadata_dsn_file")]
    metadata_ca_file: Option<PathBuf>,
}

// === impl MetadataArgs ===

impl MetadataArgs {
    /// None: it stays as it is.
    pub(super) fn dsn(&self) -> Result<Option<SecretString>, CliError> {
        let Some(path) = &self.metadata_dsn_file else {
            return Ok(None);
        };
        let text = Zeroizing::new(read(path, "the way to the metadata database")?);
        Ok(Some(text.trim().to_owned().into()))
    }

    pub(super) fn authority(&self) -> Result<Option<String>, CliError> {
        let path = self.metadata_ca_file.as_deref();
        path.map(|path| read(path, "certificates")).transpose()
    }
}

fn read(path: &Path, what: &str) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(MOST).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MOST).read_to_string(&mut text))
    };
    read.map_err(|error| {
        CliError::new(Exit::Usage, format!("`{}` could not be read", path.display()))
            .why(error.to_string())
            .next(format!("name a file with {what}"))
    })?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::MetadataArgs;

    #[test]
    fn a_dsn_is_read_from_its_file_without_the_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("dsn");
        std::fs::write(&file, "postgresql://a:b@c/d\n").unwrap();
        let args = MetadataArgs {
            metadata_dsn_file: Some(file.clone()),
            metadata_ca_file: None,
        };
        assert_eq!(
            args.dsn().unwrap().unwrap().expose_secret(),
            "postgresql://a:b@c/d"
        );
        assert!(args.authority().unwrap().is_none());
        std::fs::remove_file(file).unwrap();
        assert!(args.dsn().is_err());
    }
}
