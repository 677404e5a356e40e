//! Serves every page over made-up data: `cargo run -p updraft-console --example preview [port]`.

use anyhow::Context as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "7799".to_owned())
        .parse::<u16>()
        .context("the port")?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, updraft_console::preview::router()).await?;
    Ok(())
}
