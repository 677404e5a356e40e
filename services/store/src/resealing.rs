//! What lies sealed, where, and under which key; and sealing it anew under the current one.
//!
//! Row by row the old value is exchanged for the new one unless somebody was faster, so that a crash at any instant and
//! any number of processes at once leave each row whole, under a key that is held. Nothing is opened for anybody here.

mod columns;
mod rows;

use sqlx::PgConnection;
use thiserror::Error;

use crate::secrets::{KeyId, MasterKey, SecretError};
use crate::{Store, StoreError};

pub use columns::{SEALED, SealedColumn};

use rows::Found;

/// How many values of one column lie under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lying {
    pub table: &'static str,
    /// None: sealed by a release that did not say.
    pub key: Option<KeyId>,
    pub values: u64,
}

/// What came of sealing anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    pub values: u64,
    /// Opened under no key that is held: damaged, or moved from where they belong. Left as they are.
    pub shut: u64,
}

/// Keys with which this database is of no use.
#[derive(Debug, Error)]
pub enum WrongKey {
    #[error(
        "{values} secrets in `{table}` lie under the master key {missing}, and control has {held}: put that key back, \
         alone or as the second 32 bytes of the key's file, and have everything sealed anew before it goes (docs/runbook.md, \
         \"Rotate every key\")"
    )]
    Missing {
        table: &'static str,
        values: u64,
        missing: KeyId,
        held: String,
    },
    #[error(
        "{shut} secrets in `{table}` do not open under {held}: this is the master key of another installation, or the one \
         they were sealed under was taken away too early. Put the right one back"
    )]
    Another {
        table: &'static str,
        shut: u64,
        held: String,
    },
    #[error(
        "this database is of a release whose master key could not be exchanged: start control once with the old key alone \
         (the last 32 bytes of the key's file), and exchange it then"
    )]
    TooEarly,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How much lies under which key, by table.
///
/// # Errors
/// When the database cannot be asked.
pub async fn count(connection: &mut PgConnection) -> Result<Vec<Lying>, StoreError> {
    let mut all = Vec::new();
    for of in &SEALED {
        all.extend(of.count(connection).await?);
    }
    Ok(all)
}

/// The same of what nobody is about to write: each table is looked at once transactions that write to it have ended.
///
/// # Errors
/// When the database cannot be asked.
pub async fn count_settled(store: &Store) -> Result<Vec<Lying>, StoreError> {
    let mut all = Vec::new();
    for of in &SEALED {
        let mut tx = store.begin().await?;
        of.wait_for_writers(&mut tx).await?;
        all.extend(of.count(&mut tx).await?);
        tx.commit().await?;
    }
    Ok(all)
}

/// Of these, what does not say that it lies under this key.
#[must_use]
pub fn elsewhere(lying: &[Lying], key: KeyId) -> u64 {
    let others = lying.iter().filter(|one| one.key != Some(key));
    others.map(|one| one.values).sum()
}

/// Whether everything can be opened with the keys that are held: one that is needed is missing, or none is the right one.
/// With `strict`, each value that does not say its key has to open; else one in each table does.
///
/// # Errors
/// [`WrongKey`].
pub async fn check(connection: &mut PgConnection, key: &MasterKey, strict: bool) -> Result<(), WrongKey> {
    let held = key.held();
    let names = || {
        held.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" and ")
    };
    for lying in count(connection).await? {
        if let Some(missing) = lying.key.filter(|id| !held.contains(id)) {
            return Err(WrongKey::Missing {
                table: lying.table,
                values: lying.values,
                missing,
                held: names(),
            });
        }
    }
    for of in &SEALED {
        let unmarked = of.unmarked(connection).await?;
        let opens = |found: &&Found| key.open(&found.context, of.table, &found.sealed).is_ok();
        let open = unmarked.iter().filter(opens).count();
        if open < unmarked.len() && (strict || open == 0) {
            return Err(WrongKey::Another {
                table: of.table,
                shut: (unmarked.len() - open) as u64,
                held: names(),
            });
        }
    }
    Ok(())
}

/// Seals anew whatever does not lie under the current key; `tell` hears of each batch how many values it was.
///
/// # Errors
/// When the database cannot be asked.
pub async fn reseal(
    store: &Store,
    key: &MasterKey,
    mut tell: impl FnMut(u64),
) -> Result<Resealed, SecretError> {
    let mut all = Resealed::default();
    for of in &SEALED {
        let mut after = "(0,0)".to_owned();
        while let Some(batch) = of.reseal_batch(store, key, &after).await? {
            after = batch.last;
            all.values += batch.resealed.values;
            all.shut += batch.resealed.shut;
            tell(batch.resealed.values);
        }
    }
    Ok(all)
}
