//! The first line each way, and what sockets need so that a lost peer is noticed.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;

/// `65535` and the line's end.
pub(super) const LONGEST_PORT: usize = 6;
pub(super) const LONGEST_ANSWER: usize = 200;
pub(super) const BUFFER: usize = 64 << 10;

/// One line without its end. A longer one is an error.
pub(super) async fn read_line(stream: &mut (impl AsyncRead + Unpin), longest: usize) -> io::Result<String> {
    let mut line = Vec::new();
    // Byte by byte: what follows the line is not ours to read. TLS has it in memory.
    loop {
        match stream.read_u8().await? {
            b'\n' => return String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into()),
            _ if line.len() >= longest => return Err(io::ErrorKind::InvalidData.into()),
            byte => line.push(byte),
        }
    }
}

/// After this long a peer that says nothing is gone. A machine that dies sends no farewell.
const VANISHED: Duration = Duration::from_secs(30);

/// No delay, and a vanished peer is noticed: by keepalive where nothing is under way, by the time-out where something
/// is, which the kernel would send again for a quarter of an hour.
pub(super) fn tune(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    let tuned = stream
        .set_nodelay(true)
        .and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keepalive))
        .and_then(|()| SockRef::from(stream).set_tcp_user_timeout(Some(VANISHED)));
    if let Err(error) = tuned {
        tracing::debug!(%error, "A relay's socket could not be tuned");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_that_vanishes_with_data_under_way_is_given_up_soon() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tune(&stream);
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(VANISHED));
        assert!(socket.keepalive().unwrap());
    }
}
