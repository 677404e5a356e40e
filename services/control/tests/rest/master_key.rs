//! Another master key while control runs, in one process and in two.

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use secrecy::ExposeSecret as _;
    use sqlx::Executor as _;
    use tempfile::TempDir;
    use updraft_control::master_key::Keyring;
    use updraft_store::secrets::{self, MasterKey, Sealing};
    use updraft_store::testing::TestDatabase;
    use updraft_store::{Store, controls, resealing};
    use uuid::Uuid;

    const OLD: [u8; 32] = [1; 32];
    const NEW: [u8; 32] = [2; 32];

    /// A control process, as far as its key goes.
    struct Process {
        store: Store,
        id: Uuid,
        dir: TempDir,
        ring: Keyring,
    }

    impl Process {
        async fn start(store: &Store, keys: &[[u8; 32]]) -> Self {
            let dir = TempDir::new().unwrap();
            std::fs::write(dir.path().join("key"), keys.concat()).unwrap();
            let ring = Keyring::open(store.clone(), &dir.path().join("key"))
                .await
                .unwrap();
            let process = Self {
                store: store.clone(),
                id: Uuid::new_v4(),
                dir,
                ring,
            };
            process.tell().await;
            process
        }

        fn file(&self) -> PathBuf {
            self.dir.path().join("key")
        }

        fn put(&self, keys: &[[u8; 32]]) {
            std::fs::write(self.file(), keys.concat()).unwrap();
        }

        async fn tell(&self) {
            let mut connection = self.store.connection().await.unwrap();
            controls::tell(&mut connection, self.id, Some((1, &[])), self.ring.key())
                .await
                .unwrap();
        }

        /// Twice, since it knows of its own keys too by what was told.
        async fn look(&self) {
            for _ in 0..2 {
                self.ring.look(true).await.unwrap();
                self.tell().await;
            }
        }

        /// A secret of its own sealing, which it opens too.
        async fn seal(&self, name: &str) {
            let mut connection = self.store.connection().await.unwrap();
            secrets::ensure_control_key(&mut connection, self.ring.key(), name, &name.into())
                .await
                .unwrap();
        }

        async fn opens_all(&self, count: usize) {
            let mut connection = self.store.connection().await.unwrap();
            let kept = secrets::list_control_keys(&mut connection, self.ring.key(), "")
                .await
                .unwrap();
            assert_eq!(kept.len(), count);
            assert!(kept.iter().all(|one| one.secret.expose_secret() == one.name));
        }
    }

    async fn left(store: &Store) -> u64 {
        let mut connection = store.connection().await.unwrap();
        let counted = resealing::count(&mut connection).await.unwrap();
        resealing::elsewhere(&counted, MasterKey::from_bytes(NEW).current())
    }

    #[tokio::test]
    async fn a_key_seals_once_every_process_holds_it() {
        let database = TestDatabase::create().await.unwrap();
        let store = database.store();
        let (one, other) = (
            Process::start(store, &[OLD]).await,
            Process::start(store, &[OLD]).await,
        );
        one.seal("before").await;
        one.put(&[NEW, OLD]);
        one.look().await;
        assert_eq!(one.ring.key().sealing(), Sealing::Previous);
        one.seal("meanwhile").await;
        other.opens_all(2).await;
        assert_eq!(left(store).await, 2, "nothing is sealed anew yet");

        other.put(&[NEW, OLD]);
        other.look().await;
        assert_eq!(other.ring.key().sealing(), Sealing::Current);
        other.seal("after").await;
        one.opens_all(3).await;
        one.look().await;
        assert_eq!(one.ring.key().sealing(), Sealing::Current);
        assert_eq!(left(store).await, 0);

        for process in [&one, &other] {
            process.put(&[NEW]);
            process.look().await;
            assert_eq!(process.ring.key().previous(), None);
            process.opens_all(3).await;
        }
    }

    /// A process of an earlier release writes nothing of keys, and opens nothing that has a mark.
    #[tokio::test]
    async fn beside_an_earlier_release_nothing_is_marked() {
        let database = TestDatabase::create().await.unwrap();
        let store = database.store();
        let mut connection = store.connection().await.unwrap();
        let earlier = "insert into controls (id) values (gen_random_uuid())";
        connection.execute(earlier).await.unwrap();
        let process = Process::start(store, &[NEW]).await;
        process.seal("one").await;
        process.look().await;
        assert_eq!(left(store).await, 1);
        let gone = "delete from controls where master_keys = '{}'";
        connection.execute(gone).await.unwrap();
        process.look().await;
        assert_eq!(left(store).await, 0);
        process.opens_all(1).await;
    }

    #[tokio::test]
    async fn a_key_that_is_needed_is_not_let_go_of() {
        let database = TestDatabase::create().await.unwrap();
        let store = database.store();
        let process = Process::start(store, &[OLD]).await;
        process.seal("one").await;
        for (file, said) in [
            (vec![NEW], "does not open"),
            (vec![NEW, [3; 32]], "does not open"),
            (vec![OLD, NEW, OLD], "32 bytes"),
        ] {
            process.put(&file);
            let refused = process.ring.look(true).await.unwrap_err().to_string();
            assert!(refused.contains(said), "{refused}");
            process.opens_all(1).await;
        }
        let started = Keyring::open(store.clone(), &process.file()).await;
        assert!(started.is_err(), "nor is one started with it");
        process.put(&[OLD]);
        process.look().await;
    }

    #[tokio::test]
    async fn a_webhooks_secret_outlives_the_key_it_was_derived_from() {
        let database = TestDatabase::create().await.unwrap();
        let store = database.store();
        let mut connection = store.connection().await.unwrap();
        let (tenant, hook) = (Uuid::new_v4(), Uuid::new_v4());
        let rows = format!(
            "insert into tenants (id, name) values ('{tenant}', 'acme');
             insert into clusters (tenant_id, name, spec, power) values ('{tenant}', 'demo', '{{}}', 'stopped');
             insert into dag_hooks (id, cluster_id, folder) select '{hook}', id, '' from clusters;"
        );
        connection
            .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(rows)))
            .await
            .unwrap();
        let derived = MasterKey::from_bytes(OLD).derive(&format!("dag-hook/{hook}/1"));
        let file = TempDir::new().unwrap().path().join("key");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, [NEW, OLD].concat()).unwrap();
        let early = Keyring::open(store.clone(), &file).await.err().unwrap();
        assert!(format!("{early:?}").contains("TooEarly"), "{early:?}");

        let process = Process::start(store, &[OLD]).await;
        process.put(&[NEW, OLD]);
        process.look().await;
        process.put(&[NEW]);
        process.look().await;
        let found = updraft_store::dag_hooks::find_anywhere(&mut connection, updraft_model::DagHookId(hook));
        let found = found.await.unwrap().unwrap();
        let kept = updraft_store::dag_hooks::secret(&mut connection, process.ring.key(), &found).await;
        assert_eq!(kept.unwrap().expose_secret(), derived.expose_secret());
    }
}
