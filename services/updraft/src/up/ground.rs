//! What `up` stands on: a data directory of its own, free ports, accounts.

use std::path::PathBuf;

use updraft_embedded::{Accounts, DataDir, Layout, ports as sockets};
use updraft_store::secrets::MasterKey;

use super::port_base;
use crate::cli::UpArgs;
use crate::config::{self, Ports};

pub(crate) struct Ground {
    data_dir: DataDir,
    pub(crate) accounts: Accounts,
    pub(crate) ports: Ports,
}

// === impl Ground ===

impl Ground {
    /// # Errors
    /// When the directory is another's, too full or in use, when it began with other ports, or when a port is taken by something
    /// that is not ours.
    pub(crate) fn take(args: &UpArgs) -> anyhow::Result<Self> {
        let data_dir = DataDir::open(&args.data_dir.clone().unwrap_or_else(Layout::default_dir))?;
        let ports = Ports::from_base(port_base::decide(args.port_base, data_dir.layout())?);
        // The ports of databases and storage are checked where they start: what runs there may be ours, to adopt.
        if !data_dir.layout().run().join("control.json").exists() {
            sockets::ensure_free(ports.console, "the console")?;
            sockets::ensure_free(ports.edge, "the edge")?;
        }
        Ok(Self {
            data_dir,
            accounts: Accounts::detect(),
            ports,
        })
    }

    pub(crate) fn layout(&self) -> &Layout {
        self.data_dir.layout()
    }

    /// The file of a secret, made unless it is there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn secret(&self, name: &str, bytes: usize) -> anyhow::Result<PathBuf> {
        let path = self.layout().secrets().join(name);
        config::ensure_secret(&path, bytes)?;
        Ok(path)
    }

    /// Where the key lies under which all secrets of this installation are kept.
    pub(crate) fn master_key_file(&self) -> PathBuf {
        self.layout().secrets().join("master-key")
    }

    /// Where the key lies that access to clusters' buckets is derived from. It has no successor: another one would restart
    /// every service. Before there was such a file it was the master key.
    ///
    /// # Errors
    /// When the file cannot be read or made.
    pub(crate) fn storage_key_file(&self) -> anyhow::Result<PathBuf> {
        let path = self.layout().secrets().join("storage-key");
        let master_key_file = self.master_key_file();
        if !path.exists() && master_key_file.exists() {
            MasterKey::load(&master_key_file)?.copy_oldest(&path)?;
        }
        MasterKey::load_or_create(&path)?;
        Ok(path)
    }

    /// # Errors
    /// When the file cannot be read or made.
    pub(crate) fn storage_key(&self) -> anyhow::Result<MasterKey> {
        Ok(MasterKey::load(&self.storage_key_file()?)?)
    }
}
