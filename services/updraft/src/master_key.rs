//! `updraft operator rotate-master-key`: another master key, while control runs.
//!
//! What has to be done next is read off the key's file and the database alone, so it can be ended at any instant and begun
//! again: two keys in the file are an exchange under way. A key leaves the file once nothing lies under it, and not before.

use std::path::Path;
use std::time::Duration;

use anyhow::{bail, ensure};
use serde_json::json;
use tokio::time::sleep;
use updraft_app::audit::{By, Change, Target, besides};
use updraft_store::resealing::{self, Lying};
use updraft_store::secrets::{KeyId, MasterKey};
use updraft_store::{Store, StoreError, controls};

const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

pub(crate) struct Exchange<'a> {
    pub(crate) store: &'a Store,
    pub(crate) file: &'a Path,
    /// `updraft up` wrote the file, and every control process reads this one.
    pub(crate) is_ours: bool,
}

// === impl Exchange ===

impl Exchange<'_> {
    /// # Errors
    /// With a key that does not belong to this database, and when the file cannot be written.
    pub(crate) async fn run(&self, only_look: bool) -> anyhow::Result<()> {
        let key = MasterKey::load(self.file)?;
        let mut connection = self.store.connection().await?;
        resealing::check(&mut connection, &key, false).await?;
        if only_look {
            return show(&key, &resealing::count(&mut connection).await?);
        }
        drop(connection);
        let (key, old) = self.both(key)?;
        println!("The master key {} takes the place of {old}.", key.current());
        self.wait_until("seal under the new key", |held| {
            held.first() == Some(&key.current().to_string())
        })
        .await?;
        self.reseal(&key).await?;
        self.end(&key, old).await
    }

    /// The keys between which everything is carried: those in the file, or with a new one.
    fn both(&self, key: MasterKey) -> anyhow::Result<(MasterKey, KeyId)> {
        let old = key.previous().unwrap_or(key.current());
        if key.previous().is_some() {
            return Ok((key, old));
        }
        ensure!(
            self.is_ours,
            "{} holds one key, {old}: put a new one before it, as docs/runbook.md says (\"Rotate every key\"), and call \
             this again on a machine that has both",
            self.file.display()
        );
        let key = MasterKey::begin_exchange(self.file)?;
        Ok((key, old))
    }

    async fn reseal(&self, key: &MasterKey) -> anyhow::Result<()> {
        let mut done = 0;
        loop {
            let mut connection = self.store.connection().await?;
            let left = resealing::elsewhere(&resealing::count(&mut connection).await?, key.current());
            drop(connection);
            if left == 0 {
                return Ok(());
            }
            println!("{left} secrets lie under another key still.");
            let pass = resealing::reseal(self.store, key, |values| {
                done += values;
                println!("  sealed anew: {done}");
            });
            let pass = pass.await?;
            ensure!(
                pass.shut == 0,
                "{} secrets open under neither key: they are damaged, or were moved from where they belong. `--status` \
                 shows their tables. Set them anew or remove their rows, and call this again; both keys stay until then",
                pass.shut
            );
            if pass.values == 0 {
                // Somebody else has them in hand.
                sleep(BETWEEN_LOOKS).await;
            }
        }
    }

    /// Counted once more when nobody writes any more, and then without the old key.
    async fn end(&self, key: &MasterKey, old: KeyId) -> anyhow::Result<()> {
        let counted = resealing::count_settled(self.store).await?;
        let left = resealing::elsewhere(&counted, key.current());
        if left > 0 {
            bail!("{left} secrets were sealed under the old key meanwhile: call this again");
        }
        let values: u64 = counted.iter().map(|one| one.values).sum();
        println!(
            "Nothing lies under {old} any more: all {values} secrets lie under {}.",
            key.current()
        );
        self.record(key, old, values).await?;
        if !self.is_ours {
            println!("Take the old key out of the file now: its first 32 bytes are what stays.");
            return Ok(());
        }
        MasterKey::end_exchange(self.file)?;
        self.wait_until("let go of the old key", |held| held.len() == 1)
            .await?;
        println!(
            "{old} is gone. Backups of the database made before now need it: keep it with them, or make a new one."
        );
        Ok(())
    }

    async fn record(&self, key: &MasterKey, old: KeyId, values: u64) -> anyhow::Result<()> {
        let user = nix::unistd::getuid().as_raw();
        let change = json!({"user_of_the_machine": user, "old": old.to_string(), "secrets": values});
        let new = key.current().to_string();
        let mut tx = self.store.begin().await?;
        besides("master_key.rotate")
            .on(Target::new("master_key", &new, None))
            .done(&mut tx, By::system(None), Change::made(change))
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Every control process that lives says so of the keys that it holds.
    async fn wait_until(&self, what: &str, is_so: impl Fn(&[String]) -> bool) -> anyhow::Result<()> {
        let mut said = false;
        loop {
            let mut connection = self.store.connection().await?;
            let living = controls::master_keys(&mut connection).await?;
            drop(connection);
            let behind = living.iter().filter(|held| !is_so(held)).count();
            if behind == 0 {
                return Ok(());
            }
            if !said {
                println!(
                    "Waiting for {behind} of {} control processes to {what} …",
                    living.len()
                );
                said = true;
            }
            sleep(BETWEEN_LOOKS).await;
        }
    }
}

