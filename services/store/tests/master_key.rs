//! Another master key: everything is sealed anew, wherever it lies, and nothing is left under the old one.

#[cfg(test)]
mod sealed;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use secrecy::{ExposeSecret as _, SecretString};
    use sqlx::{Executor as _, Row as _};
    use updraft_store::resealing::{self, Resealed, SEALED, WrongKey};
    use updraft_store::secrets::{self, MasterKey, Sealing};
    use updraft_store::testing::TestDatabase;

    use crate::sealed::House;

    fn old() -> MasterKey {
        MasterKey::from_bytes([1; 32])
    }

    fn new() -> MasterKey {
        MasterKey::from_bytes([2; 32])
    }

    fn both() -> MasterKey {
        MasterKey::in_place_of([1; 32], [2; 32])
    }

    async fn left(database: &TestDatabase) -> u64 {
        let counted = resealing::count_settled(database.store()).await.unwrap();
        resealing::elsewhere(&counted, new().current())
    }

    #[tokio::test]
    async fn every_secret_is_carried_to_the_new_key() {
        for sealing in [Sealing::Current, Sealing::Unmarked] {
            let database = TestDatabase::create().await.unwrap();
            let key = old();
            key.seal_with(sealing);
            let house = House::fill(&database, &key).await;
            house.opens_all(&database, &old()).await;
            house.opens_all(&database, &both()).await;
            let tables = SEALED.len() as u64;
            assert_eq!(left(&database).await, tables, "one value in each table");

            let done = resealing::reseal(database.store(), &both(), |_| {})
                .await
                .unwrap();
            assert_eq!(
                done,
                Resealed {
                    values: tables,
                    shut: 0
                }
            );
            assert_eq!(left(&database).await, 0);
            house.opens_all(&database, &new()).await;
            let again = resealing::reseal(database.store(), &both(), |_| {})
                .await
                .unwrap();
            assert_eq!(again, Resealed::default());
        }
    }

    /// A column of bytes is a digest, or it is sealed: nothing else is in the schema, and nothing sealed is forgotten.
    #[tokio::test]
    async fn every_sealed_column_is_known() {
        let database = TestDatabase::create().await.unwrap();
        let mut connection = database.store().connection().await.unwrap();
        let rows = connection
            .fetch_all(
                "select table_name, column_name from information_schema.columns
                 where table_schema = 'public' and table_name <> '_sqlx_migrations' and (udt_name in ('bytea', '_bytea') or column_name like '%ciphertext%'
                   or column_name like '%sealed%')",
            )
            .await
            .unwrap();
        let digests = ["_hash", "_hashes", "_digest"];
        let sealed: BTreeSet<_> = rows
            .iter()
            .map(|row| (row.get::<String, _>(0), row.get::<String, _>(1)))
            .filter(|(_, column)| !digests.iter().any(|end| column.ends_with(end)))
            .collect();
        let known: BTreeSet<_> = SEALED
            .iter()
            .map(|one| (one.table.to_owned(), one.column.to_owned()))
            .collect();
        assert_eq!(sealed, known, "`SEALED` in resealing.rs has to name each column");
    }

    #[tokio::test]
    async fn a_wrong_key_is_told_from_the_right_one() {
        let database = TestDatabase::create().await.unwrap();
        let unmarked = old();
        unmarked.seal_with(Sealing::Unmarked);
        let house = House::fill(&database, &unmarked).await;
        let mut connection = database.store().connection().await.unwrap();
        let wrong = resealing::check(&mut connection, &new(), false)
            .await
            .unwrap_err();
        assert!(matches!(wrong, WrongKey::Another { .. }), "{wrong}");
        resealing::reseal(database.store(), &old(), |_| {}).await.unwrap();
        let wrong = resealing::check(&mut connection, &new(), false)
            .await
            .unwrap_err();
        let id = old().current().to_string();
        assert!(matches!(wrong, WrongKey::Missing { .. }), "{wrong}");
        assert!(wrong.to_string().contains(&id), "{wrong}");
        for right in [old(), both()] {
            resealing::check(&mut connection, &right, true).await.unwrap();
        }
        house.opens_all(&database, &old()).await;
    }

    #[tokio::test]
    async fn what_was_moved_to_another_row_is_left_shut() {
        let database = TestDatabase::create().await.unwrap();
        let mut connection = database.store().connection().await.unwrap();
        for name in ["one", "other"] {
            let secret = SecretString::from(name);
            secrets::ensure_control_key(&mut connection, &old(), name, &secret)
                .await
                .unwrap();
        }
        let moved =
            "update control_keys set ciphertext = (select ciphertext from control_keys where name = 'one')
                     where name = 'other'";
        connection.execute(moved).await.unwrap();
        let done = resealing::reseal(database.store(), &both(), |_| {})
            .await
            .unwrap();
        assert_eq!(done, Resealed { values: 1, shut: 1 });
        assert_eq!(left(&database).await, 1, "it counts as being under the old key");
        let fresh = SecretString::from("fresh");
        for (name, opens) in [("one", true), ("other", false)] {
            let kept = secrets::ensure_control_key(&mut connection, &both(), name, &fresh).await;
            assert_eq!(kept.is_ok(), opens, "{name}");
        }
    }

    /// Two processes at once, one of which dies after each batch, while people write.
    #[tokio::test]
    async fn a_crash_and_company_lose_nothing() {
        const KEYS: usize = 900;
        let database = TestDatabase::create().await.unwrap();
        let store = database.store();
        let mut connection = store.connection().await.unwrap();
        for at in 0..KEYS {
            let (name, secret) = (format!("key-{at}"), SecretString::from(format!("secret {at}")));
            secrets::ensure_control_key(&mut connection, &old(), &name, &secret)
                .await
                .unwrap();
        }
        let (one, other, writing) = (both(), both(), both());
        writing.seal_with(Sealing::Previous);
        let dying = async {
            // It dies within its second batch, again and again, until it finds nothing.
            loop {
                let (died, mut dies) = tokio::sync::mpsc::unbounded_channel();
                let mut batches = 0;
                let pass = resealing::reseal(store, &one, move |_| {
                    batches += 1;
                    if batches == 1 {
                        let _ = died.send(());
                    }
                });
                tokio::select! {
                    done = pass => return done.unwrap(),
                    Some(()) = dies.recv() => {}
                }
            }
        };
        let lasting = resealing::reseal(store, &other, |_| {});
        let people = async {
            let mut connection = store.connection().await.unwrap();
            for at in KEYS..KEYS + 100 {
                let (name, secret) = (format!("key-{at}"), SecretString::from(format!("secret {at}")));
                secrets::ensure_control_key(&mut connection, &writing, &name, &secret)
                    .await
                    .unwrap();
            }
        };
        let (_, lasting, ()) = tokio::join!(dying, lasting, people);
        lasting.unwrap();
        resealing::reseal(store, &other, |_| {}).await.unwrap();
        assert_eq!(left(&database).await, 0);
        let kept = secrets::list_control_keys(&mut connection, &new(), "key-")
            .await
            .unwrap();
        assert_eq!(kept.len(), KEYS + 100);
        for one in kept {
            let at = one.name.trim_start_matches("key-");
            assert_eq!(one.secret.expose_secret(), format!("secret {at}"));
        }
    }

    #[test]
    fn a_file_is_exchanged_whole() {
        let path = std::env::temp_dir().join(format!("updraft-exchanged-{}", uuid::Uuid::new_v4()));
        let first = MasterKey::load_or_create(&path).unwrap();
        let begun = MasterKey::begin_exchange(&path).unwrap();
        assert_eq!(begun.previous(), Some(first.current()));
        assert_ne!(begun.current(), first.current());
        let ended = MasterKey::end_exchange(&path).unwrap();
        assert_eq!((ended.current(), ended.previous()), (begun.current(), None));
        for malformed in [&[0; 31][..], &[0; 33], &[0; 96], &[0; 64]] {
            std::fs::write(&path, malformed).unwrap();
            let refused = MasterKey::load(&path).unwrap_err().to_string();
            assert!(refused.contains("32 bytes"), "{refused}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
