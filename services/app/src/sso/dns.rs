//! Looking up TXT records. A seam: tests bring records of their own.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;

/// What DNS says under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxtAnswer {
    /// All records; none is an answer too.
    Records(Vec<String>),
    /// No answer: it says nothing of the records.
    Unknown,
}

pub trait TxtRecords: fmt::Debug + Send + Sync {
    fn look_up<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = TxtAnswer> + Send + 'a>>;
}

/// The machine's own resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDns;

// === impl SystemDns ===

impl TxtRecords for SystemDns {
    fn look_up<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = TxtAnswer> + Send + 'a>> {
        Box::pin(async move {
            // Made anew each time: look-ups are rare, and an old answer is what "check now" must not give.
            match TokioResolver::builder_tokio().and_then(|builder| builder.build()) {
                Ok(resolver) => ask(&resolver, name).await,
                Err(_) => TxtAnswer::Unknown,
            }
        })
    }
}

async fn ask(resolver: &TokioResolver, name: &str) -> TxtAnswer {
    // Absolute: no search list of this machine is tried.
    match resolver.txt_lookup(format!("{name}.")).await {
        Ok(found) => TxtAnswer::Records(
            found
                .answers()
                .iter()
                .filter_map(|record| text(&record.data))
                .collect(),
        ),
        Err(error) if error.is_no_records_found() => TxtAnswer::Records(Vec::new()),
        Err(error) => {
            tracing::info!(%error, dns.name = name, "A TXT record could not be looked up");
            TxtAnswer::Unknown
        }
    }
}

/// A record may come in pieces (RFC 7208, section 3.3).
fn text(data: &RData) -> Option<String> {
    let RData::TXT(txt) = data else { return None };
    Some(
        txt.txt_data
            .iter()
            .map(|piece| String::from_utf8_lossy(piece))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    //! Against a real server, on loopback: what it says, and what it leaves unsaid.

    use std::net::{IpAddr, Ipv4Addr, SocketAddr};
    use std::sync::Arc;
    use std::time::Duration;

    use hickory_resolver::TokioResolver;
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use hickory_resolver::proto::rr::rdata::{A, SOA, TXT};
    use hickory_resolver::proto::rr::{Name, RData, Record};
    use hickory_server::Server;
    use hickory_server::store::in_memory::InMemoryZoneHandler;
    use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
    use tokio::net::{TcpListener, UdpSocket};

    use super::{TxtAnswer, ask};

    const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    /// More than a UDP answer holds.
    const MANY: usize = 60;

    /// A server of `example.com`.
    struct Dns {
        address: SocketAddr,
        _server: Server<Catalog>,
    }

    // === impl Dns ===

    impl Dns {
        async fn start(over_tcp: bool) -> Self {
            let (udp, tcp) = sockets().await;
            let mut server = Server::new(catalog());
            let address = udp.local_addr().unwrap();
            server.register_socket(udp);
            if over_tcp {
                server.register_listener(tcp, Duration::from_secs(5), 4);
            }
            Self {
                address,
                _server: server,
            }
        }

        async fn says(&self, name: &str) -> TxtAnswer {
            asked(self.address, name).await
        }
    }

    /// The same port for both.
    async fn sockets() -> (UdpSocket, TcpListener) {
        loop {
            let tcp = TcpListener::bind(HERE).await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                return (udp, tcp);
            }
        }
    }

    fn catalog() -> Catalog {
        let origin = name("example.com.");
        let mut zone: InMemoryZoneHandler =
            InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny);
        let soa = SOA::new(origin.clone(), origin.clone(), 1, 60, 60, 60, 60);
        let mut records = vec![("example.com.", RData::SOA(soa))];
        records.push(("address.example.com.", RData::A(A::new(192, 0, 2, 1))));
        records.push(("one.example.com.", txt(&["updraft-domain=abc"])));
        records.push(("pieces.example.com.", txt(&["updraft-", "domain=", "abc"])));
        records.push(("two.example.com.", txt(&["v=spf1 -all"])));
        records.push(("two.example.com.", txt(&["updraft-domain=abc"])));
        let many: Vec<_> = (0..MANY).map(|n| format!("{n:03}{}", "x".repeat(200))).collect();
        records.extend(many.iter().map(|text| ("many.example.com.", txt(&[text]))));
        for (owner, data) in records {
            zone.upsert_mut(Record::from_rdata(name(owner), 60, data), 1);
        }
        let mut catalog = Catalog::new();
        catalog.upsert(origin.into(), vec![Arc::new(zone)]);
        catalog
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn txt(pieces: &[&str]) -> RData {
        RData::TXT(TXT::new(pieces.iter().map(|piece| (*piece).to_owned()).collect()))
    }

    async fn asked(server: SocketAddr, name: &str) -> TxtAnswer {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        let server = NameServerConfig::new(server.ip(), true, connections.into());
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().timeout = Duration::from_millis(300);
        ask(&builder.build().unwrap(), name).await
    }

    fn records(texts: &[&str]) -> TxtAnswer {
        TxtAnswer::Records(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    #[tokio::test]
    async fn records_are_read_whole_and_all_of_them() {
        let dns = Dns::start(true).await;
        assert_eq!(
            dns.says("one.example.com").await,
            records(&["updraft-domain=abc"])
        );
        assert_eq!(
            dns.says("ONE.example.com").await,
            records(&["updraft-domain=abc"])
        );
        assert_eq!(
            dns.says("pieces.example.com").await,
            records(&["updraft-domain=abc"])
        );
        let TxtAnswer::Records(mut two) = dns.says("two.example.com").await else {
            panic!("an answer");
        };
        two.sort();
        assert_eq!(two, ["updraft-domain=abc", "v=spf1 -all"]);
    }

    #[tokio::test]
    async fn no_such_name_and_no_such_record_are_answers() {
        let dns = Dns::start(true).await;
        assert_eq!(dns.says("nobody.example.com").await, records(&[]));
        assert_eq!(dns.says("address.example.com").await, records(&[]));
    }

    #[tokio::test]
    async fn a_long_answer_comes_by_tcp_and_never_in_part() {
        let TxtAnswer::Records(found) = Dns::start(true).await.says("many.example.com").await else {
            panic!("an answer");
        };
        assert_eq!(found.len(), MANY);
        let without_tcp = Dns::start(false).await;
        assert_eq!(without_tcp.says("many.example.com").await, TxtAnswer::Unknown);
        assert_eq!(
            without_tcp.says("one.example.com").await,
            records(&["updraft-domain=abc"])
        );
    }

    #[tokio::test]
    async fn a_server_that_refuses_or_is_silent_says_nothing_of_the_records() {
        let dns = Dns::start(true).await;
        assert_eq!(dns.says("one.example.net").await, TxtAnswer::Unknown, "refused");
        let (silent, _unserved) = sockets().await;
        let address = silent.local_addr().unwrap();
        assert_eq!(asked(address, "one.example.com").await, TxtAnswer::Unknown);
        drop(silent);
        assert_eq!(
            asked(address, "one.example.com").await,
            TxtAnswer::Unknown,
            "closed"
        );
    }
}
