//! Images: an operator registers what each backend calls them, users name them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Operator, Reader};
use super::body::{Asked, Body, Key, Named};
use super::error::{Problem, Result};
use super::page::{Page, Paging};
use crate::model::{Image, Name};
use crate::store::{Lane, Remove};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, put, remove))
}

/// What a user may put on a node.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Image)]
#[serde(deny_unknown_fields)]
struct ImageBody {
    /// `[a-z][a-z0-9-]{0,62}`; in a PUT it may be left out.
    #[schema(value_type = Option<String>)]
    name: Option<Name>,
    /// By deploying backend: the object that its driver gets. Shown to operators only: it may name addresses inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Object>>)]
    backends: Option<BTreeMap<Name, Map<String, Value>>>,
}

/// All images, by name.
#[utoipa::path(get, path = "/v1/images", tag = "images", params(Paging), responses((status = 200, body = Page<ImageBody>)))]
async fn list(
    Reader(caller): Reader,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<ImageBody>>> {
    let images = app.store().images().await?;
    let page = Page::cut("images", &paging, images, |image| image.name.to_string())?;
    Ok(Json(page.map(|image| ImageBody::of(image, caller.is_operator()))))
}

/// Adds an image. The same again is no error; another content under the name is.
#[utoipa::path(post, path = "/v1/images", tag = "images", request_body = ImageBody, responses((status = 201, body = ImageBody)))]
async fn create(
    _: Operator,
    State(app): State<App>,
    _: Key,
    Body(body): Body<ImageBody>,
) -> Result<(StatusCode, Json<ImageBody>)> {
    let name = body.name.clone().ok_or_else(|| Problem::new("invalid-field", "name: is missing"))?;
    let image = body.into_image(name)?;
    if app.store().image(&image.name).await?.is_some_and(|old| old != image) {
        return Err(Problem::new("already-exists", format!("another image is named {}", image.name)));
    }
    app.lifecycle.put_image(image.clone()).await.map_err(Problem::in_body)?;
    Ok((StatusCode::CREATED, Json(ImageBody::of(image, true))))
}

/// One image.
#[utoipa::path(get, path = "/v1/images/{name}", tag = "images", params(("name" = String, Path)), responses((status = 200, body = ImageBody)))]
async fn show(Reader(caller): Reader, State(app): State<App>, Named(name): Named) -> Result<Json<ImageBody>> {
    let image = app.store().image(&name).await?.ok_or_else(|| Problem::not_found("image", &name))?;
    Ok(Json(ImageBody::of(image, caller.is_operator())))
}

/// Writes an image, new or in place of the old one. Instances keep what they were made from.
#[utoipa::path(put, path = "/v1/images/{name}", tag = "images", params(("name" = String, Path)), request_body = ImageBody, responses((status = 200, body = ImageBody)))]
async fn put(
    _: Operator,
    State(app): State<App>,
    Named(name): Named,
    Body(body): Body<ImageBody>,
) -> Result<Json<ImageBody>> {
    if body.name.as_ref().is_some_and(|inside| *inside != name) {
        return Err(Problem::new("invalid-field", format!("name: the path says {name}")));
    }
    let image = body.into_image(name)?;
    app.lifecycle.put_image(image.clone()).await.map_err(Problem::in_body)?;
    Ok(Json(ImageBody::of(image, true)))
}

/// Takes an image out of the catalog.
#[utoipa::path(delete, path = "/v1/images/{name}", tag = "images", params(("name" = String, Path)), responses((status = 204)))]
async fn remove(_: Operator, State(app): State<App>, Named(name): Named) -> Result<StatusCode> {
    if !app.store().write(Lane::Interactive, Remove::Image(name.clone())).await? {
        return Err(Problem::not_found("image", name));
    }
    Ok(StatusCode::NO_CONTENT)
}

impl ImageBody {
    fn of(image: Image, operator: bool) -> Self {
        Self { name: Some(image.name), backends: operator.then_some(image.backends) }
    }

    fn into_image(self, name: Name) -> Result<Image> {
        let backends = self.backends.ok_or_else(|| Problem::new("invalid-field", "backends: is missing"))?;
        Ok(Image { name, backends })
    }
}
