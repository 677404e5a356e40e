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
            let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
            let Ok(resolver) = resolver else {
                return TxtAnswer::Unknown;
            };
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
        })
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
