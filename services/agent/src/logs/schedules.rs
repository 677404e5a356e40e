//! Random schedules of writing, renaming, emptying, replacing, failures of the bucket and crashes of the agent: whatever happens, what
//! is in the bucket is what was written, each byte once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use flate2::read::MultiGzDecoder;
use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result as Stored,
};
use proptest::prelude::*;
use tokio::sync::mpsc;
use updraft_api::log_layout::LogKey;

use super::bucket::LogBucket;
use super::look::{Identity, walk};
use super::shipper::Shipper;
use super::stream::Standing;
use crate::{Layout, Place};

const PREFIX: &str = "logs/";

/// What the bucket does with the next objects.
#[derive(Clone, Copy, Debug)]
enum Whim {
    Refuse,
    /// It is there, and the agent does not hear of it.
    LoseAnswer,
    /// The agent does not hear of it, and it is carried out when others have been, perhaps an agent's life later.
    Delay,
}

#[derive(Debug, Default)]
struct Whimsical {
    inner: InMemory,
    whims: Mutex<Vec<Whim>>,
    late: Mutex<Vec<(Path, PutPayload, PutOptions)>>,
}

#[derive(Clone, Debug)]
enum Step {
    /// So many lines of such a length; then half a line.
    Write {
        file: usize,
        lines: usize,
        length: usize,
        half: bool,
    },
    Ship(Vec<Whim>),
    /// Only the beginning of shipping: then the agent dies.
    Crash {
        older_journal: bool,
        whims: Vec<Whim>,
    },
    Rename(usize),
    Empty(usize),
    Pack,
    /// The bucket carries out what was late.
    CatchUp,
}

/// Files that services write, and what they wrote.
struct World {
    dir: tempfile::TempDir,
    layout: Layout,
    store: Arc<Whimsical>,
    shipper: Shipper,
    files: Vec<Written>,
    /// All lives of all files that are over.
    past: Vec<Life>,
    renames: usize,
}

struct Written {
    name: String,
    file: File,
    content: Vec<u8>,
}

struct Life {
    content: Vec<u8>,
    /// What of it may be missing: it was emptied before anybody could read it.
    cut_short: bool,
}

