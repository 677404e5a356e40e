//! Clusters: list, create, show, update.

use serde_json::json;
use updraft_api::rest::{Accepted, ClusterView, NewCluster, Page, UpdateCluster};
use updraft_authz::{Actor, ClusterAction, TenantAction};
use updraft_model::{ClusterId, ClusterRole, ClusterSpec, Generation, OperationKind, Power};
use updraft_store::aws_accounts::place;
use updraft_store::clusters::{self, Usage};
use updraft_store::{StoreError, tenants};

use crate::audit::{self, attempt};
use crate::changes::Written;
use crate::dags::{check_index, check_named};
use crate::page::page;
use crate::rights::Sight;
use crate::{
    App, AppError, PageRequest, access, aws_accounts, bootstrap, broker, environment, idle, log_place,
    metadata, quota, schedules, spec, task_secrets, view, worker_queues,
};

impl App {
    /// The clusters the actor has a role on, by id.
    ///
    /// # Errors
    /// [`AppError::Invalid`] on `cursor` or `limit`.
    pub async fn list_clusters(
        &self,
        actor: &Actor,
        request: PageRequest,
    ) -> Result<Page<ClusterView>, AppError> {
        let (limit, after) = (request.limit()?, request.position::<ClusterId>()?);
        let mut connection = self.store().connection().await?;
        let sight = Sight::of(&mut connection, actor).await?;
        let only = sight.clusters();
        let records = clusters::list(
            &mut connection,
            actor.tenant,
            actor.user,
            only.as_deref(),
            after,
            limit + 1,
        )
        .await?;
        let view = |record: clusters::ClusterRecord| {
            let role = sight.role_on(record.id).unwrap_or(ClusterRole::User);
            view::cluster(record, actor.tenant, role, self.config())
        };
        Ok(page(records, limit, |record| record.id.to_string(), view))
    }

    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::Invalid`], [`AppError::ClusterNameTaken`], [`AppError::QuotaExceeded`].
    pub async fn create_cluster(&self, actor: &Actor, new: NewCluster) -> Result<Accepted, AppError> {
        let attempt = attempt("cluster.create");
        access::tenant(actor, TenantAction::CreateCluster)?;
        let name = new.name.clone();
        let power = if new.start.unwrap_or(true) {
            Power::Running
        } else {
            Power::Stopped
        };
        let brought = metadata::asked(new.metadata_dsn.as_ref(), new.metadata_ca.as_deref())?;
        let mut spec = spec::new_spec(new, self.runtimes())?;
        spec.metadata_database = brought.as_ref().map(|brought| brought.place.clone());
        broker::check_installed(spec.broker, self.config().rabbitmq.as_deref())?;
        worker_queues::check_machines(&spec, self.config().instance_types)?;
        self.try_log_bucket(actor, &spec.logs).await?;
        self.try_roles(actor.tenant, &spec.dag_sources, Some(&spec.bootstrap))
            .await?;
        let nodes = if power == Power::Running {
            spec.most_nodes()
        } else {
            0
        };

        let mut tx = self.store().begin().await?;
        let allowed = tenants::lock_quota(&mut tx, actor.tenant).await?;
        let used = clusters::usage(&mut tx, actor.tenant, None).await?;
        quota::check(allowed, used, Usage { clusters: 1, nodes })?;
        check_named(&mut tx, actor.tenant, &spec.dag_sources).await?;
        bootstrap::check_named(&mut tx, actor.tenant, &spec.bootstrap).await?;
        log_place::check_named(&mut tx, actor.tenant, &spec.logs).await?;
        check_index(&mut tx, actor.tenant, &spec.environment).await?;
        let accounts = self.config().accounts.as_ref();
        let account =
            aws_accounts::chosen(&mut tx, actor.tenant, accounts, spec.aws_account.as_ref()).await?;
        spec.aws_account = account.as_ref().map(|(_, name)| name.clone());
        let taken = |error: StoreError| match error.is_conflict_on("clusters_name") {
            true => AppError::ClusterNameTaken {
                name: name.to_string(),
            },
            false => AppError::Store(error),
        };
        let id = clusters::insert(&mut tx, actor.tenant, &name, &spec, power)
            .await
            .map_err(taken)?;
        if let Some((account, _)) = account {
            place(&mut tx, actor.tenant, id, account).await?;
        }
        if let Some(brought) = &brought {
            self.keep_metadata(&mut tx, id, brought).await?;
        }
        environment::begin(&mut tx, actor, id, &spec).await?;
        schedules::keep(&mut tx, actor.tenant, id, &spec.schedule).await?;
        idle::keep(&mut tx, actor.tenant, id, spec.stop_when_idle).await?;
        let made = audit::Change::made(json!({"name": name, "power": power, "spec": spec}));
        let written = Written {
            kind: OperationKind::Create,
            message: &format!("created the cluster `{name}`"),
            attempt,
            change: made.hiding(self.secret_options(&spec)),
        };
        self.accept(tx, actor, id, written).await
    }

    /// # Errors
    /// [`AppError::NotFound`] also when the actor has no role on it.
    pub async fn show_cluster(&self, actor: &Actor, id: ClusterId) -> Result<ClusterView, AppError> {
        let mut connection = self.store().connection().await?;
        let (record, role) = access::cluster(&mut connection, actor, id, ClusterAction::View).await?;
        Ok(view::cluster(record, actor.tenant, role, self.config()))
    }

    /// Changes the spec, provided it is still at the generation the actor has seen.
    ///
    /// # Errors
    /// [`AppError::GenerationMismatch`], [`AppError::Forbidden`], [`AppError::Invalid`],
    /// [`AppError::QuotaExceeded`], [`AppError::ClusterDeleting`].
    pub async fn update_cluster(
        &self,
        actor: &Actor,
        id: ClusterId,
        if_match: Generation,
        update: UpdateCluster,
    ) -> Result<Accepted, AppError> {
        let attempt = attempt("cluster.update");
        let brought = metadata::asked(update.metadata_dsn.as_ref(), update.metadata_ca.as_deref())?;
        self.try_what_it_names(actor, id, &update).await?;
        let mut change = self
            .begin_change(actor, id, ClusterAction::Change, attempt)
            .await?;
        change.check_not_deleting()?;
        let current = change.cluster.generation;
        if current != if_match {
            return Err(AppError::GenerationMismatch { current });
        }
        let mut spec = spec::updated_spec((&change.cluster.spec, current), update, self.runtimes())?;
        if let Some(brought) = &brought {
            metadata::check_change(&change.cluster)?;
            spec.metadata_database = Some(brought.place.clone());
            self.keep_metadata(&mut change.tx, id, brought).await?;
        }
        worker_queues::check_machines(&spec, self.config().instance_types)?;
        if spec.dag_sources != change.cluster.spec.dag_sources {
            check_named(&mut change.tx, actor.tenant, &spec.dag_sources).await?;
        }
        if spec.bootstrap != change.cluster.spec.bootstrap {
            bootstrap::check_named(&mut change.tx, actor.tenant, &spec.bootstrap).await?;
        }
        if spec.logs != change.cluster.spec.logs {
            log_place::check_named(&mut change.tx, actor.tenant, &spec.logs).await?;
        }
        if spec.environment != change.cluster.spec.environment {
            check_index(&mut change.tx, actor.tenant, &spec.environment).await?;
        }
        let runtime = self.runtimes().get(&spec.runtime);
        task_secrets::check_apart(&mut change.tx, actor, id, &spec, runtime).await?;
        if change.cluster.power == Power::Running {
            change.check_nodes(actor, spec.most_nodes()).await?;
        }
        let current_spec = (&change.cluster.spec, current);
        environment::change(&mut change.tx, actor.tenant, id, current_spec, &spec).await?;
        if spec.schedule != change.cluster.spec.schedule {
            schedules::keep(&mut change.tx, actor.tenant, id, &spec.schedule).await?;
        }
        if spec.stop_when_idle != change.cluster.spec.stop_when_idle {
            idle::keep(&mut change.tx, actor.tenant, id, spec.stop_when_idle).await?;
        }
        clusters::set_spec(&mut change.tx, actor.tenant, id, current, &spec).await?;
        let after = metadata::audited(&spec, brought.is_some());
        let changed = audit::Change::between(json!(change.cluster.spec), after);
        let written = Written {
            kind: OperationKind::Update,
            message: "changed the cluster",
            attempt: change.attempt,
            change: changed.hiding(self.secret_options(&spec)),
        };
        self.accept(change.tx, actor, id, written).await
    }

    /// Buckets and roles, elsewhere: nothing slow happens in a transaction.
    async fn try_what_it_names(
        &self,
        actor: &Actor,
        id: ClusterId,
        update: &UpdateCluster,
    ) -> Result<(), AppError> {
        if update.logs.is_none() && update.dag_sources.is_none() && update.bootstrap.is_none() {
            return Ok(());
        }
        let mut connection = self.store().connection().await?;
        access::cluster(&mut connection, actor, id, ClusterAction::Change).await?;
        drop(connection);
        if let Some(logs) = &update.logs {
            self.try_log_bucket(actor, logs).await?;
        }
        let sources = update.dag_sources.as_deref().unwrap_or_default();
        self.try_roles(actor.tenant, sources, update.bootstrap.as_ref())
            .await
    }

    /// Options of Airflow whose values are secrets, and the bootstrap script's text: it may hold some.
    fn secret_options(&self, spec: &ClusterSpec) -> Vec<String> {
        let runtime = self.runtimes().get(&spec.runtime).into_iter();
        let options = runtime.flat_map(|runtime| runtime.options());
        let secret = options.filter(|option| option.sensitive);
        let secret = secret.map(|option| option.key.clone());
        secret.chain(["text".to_owned()]).collect()
    }
}
