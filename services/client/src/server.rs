//! The server itself: health, and the runtimes it offers.

use updraft_api::rest::{ConfigOptionView, Health, Page};

use crate::call::Call;
use crate::{Client, ClientError};

impl Client {
    /// `GET /health`: needs no token.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.fetch(Call::get("health")).await
    }

    /// `GET /runtimes/{name}/config-options`, all pages.
    pub async fn config_options(&self, runtime: &str) -> Result<Vec<ConfigOptionView>, ClientError> {
        let path = format!("runtimes/{}/config-options", segment(runtime));
        self.all(|cursor| Call::get(path.clone()).query("cursor", cursor))
            .await
    }

    /// Follows `next` to the end of a list.
    pub(crate) async fn all<T: serde::de::DeserializeOwned>(
        &self,
        page: impl Fn(Option<String>) -> Call,
    ) -> Result<Vec<T>, ClientError> {
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let Page { items: more, next } = self.fetch::<Page<T>>(page(cursor.clone())).await?;
            let nothing_new = more.is_empty();
            items.extend(more);
            if next.is_none() || next == cursor || nothing_new {
                return Ok(items);
            }
            cursor = next;
        }
    }
}

/// One path segment, whatever it holds.
pub(crate) fn segment(text: &str) -> String {
    // The form encoding differs from a path's only in its `+`.
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(segment("airflow-3.3.2"), "airflow-3.3.2");
        assert_eq!(segment("../me?x#y z"), "..%2Fme%3Fx%23y%20z");
    }
}
