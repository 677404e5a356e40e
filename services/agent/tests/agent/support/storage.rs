//! Real object stores on free ports, and a way to them that can be slow, or gone.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path as FilePath, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use futures::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::Signer as _;
use object_store::{ClientOptions, ObjectMeta, ObjectStore as _, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use updraft_api::agent::LogDelivery;
use updraft_api::log_layout::LogKey;
use updraft_testing::{free_port, free_ports};

pub(crate) const BUCKET: &str = "logs-test";
pub(crate) const KEY: (&str, &str) = ("access", "secret-of-the-store");
pub(crate) const PREFIX: &str = "logs/";

/// A server of its own, ended when dropped.
pub(crate) struct Storage {
    server: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

/// How the way to a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// Each piece of data waits this long.
    Slow(Duration),
    /// Connections are refused, and those there are end at once.
    Away,
    /// Requests stay where they are, also when their sender dies, until they are let go.
    Held,
}

/// Bytes, as far as it takes to compare them: there may be gigabytes.
#[derive(Clone, Default)]
pub(crate) struct Content {
    pub(crate) length: u64,
    digest: Sha256,
}

/// A way to a store.
pub(crate) struct Road {
    pub(crate) endpoint: String,
    way: watch::Sender<Way>,
    held: watch::Sender<Held>,
}

/// Requests on a way.
#[derive(Clone, Debug, Default)]
struct Held {
    whole: usize,
    let_go: bool,
    answers: Vec<String>,
}

// === impl Storage ===

impl Storage {
    /// SeaweedFS; none where it is not installed.
    pub(crate) async fn seaweed() -> Option<Self> {
        let Some(program) = program("weed", ".tools/parts/bin/weed") else {
            eprintln!("skipped: weed is neither in UPDRAFT_TEST_TOOLS, .tools nor PATH");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let identities = serde_json::json!({"identities": [{"name": "t",
            "credentials": [{"accessKey": KEY.0, "secretKey": KEY.1}], "actions": ["Admin", "Read", "Write", "List"]}]});
        std::fs::write(dir.path().join("identities.json"), identities.to_string()).unwrap();
        let [port, others @ ..] = free_ports::<8>();
        let mut command = Command::new(program);
        command.args([
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
            "-master.volumeSizeLimitMB=64",
        ]);
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=200"]);
        command.arg(format!("-dir={}", dir.path().display()));
        command.arg(format!(
            "-s3.config={}",
            dir.path().join("identities.json").display()
        ));
        command.arg(format!("-s3.port={port}"));
        let flags = [
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port",
            "filer.port.grpc",
            "s3.port.grpc",
        ];
        command.args(
            flags
                .iter()
                .zip(others)
                .map(|(flag, port)| format!("-{flag}={port}")),
        );
        Some(Self::start(command, port, dir).await)
    }

    /// Moto; none where it is not installed.
    pub(crate) async fn moto() -> Option<Self> {
        let Some(program) = program("moto_server", ".tools/python/bin/moto_server") else {
            eprintln!("skipped: moto_server is neither in UPDRAFT_TEST_TOOLS, .tools nor PATH");
            return None;
        };
        let port = free_port();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        Some(Self::start(command, port, tempfile::tempdir().unwrap()).await)
    }

    async fn start(mut command: Command, port: u16, dir: tempfile::TempDir) -> Self {
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let server = command
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let storage = Self {
            server,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            _dir: dir,
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::new();
        for _ in 0..600 {
            let within = Duration::from_secs(60);
            let bucket = client(&storage.endpoint())
                .signed_url(http::Method::PUT, &Path::ROOT, within)
                .await
                .unwrap();
            let made = http.put(bucket).header("content-length", "0").send().await;
            if made.is_ok_and(|answer| answer.status().is_success()) {
                return storage;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "the store does not answer: {:?}",
            std::fs::read_to_string(storage._dir.path().join("log"))
        );
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn road(&self) -> Road {
        Road::to(self.address).await
    }

    /// Keys and sizes.
    pub(crate) async fn listing(&self) -> Vec<(String, u64)> {
        let listed = client(&self.endpoint())
            .list(None)
            .map_ok(|object| (object.location.to_string(), object.size));
        let mut listing: Vec<_> = listed.try_collect().await.unwrap();
        listing.sort();
        listing
    }

    pub(crate) async fn empty(&self) {
        let store = client(&self.endpoint());
        for (key, _) in self.listing().await {
            store.delete(&Path::parse(&key).unwrap()).await.unwrap();
        }
    }

    /// How much of a file is there, when it is the only one below `folder`. `last` is where to look from on the next time.
    pub(crate) async fn length(&self, folder: &str, last: &mut Option<Path>) -> u64 {
        let store = client(&self.endpoint());
        let below = Path::parse(folder).unwrap();
        let mut listed: Vec<_> = match &*last {
            Some(known) => store.list_with_offset(Some(&below), known).try_collect().await,
            None => store.list(Some(&below)).try_collect().await,
        }
        .unwrap();
        listed.sort_by(|a: &ObjectMeta, b| a.location.cmp(&b.location));
        if let Some(object) = listed.pop() {
            *last = Some(object.location);
        }
        let Some(at) = &*last else { return 0 };
        let gzip = store.get(at).await.unwrap().bytes().await.unwrap();
        let length = std::io::copy(&mut MultiGzDecoder::new(&gzip[..]), &mut std::io::sink()).unwrap();
        LogKey::parse(PREFIX, at.as_ref()).unwrap().offset + length
    }

    /// What programs read, by `docs/logs.md`: each file's bytes by its source and its name. None: something was packed meanwhile.
    pub(crate) async fn files(&self) -> Option<BTreeMap<String, BTreeMap<String, Content>>> {
        let store = client(&self.endpoint());
        let mut sources: BTreeMap<String, BTreeMap<String, Content>> = BTreeMap::new();
        for (text, _) in self.listing().await {
            let key = LogKey::parse(PREFIX, &text).unwrap();
            let bytes = store
                .get(&Path::parse(&text).unwrap())
                .await
                .ok()?
                .bytes()
                .await
                .ok()?;
            let mut content = Vec::new();
            MultiGzDecoder::new(&bytes[..]).read_to_end(&mut content).unwrap();
            let files = sources.entry(key.source.to_string()).or_default();
            let file = files.entry(key.file.to_string()).or_default();
            assert!(key.offset <= file.length, "a gap before {text}");
            let known = usize::try_from(file.length - key.offset).unwrap();
            file.add(content.get(known..).unwrap_or_default());
        }
        Some(sources)
    }
}

// === impl Content ===

impl Content {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut content = Self::default();
        content.add(bytes);
        content
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.digest.update(bytes);
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && self.digest.clone().finalize() == other.digest.clone().finalize()
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.length)
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

// === impl Road ===

impl Road {
    async fn to(store: SocketAddr) -> Self {
        let (way, ways) = watch::channel(Way::Open);
        let held = watch::Sender::new(Held::default());
        let holding = held.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *ways.borrow() != Way::Away {
                    tokio::spawn(carry(near, store, ways.clone(), holding.clone()));
                }
            }
        });
        Self { endpoint, way, held }
    }

    /// Until so many requests are held, each with all of its bytes.
    pub(crate) async fn holds(&self, requests: usize) {
        let enough = |held: &Held| held.whole == requests;
        let _ = self.held.subscribe().wait_for(enough).await.unwrap();
    }

    /// Has the store carry out what is held. Its answers, which nobody else hears: `HTTP/1.1 200 OK`.
    pub(crate) async fn let_go(&self) -> Vec<String> {
        self.held.send_modify(|held| held.let_go = true);
        let all = |held: &Held| held.answers.len() == held.whole;
        self.held.subscribe().wait_for(all).await.unwrap().answers.clone()
    }

    pub(crate) fn make(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// What an agent is told.
    pub(crate) fn delivery(&self) -> LogDelivery {
        LogDelivery {
            endpoint: self.endpoint.clone(),
            region: "us-east-1".to_owned(),
            bucket: BUCKET.to_owned(),
            prefix: PREFIX.to_owned(),
            access_key: KEY.0.to_owned(),
            secret_key: KEY.1.into(),
            session_token: None,
            foreign: false,
            outbound_allow: Vec::new(),
            node_name: "worker-0-0123456789ab".to_owned(),
            // As control says.
            disk_bytes: 4 << 30,
        }
    }
}

async fn carry(
    mut near: TcpStream,
    store: SocketAddr,
    mut ways: watch::Receiver<Way>,
    held: watch::Sender<Held>,
) {
    let Ok(mut far) = TcpStream::connect(store).await else {
        return;
    };
    let (mut up, mut down) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let way = *ways.borrow_and_update();
        let carried = tokio::select! {
            changed = ways.changed() => changed.is_ok() && *ways.borrow() != Way::Away,
            read = near.read(&mut up) => match (way, read) {
                (Way::Held, Ok(length)) => return hold(up[..length].to_vec(), near, far, held).await,
                (way, read) => pass(&up, read, &mut far, way).await,
            },
            read = far.read(&mut down) => pass(&down, read, &mut near, way).await,
        };
        if !carried || *ways.borrow() == Way::Away {
            return;
        }
    }
}

async fn hold(mut request: Vec<u8>, mut near: TcpStream, mut far: TcpStream, held: watch::Sender<Held>) {
    let mut more = vec![0; 64 << 10];
    while !is_whole(&request) {
        match near.read(&mut more).await {
            Ok(length @ 1..) => request.extend_from_slice(&more[..length]),
            _ => return,
        }
    }
    held.send_modify(|held| held.whole += 1);
    held.subscribe().wait_for(|held| held.let_go).await.unwrap();
    far.write_all(&request).await.unwrap();
    let length = far.read(&mut more).await.unwrap();
    let answer = String::from_utf8_lossy(&more[..length]).into_owned();
    let first = answer.lines().next().unwrap_or_default().to_owned();
    held.send_modify(|held| held.answers.push(first));
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some(head) = request.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    request.len() >= head + 4 + length
}

async fn pass(data: &[u8], read: std::io::Result<usize>, to: &mut TcpStream, way: Way) -> bool {
    let Ok(length @ 1..) = read else { return false };
    if let Way::Slow(pause) = way {
        tokio::time::sleep(pause).await;
    }
    to.write_all(&data[..length]).await.is_ok()
}

pub(crate) fn client(endpoint: &str) -> AmazonS3 {
    AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_region("us-east-1")
        .with_bucket_name(BUCKET)
        .with_access_key_id(KEY.0)
        .with_secret_access_key(KEY.1)
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .build()
        .unwrap()
}

fn program(name: &str, kept: &str) -> Option<PathBuf> {
    let named = std::env::var("UPDRAFT_TEST_TOOLS").unwrap_or_default();
    let path = std::env::var("PATH").unwrap_or_default();
    let directories = named
        .split(':')
        .chain(path.split(':'))
        .filter(|part| !part.is_empty());
    let root = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::iter::once(root.join(kept))
        .chain(directories.map(|directory| FilePath::new(directory).join(name)))
        .find(|path| path.is_file())
}
