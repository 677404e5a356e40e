//! Keeps clusters' processes apart on the loopback of one machine, where every process may otherwise reach every other.
//!
//! A table of this installation's own: a cluster's user reaches its own nodes' addresses, the metadata Postgres and the
//! S3 ports, what the installation opened of its tenant's own ([`super::Openings`]), and nothing else on the loopback, nor the machine's metadata service; nobody but root and Updraft's own user reaches another's nodes. It is
//! written as a whole whenever a node comes or goes, in one transaction. Needs root, users per cluster, and `nft`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Stdio;

use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// What stays reachable beside a cluster's own nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// Users that reach every node: that of control and edge. Root always does.
    pub trusted: Vec<u32>,
    /// Ports on 127.0.0.1 that services need: the metadata Postgres and S3.
    pub shared_ports: Vec<u16>,
}

#[derive(Debug, Error)]
pub enum IsolationError {
    #[error("clusters are not kept apart on this machine's loopback: install `nft` (package nftables)")]
    NoNft(#[source] std::io::Error),
    #[error("clusters are not kept apart on this machine's loopback: nft says: {0}")]
    Refused(String),
}

/// The whole table. `nodes`: addresses by the user of their cluster.
pub(super) fn table(
    network: (Ipv4Addr, u8),
    isolation: &Isolation,
    nodes: &BTreeMap<u32, Vec<Ipv4Addr>>,
    openings: &BTreeMap<u32, Vec<SocketAddrV4>>,
) -> String {
    let network_of_nodes = network;
    let (name, network) = (name_of(network.0), format!("{}/{}", network.0, network.1));
    let trusted = list([0].iter().chain(&isolation.trusted));
    let (mut rules, mut beyond) = (String::new(), String::new());
    for (user, addresses) in nodes {
        let _ = writeln!(
            rules,
            "    meta skuid {user} ip daddr {{ {} }} accept",
            list(addresses)
        );
    }
    for (user, opened) in openings {
        // Nobody's node, whatever a name leads to.
        for one in opened
            .iter()
            .filter(|one| !is_within(*one.ip(), network_of_nodes))
        {
            let _ = writeln!(
                rules,
                "    meta skuid {user} ip daddr {} tcp dport {} accept",
                one.ip(),
                one.port()
            );
        }
    }
    if !nodes.is_empty() {
        let users = list(nodes.keys());
        if !isolation.shared_ports.is_empty() {
            let ports = list(&isolation.shared_ports);
            let _ = writeln!(
                rules,
                "    meta skuid {{ {users} }} ip daddr 127.0.0.1 tcp dport {{ {ports} }} accept"
            );
        }
        // Resolvers on the loopback, but no node's.
        let _ = writeln!(
            rules,
            "    meta skuid {{ {users} }} ip daddr != {network} meta l4proto {{ tcp, udp }} th dport 53 accept"
        );
        let _ = writeln!(rules, "    meta skuid {{ {users} }} reject");
        // Who asks a cloud's metadata service is this machine to it; some answer as a resolver there too.
        let _ = writeln!(
            beyond,
            "    meta skuid {{ {users} }} ip daddr 169.254.0.0/16 meta l4proto {{ tcp, udp }} th dport != 53 reject\n    \
             meta skuid {{ {users} }} ip6 daddr fd00:ec2::254 reject"
        );
    }
    format!(
        "table inet {name} {{}}\n\
         delete table inet {name}\n\
         table inet {name} {{\n  \
           chain output {{\n    \
             type filter hook output priority 0; policy accept;\n\
             {beyond}    \
             oifname != \"lo\" accept\n    \
             ct state established,related accept\n    \
             meta skuid {{ {trusted} }} accept\n\
             {rules}    \
             ip daddr {network} reject\n  \
           }}\n\
         }}\n"
    )
}

/// Puts the table in force, all of it or nothing.
pub(super) async fn apply(table: &str) -> Result<(), IsolationError> {
    run(&["-f", "-"], table).await
}

/// Takes the installation's table away.
pub(super) async fn lift(network: (Ipv4Addr, u8)) -> Result<(), IsolationError> {
    let name = name_of(network.0);
    run(
        &["-f", "-"],
        &format!("table inet {name} {{}}\ndelete table inet {name}\n"),
    )
    .await
}

async fn run(arguments: &[&str], input: &str) -> Result<(), IsolationError> {
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .spawn()
        .map_err(IsolationError::NoNft)?;
    let refused = |error: std::io::Error| IsolationError::Refused(error.to_string());
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await.map_err(refused)?;
    }
    let output = child.wait_with_output().await.map_err(refused)?;
    if output.status.success() {
        Ok(())
    } else {
        Err(IsolationError::Refused(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}

fn is_within(address: Ipv4Addr, (network, prefix): (Ipv4Addr, u8)) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
    (u32::from(address) & mask) == (u32::from(network) & mask)
}

/// Of this installation: its network is its own.
fn name_of(network: Ipv4Addr) -> String {
    let [_, second, third, _] = network.octets();
    format!("updraft_{second}_{third}")
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    use super::{Isolation, table};

    #[test]
    fn what_is_opened_is_one_clusters_alone_and_never_a_node() {
        let isolation = Isolation {
            trusted: vec![7],
            shared_ports: vec![5432],
        };
        let nodes = BTreeMap::from([
            (1001, vec![Ipv4Addr::new(127, 64, 0, 1)]),
            (1002, vec![Ipv4Addr::new(127, 64, 0, 2)]),
        ]);
        let openings = BTreeMap::from([(
            1001,
            vec![
                "127.0.0.1:6432".parse().unwrap(),
                "127.64.0.2:6379".parse().unwrap(),
            ],
        )]);
        let rules = table((Ipv4Addr::new(127, 64, 0, 0), 16), &isolation, &nodes, &openings);
        assert!(
            rules.contains("meta skuid 1001 ip daddr 127.0.0.1 tcp dport 6432 accept"),
            "{rules}"
        );
        assert!(
            !rules.contains("skuid 1002 ip daddr 127.0.0.1 tcp dport 6432"),
            "{rules}"
        );
        assert!(!rules.contains("dport 6379"), "{rules}");
        let (opened, closed) = (rules.find("dport 6432").unwrap(), rules.find("} reject").unwrap());
        assert!(opened < closed, "{rules}");
    }
}
