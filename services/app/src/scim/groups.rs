//! Groups of the directory: what access rules ask about.

use serde_json::{Value, json};
use updraft_model::GroupId;
use updraft_sso::scim::{GroupResource, PatchRequest, Refused, ScimType, apply};
use updraft_store::scim_groups::{self, ScimGroup};
use updraft_store::{StoreError, Tx};
use uuid::Uuid;

use super::{Directory, ScimError, ScimQuery, ScimResource, render, written};
use crate::App;
use crate::audit::{Change, Target, attempt};

impl App {
    /// # Errors
    /// [`ScimError::Refused`], [`ScimError::Taken`].
    pub async fn scim_create_group(&self, by: &Directory, body: &Value) -> Result<ScimResource, ScimError> {
        let attempt = attempt("directory.group_add");
        let wanted = GroupResource::parse(body)?;
        let (tenant, id) = (by.actor.tenant, GroupId(Uuid::now_v7()));
        let mut tx = self.store().begin().await?;
        let external_id = wanted.external_id.as_deref();
        scim_groups::insert(&mut tx, tenant, id, &wanted.display_name, external_id)
            .await
            .map_err(written("displayName", &wanted.display_name))?;
        set_members(&mut tx, by, id, &wanted).await?;
        let attempt = attempt.on(Target::new("directory_group", id, Some(&wanted.display_name)));
        attempt
            .done(&mut tx, &by.actor, Change::made(told(&wanted)))
            .await?;
        let shown = self.shown_group(&mut tx, by, id).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(shown)
    }

    /// # Errors
    /// [`ScimError::NotFound`]
    pub async fn scim_show_group(&self, by: &Directory, group: GroupId) -> Result<ScimResource, ScimError> {
        let mut tx = self.store().begin().await?;
        let shown = self.shown_group(&mut tx, by, group).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(shown)
    }

    /// # Errors
    /// [`ScimError::Refused`] for the filter.
    pub async fn scim_list_groups(&self, by: &Directory, query: &ScimQuery) -> Result<Value, ScimError> {
        let filter = query.groups()?;
        let mut connection = self.store().connection().await?;
        let tenant = by.actor.tenant;
        let (skip, limit) = (query.skip(), query.count());
        let (total, records) = scim_groups::list(&mut connection, tenant, &filter, skip, limit).await?;
        let ids: Vec<_> = records.iter().map(|record| record.id).collect();
        let members = scim_groups::members(&mut connection, tenant, &ids).await?;
        let base = &self.config().console_url;
        let shown = records
            .into_iter()
            .map(|record| render::group(base, record, &members));
        Ok(render::list(query, total, shown.collect()))
    }

    /// # Errors
    /// [`ScimError::NotFound`], [`ScimError::Refused`], [`ScimError::Taken`], [`ScimError::Changed`].
    pub async fn scim_replace_group(
        &self,
        by: &Directory,
        group: GroupId,
        if_match: Option<&str>,
        body: &Value,
    ) -> Result<ScimResource, ScimError> {
        let wanted = GroupResource::parse(body)?;
        self.rewrite_group(by, group, if_match, |_| Ok(wanted.clone()))
            .await
    }

    /// # Errors
    /// As [`App::scim_replace_group`].
    pub async fn scim_patch_group(
        &self,
        by: &Directory,
        group: GroupId,
        if_match: Option<&str>,
        patch: &PatchRequest,
    ) -> Result<ScimResource, ScimError> {
        let change = |now: &GroupResource| Ok(GroupResource::parse(&apply(&now.document(), patch)?)?);
        self.rewrite_group(by, group, if_match, change).await
    }

    /// # Errors
    /// [`ScimError::NotFound`], [`ScimError::Changed`].
    pub async fn scim_delete_group(
        &self,
        by: &Directory,
        group: GroupId,
        if_match: Option<&str>,
    ) -> Result<(), ScimError> {
        let attempt = attempt("directory.group_remove");
        let mut tx = self.store().begin().await?;
        let record = found(&mut tx, by, group, if_match).await?;
        scim_groups::delete(&mut tx, by.actor.tenant, group).await?;
        let attempt = attempt.on(Target::new("directory_group", group, Some(&record.display_name)));
        let was = json!({"display_name": record.display_name});
        attempt.done(&mut tx, &by.actor, Change::removed(was)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Writes what becomes of a group; the same again is no new version.
    async fn rewrite_group(
        &self,
        by: &Directory,
        group: GroupId,
        if_match: Option<&str>,
        change: impl Fn(&GroupResource) -> Result<GroupResource, ScimError>,
    ) -> Result<ScimResource, ScimError> {
        let attempt = attempt("directory.group_change");
        let tenant = by.actor.tenant;
        let mut tx = self.store().begin().await?;
        let record = found(&mut tx, by, group, if_match).await?;
        let members = scim_groups::members(&mut tx, tenant, &[group]).await?;
        let mut members: Vec<_> = members.into_iter().map(|member| member.user).collect();
        members.sort_unstable();
        let now = GroupResource {
            display_name: record.display_name.clone(),
            external_id: record.external_id.clone(),
            members,
        };
        let wanted = change(&now)?;
        if wanted != now {
            let new = ScimGroup {
                display_name: wanted.display_name.clone(),
                external_id: wanted.external_id.clone(),
                ..record
            };
            scim_groups::update(&mut tx, tenant, &new)
                .await
                .map_err(written("displayName", &wanted.display_name))?;
            set_members(&mut tx, by, group, &wanted).await?;
            let attempt = attempt.on(Target::new("directory_group", group, Some(&wanted.display_name)));
            attempt
                .done(&mut tx, &by.actor, Change::between(told(&now), told(&wanted)))
                .await?;
        }
        let shown = self.shown_group(&mut tx, by, group).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(shown)
    }

    async fn shown_group(
        &self,
        tx: &mut Tx,
        by: &Directory,
        group: GroupId,
    ) -> Result<ScimResource, ScimError> {
        let record = found(tx, by, group, None).await?;
        let members = scim_groups::members(tx, by.actor.tenant, &[group]).await?;
        Ok(render::group(&self.config().console_url, record, &members))
    }
}

/// At the version the directory thinks it is at.
async fn found(
    tx: &mut Tx,
    by: &Directory,
    group: GroupId,
    if_match: Option<&str>,
) -> Result<ScimGroup, ScimError> {
    let record = scim_groups::find(tx, by.actor.tenant, group).await?;
    let record = record.ok_or(ScimError::NotFound)?;
    match if_match {
        Some(tag) if tag != "*" && tag != render::etag(record.version) => Err(ScimError::Changed),
        _ => Ok(record),
    }
}

/// All of them, or the request is refused: a directory that thinks somebody is in a group who is not would mislead.
async fn set_members(
    tx: &mut Tx,
    by: &Directory,
    group: GroupId,
    wanted: &GroupResource,
) -> Result<(), ScimError> {
    let there = scim_groups::set_members(tx, by.actor.tenant, group, &wanted.members).await?;
    if there == wanted.members.len() {
        return Ok(());
    }
    Err(ScimError::Refused(Refused {
        scim_type: ScimType::InvalidValue,
        detail: "`members` names somebody who is not in this directory: create the person first.".to_owned(),
    }))
}

fn told(group: &GroupResource) -> Value {
    json!({"display_name": group.display_name, "members": group.members})
}
