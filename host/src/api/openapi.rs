//! The OpenAPI document: what the routes say of themselves, in a frame, with what holds for all of them added.

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::routing::get;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder};

use super::App;
use super::error::Problem;

/// Title, version and the way in.
pub(super) fn frame() -> OpenApi {
    let about = "One service in front of bare metal: instances on nodes that are composed, enrolled and deployed by drivers. \
                 Errors are problem+json with a stable `code`. Without any token the service listens on loopback only.";
    let info = InfoBuilder::new().title("moganite").version("1").description(Some(about)).build();
    let components = ComponentsBuilder::new()
        .schema_from::<Problem>()
        .security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .security(Some([SecurityRequirement::new("token", Vec::<String>::new())]))
        .build()
}

/// `GET /openapi.json`, with the answer that every route may give: a problem.
pub(super) fn serve(mut document: OpenApi) -> Router<App> {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        operations.into_iter().flatten().for_each(complete);
    }
    // Written once: it does not change while the service runs.
    let text = document.to_json().map(Bytes::from).map_err(|e| Problem::new("internal", e.to_string()));
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Router::new().route("/openapi.json", get(move || std::future::ready(text.clone().map(|text| (kind, text)))))
}

/// Names it `tag.function`, since functions of two resources may have one name, and adds the problem.
fn complete(operation: &mut Operation) {
    let tag = operation.tags.as_ref().and_then(|tags| tags.first()).cloned().unwrap_or_default();
    operation.operation_id = operation.operation_id.take().map(|id| format!("{tag}.{id}"));
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    let problem =
        ResponseBuilder::new().description("what went wrong").content("application/problem+json", content).build();
    operation.responses.responses.insert("default".into(), problem.into());
}