#[async_trait]
impl ObjectStore for Whimsical {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Stored<PutResult> {
        let whim = self.whims.lock().unwrap().pop();
        let failure = || StoreError::Generic {
            store: "whimsical",
            source: "not now".into(),
        };
        match whim {
            Some(Whim::Refuse) => return Err(failure()),
            Some(Whim::Delay) => {
                self.late.lock().unwrap().push((at.clone(), payload, options));
                return Err(failure());
            }
            Some(Whim::LoseAnswer) | None => {}
        }
        let put = self.inner.put_opts(at, payload, options).await?;
        if whim.is_some() { Err(failure()) } else { Ok(put) }
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Stored<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Stored<GetResult> {
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(&self, all: BoxStream<'static, Stored<Path>>) -> BoxStream<'static, Stored<Path>> {
        self.inner.delete_stream(all)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Stored<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Stored<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Stored<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

impl std::fmt::Display for Whimsical {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("whimsical")
    }
}

// === impl Whimsical ===

impl Whimsical {
    /// Carries out what was late: on the conditions of its time.
    async fn catch_up(&self) {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        for (at, payload, options) in late {
            let _ = self.inner.put_opts(&at, payload, options).await;
        }
    }
}

// === impl World ===

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::ensure(Place::open(&dir.path().join("node"), None).unwrap()).unwrap();
        let store = Arc::new(Whimsical::default());
        let shipper = shipper(&layout, &store);
        let mut world = Self {
            dir,
            layout,
            store,
            shipper,
            files: Vec::new(),
            past: Vec::new(),
            renames: 0,
        };
        for name in [
            "scheduler.log",
            "tasks/dag_id=d/run_id=r/task_id=t/attempt=1.log",
            "dag-processor/day/a.py.log",
        ] {
            let file = world.open(name);
            world.files.push(Written {
                name: name.to_owned(),
                file,
                content: Vec::new(),
            });
        }
        world
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("node/logs").join(name)
    }

    fn open(&self, name: &str) -> File {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        File::options()
            .create(true)
            .append(true)
            .open(self.path(name))
            .unwrap()
    }

    fn write(&mut self, file: usize, lines: usize, length: usize, half: bool) {
        let count = self.files.len();
        let written = &mut self.files[file % count];
        let mut bytes = Vec::new();
        for line in 0..lines {
            let number = format!("{}:{line}:", written.content.len());
            bytes.extend_from_slice(number.as_bytes());
            bytes.extend((0..length).map(|at| if at % 7 == 3 { 0xff } else { b'a' + (at % 23) as u8 }));
            bytes.push(b'\n');
        }
        if half {
            bytes.extend_from_slice(b"and then");
        }
        written.file.write_all(&bytes).unwrap();
        written.content.extend_from_slice(&bytes);
    }

    async fn ship(&mut self, whims: &[Whim]) {
        *self.store.whims.lock().unwrap() = whims.to_vec();
        self.shipper.ship_all().await;
    }

    /// The agent dies while it sends; its successor may find an older journal, as after a power cut.
    async fn crash(&mut self, older_journal: bool, whims: &[Whim]) {
        *self.store.whims.lock().unwrap() = whims.to_vec();
        self.shipper.found(walk(self.layout.place()), Instant::now());
        self.shipper.begin_all();
        // What was put is put or not: the tasks end where they are.
        tokio::task::yield_now().await;
        let journal = self.dir.path().join("node/agent/logs.jsonl");
        if older_journal {
            let file = File::options().write(true).open(journal).unwrap();
            file.set_len(self.shipper.journal.settled).unwrap();
        } else {
            // Torn in the middle of a line.
            File::options()
                .append(true)
                .open(journal)
                .unwrap()
                .write_all(b"{\"source\":\"serv")
                .unwrap();
        }
        self.shipper = shipper(&self.layout, &self.store);
    }

    /// Another file takes the name; the old one is not written any more.
    async fn rename(&mut self, file: usize) {
        let count = self.files.len();
        let name = self.files[file % count].name.clone();
        self.renames += 1;
        // Only a file that was seen once is known by another name.
        self.shipper.found(walk(self.layout.place()), Instant::now());
        std::fs::rename(self.path(&name), self.path(&format!("{name}.{}", self.renames))).unwrap();
        let new = self.open(&name);
        let written = &mut self.files[file % count];
        let content = std::mem::take(&mut written.content);
        written.file = new;
        self.past.push(Life {
            content,
            cut_short: false,
        });
        self.shipper.found(walk(self.layout.place()), Instant::now());
    }

    /// As `copytruncate` does it.
    fn empty(&mut self, file: usize) {
        let count = self.files.len();
        let written = &mut self.files[file % count];
        written.file.set_len(0).unwrap();
        let content = std::mem::take(&mut written.content);
        self.past.push(Life {
            content,
            cut_short: true,
        });
        self.shipper.found(walk(self.layout.place()), Instant::now());
    }

    async fn check(mut self) -> Result<(), TestCaseError> {
        self.ship(&[]).await;
        self.store.catch_up().await;
        let found = read_all(&self.store, true).await;
        let current = self.files.drain(..).map(|written| Life {
            content: written.content,
            cut_short: false,
        });
        let lives: Vec<Life> = self
            .past
            .drain(..)
            .chain(current)
            .filter(|life| !life.content.is_empty())
            .collect();
        let mut found: Vec<Vec<u8>> = found.into_values().collect();
        for life in lives {
            let at = found.iter().position(|found| {
                if life.cut_short {
                    life.content.starts_with(found)
                } else {
                    *found == life.content
                }
            });
            match at {
                Some(at) => drop(found.swap_remove(at)),
                None if life.cut_short => {}
                None => {
                    let lengths: Vec<_> = found.iter().map(Vec::len).collect();
                    return Err(TestCaseError::fail(format!(
                        "{} bytes are not there as they were written: {lengths:?}",
                        life.content.len()
                    )));
                }
            }
        }
        prop_assert!(found.is_empty(), "{} files more than were written", found.len());
        Ok(())
    }
}

fn shipper(layout: &Layout, store: &Arc<Whimsical>) -> Shipper {
    let (events, _) = mpsc::channel(16);
    let mut shipper = Shipper::open(layout.clone(), events).unwrap();
    shipper.node = "web-0-0123456789ab".to_owned();
    shipper.use_bucket(LogBucket::new(Arc::clone(store) as Arc<dyn ObjectStore>, PREFIX));
    shipper
}

/// Each file in the bucket. By the rule for programs, or just one object after the other.
async fn read_all(store: &Whimsical, by_offset: bool) -> BTreeMap<String, Vec<u8>> {
    let mut keys: Vec<_> = store
        .list(None)
        .map_ok(|object| object.location)
        .try_collect()
        .await
        .unwrap();
    keys.sort();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for location in keys {
        let key = LogKey::parse(PREFIX, location.as_ref()).unwrap();
        let bytes = store.inner.get(&location).await.unwrap().bytes().await.unwrap();
        let mut text = Vec::new();
        MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
        let file = files.entry(format!("{}/{}", key.source, key.file)).or_default();
        let known = file.len() as u64
            - if by_offset {
                key.offset.min(file.len() as u64)
            } else {
                file.len() as u64
            };
        assert!(key.offset <= file.len() as u64, "a gap before {location}");
        file.extend(text.iter().skip(usize::try_from(known).unwrap()));
    }
    files
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = (
        0..3_usize,
        0..200_usize,
        prop_oneof![4 => 0..300_usize, 1 => 5_000..40_000_usize],
        any::<bool>(),
    )
        .prop_map(|(file, lines, length, half)| Step::Write {
            file,
            lines,
            length,
            half,
        });
    let whim = prop_oneof![Just(Whim::Refuse), Just(Whim::LoseAnswer), Just(Whim::Delay)];
    let whims = prop::collection::vec(whim, 0..4);
    let step = prop_oneof![
        6 => write,
        4 => whims.clone().prop_map(Step::Ship),
        2 => (any::<bool>(), whims).prop_map(|(older_journal, whims)| Step::Crash { older_journal, whims }),
        1 => (0..3_usize).prop_map(Step::Rename),
        1 => (0..3_usize).prop_map(Step::Empty),
        1 => Just(Step::Pack),
        2 => Just(Step::CatchUp),
    ];
    prop::collection::vec(step, 1..25)
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Write {
                    file,
                    lines,
                    length,
                    half,
                } => world.write(file, lines, length, half),
                Step::Ship(whims) => world.ship(&whims).await,
                Step::Crash { older_journal, whims } => world.crash(older_journal, &whims).await,
                Step::Rename(file) => world.rename(file).await,
                Step::Empty(file) => world.empty(file),
                Step::CatchUp => world.store.catch_up().await,
                Step::Pack => world.shipper.pack_all().await,
            }
        }
        world.check().await
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn what_is_in_the_bucket_is_what_was_written(steps in steps()) {
        run(steps)?;
    }
}

