//! `GET /clusters/{id}/people`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use updraft_api::access::ClusterPerson;
use updraft_api::rest::Page;
use updraft_app::{App, PageRequest, PeopleFilter};
use updraft_model::ClusterId;
use utoipa::IntoParams;

use crate::rest::{ApiPath, ApiQuery, ApiResult, Caller};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// In name or address.
    query: Option<String>,
    /// Only those who have a role on the cluster.
    #[serde(default)]
    with_role: bool,
    /// What the page before gave as `next`.
    cursor: Option<String>,
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
}

/// List people, with what each may do on a cluster
///
/// Everybody in the organisation, by address: to see who has access and through what, and to choose whom to give a
/// role. For admins of the cluster, who see names and addresses alone of people without a role.
#[utoipa::path(get, path = "/clusters/{id}/people", tag = "access", operation_id = "list_cluster_people",
    params(("id" = ClusterId, Path, description = "The cluster"), Filter),
    responses((status = 200, description = "A page of people", body = Page<ClusterPerson>)))]
pub(super) async fn list_cluster_people(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
    ApiQuery(filter): ApiQuery<Filter>,
) -> ApiResult<Json<Page<ClusterPerson>>> {
    let Filter {
        query,
        with_role,
        cursor,
        limit,
    } = filter;
    let people = PeopleFilter { query, with_role };
    let page = PageRequest { cursor, limit };
    Ok(Json(app.list_cluster_people(&actor, id, people, page).await?))
}
