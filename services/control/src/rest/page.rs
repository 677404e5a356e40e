//! `?cursor=` and `?limit=`.

use serde::Deserialize;
use updraft_app::PageRequest;
use utoipa::IntoParams;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200 items; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl From<PageQuery> for PageRequest {
    fn from(query: PageQuery) -> Self {
        Self {
            cursor: query.cursor,
            limit: query.limit,
        }
    }
}
