//! Who the parts run as: system users of their own where Updraft runs as root, this user otherwise.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::{Gid, Uid, User};
use tokio::process::Command;

use crate::{Error, Result, lock};

/// Tries at `useradd` while another program holds the user database.
const TRIES: u32 = 20;

/// `useradd` looks whether a name is free before it locks: two at once enter it twice, with two ids. So one at a time.
const TURN: &str = "/run/updraft-users.lock";

/// A user that processes run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// Whether starting a process as this user means changing to it.
    pub(crate) switch: bool,
}

/// Whether services can have users of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// Running as root: one system user per service or cluster.
    Separate,
    /// Running as an ordinary user, who owns everything: clusters are not protected from one another.
    Shared(Account),
}

// === impl Account ===

impl Account {
    /// Whoever this process runs as: for processes of our own, which switch users themselves.
    pub fn current() -> Self {
        let uid = Uid::effective();
        let name = User::from_uid(uid)
            .ok()
            .flatten()
            .map_or_else(|| uid.to_string(), |user| user.name);
        Self {
            name,
            uid: uid.as_raw(),
            gid: Gid::effective().as_raw(),
            switch: false,
        }
    }

    fn existing(name: &str) -> Result<Option<Self>> {
        let found = User::from_name(name).map_err(|errno| Error::Account {
            name: name.into(),
            detail: errno.desc().into(),
        })?;
        match found {
            Some(user) if user.uid.is_root() => Err(Error::Account {
                name: name.into(),
                detail: "that name is root's".into(),
            }),
            Some(user) => Ok(Some(Self {
                name: name.to_owned(),
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
                switch: true,
            })),
            None => Ok(None),
        }
    }

    /// Gives a file or directory to this user. Nothing to do where all belongs to one user.
    pub(crate) fn own(&self, path: &Path) -> io::Result<()> {
        if self.switch {
            std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid))
        } else {
            Ok(())
        }
    }
}

// === impl Accounts ===

impl Accounts {
    pub fn detect() -> Self {
        let uid = Uid::effective();
        if uid.is_root() {
            return Self::Separate;
        }
        let name = User::from_uid(uid)
            .ok()
            .flatten()
            .map_or_else(|| uid.to_string(), |user| user.name);
        Self::Shared(Account {
            name,
            uid: uid.as_raw(),
            gid: Gid::effective().as_raw(),
            switch: false,
        })
    }

    /// The user of that name, made if it is missing; this user where there is only one. Any number of callers at once.
    ///
    /// # Errors
    /// [`Error::Account`] when the user database cannot be changed, or the name is root's.
    pub async fn ensure_user(&self, name: &str) -> Result<Account> {
        if let Self::Shared(account) = self {
            return Ok(account.clone());
        }
        if let Some(account) = Account::existing(name)? {
            return Ok(account);
        }
        let _turn = lock::take(Path::new(TURN)).await?;
        let mut detail = String::new();
        for _ in 0..TRIES {
            if let Some(account) = Account::existing(name)? {
                return Ok(account);
            }
            detail = useradd(name).await;
            if !detail.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Err(Error::Account {
            name: name.into(),
            detail,
        })
    }

    /// Removes a user that `ensure_user` made. Fails while it still runs processes.
    ///
    /// # Errors
    /// [`Error::Account`] when the user database cannot be changed.
    pub async fn remove_user(&self, name: &str) -> Result<()> {
        if *self != Self::Separate || Account::existing(name)?.is_none() {
            return Ok(());
        }
        let _turn = lock::take(Path::new(TURN)).await?;
        let output = Command::new("userdel")
            .arg(name)
            .stdin(Stdio::null())
            .output()
            .await;
        let detail = output.map_or_else(|error| error.to_string(), |done| last_line(&done.stderr));
        match Account::existing(name)? {
            None => Ok(()),
            Some(_) => Err(Error::Account {
                name: name.into(),
                detail,
            }),
        }
    }
}

/// Empty when it worked; otherwise what `useradd` said.
async fn useradd(name: &str) -> String {
    let made = Command::new("useradd")
        .args([
            "--system",
            "--user-group",
            "--no-create-home",
            "--home-dir",
            "/nonexistent",
        ])
        .args(["--shell", "/usr/sbin/nologin", "--", name])
        .stdin(Stdio::null())
        .output()
        .await;
    match made {
        Ok(output) if output.status.success() => String::new(),
        Ok(output) => last_line(&output.stderr),
        Err(error) => format!("useradd: {error}"),
    }
}

fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines()
        .last()
        .unwrap_or("it gave no reason")
        .trim()
        .to_owned()
}
