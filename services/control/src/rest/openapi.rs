//! The OpenAPI document's frame; its paths come from the operations themselves.

use utoipa::OpenApi as _;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder,
    SecurityRequirement, Server,
};

#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(
    updraft_api::Problem,
    updraft_api::rest::ServiceVerb,
    updraft_api::audit::AuditOf
)))]
struct Shared;

/// Adds to the operations what they all have: address, credentials, and problems as answers.
pub(crate) fn document(operations: OpenApi) -> OpenApi {
    let mut document = OpenApiBuilder::from(operations)
        .info(
            InfoBuilder::new()
                .title("Updraft")
                .version("v1")
                .description(Some(
                    "Clusters of Apache Airflow as a service. Errors are RFC 9457 problems with a stable `type`.",
                ))
                .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
                .build(),
        )
        .servers(Some([Server::new("/api/v1")]))
        .build();
    document.merge(Shared::openapi());
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The token of `POST /sessions`."))
        .build();
    let cookie = ApiKeyValue::with_description(
        "updraft_session",
        "The console's session, from its own pages only.",
    );
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    document.security = Some(vec![
        SecurityRequirement::new("bearer", no_scopes()),
        SecurityRequirement::new("cookie", no_scopes()),
    ]);
    add_problems(&mut document);
    document
}

fn add_problems(document: &mut OpenApi) {
    let problem = ResponseBuilder::new()
        .description("A problem: what happened, why, and what to do")
        .content(
            "application/problem+json",
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("Problem")))
                .build(),
        )
        .build();
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ]
        .into_iter()
        .flatten();
        for operation in operations {
            operation
                .responses
                .responses
                .insert("default".to_owned(), problem.clone().into());
        }
    }
}

fn no_scopes() -> [&'static str; 0] {
    []
}
