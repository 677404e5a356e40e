//! As much of AMQP 0-9-1 as two questions need: whether a broker opens its virtual host to a user, and what is published
//! on an exchange. It declares nothing but a queue of its own, which ends with its connection.
//!
//! A client library would bring a runtime's worth of code for what are nine methods, to every node.

mod wire;

use std::time::Duration;

use futures::{Stream, stream};
use tokio::net::TcpStream;

use self::wire::{Arguments, Connection, Frame, Incoming};
use super::Outcome;

const WITHIN: Duration = Duration::from_secs(3);
/// The one channel that is used.
const CHANNEL: u16 = 1;

/// Methods by class and number, as the specification's XML names them.
mod method {
    pub(super) const START: (u16, u16) = (10, 10);
    pub(super) const START_OK: (u16, u16) = (10, 11);
    pub(super) const TUNE: (u16, u16) = (10, 30);
    pub(super) const TUNE_OK: (u16, u16) = (10, 31);
    pub(super) const OPEN: (u16, u16) = (10, 40);
    pub(super) const OPEN_OK: (u16, u16) = (10, 41);
    pub(super) const CLOSE: (u16, u16) = (10, 50);
    pub(super) const CLOSE_OK: (u16, u16) = (10, 51);
    pub(super) const CHANNEL_OPEN: (u16, u16) = (20, 10);
    pub(super) const CHANNEL_OPEN_OK: (u16, u16) = (20, 11);
    pub(super) const QUEUE_DECLARE: (u16, u16) = (50, 10);
    pub(super) const QUEUE_DECLARE_OK: (u16, u16) = (50, 11);
    pub(super) const QUEUE_BIND: (u16, u16) = (50, 20);
    pub(super) const QUEUE_BIND_OK: (u16, u16) = (50, 21);
    pub(super) const CONSUME: (u16, u16) = (60, 20);
    pub(super) const CONSUME_OK: (u16, u16) = (60, 21);
}

/// Signs in, opens `/`, and goes.
pub(super) async fn open(address: &str, user: &str, password: &str) -> Outcome {
    let asked = tokio::time::timeout(WITHIN, async {
        let mut connection = sign_in(address, user, password).await?;
        let farewell = Arguments::default().short(200).text("").short(0).short(0);
        connection.send(0, method::CLOSE, farewell).await?;
        connection.expect(method::CLOSE_OK).await.map(drop)
    });
    match asked.await {
        Ok(Ok(())) => Outcome::Healthy,
        Ok(Err(reason)) => Outcome::Unhealthy(format!("{address}: {reason}")),
        Err(_) => Outcome::Unhealthy(format!("{address} does not answer in time")),
    }
}

/// The bodies of what is published on `exchange` from now on. It ends with the connection.
pub(super) async fn subscribe(
    address: &str,
    user: &str,
    password: &str,
    exchange: &str,
    routing_key: &str,
) -> Result<impl Stream<Item = Vec<u8>> + use<>, String> {
    let mut connection = sign_in(address, user, password).await?;
    let nothing = Arguments::default;
    let opening = nothing().text("");
    connection
        .ask(method::CHANNEL_OPEN, opening, method::CHANNEL_OPEN_OK)
        .await?;
    // Exclusive and removed when it is not used: bits 4 and 8.
    let queue = nothing().short(0).text("").byte(4 | 8).empty_table();
    let declared = connection
        .ask(method::QUEUE_DECLARE, queue, method::QUEUE_DECLARE_OK)
        .await?;
    let queue = wire::first_text(&declared)?;
    let binding = nothing()
        .short(0)
        .text(&queue)
        .text(exchange)
        .text(routing_key)
        .byte(0)
        .empty_table();
    connection
        .ask(method::QUEUE_BIND, binding, method::QUEUE_BIND_OK)
        .await?;
    // Without acknowledgements: bit 2.
    let consumption = nothing().short(0).text(&queue).text("").byte(2).empty_table();
    connection
        .ask(method::CONSUME, consumption, method::CONSUME_OK)
        .await?;
    Ok(stream::unfold(connection, |mut connection| async move {
        let body = connection.next_body().await.ok()?;
        Some((body, connection))
    }))
}

async fn sign_in(address: &str, user: &str, password: &str) -> Result<Connection, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    let mut connection = Connection::begin(stream).await?;
    connection.expect(method::START).await?;
    let response = format!("\0{user}\0{password}");
    let credentials = Arguments::default()
        .empty_table()
        .text("PLAIN")
        .long_text(&response)
        .text("en_US");
    connection.send(0, method::START_OK, credentials).await?;
    let tuned = connection.expect(method::TUNE).await;
    tuned.map_err(|_| "it does not take the cluster's password".to_owned())?;
    // One channel, the usual frames, no heartbeats: whoever asks has time limits of its own.
    let tune = Arguments::default().short(CHANNEL).long(wire::MOST).short(0);
    connection.send(0, method::TUNE_OK, tune).await?;
    let host = Arguments::default().text("/").text("").byte(0);
    connection.send(0, method::OPEN, host).await?;
    connection.expect(method::OPEN_OK).await?;
    Ok(connection)
}

// === impl Connection ===

impl Connection {
    /// On the channel.
    async fn ask(
        &mut self,
        asked: (u16, u16),
        arguments: Arguments,
        answer: (u16, u16),
    ) -> Result<Vec<u8>, String> {
        self.send(CHANNEL, asked, arguments).await?;
        self.expect(answer).await
    }

    /// The arguments of the answer; whatever else comes as a method is a refusal.
    async fn expect(&mut self, wanted: (u16, u16)) -> Result<Vec<u8>, String> {
        loop {
            match self.next().await?.read()? {
                Incoming::Method(method, arguments) if method == wanted => return Ok(arguments),
                Incoming::Method(..) => return Err("it refuses what it is asked".to_owned()),
                Incoming::Header(_) | Incoming::Body(_) | Incoming::Heartbeat => {}
            }
        }
    }

    /// The body of the next message, in whichever number of frames it comes.
    async fn next_body(&mut self) -> Result<Vec<u8>, String> {
        let mut body: Option<(u64, Vec<u8>)> = None;
        loop {
            match self.next().await?.read()? {
                Incoming::Method(method::CLOSE, _) => return Err("it closes the connection".to_owned()),
                Incoming::Method(..) | Incoming::Heartbeat => {}
                Incoming::Header(size) if size > u64::from(wire::MOST) => {
                    return Err("a message is too long".to_owned());
                }
                Incoming::Header(0) => return Ok(Vec::new()),
                Incoming::Header(size) => body = Some((size, Vec::new())),
                Incoming::Body(part) => {
                    let (size, mut all) = body.take().ok_or("a message has no header")?;
                    all.extend(part);
                    if all.len() as u64 >= size {
                        return Ok(all);
                    }
                    body = Some((size, all));
                }
            }
        }
    }
}

impl Frame {
    fn read(self) -> Result<Incoming, String> {
        wire::read(self).ok_or_else(|| "it does not speak AMQP".to_owned())
    }
}
