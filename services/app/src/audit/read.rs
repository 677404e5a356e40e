//! The log as owners read it: by page, and as one stream.

use std::collections::VecDeque;

use futures::stream::{BoxStream, StreamExt as _, unfold};
use updraft_api::audit::{AuditActor, AuditEntry, AuditOf};
use updraft_api::rest::Page;
use updraft_authz::{Actor, TenantAction};
use updraft_model::{AuditId, TenantId};
use updraft_store::PgConnection;
use updraft_store::audit_log::{self, Line};

use crate::authenticate::actor_again;
use crate::page::page;
use crate::{App, AppError, PageRequest, access};

pub use updraft_store::audit_log::Filter as AuditFilter;

/// Lines of a stream, oldest first. An error ends it.
pub type AuditLines = BoxStream<'static, Result<AuditEntry, AppError>>;

const AT_ONCE: i64 = 500;

/// How far a stream has come.
struct Reader {
    app: App,
    actor: Actor,
    of: AuditOf,
    filter: AuditFilter,
    after: AuditId,
    ready: VecDeque<Line>,
    over: bool,
}

impl App {
    /// The log's lines, newest first.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::Tenancy`]; [`AppError::Invalid`] on `cursor` or `limit`.
    pub async fn list_audit(
        &self,
        actor: &Actor,
        of: AuditOf,
        filter: &AuditFilter,
        request: PageRequest,
    ) -> Result<Page<AuditEntry>, AppError> {
        let (limit, before) = (request.limit()?, request.position::<AuditId>()?);
        let mut connection = self.store().connection().await?;
        let tenant = whose(&mut connection, actor, of).await?;
        let lines = audit_log::list_before(&mut connection, tenant, filter, before, limit + 1).await?;
        Ok(page(lines, limit, |line| line.id.to_string(), entry))
    }

    /// All of the log's lines, oldest first. The right to read them is looked at again with each batch.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::Tenancy`].
    pub async fn export_audit(
        &self,
        actor: &Actor,
        of: AuditOf,
        filter: AuditFilter,
    ) -> Result<AuditLines, AppError> {
        whose(&mut *self.store().connection().await?, actor, of).await?;
        let reader = Reader {
            app: self.clone(),
            actor: actor.clone(),
            of,
            filter,
            after: AuditId(0),
            ready: VecDeque::new(),
            over: false,
        };
        let lines = unfold(reader, |mut reader| async move {
            let next = reader.next().await.transpose()?;
            Some((next, reader))
        });
        Ok(lines.boxed())
    }
}

// === impl Reader ===

impl Reader {
    async fn next(&mut self) -> Result<Option<AuditEntry>, AppError> {
        if self.ready.is_empty()
            && !self.over
            && let Err(error) = self.read().await
        {
            self.over = true;
            return Err(error);
        }
        Ok(self.ready.pop_front().map(entry))
    }

    async fn read(&mut self) -> Result<(), AppError> {
        let mut connection = self.app.store().connection().await?;
        let actor = actor_again(&mut connection, self.actor.credential, self.app.now())
            .await?
            .ok_or(AppError::NotSignedIn)?;
        let tenant = whose(&mut connection, &actor, self.of).await?;
        let lines = audit_log::list_after(&mut connection, tenant, &self.filter, self.after, AT_ONCE).await?;
        self.over = lines.is_empty();
        self.after = lines.last().map_or(self.after, |line| line.id);
        self.ready = lines.into();
        Ok(())
    }
}

/// The tenant whose lines these are, none for those of nobody in particular; refused unless the actor may read them.
async fn whose(
    connection: &mut PgConnection,
    actor: &Actor,
    of: AuditOf,
) -> Result<Option<TenantId>, AppError> {
    match of {
        AuditOf::Tenant => {
            access::tenant(actor, TenantAction::ReadAuditLog)?;
            Ok(Some(actor.tenant))
        }
        AuditOf::Installation => {
            access::operator(connection, actor, "read the installation's audit log").await?;
            Ok(None)
        }
    }
}

/// A line as clients, and objects in S3, have it.
#[must_use]
pub fn entry(line: Line) -> AuditEntry {
    let entry = line.entry;
    AuditEntry {
        id: line.id,
        at: line.at,
        tenant: entry.tenant,
        actor: AuditActor {
            kind: entry.actor_kind,
            id: entry.actor_id,
            name: entry.actor_name,
            credential: entry.credential,
        },
        action: entry.action,
        outcome: entry.outcome,
        reason: entry.reason,
        target: entry.target,
        target_name: entry.target_name,
        before: entry.before,
        after: entry.after,
        address: entry.address,
        user_agent: entry.user_agent,
        request_id: entry.request_id,
    }
}
