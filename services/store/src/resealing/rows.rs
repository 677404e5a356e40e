//! One sealed column, row by row. Its table and its column are named in the source and nowhere else, and so may stand in a
//! statement.

use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::columns::SealedColumn;
use super::{Lying, Resealed};
use crate::master_key::{MAGIC, MARK};
use crate::secrets::{KeyId, MasterKey, SecretError};
use crate::{Store, StoreError, Tx};

const BATCH: i64 = 200;

pub(super) struct Batch {
    pub(super) last: String,
    pub(super) resealed: Resealed,
}

pub(super) struct Found {
    pub(super) at: String,
    pub(super) sealed: Vec<u8>,
    pub(super) context: String,
}

// === impl SealedColumn ===

impl SealedColumn {
    pub(super) async fn count(&self, connection: &mut PgConnection) -> Result<Vec<Lying>, StoreError> {
        let Self { table, column, .. } = self;
        let statement = format!(
            "select case when {} then substring({column} for {MARK}) end as mark, count(*) as values
             from {table} where {column} is not null group by 1",
            self.is_marked(),
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .fetch_all(connection)
            .await?;
        let lying = rows.iter().map(|row| {
            let mark: Option<Vec<u8>> = row.try_get("mark")?;
            let values: i64 = row.try_get("values")?;
            Ok(Lying {
                table,
                key: mark.and_then(|mark| KeyId::of_mark(&mark)),
                values: u64::try_from(values).unwrap_or_default(),
            })
        });
        lying.collect()
    }

    /// Whoever wants to write waits as long as this transaction lasts.
    pub(super) async fn wait_for_writers(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let statement = format!("lock table {} in share mode", self.table);
        sqlx::query(AssertSqlSafe(statement)).execute(&mut **tx).await?;
        Ok(())
    }

    pub(super) async fn unmarked(&self, connection: &mut PgConnection) -> Result<Vec<Found>, StoreError> {
        let statement = self.select(&format!("not {}", self.is_marked()));
        let rows = sqlx::query(AssertSqlSafe(statement))
            .fetch_all(connection)
            .await?;
        rows.iter().map(|row| self.found(row)).collect()
    }

    /// The next ones after this place in the table; none: that was all.
    pub(super) async fn reseal_batch(
        &self,
        store: &Store,
        key: &MasterKey,
        after: &str,
    ) -> Result<Option<Batch>, SecretError> {
        let mut tx = store.begin().await?;
        let found = self.take(&mut tx, key.current(), after).await?;
        let Some(last) = found.last().map(|last| last.at.clone()) else {
            return Ok(None);
        };
        let mut fresh = Vec::with_capacity(found.len());
        for one in &found {
            // One that does not open is looked at again with the next pass, and counted.
            if let Ok(secret) = key.open(&one.context, self.table, &one.sealed) {
                fresh.push((one, key.seal(&one.context, self.table, &secret)?));
            }
        }
        let values = self.write(&mut tx, &fresh).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let shut = (found.len() - fresh.len()) as u64;
        Ok(Some(Batch {
            last,
            resealed: Resealed { values, shut },
        }))
    }

    async fn take(&self, tx: &mut Tx, current: KeyId, after: &str) -> Result<Vec<Found>, StoreError> {
        let column = self.column;
        let elsewhere = self.select(&format!(
            "substring({column} for {MARK}) <> $1 and ctid > $2::tid"
        ));
        let statement = format!("{elsewhere} order by ctid limit {BATCH} for update skip locked");
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(current.mark().to_vec())
            .bind(after)
            .fetch_all(&mut **tx)
            .await?;
        rows.iter().map(|row| self.found(row)).collect()
    }

    async fn write(&self, tx: &mut Tx, fresh: &[(&Found, Vec<u8>)]) -> Result<u64, StoreError> {
        let Self { table, column, .. } = self;
        let statement = format!(
            "update {table} t set {column} = n.fresh
             from unnest($1::text[], $2::bytea[], $3::bytea[]) as n (at, old, fresh)
             where t.ctid = n.at::tid and t.{column} = n.old"
        );
        let done = sqlx::query(AssertSqlSafe(statement))
            .bind(fresh.iter().map(|(one, _)| one.at.clone()).collect::<Vec<_>>())
            .bind(
                fresh
                    .iter()
                    .map(|(one, _)| one.sealed.clone())
                    .collect::<Vec<_>>(),
            )
            .bind(fresh.iter().map(|(_, fresh)| fresh.clone()).collect::<Vec<_>>())
            .execute(&mut **tx)
            .await?;
        Ok(done.rows_affected())
    }

    fn is_marked(&self) -> String {
        let (magic, length) = (hex::encode(MAGIC), MAGIC.len());
        format!(r"substring({} for {length}) = '\x{magic}'::bytea", self.column)
    }

    fn select(&self, condition: &str) -> String {
        let Self { table, column, .. } = self;
        let bound_to: Vec<_> = self.bound_to.iter().map(|one| format!("{one}::text")).collect();
        let bound_to = bound_to.join(", ");
        format!(
            "select ctid::text as at, {column} as sealed, array[{bound_to}] as bound_to
             from {table} where {column} is not null and {condition}"
        )
    }

    fn found(&self, row: &sqlx::postgres::PgRow) -> Result<Found, StoreError> {
        let bound_to: Vec<String> = row.try_get("bound_to")?;
        Ok(Found {
            at: row.try_get("at")?,
            sealed: row.try_get("sealed")?,
            context: filled(self.context, &bound_to),
        })
    }
}

/// What is bound may hold braces itself: only the template's own are places.
fn filled(template: &str, values: &[String]) -> String {
    let mut places = template.split("{}");
    let mut text = places.next().unwrap_or_default().to_owned();
    for (value, between) in values.iter().zip(places) {
        text.push_str(value);
        text.push_str(between);
    }
    text
}
