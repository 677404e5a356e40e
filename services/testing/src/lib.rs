//! For tests alone: ports for servers that must be told theirs before they listen.
//!
//! One that the kernel picked may be given to another connection between its being picked and its being listened on. These
//! lie below what Linux gives out by itself (32,768 and up), and each process begins with others.

use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::{Mutex, PoisonError};

const FIRST: u16 = 10_000;
const PORTS: u32 = 7_000;
/// Without a common divisor with [`PORTS`]: processes that were begun one after the other start far apart.
const STRIDE: u32 = 2_621;

/// Nobody listens there, on any address of this machine.
#[must_use]
pub fn free_port() -> u16 {
    let [port] = free_ports();
    port
}

/// The same, in a row.
#[must_use]
pub fn free_ports<const N: usize>() -> [u16; N] {
    static NEXT: Mutex<Option<u16>> = Mutex::new(None);
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut row = row_at(next.unwrap_or_else(first_of_process));
    while !row.iter().all(|port| is_free(*port)) {
        row = row_at(row[0] + 1);
    }
    *next = row.last().map(|last| last + 1);
    row
}

fn first_of_process() -> u16 {
    let offset = process::id() % PORTS * STRIDE % PORTS;
    FIRST + u16::try_from(offset).unwrap_or(0)
}

fn row_at<const N: usize>(first: u16) -> [u16; N] {
    let mut port = first;
    [(); N].map(|()| {
        port += 1;
        port - 1
    })
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}
