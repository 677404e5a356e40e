//! Reads a request's head and decides where it is meant to go, or that it is too ambiguous to say.
//!
//! Two programs that read one path differently are how an authorization is walked around. So a path is never
//! repaired here: what is not already in its only form (dot segments, empty segments, escapes of characters that need
//! none, escaped separators, double escapes) is refused, and the path that was looked at is the path that is forwarded,
//! byte for byte. The same holds for headers that two programs may read differently. Pure.

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Uri, Version};
use thiserror::Error;
use updraft_model::ClusterId;

/// Where an unambiguous request wants to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Destination<'a> {
    /// The authority the client came to, as in `Host`.
    pub(crate) host: &'a str,
    pub(crate) target: Target<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    Cluster {
        cluster: ClusterId,
        area: Area<'a>,
    },
    /// `/_updraft/<name>`
    Own(&'a str),
    /// No cluster's path.
    Nowhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Area<'a> {
    /// The prefix without its slash: to be redirected.
    Bare,
    /// For workers only, and they do not come this way.
    Execution,
    /// The path below `static/`.
    Static(&'a str),
    Airflow,
}

/// Why a request is not routed at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    #[error("the path contains '.' or '..' segments")]
    DotSegment,
    #[error("the path contains an empty segment")]
    EmptySegment,
    #[error("the path contains an escaped separator or control character")]
    EscapedSeparator,
    #[error("the path escapes a character that needs no escape")]
    NeedlessEscape,
    #[error("the path contains a malformed or double escape")]
    MalformedEscape,
    #[error("the path contains a character that must be escaped")]
    RawCharacter,
    #[error("the request has no single, well-formed Host")]
    Host,
    #[error("the request's address and its Host differ")]
    HostMismatch,
    #[error("a header that may occur once was sent twice")]
    DuplicateHeader,
    #[error("a header's name contains an underscore")]
    UnderscoreHeader,
    #[error("this method is not supported")]
    Method,
}

/// Headers of which two programs may each believe another copy.
const ONCE: [HeaderName; 15] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::AUTHORIZATION,
    header::COOKIE,
    header::ORIGIN,
    header::REFERER,
    header::UPGRADE,
    header::EXPECT,
    header::RANGE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    HeaderName::from_static("sec-fetch-site"),
];

const CLUSTER_PREFIX: &str = "/airflow-webserver-";

/// # Errors
/// A [`Refusal`] when another program could understand the request differently.
pub(crate) fn read<'a>(
    method: &Method,
    uri: &'a Uri,
    version: Version,
    headers: &'a HeaderMap,
) -> Result<Destination<'a>, Refusal> {
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(Refusal::Method);
    }
    check_headers(headers)?;
    let host = host(uri, version, headers)?;
    check_path(uri.path())?;
    Ok(Destination {
        host,
        target: target(uri.path()),
    })
}

/// Whether another program could read this path differently.
///
/// # Errors
/// The first reason found.
pub(crate) fn check_path(path: &str) -> Result<(), Refusal> {
    if !path.starts_with('/') {
        return Err(Refusal::RawCharacter);
    }
    let mut segment_start = 1;
    let bytes = path.as_bytes();
    let mut i = 1;
    while i < bytes.len() {
        match bytes[i] {
            b'/' => {
                check_segment(&path[segment_start..i], false)?;
                segment_start = i + 1;
            }
            b'%' => {
                check_escape(bytes.get(i + 1..i + 3), bytes.get(i + 3..i + 5))?;
                i += 2;
            }
            byte if is_raw_allowed(byte) => {}
            _ => return Err(Refusal::RawCharacter),
        }
        i += 1;
    }
    check_segment(&path[segment_start..], true)?;
    check_utf8(path)
}

fn check_segment(segment: &str, last: bool) -> Result<(), Refusal> {
    if segment.is_empty() && !last {
        return Err(Refusal::EmptySegment);
    }
    if !segment.starts_with(['.', ';']) {
        return Ok(());
    }
    // Some servers cut path parameters off first: `..;x` is `..` to them.
    let name = segment.split(';').next().unwrap_or_default();
    if matches!(name, "." | "..") || (name.is_empty() && !segment.is_empty()) {
        return Err(Refusal::DotSegment);
    }
    Ok(())
}

