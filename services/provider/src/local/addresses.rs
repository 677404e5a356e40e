//! Loopback addresses of nodes: 4,096 of 127.64.0.0/10 for each installation, chosen by its data directory, each given
//! out as late again as possible.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::layout::{LocalLayout, read_json, write_json};

const NETWORK: u32 = u32::from_be_bytes([127, 64, 0, 0]);
const BLOCKS: u32 = 1 << 10;
const BLOCK: u32 = 1 << 12;
/// Ports every node listens on: relay, API server, broker. Taken ones tell of another installation on the address.
const PROBED: [u16; 3] = [7443, 8080, 6379];

/// What is kept of the addresses given out.
#[derive(Serialize, Deserialize)]
struct Book {
    block: u32,
    next: u32,
}

/// The installation's addresses, for the firewall.
pub(super) fn network_of(layout: &LocalLayout, data_dir: &Path) -> (Ipv4Addr, u8) {
    (Ipv4Addr::from(NETWORK + open(layout, data_dir).block * BLOCK), 20)
}

/// An address that no node here has and on which nobody listens.
pub(super) fn allocate(layout: &LocalLayout, data_dir: &Path) -> io::Result<Ipv4Addr> {
    let taken: HashSet<Ipv4Addr> = layout
        .nodes()
        .into_iter()
        .map(|(_, record)| record.address)
        .collect();
    let mut book = open(layout, data_dir);
    for _ in 0..BLOCK {
        let address = Ipv4Addr::from(NETWORK + book.block * BLOCK + book.next);
        book.next = (book.next + 1) % BLOCK;
        let usable = !matches!(address.octets()[3], 0 | 255);
        if usable && !taken.contains(&address) && is_quiet(address) {
            write_json(&layout.addresses(), &book)?;
            return Ok(address);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        "every address of this installation is taken",
    ))
}

fn open(layout: &LocalLayout, data_dir: &Path) -> Book {
    let kept = read_json::<Book>(&layout.addresses()).filter(|book| book.block < BLOCKS && book.next < BLOCK);
    kept.unwrap_or_else(|| Book {
        block: hash(data_dir) % BLOCKS,
        next: 1,
    })
}

fn is_quiet(address: Ipv4Addr) -> bool {
    PROBED
        .iter()
        .all(|port| TcpListener::bind((address, *port)).is_ok())
}

/// FNV-1a: the same for every build of this program.
fn hash(path: &Path) -> u32 {
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    let hash = path.as_os_str().as_encoded_bytes().iter().fold(0x811C_9DC5, mix);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_not_given_out_again_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let layout = LocalLayout::below(dir.path());
        layout.ensure().unwrap();
        let given: HashSet<_> = (0..20).map(|_| allocate(&layout, dir.path()).unwrap()).collect();
        assert_eq!(given.len(), 20);
        let (network, prefix) = network_of(&layout, dir.path());
        assert_eq!(prefix, 20);
        for address in given {
            assert_eq!(u32::from(address) >> 12, u32::from(network) >> 12);
            assert!(address.is_loopback() && address.octets()[1] >= 64);
        }
    }

    #[test]
    fn an_address_somebody_listens_on_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let layout = LocalLayout::below(dir.path());
        layout.ensure().unwrap();
        let first = Ipv4Addr::from(u32::from(network_of(&layout, dir.path()).0) + 1);
        let _taken = TcpListener::bind((first, 7443)).unwrap();
        assert_ne!(allocate(&layout, dir.path()).unwrap(), first);
    }
}
