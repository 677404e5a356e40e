//! `updraft operator rotate-keys`: asks control to exchange the installation's signing keys, and shows how far that is.
//!
//! Nothing is decided here: what was asked for is noted beside each key, and control's processes do it whether this command
//! goes on or not.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio::time::sleep;
use updraft_app::audit::{By, Change, Target, besides};
use updraft_control::installation_keys::{KeyStanding, Purpose, TurningKey, show};
use updraft_store::secrets::{self, MasterKey};
use updraft_store::{Store, StoreError, installation_keys};

use crate::cli::OperatorKeys;

const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// Those of sessions, which follow each other by time alone.
const SESSION: &str = "session";

pub(crate) struct KeyTurn<'a> {
    pub(crate) store: &'a Store,
    pub(crate) master_key: &'a MasterKey,
}

// === impl KeyTurn ===

impl KeyTurn<'_> {
    /// # Errors
    /// When the database cannot be asked, or a key does not open under the master key.
    pub(crate) async fn run(&self, asked: &OperatorKeys) -> anyhow::Result<()> {
        if asked.status {
            return self.show().await;
        }
        let old = self.ask(asked.compromised).await?;
        self.follow(&old).await
    }

    async fn show(&self) -> anyhow::Result<()> {
        let mut connection = self.store.connection().await?;
        for purpose in Purpose::ALL {
            let (keys, standing) = show(&mut connection, self.master_key, purpose).await?;
            print!("{}", told(&keys, &standing));
        }
        for key in secrets::list_control_keys(&mut connection, self.master_key, SESSION).await? {
            println!("{}  made {}", key.name, minute(key.created_at));
        }
        Ok(())
    }

    /// Notes beside each key that is used that another one is wanted; their names.
    async fn ask(&self, compromised: bool) -> anyhow::Result<BTreeMap<&'static str, String>> {
        let mut tx = self.store.begin().await?;
        let mut old = BTreeMap::new();
        let said = installation_keys::sayings(&mut tx).await?;
        let is_turned = |name: &String| {
            let mut known = said.controls.iter().filter_map(|control| control.known.as_ref());
            known.any(|known| known.contains(name))
        };
        let of_tunnels = |name| {
            Purpose::ALL
                .iter()
                .any(|one| one.name() == name && one.is_of_tunnels())
        };
        let purposes = Purpose::ALL.map(Purpose::name).into_iter().chain([SESSION]);
        for purpose in purposes {
            let keys = secrets::list_control_keys(&mut tx, self.master_key, purpose).await?;
            // Of keys of sessions the newest is asked, used or not.
            let used = keys
                .iter()
                .rev()
                .find(|key| purpose == SESSION || key.signs_since.is_some());
            // What no control that lives goes by stays as it is: keys of tunnels where there are none.
            let Some(key) = used.filter(|key| !of_tunnels(purpose) || is_turned(&key.name)) else {
                continue;
            };
            for known in keys.iter().filter(|known| compromised || known.name == key.name) {
                installation_keys::ask_turn(&mut tx, &known.name, compromised).await?;
            }
            let change =
                json!({"user_of_the_machine": nix::unistd::getuid().as_raw(), "compromised": compromised});
            besides("installation_key.rotate")
                .on(Target::new("installation_key", &key.name, None))
                .done(&mut tx, By::system(None), Change::made(change))
                .await?;
            old.insert(purpose, key.name.clone());
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(old)
    }

    /// Until none of the old ones is left; sessions' keys are not waited for.
    async fn follow(&self, old: &BTreeMap<&'static str, String>) -> anyhow::Result<()> {
        println!("Asked for. Control goes on with it whether this command does or not.");
        if let Some(session) = old.get(SESSION) {
            println!(
                "{session}: another signs sessions in some minutes; those of now last as long as they would have."
            );
        }
        let mut said = String::new();
        loop {
            let mut connection = self.store.connection().await?;
            let (mut text, mut left) = (String::new(), 0);
            for purpose in Purpose::ALL {
                let Some(old) = old.get(purpose.name()) else {
                    continue;
                };
                let (keys, standing) = show(&mut connection, self.master_key, purpose).await?;
                left += usize::from(keys.iter().any(|key| key.name == *old));
                text.push_str(&told(&keys, &standing));
            }
            drop(connection);
            if text != said {
                print!("{text}");
                said = text;
            }
            if left == 0 {
                println!("The keys of before are believed no more.");
                return Ok(());
            }
            sleep(BETWEEN_LOOKS).await;
        }
    }
}

fn told(keys: &[TurningKey], standing: &KeyStanding) -> String {
    let current = keys.iter().rposition(|key| key.signs_since.is_some());
    let mut text = String::new();
    for (at, key) in keys.iter().enumerate() {
        let how = match (key.signs_since, current) {
            (Some(since), Some(current)) if at == current => format!("used since {}", minute(since)),
            (Some(_), _) => "used no more, believed until nothing of it can live".to_owned(),
            (None, _) => "to be believed by everybody before it is used".to_owned(),
        };
        text.push_str(&format!("{}  {how}\n", key.name));
    }
    let mut wait = |count: usize, what: &str| {
        if count > 0 {
            text.push_str(&format!("  waiting: {count} {what}\n"));
        }
    };
    if current.is_some_and(|current| current + 1 < keys.len()) {
        wait(
            standing.unaware,
            "processes and nodes do not know the new key yet",
        );
    }
    if current.is_some_and(|current| current > 0) {
        wait(
            standing.behind,
            "may still go by the old key (who is silent is waited for an hour)",
        );
    }
    wait(
        standing.silent,
        "of an older release do not say which keys they go by: upgrade them first",
    );
    text
}

fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, signs: bool) -> TurningKey {
        TurningKey {
            name: name.to_owned(),
            made_at: DateTime::UNIX_EPOCH,
            signs_since: signs.then_some(DateTime::UNIX_EPOCH),
            is_asked: false,
            is_distrusted: false,
        }
    }

    #[test]
    fn who_is_waited_for_is_told_with_the_reason() {
        let standing = KeyStanding {
            silent: 0,
            unaware: 2,
            behind: 3,
            since: DateTime::UNIX_EPOCH,
        };
        let next = told(&[key("airflow", true), key("airflow-2", false)], &standing);
        assert!(
            next.contains("airflow  used since 1970-01-01 00:00:00 UTC"),
            "{next}"
        );
        assert!(
            next.contains("waiting: 2 processes and nodes do not know"),
            "{next}"
        );
        assert!(!next.contains("old key"), "{next}");
        let old = told(&[key("airflow", true), key("airflow-2", true)], &standing);
        assert!(old.contains("waiting: 3 may still go by the old key"), "{old}");
    }
}
