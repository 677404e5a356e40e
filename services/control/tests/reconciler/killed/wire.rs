//! A driver's way to Postgres. It reads along, so that the driver may die before a commit, or a statement outside any
//! transaction, reaches the server, and before it hears what came of it. The product knows nothing of this.
//!
//! With the wire all its connections end, as with their process: what was not committed is rolled back.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

use super::boundaries::Boundaries;

/// Words of a statement that tell which it is.
const WORDS: usize = 6;

pub(super) struct Wire {
    url: Url,
    /// `host:port` at the other end.
    server: String,
    task: JoinHandle<()>,
}

/// One connection: what was asked and is not answered yet.
#[derive(Default)]
struct Talk {
    asked: VecDeque<Asked>,
    /// What the open transaction has changed so far.
    transaction: Option<Vec<String>>,
}

struct Asked {
    statement: String,
    /// What it changes for good, if anything.
    change: Option<String>,
}

/// What the client will ask with its next `Sync`.
#[derive(Default)]
struct Batch {
    prepared: HashMap<String, String>,
    bound: String,
    executed: String,
}

// === impl Wire ===

impl Wire {
    /// To the server of this address; `name` is what changes there are told with.
    pub(super) async fn to(url: &SecretString, name: &'static str, boundaries: &Arc<Boundaries>) -> Self {
        let mut url = Url::parse(url.expose_secret()).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let upstream = server.clone();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        url.query_pairs_mut().append_pair("sslmode", "disable");
        let boundaries = Arc::clone(boundaries);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&upstream).await.unwrap();
                let boundaries = Arc::clone(&boundaries);
                connections.spawn(async move {
                    let _ = carry(client, server, name, &boundaries).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { url, server, task }
    }

    pub(super) fn url(&self) -> SecretString {
        self.url.to_string().into()
    }

    pub(super) fn server(&self) -> &str {
        &self.server
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Until either side ends.
async fn carry(client: TcpStream, server: TcpStream, name: &str, boundaries: &Boundaries) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let talk = Mutex::new(Talk::default());
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        ended = ask(from_client, to_server, &talk, name, boundaries) => ended,
        ended = answer(from_server, to_client, &talk, boundaries) => ended,
    }
}

async fn ask(
    client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    talk: &Mutex<Talk>,
    name: &str,
    boundaries: &Boundaries,
) -> io::Result<()> {
    let mut client = BufReader::new(client);
    // Only the first message has no kind.
    let mut held = Vec::new();
    read_body(&mut client, &mut held).await?;
    server.write_all(&held).await?;
    held.clear();
    let mut batch = Batch::default();
    loop {
        let begins = held.len();
        let kind = read_message(&mut client, &mut held).await?;
        if let Some(statement) = batch.takes(kind, &held[begins + 5..]) {
            let change = talk.lock().unwrap().change(&statement, name);
            if let Some(change) = &change {
                boundaries.before(change).await;
            }
            talk.lock().unwrap().asked.push_back(Asked { statement, change });
        } else if is_part_of_batch(kind) {
            continue;
        }
        server.write_all(&held).await?;
        held.clear();
    }
}

async fn answer(
    server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    talk: &Mutex<Talk>,
    boundaries: &Boundaries,
) -> io::Result<()> {
    let mut server = BufReader::new(server);
    let mut held = Vec::new();
    loop {
        let begins = held.len();
        let kind = read_message(&mut server, &mut held).await?;
        if kind == b'C' {
            talk.lock().unwrap().done(&held[begins + 5..]);
        }
        let awaited = !talk.lock().unwrap().asked.is_empty();
        if awaited && kind != b'Z' {
            continue;
        }
        let asked = talk.lock().unwrap().asked.pop_front();
        if let Some(change) = asked.and_then(|asked| asked.change) {
            boundaries.after(&change).await;
        }
        client.write_all(&held).await?;
        held.clear();
    }
}

async fn read_message(from: &mut (impl AsyncRead + Unpin), into: &mut Vec<u8>) -> io::Result<u8> {
    let kind = from.read_u8().await?;
    into.push(kind);
    read_body(from, into).await?;
    Ok(kind)
}

/// Behind its own length.
async fn read_body(from: &mut (impl AsyncRead + Unpin), into: &mut Vec<u8>) -> io::Result<()> {
    let length = from.read_u32().await?;
    into.extend(length.to_be_bytes());
    let begins = into.len();
    into.resize(begins + usize::try_from(length).unwrap() - 4, 0);
    from.read_exact(&mut into[begins..]).await?;
    Ok(())
}

/// Parse, bind, describe, execute, close: the server answers with what ends them.
fn is_part_of_batch(kind: u8) -> bool {
    b"PBDEC".contains(&kind)
}

// === impl Batch ===

impl Batch {
    /// The statement that this message asks for, or an empty one where it asks for none but is answered.
    fn takes(&mut self, kind: u8, body: &[u8]) -> Option<String> {
        match kind {
            b'Q' => Some(text(body)),
            b'P' => {
                let name = text(body);
                let statement = text(&body[name.len() + 1..]);
                self.prepared.insert(name, statement);
                None
            }
            b'B' => {
                let portal = text(body);
                let name = text(&body[portal.len() + 1..]);
                self.bound = self.prepared[&name].clone();
                None
            }
            b'E' => {
                self.executed = std::mem::take(&mut self.bound);
                None
            }
            b'S' => Some(std::mem::take(&mut self.executed)),
            _ => None,
        }
    }
}

/// Up to the byte that ends it.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap();
    String::from_utf8(bytes[..end].to_vec()).unwrap()
}

// === impl Talk ===

impl Talk {
    /// What this statement changes for good.
    fn change(&mut self, statement: &str, name: &str) -> Option<String> {
        match first_word(statement).as_str() {
            "begin" => {
                self.transaction = Some(Vec::new());
                None
            }
            "commit" => {
                let made = self.transaction.take().filter(|made| !made.is_empty())?;
                Some(format!("{name}: commit of {}", made.join(" + ")))
            }
            "rollback" => {
                self.transaction = None;
                None
            }
            _ if self.transaction.is_none() && changes(statement) => {
                Some(format!("{name}: {}", short(statement)))
            }
            _ => None,
        }
    }

    /// `UPDATE 1`: what came to nothing within a transaction is nothing that it commits.
    fn done(&mut self, tag: &[u8]) {
        let (Some(made), Some(asked)) = (self.transaction.as_mut(), self.asked.front()) else {
            return;
        };
        if changes(&asked.statement) && !text(tag).ends_with(" 0") {
            let statement = short(&asked.statement);
            if !made.contains(&statement) {
                made.push(statement);
            }
        }
    }
}

fn first_word(statement: &str) -> String {
    statement
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_lowercase()
}

fn changes(statement: &str) -> bool {
    match first_word(statement).as_str() {
        "insert" | "update" | "delete" | "create" | "drop" | "alter" | "grant" | "revoke" | "do" => true,
        "with" => ["insert into", "update ", "delete from"]
            .iter()
            .any(|word| statement.contains(word)),
        _ => statement.contains("pg_terminate_backend"),
    }
}

/// Its first words, without names that are others each time.
fn short(statement: &str) -> String {
    let words = statement.split_whitespace().take(WORDS);
    let words = words.map(
        |word| match word.contains(|letter: char| letter.is_ascii_digit()) {
            true => "…",
            false => word,
        },
    );
    words.collect::<Vec<_>>().join(" ")
}
