//! S3 of our own: SeaweedFS as four processes, of which only the S3 gateway talks to anyone without a certificate.
//!
//! SeaweedFS trusts whoever reaches its master, volume and filer ports. Here each of them, HTTP and gRPC, asks for a
//! client certificate from an authority whose key was thrown away after signing the one certificate there is, which
//! only the service's own user can read. The filer's HTTP is off. So the one way to an object is a signed S3 request.
//!
//! Four processes instead of `weed server`: that one sleeps 2 s while starting and puts its gRPC sockets in `/tmp`,
//! where any user of the machine could take their names first.

mod client;
mod identities;
mod processes;
mod tls;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, watch};

use self::client::Client;
use self::identities::Identities;
use crate::progress::{Progress, Step};
use crate::supervise::{Status, Supervised};
use crate::{Account, Error, Layout, Parts, Result};

/// The gateway reads its identities again on SIGHUP within milliseconds; this is for a machine under load.
const TAKES_EFFECT: Duration = Duration::from_secs(10);

/// Every port SeaweedFS listens on, all on 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct S3Ports {
    pub s3: u16,
    pub s3_grpc: u16,
    pub master: u16,
    pub master_grpc: u16,
    pub volume: u16,
    pub volume_grpc: u16,
    pub filer: u16,
    pub filer_grpc: u16,
}

/// An access key and its secret.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub access_key: String,
    pub secret_key: SecretString,
}

/// Running, supervised object storage.
#[derive(Debug)]
pub struct S3 {
    client: Client,
    admin: Credentials,
    identities: Mutex<Identities>,
    logs: PathBuf,
    /// In the order they were started; the gateway is the last.
    processes: Vec<Supervised>,
}

// === impl S3Ports ===

impl S3Ports {
    /// Eight ports in a row, the gateway's first.
    pub fn starting_at(base: u16) -> Self {
        Self {
            s3: base,
            s3_grpc: base + 1,
            master: base + 2,
            master_grpc: base + 3,
            volume: base + 4,
            volume_grpc: base + 5,
            filer: base + 6,
            filer_grpc: base + 7,
        }
    }
}

// === impl Credentials ===

impl Credentials {
    /// New random ones.
    pub fn generate() -> Self {
        Self {
            access_key: crate::secret::generate()[..20].to_owned(),
            secret_key: crate::secret::generate().into(),
        }
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.access_key == other.access_key
            && self.secret_key.expose_secret() == other.secret_key.expose_secret()
    }
}

// === impl S3 ===

impl S3 {
    /// Makes keys and certificates on first use, then adopts or starts the processes, and returns when objects can be
    /// stored.
    ///
    /// # Errors
    /// A taken port, a full disk, or what a process's log says.
    pub async fn start(
        layout: &Layout,
        parts: &Parts,
        account: &Account,
        ports: S3Ports,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let step = Step::begin(progress, "Object storage");
        let home = layout.s3();
        processes::prepare(&home, account)?;
        tls::ensure(&home, account)?;
        let (identities, admin) = Identities::open(&home, account)?;
        let mut processes = Vec::new();
        for service in processes::in_order(layout, parts, account, ports) {
            processes.push(Supervised::start(service, layout.run()).await?);
        }
        let client = Client::new(ports.s3);
        let storage = Self {
            client,
            admin,
            identities: Mutex::new(identities),
            logs: layout.logs(),
            processes,
        };
        storage.await_status("GET", "/", 200, &storage.admin).await?;
        // One that was adopted may have missed the last change of an `up` that was killed.
        storage.reload().await;
        step.done();
        Ok(storage)
    }

    /// `http://127.0.0.1:<port>`; buckets are addressed by path, the region's name does not matter.
    pub fn endpoint(&self) -> String {
        self.client.endpoint()
    }

    /// May do everything in every bucket. For Updraft's own processes only.
    pub fn admin(&self) -> &Credentials {
        &self.admin
    }

    /// Makes the bucket if it is not there.
    ///
    /// # Errors
    /// [`Error::StorageName`] for a name S3 forbids, [`Error::Storage`] when storage refuses.
    pub async fn ensure_bucket(&self, bucket: &str) -> Result<()> {
        identities::check_name(bucket)?;
        self.expect("PUT", &format!("/{bucket}"), &[200, 409]).await
    }

    /// Removes the bucket with everything in it, if it is there.
    ///
    /// # Errors
    /// [`Error::Storage`] when storage refuses.
    pub async fn remove_bucket(&self, bucket: &str) -> Result<()> {
        identities::check_name(bucket)?;
        self.expect("DELETE", &format!("/{bucket}"), &[204, 404]).await
    }

    /// Lets these credentials read and write that one bucket, which must exist; earlier ones of that name end. Returns
    /// when it is in force.
    ///
    /// # Errors
    /// [`Error::StorageName`] for a name that could mean more than one bucket, [`Error::Storage`] when it has no effect.
    pub async fn ensure_identity(&self, name: &str, credentials: &Credentials, bucket: &str) -> Result<()> {
        if self.identities.lock().await.put(name, credentials, bucket)? {
            self.reload().await;
        }
        self.await_status("HEAD", &format!("/{bucket}"), 200, credentials)
            .await
    }

    /// Ends the credentials of that name. Returns when they are refused.
    ///
    /// # Errors
    /// [`Error::Storage`] when they go on working.
    pub async fn remove_identity(&self, name: &str) -> Result<()> {
        let removed = self.identities.lock().await.remove(name)?;
        let Some(credentials) = removed else { return Ok(()) };
        self.reload().await;
        self.await_status("GET", "/", 403, &credentials).await
    }

    pub fn status(&self) -> Vec<(String, watch::Receiver<Status>)> {
        self.processes
            .iter()
            .map(|process| (process.name().to_owned(), process.status()))
            .collect()
    }

    /// Gateway first, so that nothing asks what has gone.
    ///
    /// # Errors
    /// [`Error::ServiceStuck`] when a process cannot be ended.
    pub async fn stop(self) -> Result<()> {
        let mut outcome = Ok(());
        for process in self.processes.into_iter().rev() {
            outcome = outcome.and(process.stop().await);
        }
        outcome
    }

    async fn reload(&self) {
        if let Some(gateway) = self.processes.last() {
            gateway.reload().await;
        }
    }

    async fn expect(&self, method: &str, path: &str, accepted: &[u16]) -> Result<()> {
        let status = self.client.send(method, path, &self.admin).await.unwrap_or(0);
        if accepted.contains(&status) {
            Ok(())
        } else {
            Err(self.refused(method, path, status))
        }
    }

    async fn await_status(
        &self,
        method: &str,
        path: &str,
        wanted: u16,
        credentials: &Credentials,
    ) -> Result<()> {
        let begun = Instant::now();
        loop {
            let status = self.client.send(method, path, credentials).await.unwrap_or(0);
            if status == wanted {
                return Ok(());
            }
            if begun.elapsed() > TAKES_EFFECT {
                return Err(self.refused(method, path, status));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn refused(&self, method: &str, path: &str, status: u16) -> Error {
        Error::Storage {
            doing: format!("{method} {path}"),
            status,
            logs: self.logs.clone(),
        }
    }
}
