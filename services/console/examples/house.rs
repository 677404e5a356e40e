use std::sync::Arc;
use updraft_app::{App, AppConfig, Quota};
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let database = updraft_store::testing::TestDatabase::create().await?;
    let key = updraft_authz::SigningKey::from_seed("test", &[7; 32])?;
    let app = App::new(
        database.store().clone(),
        Arc::new(updraft_runtimes::Catalogue::embedded()?),
        AppConfig::local(7798, 7797, key),
    )?;
    app.install_tenant(
        "Example",
        Quota {
            max_clusters: 5,
            max_nodes: 50,
        },
        "ada@example.com",
        "Ada",
        &"correct horse battery".to_owned().into(),
    )
    .await?;
    let l = tokio::net::TcpListener::bind("127.0.0.1:7798").await?;
    println!("{database:?}");
    let r = updraft_console::router(
        app,
        updraft_console::ConsoleConfig {
            console_url: url::Url::parse("http://localhost:7798")?,
        },
    );
    axum::serve(l, r.into_make_service_with_connect_info::<std::net::SocketAddr>()).await?;
    Ok(())
}