#[tokio::test]
async fn without_packing_even_a_plain_concatenation_has_each_line_once() {
    let mut world = World::new();
    for round in 0..6 {
        world.write(0, 900, 900, round % 2 == 0);
        world
            .ship(&[Whim::LoseAnswer, Whim::Refuse, Whim::LoseAnswer])
            .await;
        world.crash(round % 3 == 0, &[]).await;
    }
    world.ship(&[]).await;
    let plain = read_all(&world.store, false).await;
    assert_eq!(plain.into_values().next().unwrap(), world.files[0].content);
}

#[tokio::test]
async fn an_agent_that_keeps_house_before_it_looks_forgets_no_file() {
    let mut world = World::new();
    let many = 2_100;
    for inode in 0..many {
        let source = "tasks/dag_id=d/run_id=r/task_id=t/attempt=1.log".parse().unwrap();
        let standing = Standing::new(&source, "web-0", Identity { inode, born: 1 }, chrono::Utc::now());
        world.shipper.journal.note(&standing).unwrap();
    }
    for _ in 0..2 {
        world.shipper = shipper(&world.layout, &world.store);
        assert_eq!(world.shipper.known.len() as u64, many);
        world.shipper.keep_house().await;
    }
}

#[tokio::test]
async fn an_ended_attempt_is_one_object_and_goes_on_when_it_is_resumed() {
    let mut world = World::new();
    world.write(1, 4_000, 1_000, false);
    world.ship(&[]).await;
    let count = |world: &World| {
        let store = Arc::clone(&world.store);
        async move { store.list(None).try_collect::<Vec<_>>().await.unwrap().len() }
    };
    assert_eq!(count(&world).await, 4);
    world.shipper.pack_all().await;
    assert_eq!(count(&world).await, 1);
    world.write(1, 10, 10, true);
    world.ship(&[]).await;
    assert_eq!(count(&world).await, 2);
    world.shipper.pack_all().await;
    assert_eq!(count(&world).await, 1);
    world.check().await.unwrap();
}