fn show(key: &MasterKey, lying: &[Lying]) -> anyhow::Result<()> {
    println!("{}  the master key", key.current());
    if let Some(previous) = key.previous() {
        println!("{previous}  the one whose place it takes");
    }
    for one in lying {
        let under = one.key.map_or("not said".to_owned(), |id| id.to_string());
        println!("  {:>8}  {under:<16}  {}", one.values, one.table);
    }
    let left = resealing::elsewhere(lying, key.current());
    println!("{left} secrets lie under another key than {}.", key.current());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;

    use secrecy::ExposeSecret as _;
    use tempfile::TempDir;
    use tokio::task::JoinHandle;
    use tokio::time::{sleep, timeout};
    use updraft_control::master_key::Keyring;
    use updraft_store::secrets::{self, MasterKey};
    use updraft_store::testing::TestDatabase;
    use updraft_store::{Store, controls, resealing};
    use uuid::Uuid;

    use super::Exchange;

    const SECRETS: usize = 700;

    /// Control, as far as its key goes: it looks at the file, says what it holds, and seals all the while.
    fn control(store: Store, ring: Arc<Keyring>) -> JoinHandle<()> {
        let id = Uuid::new_v4();
        tokio::spawn(async move {
            for turn in 0.. {
                ring.look(true).await.unwrap();
                let mut connection = store.connection().await.unwrap();
                controls::tell(&mut connection, id, Some((1, &[])), ring.key())
                    .await
                    .unwrap();
                let name = format!("busy-{}", turn % 5);
                secrets::remove_control_key(&mut connection, &name).await.unwrap();
                secrets::ensure_control_key(&mut connection, ring.key(), &name, &"x".into())
                    .await
                    .unwrap();
                sleep(Duration::from_millis(5)).await;
            }
        })
    }

    async fn house() -> (TestDatabase, TempDir, PathBuf, JoinHandle<()>) {
        let (database, dir) = (TestDatabase::create().await.unwrap(), TempDir::new().unwrap());
        let (store, file) = (database.store().clone(), dir.path().join("master-key"));
        let ring = Arc::new(Keyring::open(store.clone(), &file).await.unwrap());
        let mut connection = store.connection().await.unwrap();
        for at in 0..SECRETS {
            let name = format!("secret-{at}");
            secrets::ensure_control_key(&mut connection, ring.key(), &name, &name.as_str().into())
                .await
                .unwrap();
        }
        let control = control(store.clone(), ring);
        (database, dir, file, control)
    }

    async fn opens_all_and_nothing_is_elsewhere(store: &Store, key: &MasterKey) {
        let mut connection = store.connection().await.unwrap();
        let kept = secrets::list_control_keys(&mut connection, key, "secret-")
            .await
            .unwrap();
        assert_eq!(kept.len(), SECRETS);
        assert!(kept.iter().all(|one| one.secret.expose_secret() == one.name));
        let counted = resealing::count_settled(store).await.unwrap();
        assert_eq!(resealing::elsewhere(&counted, key.current()), 0);
    }

    #[tokio::test]
    async fn a_key_is_exchanged_while_control_runs_and_whoever_does_it_is_ended_now_and_then() {
        let (database, _dir, file, control) = house().await;
        let before = MasterKey::load(&file).unwrap();
        let exchange = Exchange {
            store: database.store(),
            file: &file,
            is_ours: true,
        };
        let mut cut_short = 0;
        for ms in [1, 5, 20, 60, 150, 400] {
            cut_short += u32::from(
                timeout(Duration::from_millis(ms), exchange.run(false))
                    .await
                    .is_err(),
            );
        }
        assert!(cut_short > 0);
        exchange.run(false).await.unwrap();
        let after = MasterKey::load(&file).unwrap();
        assert_ne!(after.current(), before.current());
        assert_eq!(after.previous(), None, "the old key is gone");
        opens_all_and_nothing_is_elsewhere(database.store(), &after).await;
        assert!(
            !control.is_finished(),
            "control has met nothing it could not open"
        );
        control.abort();
    }

    #[tokio::test]
    async fn a_file_that_is_not_ours_is_only_read() {
        let (database, _dir, file, control) = house().await;
        let exchange = Exchange {
            store: database.store(),
            file: &file,
            is_ours: false,
        };
        let old = std::fs::read(&file).unwrap();
        let refused = exchange.run(false).await.unwrap_err().to_string();
        assert!(refused.contains("holds one key"), "{refused}");
        assert_eq!(std::fs::read(&file).unwrap(), old);

        let both = [[9; 32].as_slice(), &old].concat();
        std::fs::write(&file, &both).unwrap();
        exchange.run(true).await.unwrap();
        exchange.run(false).await.unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), both);
        opens_all_and_nothing_is_elsewhere(database.store(), &MasterKey::from_bytes([9; 32])).await;
        assert!(!control.is_finished());
        control.abort();
    }
}
