//! HTTP/2 as tunnels use it: windows, limits, and what both sides do when the other misbehaves.
//!
//! A stream's window bounds what may wait for a reader who does not read. The connection's window has room for every
//! stream's, so that no stream waits for another's reader.

use std::time::Duration;

use bytes::Bytes;
use h2::{client, server};

/// Connections through one tunnel at a time.
pub(crate) const STREAMS: u32 = 1024;
/// At 40 ms a round trip: 6 MB/s for each connection.
pub(crate) const NARROWEST: u32 = 256 << 10;
/// At 40 ms a round trip: 100 MB/s.
pub(crate) const WIDEST: u32 = 4 << 20;
/// Room for all streams that an edge's readers may hold up.
pub(crate) const ALL_WINDOWS: u32 = 384 << 20;
const SEND_BUFFER: usize = 128 << 10;
const FRAME: u32 = 32 << 10;
/// Names and addresses: requests and answers have no other headers.
const HEADERS: u32 = 4 << 10;
/// Browsers give up many requests at once. What is still under way for these is no offence, for so long.
const GIVEN_UP: usize = 2 * STREAMS as usize;
const GIVEN_UP_FOR: Duration = Duration::from_secs(30);

/// The one thing that can be asked for.
pub(crate) const AIRFLOW: &str = "airflow";

pub(crate) fn near() -> client::Builder {
    let mut builder = client::Builder::new();
    builder
        .initial_window_size(WIDEST)
        .initial_connection_window_size(ALL_WINDOWS)
        .initial_max_send_streams(STREAMS as usize)
        .max_send_buffer_size(SEND_BUFFER)
        .max_frame_size(FRAME)
        .max_header_list_size(HEADERS)
        .max_concurrent_streams(0)
        .max_concurrent_reset_streams(GIVEN_UP)
        .reset_stream_duration(GIVEN_UP_FOR)
        .enable_push(false);
    builder
}

pub(crate) fn far() -> server::Builder {
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(NARROWEST)
        .initial_connection_window_size(STREAMS * NARROWEST)
        .max_send_buffer_size(SEND_BUFFER)
        .max_frame_size(FRAME)
        .max_header_list_size(HEADERS)
        .max_concurrent_streams(STREAMS)
        .max_concurrent_reset_streams(GIVEN_UP)
        .max_pending_accept_reset_streams(GIVEN_UP)
        .reset_stream_duration(GIVEN_UP_FOR);
    builder
}

pub(crate) type Requests = client::SendRequest<Bytes>;
