//! Pages and tails over a bucket as agents fill it.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::Write as _;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use updraft_api::log_layout::{LogFile, LogKey};
use updraft_api::logs::{LogOrder, LogPage, LogQuery};
use updraft_logs::{Begin, Follow, LogsError, Scope, page};

const PREFIX: &str = "logs/";

struct Bucket {
    store: Arc<InMemory>,
    /// A minute ago: what is written after it is younger than its file and older than its object.
    start: DateTime<Utc>,
}

impl Bucket {
    fn new() -> Self {
        let start = DateTime::from_timestamp_millis(Utc::now().timestamp_millis()).unwrap();
        Self {
            store: Arc::new(InMemory::new()),
            start: start - TimeDelta::minutes(50),
        }
    }

    fn path(&self, source: &str, node: &str, offset: u64) -> Path {
        let key = LogKey {
            source: source.parse().unwrap(),
            file: LogFile {
                born: self.start,
                mark: 1,
                node: format!("{node}-d41f6c1a09b2"),
            },
            offset,
        };
        Path::parse(key.render(PREFIX)).unwrap()
    }

    async fn put(&self, source: &str, node: &str, offset: u64, text: &str) -> u64 {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        let path = self.path(source, node, offset);
        self.store
            .put(&path, packed.finish().unwrap().into())
            .await
            .unwrap();
        offset + text.len() as u64
    }

    async fn remove(&self, source: &str, node: &str, offset: u64) {
        self.store.delete(&self.path(source, node, offset)).await.unwrap();
    }

    fn at(&self, seconds: i64) -> DateTime<Utc> {
        self.start + TimeDelta::seconds(seconds)
    }

    /// A service's line.
    fn line(&self, seconds: i64, text: &str) -> String {
        format!(
            "{} [info     ] {text}\n",
            self.at(seconds)
                .to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
        )
    }

    async fn page(&self, query: LogQuery) -> LogPage {
        page(&*self.store, &Scope::new(query).unwrap()).await.unwrap()
    }

    async fn texts(&self, query: LogQuery) -> Vec<String> {
        texts(&self.page(query).await)
    }

    async fn follow(&self, query: LogQuery, begin: Begin) -> Follow {
        let scope = Scope::new(query).unwrap();
        let store: Arc<dyn ObjectStore> = self.store.clone();
        Follow::begin(store, scope, begin, Utc::now()).await.unwrap()
    }
}

fn texts(page: &LogPage) -> Vec<String> {
    page.lines.iter().map(|line| line.text.clone()).collect()
}

fn service(name: &str) -> LogQuery {
    LogQuery {
        service: Some(name.to_owned()),
        ..LogQuery::default()
    }
}

async fn news(follow: &mut Follow) -> Vec<String> {
    follow
        .look()
        .await
        .unwrap()
        .into_iter()
        .map(|told| told.line.text)
        .collect()
}

#[tokio::test]
async fn lines_of_several_files_come_in_order_of_time() {
    let bucket = Bucket::new();
    bucket
        .put(
            "services/scheduler",
            "scheduler-1",
            0,
            &(bucket.line(1, "a") + &bucket.line(4, "d")),
        )
        .await;
    bucket
        .put(
            "services/worker",
            "worker-1",
            0,
            &(bucket.line(2, "b") + &bucket.line(3, "c")),
        )
        .await;
    let page = bucket.page(LogQuery::default()).await;
    assert_eq!(texts(&page), ["a", "b", "c", "d"]);
    let places: Vec<_> = page
        .lines
        .iter()
        .map(|line| format!("{} {}", line.node, line.service))
        .collect();
    assert_eq!(places[..2], ["scheduler-1 scheduler", "worker-1 worker"]);
    assert_eq!((page.next, page.stopped), (None, None));
}

