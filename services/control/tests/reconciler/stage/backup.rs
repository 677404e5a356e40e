//! The database taken back to what it was, and what control holds then.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use secrecy::ExposeSecret as _;
use updraft_store::restore_holds::{self, Hold};

use super::Stage;

impl Stage {
    /// What `pg_dump` of the server's own release writes.
    pub(crate) async fn dump(&self) -> Vec<u8> {
        let output = Command::new(self.tool("pg_dump").await)
            .arg(format!("--dbname={}", self.database.url().expose_secret()))
            .output();
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// The database is what it was when it was dumped.
    pub(crate) async fn restore(&self, dump: &[u8]) {
        self.execute("drop schema public cascade; create schema public")
            .await;
        let mut psql = Command::new(self.tool("psql").await)
            .args(["--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"])
            .arg(format!("--dbname={}", self.database.url().expose_secret()))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        psql.stdin.take().unwrap().write_all(dump).unwrap();
        assert!(psql.wait().unwrap().success());
    }

    async fn tool(&self, name: &str) -> PathBuf {
        let directory: String = self
            .value("select setting from pg_config where name = 'BINDIR'")
            .await;
        Path::new(&directory).join(name)
    }

    pub(crate) async fn hold(&self) -> Option<Hold> {
        let mut connection = self.database.store().connection().await.unwrap();
        restore_holds::open(&mut connection).await.unwrap()
    }

    pub(crate) async fn confirm(&self, hold: &Hold) {
        let mut tx = self.database.store().begin().await.unwrap();
        restore_holds::confirm(&mut tx, hold).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The id that the next cluster is given.
    pub(crate) async fn next_cluster(&self) -> i64 {
        self.value("select nextval(pg_get_serial_sequence('clusters', 'id'))")
            .await
    }
}
