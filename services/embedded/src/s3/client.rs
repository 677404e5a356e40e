//! The few S3 requests this crate makes itself: without a body, signed, over a connection of their own.

use std::io;

use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Credentials;

const REGION: &str = "us-east-1";

/// SHA-256 of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Where the gateway is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    port: u16,
}

// === impl Client ===

impl Client {
    pub(super) fn new(port: u16) -> Self {
        Self { port }
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends a request without a body and returns the answer's status. The path needs no escaping.
    pub(super) async fn send(&self, method: &str, path: &str, credentials: &Credentials) -> io::Result<u16> {
        let host = format!("127.0.0.1:{}", self.port);
        let now = Utc::now();
        let authorization = authorization(method, path, &host, credentials, now);
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nx-amz-date: {}\r\nx-amz-content-sha256: {EMPTY}\r\n\
             Authorization: {authorization}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            stamp(now)
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let status = answer
            .get(9..12)
            .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        status.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn stamp(now: DateTime<Utc>) -> String {
    now.format("%Y%m%dT%H%M%SZ").to_string()
}

/// AWS Signature Version 4 (Amazon S3 API Reference, "Authenticating Requests: Using the Authorization Header").
fn authorization(
    method: &str,
    path: &str,
    host: &str,
    credentials: &Credentials,
    now: DateTime<Utc>,
) -> String {
    const SIGNED: &str = "host;x-amz-content-sha256;x-amz-date";
    let (time, day) = (stamp(now), now.format("%Y%m%d").to_string());
    let headers = format!("host:{host}\nx-amz-content-sha256:{EMPTY}\nx-amz-date:{time}\n");
    let request = format!("{method}\n{path}\n\n{headers}\n{SIGNED}\n{EMPTY}");
    let scope = format!("{day}/{REGION}/s3/aws4_request");
    let request_digest = hex::encode(Sha256::digest(request.as_bytes()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{request_digest}");
    let secret = format!("AWS4{}", credentials.secret_key.expose_secret());
    let key = [day.as_str(), REGION, "s3", "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, part| hmac(&key, part.as_bytes()));
    let signature = hex::encode(hmac(&key, to_sign.as_bytes()));
    let access_key = &credentials.access_key;
    format!("AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={SIGNED}, Signature={signature}")
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    // A key of any length will do, so this cannot fail.
    Hmac::<Sha256>::new_from_slice(key).map_or_else(
        |_| Vec::new(),
        |mac| mac.chain_update(message).finalize().into_bytes().to_vec(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with botocore 1.44 (`S3SigV4Auth`).
    #[test]
    fn signature_is_that_of_another_implementation() {
        let credentials = Credentials {
            access_key: "AKIDEXAMPLE".into(),
            secret_key: "secret".to_owned().into(),
        };
        let now = DateTime::from_timestamp(1_440_938_160, 0).unwrap();
        let signed = authorization("GET", "/bucket", "127.0.0.1:9000", &credentials, now);
        assert_eq!(
            signed,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
             Signature=6341bcea26f6bacb90cc2dfb7c65ac184b08f5e6a2dd0e2b1ff3d79fd4aa7b31"
        );
    }
}