fn check_escape(digits: Option<&[u8]>, next: Option<&[u8]>) -> Result<(), Refusal> {
    let byte = digits.and_then(hex_byte).ok_or(Refusal::MalformedEscape)?;
    match byte {
        b'/' | b'\\' | 0..=0x1f | 0x7f => Err(Refusal::EscapedSeparator),
        // What follows would be an escape for whoever decodes twice.
        b'%' if next.and_then(hex_byte).is_some() => Err(Refusal::MalformedEscape),
        b'.' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => Err(Refusal::NeedlessEscape),
        _ => Ok(()),
    }
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digit = |d: u8| char::from(d).to_digit(16).and_then(|v| u8::try_from(v).ok());
    match digits {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

fn is_raw_allowed(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'}' | b'#' | b'?'
        )
}

/// Escapes must spell UTF-8: programs differ in what they make of anything else.
fn check_utf8(path: &str) -> Result<(), Refusal> {
    if !path.contains('%') {
        return Ok(());
    }
    percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .map(|_| ())
        .map_err(|_| Refusal::MalformedEscape)
}

fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers
        .keys()
        .any(|name| name.as_str().bytes().any(|b| b == b'_'))
    {
        return Err(Refusal::UnderscoreHeader);
    }
    // No name occurs twice in most requests.
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    if ONCE
        .iter()
        .any(|name| headers.get_all(name).iter().nth(1).is_some())
    {
        return Err(Refusal::DuplicateHeader);
    }
    Ok(())
}

fn host<'a>(uri: &'a Uri, version: Version, headers: &'a HeaderMap) -> Result<&'a str, Refusal> {
    let host = headers
        .get(header::HOST)
        .and_then(|v| v.to_str().ok())
        .filter(|h| is_authority(h));
    match (host, uri.authority()) {
        (Some(host), None) => Ok(host),
        (Some(host), Some(authority)) if host == authority.as_str() => Ok(host),
        (Some(_), Some(_)) => Err(Refusal::HostMismatch),
        (None, Some(authority)) if version == Version::HTTP_2 => Ok(authority.as_str()),
        (None, _) => Err(Refusal::Host),
    }
}

fn is_authority(host: &str) -> bool {
    !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
}

fn target(path: &str) -> Target<'_> {
    if let Some(name) = path.strip_prefix("/_updraft/") {
        return Target::Own(name);
    }
    match split_cluster(path) {
        Some((cluster, rest)) => Target::Cluster {
            cluster,
            area: area(rest),
        },
        None => Target::Nowhere,
    }
}

/// Splits `/airflow-webserver-7/dags` into 7 and `/dags`; the number has one spelling.
pub(crate) fn split_cluster(path: &str) -> Option<(ClusterId, &str)> {
    let rest = path.strip_prefix(CLUSTER_PREFIX)?;
    let end = rest.bytes().position(|b| b == b'/').unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(end);
    let canonical =
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    let number = digits.parse().ok().filter(|_| canonical)?;
    Some((ClusterId(number), rest))
}

fn area(rest: &str) -> Area<'_> {
    let Some(below) = rest.strip_prefix('/') else {
        return Area::Bare;
    };
    if is_execution(below) {
        return Area::Execution;
    }
    match below.strip_prefix("static/") {
        Some(file) if !file.is_empty() => Area::Static(file),
        _ => Area::Airflow,
    }
}

/// Also behind a repeated prefix, in case a server strips it more than once, and in any case of letters.
fn is_execution(below: &str) -> bool {
    let first = below.split(['/', ';']).next().unwrap_or_default();
    if first.eq_ignore_ascii_case("execution") {
        return true;
    }
    let again = below.find('/').and_then(|end| below.get(end + 1..));
    match again {
        Some(again) if first.strip_prefix("airflow-webserver-").is_some() => is_execution(again),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
