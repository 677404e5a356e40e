//! The listeners of control, on loopback unless its settings say otherwise.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// For people: `localhost` in both of its meanings.
///
/// # Errors
/// When the port is taken.
pub(crate) async fn on_loopback(
    port: u16,
    router: Router,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let v4 = bind((Ipv4Addr::LOCALHOST, port).into()).await?;
    match bind((Ipv6Addr::LOCALHOST, port).into()).await {
        Ok(v6) => {
            tokio::try_join!(
                serve(v4, router.clone(), shutdown.clone()),
                serve(v6, router, shutdown)
            )?;
            Ok(())
        }
        // A machine without IPv6 knows only the one.
        Err(_) => serve(v4, router, shutdown).await,
    }
}

/// For agents and edges.
///
/// # Errors
/// When the port is taken.
pub(crate) async fn internally(port: u16, router: Router, shutdown: CancellationToken) -> anyhow::Result<()> {
    serve(bind((Ipv4Addr::LOCALHOST, port).into()).await?, router, shutdown).await
}

/// Where the settings say.
///
/// # Errors
/// When the address is taken, or is not this machine's.
pub(crate) async fn at(
    address: SocketAddr,
    router: Router,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    serve(bind(address).await?, router, shutdown).await
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on"))
}

/// Long polls and event streams do not end by themselves: after the signal they are given a moment.
async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) -> anyhow::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let stopping = shutdown.clone();
    let server =
        axum::serve(listener, service).with_graceful_shutdown(async move { stopping.cancelled().await });
    let patience = async move {
        shutdown.cancelled().await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    };
    tokio::select! {
        done = async move { server.await } => Ok(done?),
        () = patience => Ok(()),
    }
}