#[tokio::test]
async fn pages_join_without_a_gap_and_without_a_line_twice_in_both_directions() {
    let bucket = Bucket::new();
    let mut ends = [0, 0, 0];
    for part in 0..6 {
        for (node, end) in ends.iter_mut().enumerate() {
            // Many lines of one time, in files and across them.
            let lines = (0..7).map(|n| bucket.line(part * 3 + n / 3, &format!("{node} {part} {n}")));
            *end = bucket
                .put(
                    "services/worker",
                    &format!("worker-{node}"),
                    *end,
                    &lines.collect::<String>(),
                )
                .await;
        }
    }
    for order in [LogOrder::Newest, LogOrder::Oldest] {
        let all = LogQuery {
            order: Some(order),
            limit: Some(1000),
            ..service("worker")
        };
        let all = bucket.texts(all).await;
        assert_eq!(all.len(), 6 * 7 * 3);
        let (mut gathered, mut cursor) = (Vec::new(), None);
        loop {
            let query = LogQuery {
                order: Some(order),
                limit: Some(5),
                cursor: cursor.clone(),
                ..service("worker")
            };
            let page = bucket.page(query).await;
            let lines = texts(&page);
            assert!(gathered.len() < 140, "pages go round: {gathered:?}");
            match order {
                LogOrder::Oldest => gathered.extend(lines),
                LogOrder::Newest => gathered.splice(0..0, lines).for_each(drop),
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(gathered, all, "{order:?}");
    }
}

#[tokio::test]
async fn while_objects_are_packed_nothing_is_doubled() {
    let bucket = Bucket::new();
    let (one, two) = (bucket.line(1, "one"), bucket.line(2, "two"));
    let end = bucket.put("services/broker", "scheduler-1", 0, &one).await;
    bucket.put("services/broker", "scheduler-1", end, &two).await;
    bucket
        .put("services/broker", "scheduler-1", 0, &(one + &two))
        .await;
    for order in [LogOrder::Newest, LogOrder::Oldest] {
        let query = LogQuery {
            order: Some(order),
            ..service("broker")
        };
        assert_eq!(bucket.texts(query).await, ["one", "two"]);
    }
    bucket.remove("services/broker", "scheduler-1", end).await;
    assert_eq!(bucket.texts(service("broker")).await, ["one", "two"]);
}

#[tokio::test]
async fn a_range_a_node_and_a_search_narrow_what_is_shown() {
    let bucket = Bucket::new();
    let lines: String = (0..10).map(|n| bucket.line(n, &format!("Line {n}"))).collect();
    bucket.put("services/worker", "worker-1", 0, &lines).await;
    bucket
        .put("services/worker", "worker-2", 0, &bucket.line(5, "other"))
        .await;
    let query = LogQuery {
        since: Some(bucket.at(3)),
        until: Some(bucket.at(5)),
        ..service("worker")
    };
    assert_eq!(bucket.texts(query).await, ["Line 3", "Line 4"]);
    let query = LogQuery {
        node: Some("worker-2".to_owned()),
        ..service("worker")
    };
    assert_eq!(bucket.texts(query).await, ["other"]);
    let query = LogQuery {
        search: Some("line 7".to_owned()),
        ..service("worker")
    };
    assert_eq!(bucket.texts(query).await, ["Line 7"]);
    let query = LogQuery {
        limit: Some(1),
        order: Some(LogOrder::Oldest),
        ..service("worker")
    };
    assert_eq!(bucket.texts(query).await, ["Line 0"]);
}

#[tokio::test]
async fn lines_without_a_time_stay_with_the_one_before() {
    let bucket = Bucket::new();
    let text = format!(
        "banner\n{}Traceback\n  frame\n{}",
        bucket.line(1, "failed"),
        bucket.line(9, "later")
    );
    bucket.put("services/scheduler", "scheduler-1", 0, &text).await;
    bucket
        .put("services/worker", "worker-1", 0, &bucket.line(5, "between"))
        .await;
    let page = bucket.page(LogQuery::default()).await;
    assert_eq!(
        texts(&page),
        ["banner", "failed", "Traceback", "  frame", "between", "later"]
    );
    assert_eq!(page.lines[3].at, bucket.at(1));
}

#[tokio::test]
async fn a_time_that_cannot_be_is_not_believed() {
    let bucket = Bucket::new();
    let text = format!(
        "2099-01-01T00:00:00Z [info] from the future\n{}",
        bucket.line(2, "now")
    );
    bucket.put("services/scheduler", "scheduler-1", 0, &text).await;
    let page = bucket.page(LogQuery::default()).await;
    assert!(page.lines.iter().all(|line| line.at == bucket.at(2)), "{page:?}");
}

#[tokio::test]
async fn attempts_are_told_apart_and_come_with_their_triggers() {
    let bucket = Bucket::new();
    let event = |seconds, text: &str| {
        format!(
            "{{\"timestamp\":\"{}\",\"level\":\"error\",\"event\":\"{text}\"}}\n",
            bucket.at(seconds).to_rfc3339()
        )
    };
    let attempt = |number: u32| format!("tasks/dag_id=d/run_id=r/task_id=t/map_index=3/attempt={number}.log");
    bucket.put(&attempt(1), "worker-1", 0, &event(1, "first")).await;
    bucket
        .put(
            &format!("{}.trigger.7.log", attempt(1)),
            "scheduler-1",
            0,
            &event(2, "waiting"),
        )
        .await;
    bucket.put(&attempt(2), "worker-2", 0, &event(3, "second")).await;
    let query = LogQuery {
        dag: Some("d".to_owned()),
        task: Some("t".to_owned()),
        ..LogQuery::default()
    };
    let page = bucket.page(query.clone()).await;
    assert_eq!(texts(&page), ["first", "waiting", "second"]);
    let task = page.lines[0].task.clone().unwrap();
    assert_eq!(
        (task.run.as_str(), task.map_index, task.attempt),
        ("r", Some(3), 1)
    );
    let query = LogQuery {
        attempt: Some(1),
        ..query
    };
    assert_eq!(bucket.texts(query).await, ["first", "waiting"]);
}

#[tokio::test]
async fn foreign_and_damaged_objects_do_no_harm() {
    let bucket = Bucket::new();
    bucket
        .put("services/worker", "worker-1", 0, &bucket.line(1, "fine"))
        .await;
    for (key, bytes) in [
        ("logs/services/worker/readme.txt", b"hello".to_vec()),
        (
            "logs/services/worker/x.y/00000000000000000000.log.gz",
            b"\x1f\x8b".to_vec(),
        ),
    ] {
        bucket.store.put(&Path::from(key), bytes.into()).await.unwrap();
    }
    let damaged = bucket.path("services/worker", "worker-2", 0);
    bucket
        .store
        .put(&damaged, b"no gzip".to_vec().into())
        .await
        .unwrap();
    assert_eq!(bucket.texts(service("worker")).await, ["fine"]);
}

#[tokio::test]
async fn an_object_that_unpacks_without_end_is_read_so_far() {
    let bucket = Bucket::new();
    let bomb = ("x".repeat(99_999) + "\n").repeat(1 << 10);
    bucket.put("services/worker", "worker-1", 0, &bomb).await;
    bucket
        .put("services/worker", "worker-2", 0, &bucket.line(1, "fine"))
        .await;
    let query = LogQuery {
        search: Some("fine".to_owned()),
        ..service("worker")
    };
    assert_eq!(bucket.texts(query).await, ["fine"]);
    let query = LogQuery {
        node: Some("worker-1".to_owned()),
        limit: Some(1000),
        ..service("worker")
    };
    assert_eq!(bucket.texts(query).await.len(), (40 << 20) / 100_000 + 1);
}

#[tokio::test]
async fn what_one_request_does_not_read_the_next_one_does() {
    let bucket = Bucket::new();
    let mut end = 0;
    for part in 0..4 {
        let filler = ("x".repeat(199_999) + "\n").repeat(150);
        let text = bucket.line(part * 60, &format!("mark {part}")) + &filler;
        end = bucket.put("services/worker", "worker-1", end, &text).await;
    }
    for order in [LogOrder::Oldest, LogOrder::Newest] {
        let (mut marks, mut cursor, mut stops) = (0, None, 0);
        loop {
            let query = LogQuery {
                search: Some("MARK".to_owned()),
                order: Some(order),
                cursor,
                ..service("worker")
            };
            let page = bucket.page(query).await;
            marks += page.lines.len();
            if let Some(stopped) = page.stopped {
                assert!(stopped.why.contains("go on from here"), "{stopped:?}");
                stops += 1;
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((marks, stops), (4, 1), "{order:?}");
    }
}

#[tokio::test]
async fn a_tail_begins_with_the_newest_lines_and_tells_each_new_one_once() {
    let bucket = Bucket::new();
    let mut text = bucket.line(1, "one") + &bucket.line(2, "two");
    bucket.put("services/worker", "worker-1", 0, &text).await;
    let mut follow = bucket.follow(service("worker"), Begin::Tail(1)).await;
    assert_eq!(news(&mut follow).await, ["two"]);
    assert!(news(&mut follow).await.is_empty());
    text += &bucket.line(3, "three");
    bucket
        .put("services/worker", "worker-1", 0, &(text.clone() + "half a li"))
        .await;
    assert_eq!(
        news(&mut follow).await,
        ["three"],
        "a line is told when it is whole"
    );
    text += "half a line\n";
    let end = bucket.put("services/worker", "worker-1", 0, &text).await;
    bucket
        .put("services/worker", "worker-1", end, &bucket.line(4, "four"))
        .await;
    bucket
        .put("services/worker", "worker-2", 0, &bucket.line(5, "another node"))
        .await;
    assert_eq!(news(&mut follow).await, ["half a line", "four", "another node"]);
    bucket
        .put(
            "services/worker",
            "worker-1",
            0,
            &(text + &bucket.line(4, "four")),
        )
        .await;
    bucket.remove("services/worker", "worker-1", end).await;
    assert!(news(&mut follow).await.is_empty(), "packing brings nothing new");
}

#[tokio::test]
async fn a_tail_goes_on_after_the_line_that_was_seen_last() {
    let bucket = Bucket::new();
    let lines: String = (0..5).map(|n| bucket.line(1, &format!("line {n}"))).collect();
    bucket.put("services/worker", "worker-1", 0, &lines).await;
    let mut follow = bucket.follow(service("worker"), Begin::Since(bucket.at(0))).await;
    let told = follow.look().await.unwrap();
    assert_eq!(told.len(), 5);
    let mut again = bucket
        .follow(service("worker"), Begin::After(told[2].id.clone()))
        .await;
    assert_eq!(news(&mut again).await, ["line 3", "line 4"]);
    let mut over = bucket
        .follow(service("worker"), Begin::After(told[4].id.clone()))
        .await;
    assert!(news(&mut over).await.is_empty());
}

#[tokio::test]
async fn an_id_of_another_kind_is_refused() {
    let bucket = Bucket::new();
    let scope = Scope::new(service("worker")).unwrap();
    let store: Arc<dyn ObjectStore> = bucket.store.clone();
    let begun = Follow::begin(store, scope, Begin::After("7".to_owned()), Utc::now()).await;
    assert!(matches!(
        begun.err(),
        Some(LogsError::Invalid { field: "cursor", .. })
    ));
}
