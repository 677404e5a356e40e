//! One dial: to whichever edge the address leads to, and no further than its name if there are tunnels enough to that one.

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use updraft_model::EdgeId;

use super::FarSettings;
use crate::error::{DialError, TunnelError};
use crate::pace::Pace;
use crate::{hello, tls, wire};

/// An edge that has too few, and the way to it.
pub(super) type Won = (EdgeId, TlsStream<TcpStream>);

/// `None` for an edge that has enough.
pub(super) async fn dial(
    settings: &FarSettings,
    pace: Pace,
    wants: impl Fn(EdgeId) -> bool,
) -> Result<Option<Won>, DialError> {
    let dialling = async {
        let mut stream = connect(settings).await?;
        let edge = hello::introduce(&mut stream, settings.node, &settings.token).await?;
        if !wants(edge) {
            return Ok(None);
        }
        hello::keep(&mut stream).await?;
        Ok(Some((edge, stream)))
    };
    timeout(pace.introduce, dialling)
        .await
        .unwrap_or(Err(DialError::TimedOut))
}

async fn connect(settings: &FarSettings) -> Result<TlsStream<TcpStream>, DialError> {
    let connector = tls::connector(&settings.ca_pem)?;
    let name = ServerName::try_from(settings.server_name.clone())
        .map_err(|_| TunnelError::Certificates("the edges' name is none"))?;
    let stream = TcpStream::connect(&settings.address)
        .await
        .map_err(DialError::Connect)?;
    wire::tune(&stream);
    connector.connect(name, stream).await.map_err(DialError::Tls)
}
