//! What stands where Airflow does: as little of it as can answer.

use std::net::SocketAddr;

use hyper::body::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};

/// Answers anything with `bytes` bytes.
pub(crate) async fn answer(address: SocketAddr, bytes: usize) {
    let listener = TcpListener::bind(address).await.unwrap();
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n")
            .into_bytes();
    answer.resize(answer.len() + bytes, b'x');
    let answer = Bytes::from(answer);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(respond(stream, answer.clone()));
    }
}

/// Takes any request for a websocket's handshake, and then says back what it hears.
pub(crate) async fn echo(address: SocketAddr) {
    let listener = TcpListener::bind(address).await.unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            stream.set_nodelay(true).unwrap();
            if stream.read(&mut [0; 16 << 10]).await.is_ok_and(|read| read > 0) {
                let switch =
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
                let _ = stream.write_all(switch).await;
                let (mut read, mut write) = stream.split();
                let _ = copy(&mut read, &mut write).await;
            }
        });
    }
}

/// One answer for each head: requests of this benchmark have no body and come in one piece.
async fn respond(mut stream: TcpStream, answer: Bytes) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        if buffer[..read].ends_with(b"\r\n\r\n") && stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}
