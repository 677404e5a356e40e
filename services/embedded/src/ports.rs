//! Whether a port on 127.0.0.1 is free, and if not, who has it.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};

use crate::{Error, Result};

/// State `LISTEN` in `/proc/net/tcp` (include/net/tcp_states.h).
const LISTENING: &str = "0A";

/// Refuses when anyone listens on that port of 127.0.0.1.
///
/// # Errors
/// [`Error::PortTaken`] with the holder, if `/proc` tells.
pub fn ensure_free(port: u16, purpose: &str) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_listener) => Ok(()),
        Err(error) => {
            let holder = match error.kind() {
                ErrorKind::AddrInUse => holder(port).unwrap_or_else(|| "another program".into()),
                ErrorKind::PermissionDenied => "the system (ports below 1024 are root's)".into(),
                _ => error.to_string(),
            };
            Err(Error::PortTaken {
                port,
                purpose: purpose.to_owned(),
                holder,
            })
        }
    }
}

/// The program that listens on that port, as `nginx (process 812)`. Only root sees everyone's.
fn holder(port: u16) -> Option<String> {
    let sockets: HashSet<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .collect();
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: i32 = process.file_name().to_str()?.parse().ok()?;
        let owns = fs::read_dir(process.path().join("fd"))
            .ok()?
            .flatten()
            .any(|descriptor| {
                fs::read_link(descriptor.path()).is_ok_and(|target| {
                    let target = target.to_string_lossy();
                    let inode = target
                        .strip_prefix("socket:[")
                        .and_then(|rest| rest.strip_suffix(']'));
                    inode.is_some_and(|inode| sockets.contains(inode))
                })
            });
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        owns.then(|| format!("{} (process {pid})", name.trim()))
    })
}

fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let rows = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(1).is_some_and(|local| local.ends_with(&suffix)))
        .filter(|row| row.get(3) == Some(&LISTENING))
        .filter_map(|row| row.get(9).map(|inode| (*inode).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_port_is_named_with_its_holder_and_the_remedy() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let message = ensure_free(port, "the console").unwrap_err().to_string();
        assert!(message.contains(&port.to_string()), "{message}");
        assert!(message.contains("the console"), "{message}");
        assert!(
            message.contains(&format!("process {}", std::process::id())),
            "{message}"
        );
        assert!(message.contains("--port-base"), "{message}");
        drop(listener);
        ensure_free(port, "the console").unwrap();
    }
}
