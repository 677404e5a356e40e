//! The audit log in object storage: all of it, each line once, whatever dies and in whatever order lines come.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flate2::read::GzDecoder;
use updraft_api::audit::AuditEntry;
use updraft_control::audit_export::{AuditBucket, AuditExport};
use updraft_model::{AuditActorKind, AuditOutcome, TenantId};
use updraft_store::audit_log::{self, Entry};
use updraft_store::testing::TestDatabase;
use updraft_store::{PgConnection, Tx};
use uuid::Uuid;

/// A bucket that keeps what it got, also when it says that it did not.
#[derive(Default)]
struct Bucket {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    puts: Mutex<Vec<String>>,
    away: AtomicBool,
    /// Takes the object and dies before it says so.
    deaf: AtomicBool,
}

#[async_trait]
impl AuditBucket for Bucket {
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), String> {
        if self.away.load(Ordering::SeqCst) {
            return Err("it is away".to_owned());
        }
        self.puts.lock().unwrap().push(key.to_owned());
        self.objects.lock().unwrap().insert(key.to_owned(), bytes);
        match self.deaf.load(Ordering::SeqCst) {
            true => Err("the connection was cut".to_owned()),
            false => Ok(()),
        }
    }
}

impl Bucket {
    /// Every line of every object, in the order of the keys' first ids.
    fn lines(&self) -> Vec<AuditEntry> {
        let objects = self.objects.lock().unwrap();
        let mut lines = Vec::new();
        for bytes in objects.values() {
            let mut text = String::new();
            GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
            lines.extend(
                text.lines()
                    .map(|line| serde_json::from_str::<AuditEntry>(line).unwrap()),
            );
        }
        lines.sort_by_key(|line| line.id);
        lines
    }

    fn actions(&self) -> Vec<String> {
        self.lines().into_iter().map(|line| line.action).collect()
    }
}

struct Stage {
    bucket: Arc<Bucket>,
    export: AuditExport,
    database: TestDatabase,
}

impl Stage {
    async fn new() -> Self {
        let database = TestDatabase::create().await.unwrap();
        let bucket = Arc::new(Bucket::default());
        let export = AuditExport::new(database.store().clone(), bucket.clone())
            .with_patience(Duration::from_millis(200));
        Self {
            bucket,
            export,
            database,
        }
    }

    async fn tx(&self) -> Tx {
        self.database.store().begin().await.unwrap()
    }

    async fn done(&self, tenant: Option<TenantId>, action: &str) {
        let mut tx = self.tx().await;
        write(&mut tx, tenant, action).await;
        tx.commit().await.unwrap();
    }
}

async fn write(connection: &mut PgConnection, tenant: Option<TenantId>, action: &str) {
    let entry = Entry {
        tenant,
        actor_kind: AuditActorKind::System,
        actor_id: None,
        actor_name: "Updraft".to_owned(),
        credential: None,
        action: action.to_owned(),
        outcome: AuditOutcome::Done,
        reason: None,
        target: None,
        target_name: None,
        before: None,
        after: None,
        address: None,
        user_agent: None,
        request_id: None,
    };
    audit_log::append(connection, &entry).await.unwrap();
}

fn tenant() -> TenantId {
    TenantId(Uuid::now_v7())
}

#[tokio::test]
async fn each_tenants_lines_are_in_objects_of_its_own_named_by_their_ids() {
    let stage = Stage::new().await;
    let (a, b) = (tenant(), tenant());
    for (whose, action) in [
        (Some(a), "one"),
        (Some(a), "two"),
        (Some(b), "three"),
        (None, "four"),
    ] {
        stage.done(whose, action).await;
    }
    assert_eq!(stage.export.round().await.unwrap(), 3);
    let today = chrono::Utc::now().format("%Y/%m/%d");
    let mut keys = stage.bucket.puts.lock().unwrap().clone();
    keys.sort();
    let mut expected = [
        format!("audit/{a}/{today}/1-2.ndjson.gz"),
        format!("audit/{b}/{today}/3-3.ndjson.gz"),
        format!("audit/installation/{today}/4-4.ndjson.gz"),
    ];
    expected.sort();
    assert_eq!(keys, expected);
    assert_eq!(stage.bucket.actions(), ["one", "two", "three", "four"]);
    assert_eq!(stage.export.round().await.unwrap(), 0, "nothing is sent twice");
    stage.done(Some(b), "five").await;
    assert_eq!(stage.export.round().await.unwrap(), 1);
    assert_eq!(stage.bucket.lines().len(), 5);
}

