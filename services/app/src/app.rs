//! The value that REST and the console hold.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use updraft_model::{ClusterId, TenantId};
use updraft_runtimes::Catalogue;
use updraft_sso::oidc::Oidc;
use updraft_sso::{PasswordIdentity, Passwords, SignInLimits, SignInQuota};
use updraft_store::Store;

use crate::audit::Fold;
use crate::boot_log::{BootLogReader, BootLogs};
use crate::dags::{self, NoBucket, PushBucket, Pushes};
use crate::hub::EventHub;
use crate::live::{Live, LiveReports, NoReports};
use crate::logs::{LogBuckets, LogReader, NoBuckets};
use crate::{AppConfig, AppError};

/// All use cases. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    inner: Arc<Inner>,
    live: Live,
    pushes: Pushes,
    logs: LogReader,
    boot_logs: BootLogReader,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    runtimes: Arc<Catalogue>,
    config: AppConfig,
    passwords: Passwords,
    identity: PasswordIdentity,
    device_limits: SignInLimits,
    code_limits: SignInLimits,
    forgotten_limits: SignInLimits,
    mail_bell: Notify,
    begin_limits: SignInLimits,
    hook_limits: SignInLimits,
    oidc: Oidc,
    hub: EventHub,
    refusals: Mutex<Fold>,
}

// === impl App ===

impl App {
    /// # Errors
    /// When passwords cannot be hashed on this machine.
    pub fn new(store: Store, runtimes: Arc<Catalogue>, config: AppConfig) -> Result<Self, AppError> {
        let passwords = Passwords::new()?;
        let limits = Arc::new(SignInLimits::new(config.sign_in_quota));
        let identity = PasswordIdentity::new(store.clone(), passwords.clone(), limits);
        let device_limits = SignInLimits::new(config.sign_in_quota);
        let code_limits = SignInLimits::new(config.sign_in_quota);
        let forgotten_limits = SignInLimits::new(config.forgotten_quota);
        let oidc = Oidc::new(config.outbound.clone());
        let hub = EventHub::new(store.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                runtimes,
                config,
                passwords,
                identity,
                device_limits,
                code_limits,
                forgotten_limits,
                mail_bell: Notify::new(),
                begin_limits: SignInLimits::new(SignInQuota::through_provider()),
                hook_limits: SignInLimits::new(dags::hook_quota()),
                oidc,
                hub,
                refusals: Mutex::default(),
            }),
            live: Live(Arc::new(NoReports)),
            pushes: Pushes::into(Arc::new(NoBucket)),
            logs: LogReader::new(Arc::new(NoBuckets)),
            boot_logs: BootLogReader::default(),
        })
    }

    /// Shows nodes as they last reported to this process, rather than as they last changed.
    #[must_use]
    pub fn with_live_reports(self, reports: Arc<dyn LiveReports>) -> Self {
        Self {
            live: Live(reports),
            ..self
        }
    }

    /// Puts what people push into their clusters' buckets.
    #[must_use]
    pub fn with_push_bucket(self, bucket: Arc<dyn PushBucket>) -> Self {
        Self {
            pushes: Pushes::into(bucket),
            ..self
        }
    }

    /// Reads logs out of clusters' buckets.
    #[must_use]
    pub fn with_log_buckets(self, buckets: Arc<dyn LogBuckets>) -> Self {
        Self {
            logs: LogReader::new(buckets),
            ..self
        }
    }

    /// Shows what nodes' machines said while they booted.
    #[must_use]
    pub fn with_boot_logs(self, logs: Arc<dyn BootLogs>) -> Self {
        Self {
            boot_logs: BootLogReader(Some(logs)),
            ..self
        }
    }

    pub(crate) fn boot_logs(&self) -> &BootLogReader {
        &self.boot_logs
    }

    pub(crate) fn log_reader(&self) -> &LogReader {
        &self.logs
    }

    #[must_use]
    pub fn config(&self) -> &AppConfig {
        &self.inner.config
    }

    /// Where people find one cluster's Airflow.
    #[must_use]
    pub fn airflow_url(&self, tenant: TenantId, cluster: ClusterId) -> String {
        self.inner.config.airflow_url(tenant, cluster)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn runtimes(&self) -> &Catalogue {
        &self.inner.runtimes
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.inner.passwords
    }

    pub(crate) fn identity(&self) -> &PasswordIdentity {
        &self.inner.identity
    }

    pub(crate) fn oidc(&self) -> &Oidc {
        &self.inner.oidc
    }

    /// Tries at devices' codes.
    pub(crate) fn device_limits(&self) -> &SignInLimits {
        &self.inner.device_limits
    }

    /// Tries at second factors.
    pub(crate) fn code_limits(&self) -> &SignInLimits {
        &self.inner.code_limits
    }

    /// Sign-ins begun, by provider and by address.
    pub(crate) fn begin_limits(&self) -> &SignInLimits {
        &self.inner.begin_limits
    }

    /// Forgotten passwords, by address and by client.
    pub(crate) fn forgotten_limits(&self) -> &SignInLimits {
        &self.inner.forgotten_limits
    }

    /// Rung when mail was written down by this process; what others write down is looked for now and then.
    #[must_use]
    pub fn mail_bell(&self) -> &Notify {
        &self.inner.mail_bell
    }

    /// Calls of webhooks, by hook and by address.
    pub(crate) fn hook_limits(&self) -> &SignInLimits {
        &self.inner.hook_limits
    }

    pub(crate) fn pushes(&self) -> &Pushes {
        &self.pushes
    }

    pub(crate) fn live(&self) -> &dyn LiveReports {
        &*self.live.0
    }

    pub(crate) fn hub(&self) -> &EventHub {
        &self.inner.hub
    }

    /// The refusals of the last minute, for the audit log.
    pub(crate) fn refusals(&self) -> MutexGuard<'_, Fold> {
        self.inner.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one clock of the use cases.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}
