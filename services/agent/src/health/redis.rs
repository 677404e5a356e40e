//! The broker: PING must be answered with PONG, signed in.

use std::time::Duration;

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo, RedisResult,
};

use super::Outcome;

const WITHIN: Duration = Duration::from_secs(3);

pub(super) async fn ping(address: &str, password: Option<&str>) -> Outcome {
    let asked = tokio::time::timeout(WITHIN, async {
        let mut connection = client(address, password)?
            .get_multiplexed_async_connection()
            .await?;
        redis::cmd("PING").query_async::<String>(&mut connection).await
    });
    match asked.await {
        Ok(Ok(answer)) if answer == "PONG" => Outcome::Healthy,
        Ok(Ok(_)) => Outcome::Unhealthy(format!("{address} answers PING with something else")),
        Ok(Err(error)) => Outcome::Unhealthy(format!("{address}: {}", error.category())),
        Err(_) => Outcome::Unhealthy(format!("{address} does not answer in time")),
    }
}

/// A client that signs in with the password.
pub(super) fn client(address: &str, password: Option<&str>) -> RedisResult<Client> {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "6379"));
    let port = port.parse().unwrap_or(6379);
    let mut settings = RedisConnectionInfo::default();
    if let Some(password) = password {
        settings = settings.set_password(password);
    }
    let info: ConnectionInfo = ConnectionAddr::Tcp(host.to_owned(), port).into_connection_info()?;
    Client::open(info.set_redis_settings(settings))
}