#[tokio::test]
async fn a_line_that_commits_after_a_later_one_is_not_lost() {
    let stage = Stage::new().await;
    let tenant = Some(tenant());
    let mut slow = stage.tx().await;
    write(&mut slow, tenant, "slow").await;
    stage.done(tenant, "quick").await;
    assert_eq!(
        stage.export.round().await.unwrap(),
        0,
        "it waits for the slow one"
    );
    slow.commit().await.unwrap();
    stage.export.round().await.unwrap();
    assert_eq!(stage.bucket.actions(), ["slow", "quick"]);
}

#[tokio::test]
async fn it_waits_for_those_who_write_and_not_for_those_who_come_later() {
    let stage = Stage::new().await;
    let tenant = Some(tenant());
    let mut slow = stage.tx().await;
    write(&mut slow, tenant, "slow").await;
    stage.done(tenant, "quick").await;
    let patient = stage.export.clone().with_patience(Duration::from_secs(30));
    let round = tokio::spawn(async move { patient.round().await.unwrap() });
    // The round may begin before or after this one: it must not wait for its end once `slow` is done.
    tokio::task::yield_now().await;
    slow.commit().await.unwrap();
    assert_eq!(round.await.unwrap(), 1);
    let mut later = stage.tx().await;
    write(&mut later, tenant, "never committed").await;
    drop(later);
    stage.done(tenant, "last").await;
    stage.export.round().await.unwrap();
    assert_eq!(stage.bucket.actions(), ["slow", "quick", "last"]);
}

#[tokio::test]
async fn what_was_under_way_in_a_crash_is_sent_again_as_the_same_object() {
    let stage = Stage::new().await;
    let tenant = Some(tenant());
    stage.done(tenant, "one").await;
    stage.bucket.deaf.store(true, Ordering::SeqCst);
    stage.export.round().await.unwrap_err();
    let before = stage.bucket.objects.lock().unwrap().clone();
    stage.done(tenant, "two").await;
    stage.bucket.deaf.store(false, Ordering::SeqCst);
    stage.export.round().await.unwrap();
    let puts = stage.bucket.puts.lock().unwrap().clone();
    assert_eq!((puts.len(), &puts[0]), (3, &puts[1]), "{puts:?}");
    let after = stage.bucket.objects.lock().unwrap().clone();
    assert_eq!(before[&puts[0]], after[&puts[0]], "the same bytes too");
    assert_eq!(stage.bucket.actions(), ["one", "two"]);
}

#[tokio::test]
async fn nothing_is_lost_while_storage_is_away() {
    let stage = Stage::new().await;
    let tenant = Some(tenant());
    stage.bucket.away.store(true, Ordering::SeqCst);
    for action in ["one", "two", "three"] {
        stage.done(tenant, action).await;
        stage.export.round().await.unwrap_err();
    }
    stage.bucket.away.store(false, Ordering::SeqCst);
    stage.export.round().await.unwrap();
    assert_eq!(stage.bucket.actions(), ["one", "two", "three"]);
}

#[tokio::test]
async fn of_two_processes_one_sends() {
    let stage = Stage::new().await;
    let tenant = Some(tenant());
    for n in 0..20 {
        stage.done(tenant, &format!("{n}")).await;
    }
    let (one, other) = (stage.export.clone(), stage.export.clone());
    let (one, other) = tokio::join!(one.round(), other.round());
    assert_eq!(one.unwrap() + other.unwrap(), 1);
    assert_eq!(stage.bucket.puts.lock().unwrap().len(), 1);
    assert_eq!(stage.bucket.lines().len(), 20);
}
