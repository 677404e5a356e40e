//! The lines that both ends say before HTTP/2: who dials, who answers, and that the tunnel is wanted.
//!
//! Each is bounded and read to its end only: nobody who has not said a good one can make the other side keep anything.

use std::io;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use updraft_model::{EdgeId, NodeId};
use uuid::Uuid;

use crate::error::{DialError, Refusal};

/// Of what is said here. Later versions may say anything after their number.
pub const PROTOCOL: u32 = 1;
const NAME: &str = "updraft-tunnel";
/// Name, version, node and a token of at most 128 bytes.
const LONGEST_HELLO: usize = 192;
const LONGEST_ANSWER: usize = 120;
const WANTED: &str = "+";

/// SHA-256 of a node's tunnel token: what edges know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenDigest(pub [u8; 32]);

/// What an agent says first.
#[derive(Debug)]
pub(crate) struct Hello {
    pub(crate) node: NodeId,
    pub(crate) token: TokenDigest,
}

// === impl TokenDigest ===

impl TokenDigest {
    #[must_use]
    pub fn of(token: &SecretString) -> Self {
        Self(Sha256::digest(token.expose_secret()).into())
    }
}

// === impl Hello ===

impl Hello {
    fn parse(line: &str) -> Result<Self, Refusal> {
        let mut words = line.split(' ');
        if words.next() != Some(NAME) {
            return Err(Refusal::Malformed);
        }
        let version: u32 = words
            .next()
            .and_then(|version| version.parse().ok())
            .ok_or(Refusal::Malformed)?;
        if version != PROTOCOL {
            return Err(Refusal::Protocol);
        }
        let (Some(node), Some(token), None) = (words.next(), words.next(), words.next()) else {
            return Err(Refusal::Malformed);
        };
        Ok(Self {
            node: node.parse().map_err(|_| Refusal::Malformed)?,
            token: TokenDigest(Sha256::digest(token).into()),
        })
    }
}

/// The near end: what the other side says it is.
pub(crate) async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Result<Hello, Refusal>> {
    match read_line(stream, LONGEST_HELLO).await {
        Ok(line) => Ok(Hello::parse(&line)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Err(Refusal::Malformed)),
        Err(error) => Err(error),
    }
}

/// The near end: the answer, and whether the tunnel is wanted then.
pub(crate) async fn admit(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    edge: EdgeId,
) -> io::Result<()> {
    say(stream, &format!("+{edge}\n")).await?;
    match read_line(stream, WANTED.len()).await?.as_str() {
        WANTED => Ok(()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The near end: why not.
pub(crate) async fn refuse(stream: &mut (impl AsyncWrite + Unpin), refusal: Refusal) -> io::Result<()> {
    say(stream, &format!("-{refusal}\n")).await?;
    stream.shutdown().await
}

/// The far end: says who it is and hears whom it has reached.
pub(crate) async fn introduce(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    node: NodeId,
    token: &SecretString,
) -> Result<EdgeId, DialError> {
    let hello = format!("{NAME} {PROTOCOL} {node} {}\n", token.expose_secret());
    say(stream, &hello).await?;
    let answer = read_line(stream, LONGEST_ANSWER).await?;
    match answer.strip_prefix('+').map(Uuid::parse_str) {
        Some(Ok(edge)) => Ok(EdgeId(edge)),
        Some(Err(_)) => Err(io::Error::from(io::ErrorKind::InvalidData).into()),
        None => Err(DialError::Refused(answer.trim_start_matches('-').to_owned())),
    }
}

/// The far end: the tunnel is wanted.
pub(crate) async fn keep(stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    say(stream, &format!("{WANTED}\n")).await
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), line: &str) -> io::Result<()> {
    stream.write_all(line.as_bytes()).await?;
    stream.flush().await
}

/// One line without its end. A longer one is an error.
async fn read_line(stream: &mut (impl AsyncRead + Unpin), longest: usize) -> io::Result<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> Refusal {
        Hello::parse(line).unwrap_err()
    }

    #[test]
    fn a_hello_is_read_in_its_one_form() {
        let node = NodeId(Uuid::from_u128(7));
        let hello = Hello::parse(&format!("updraft-tunnel 1 {node} secret")).unwrap();
        assert_eq!(hello.node, node);
        assert_eq!(hello.token, TokenDigest::of(&"secret".into()));
    }

    #[test]
    fn anything_else_is_refused() {
        let node = NodeId(Uuid::from_u128(7));
        assert_eq!(refusal(""), Refusal::Malformed);
        assert_eq!(refusal("GET / HTTP/1.1"), Refusal::Malformed);
        assert_eq!(refusal("updraft-tunnel one"), Refusal::Malformed);
        assert_eq!(refusal(&format!("updraft-tunnel 1 {node}")), Refusal::Malformed);
        assert_eq!(
            refusal(&format!("updraft-tunnel 1 {node} a b")),
            Refusal::Malformed
        );
        assert_eq!(refusal("updraft-tunnel 1 somebody secret"), Refusal::Malformed);
    }

    #[test]
    fn a_foreign_version_is_told_apart_whatever_follows_it() {
        assert_eq!(refusal("updraft-tunnel 2"), Refusal::Protocol);
        assert_eq!(refusal("updraft-tunnel 2 quite another form"), Refusal::Protocol);
    }
}
