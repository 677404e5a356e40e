//! Who may use storage: one file that the gateway reads when it starts and on SIGHUP. The file is the only state.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::Credentials;
use crate::{Account, Error, Result, secret};

pub(super) const FILE: &str = "identities.json";

const ADMIN: &str = "admin";

/// The identities in force, and where they are kept.
#[derive(Debug)]
pub(super) struct Identities {
    path: PathBuf,
    owner: Account,
    listed: Listed,
}

/// SeaweedFS's own format (`iam.proto`, `S3ApiConfiguration`).
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    identities: Vec<Identity>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    name: String,
    credentials: Vec<Key>,
    actions: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    access_key: String,
    secret_key: String,
}

// === impl Identities ===

impl Identities {
    /// Reads the file, made on first use with a new administrator.
    pub(super) fn open(home: &Path, owner: &Account) -> Result<(Self, Credentials)> {
        let path = home.join(FILE);
        let listed = match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json).map_err(|error| Error::Damaged {
                path: path.clone(),
                detail: error.to_string(),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Listed::default(),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let mut identities = Self {
            path,
            owner: owner.clone(),
            listed,
        };
        let admin = match identities.find(ADMIN) {
            Some(credentials) => credentials,
            None => {
                let credentials = Credentials::generate();
                identities.set(Identity::new(ADMIN, &credentials, vec!["Admin".into()]))?;
                credentials
            }
        };
        Ok((identities, admin))
    }

    /// True when it changed anything.
    pub(super) fn put(&mut self, name: &str, credentials: &Credentials, bucket: &str) -> Result<bool> {
        check_name(bucket)?;
        check_identity(name)?;
        let actions = ["Read", "Write", "List", "Tagging"].map(|action| format!("{action}:{bucket}"));
        let wanted = Identity::new(name, credentials, actions.to_vec());
        if self.listed.identities.contains(&wanted) {
            return Ok(false);
        }
        self.set(wanted)?;
        Ok(true)
    }

    /// What it had, if it was there. An entry without a key stays in its place: on SIGHUP the gateway adds and changes
    /// identities and never takes one away, so one that just disappears from the file goes on working.
    pub(super) fn remove(&mut self, name: &str) -> Result<Option<Credentials>> {
        check_identity(name)?;
        let found = self.find(name);
        if found.is_some() {
            self.set(Identity {
                name: name.to_owned(),
                credentials: Vec::new(),
                actions: Vec::new(),
            })?;
        }
        Ok(found)
    }

    fn find(&self, name: &str) -> Option<Credentials> {
        let key = self
            .listed
            .identities
            .iter()
            .find(|identity| identity.name == name)?
            .credentials
            .first()?;
        Some(Credentials {
            access_key: key.access_key.clone(),
            secret_key: key.secret_key.clone().into(),
        })
    }

    fn set(&mut self, identity: Identity) -> Result<()> {
        let mut listed = self.listed.clone();
        listed.identities.retain(|other| other.name != identity.name);
        listed.identities.push(identity);
        self.save(listed)
    }

    fn save(&mut self, listed: Listed) -> Result<()> {
        let json = serde_json::to_vec_pretty(&listed).map_err(|error| Error::Damaged {
            path: self.path.clone(),
            detail: error.to_string(),
        })?;
        secret::write(&self.path, &json, Some(&self.owner))?;
        self.listed = listed;
        Ok(())
    }
}

// === impl Identity ===

impl Identity {
    fn new(name: &str, credentials: &Credentials, actions: Vec<String>) -> Self {
        let key = Key {
            access_key: credentials.access_key.clone(),
            secret_key: credentials.secret_key.expose_secret().to_owned(),
        };
        Self {
            name: name.to_owned(),
            credentials: vec![key],
            actions,
        }
    }
}

// === impl Listed ===

impl std::fmt::Debug for Listed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.identities.iter().map(|identity| &identity.name))
            .finish()
    }
}

/// Letters, digits and dashes only: in an action, `*` and `/` would mean more than one bucket or less than one.
pub(super) fn check_name(name: &str) -> Result<()> {
    let allowed = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '-';
    let edges = name.starts_with('-') || name.ends_with('-');
    if (3..=63).contains(&name.len()) && name.chars().all(allowed) && !edges {
        return Ok(());
    }
    Err(Error::StorageName {
        name: name.to_owned(),
    })
}

fn check_identity(name: &str) -> Result<()> {
    if name == ADMIN {
        Err(Error::StorageName {
            name: name.to_owned(),
        })
    } else {
        check_name(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Accounts;

    fn own_account() -> Account {
        match Accounts::detect() {
            Accounts::Shared(account) => account,
            Accounts::Separate => Account {
                name: "root".into(),
                uid: 0,
                gid: 0,
                switch: false,
            },
        }
    }

    #[test]
    fn identities_last_and_the_administrator_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let (mut identities, admin) = Identities::open(dir.path(), &own_account()).unwrap();
        let credentials = Credentials::generate();
        assert!(identities.put("cluster-1", &credentials, "cluster-1").unwrap());
        assert!(!identities.put("cluster-1", &credentials, "cluster-1").unwrap());
        let (mut again, same_admin) = Identities::open(dir.path(), &own_account()).unwrap();
        assert!(admin == same_admin);
        assert!(
            again
                .remove("cluster-1")
                .unwrap()
                .is_some_and(|found| found == credentials)
        );
        assert!(again.remove("cluster-1").unwrap().is_none());
        assert!(!format!("{again:?}").contains(credentials.secret_key.expose_secret()));
    }

    #[test]
    fn name_that_could_mean_more_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (mut identities, _) = Identities::open(dir.path(), &own_account()).unwrap();
        for bucket in [
            "*",
            "cluster-*",
            "a/b/c",
            "ab",
            "Cluster",
            "cluster-1/../cluster-2",
            "-ab",
        ] {
            assert!(
                identities
                    .put("cluster-1", &Credentials::generate(), bucket)
                    .is_err(),
                "{bucket}"
            );
        }
        assert!(
            identities
                .put("admin", &Credentials::generate(), "cluster-1")
                .is_err()
        );
        assert!(identities.remove("admin").is_err());
    }
}
