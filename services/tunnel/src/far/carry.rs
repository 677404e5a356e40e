//! What comes through one tunnel, to the one address there is.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Method, Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http2::{self, AIRFLOW};
use crate::pace::Pace;
use crate::pulse;
use crate::stream::TunnelStream;

const BUFFER: usize = 32 << 10;

/// Until the tunnel ends.
pub(super) async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, target: SocketAddr, pace: Pace) {
    let (stream, reads) = pulse::Heard::new(stream);
    let handshake = http2::far().handshake::<_, Bytes>(stream);
    let Ok(Ok(mut connection)) = timeout(pace.introduce, handshake).await else {
        return;
    };
    let Some(pings) = connection.ping_pong() else {
        return;
    };
    let pulse = pulse::listen(pings, reads, pace);
    tokio::pin!(pulse);
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    tokio::spawn(answer(request, respond, target, pace));
                }
                Some(Err(_)) | None => return,
            },
            () = &mut pulse => return,
        }
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    target: SocketAddr,
    pace: Pace,
) {
    let asked = request.uri().authority().map(http::uri::Authority::as_str);
    if *request.method() != Method::CONNECT || asked != Some(AIRFLOW) {
        tracing::warn!("An edge asked for something that tunnels don't lead to");
        return refuse(&mut respond, StatusCode::FORBIDDEN);
    }
    let Ok(Ok(service)) = timeout(pace.connect, TcpStream::connect(target)).await else {
        return refuse(&mut respond, StatusCode::BAD_GATEWAY);
    };
    let _ = service.set_nodelay(true);
    let Ok(send) = respond.send_response(Response::new(()), false) else {
        return;
    };
    let (mut service, mut tunnel) = (service, TunnelStream::accepted(send, request.into_body()));
    // Either side's end is an ordinary end; an early one resets the stream, and closes the connection.
    let _ = copy_bidirectional_with_sizes(&mut tunnel, &mut service, BUFFER, BUFFER).await;
}

fn refuse(respond: &mut SendResponse<Bytes>, status: StatusCode) {
    let mut answer = Response::new(());
    *answer.status_mut() = status;
    if respond.send_response(answer, true).is_err() {
        respond.send_reset(Reason::CONNECT_ERROR);
    }
}
