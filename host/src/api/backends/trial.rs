//! Another plugin for a backend: for all of the next operations, or for a canary's; promoted, rolled back.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{BackendView, digest, title, whole};
use crate::api::App;
use crate::api::auth::Operator;
use crate::api::body::{Body, Key, Named};
use crate::api::error::{Problem, Result};
use crate::api::reason::{Reason, unsaid};
use crate::api::time;
use crate::model::{Canary, Name, Trial};
use crate::store::BREAKS;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(swap)).routes(routes!(promote)).routes(routes!(roll_back))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Swap {
    /// A plugin's digest, the first digits of it, its name, or name@version.
    #[serde(alias = "plugin")]
    digest: String,
    /// What it asks for beyond what is granted, each line as `asks_more` has it.
    #[serde(default)]
    grant: Vec<String>,
    /// Left out: all operations that begin from now on.
    canary: Option<CanaryBody>,
    /// Broken calls after which the plugin of now takes over again by itself, 1 to 1000; 3 when left out.
    breaks: Option<u32>,
    /// One line for the audit log.
    #[serde(default = "unsaid")]
    reason: String,
}

/// Either `operations` or `instance`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Canary)]
#[serde(deny_unknown_fields)]
struct CanaryBody {
    /// So many operations that begin next, 1 to 100000; when as many ended without a broken call, all are the new plugin's.
    operations: Option<u32>,
    /// All operations of this instance, by id or by name, until a person promotes it.
    instance: Option<String>,
    /// Of an instance by name; `default` when left out.
    #[schema(value_type = Option<String>)]
    project: Option<Name>,
}

/// A plugin that stays when its operations end whole, and is taken back when it breaks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Trial)]
pub(super) struct TrialView {
    revision: i64,
    digest: String,
    plugin: Option<String>,
    /// canary: it gets some operations; swap: all of them.
    kind: &'static str,
    /// Of a canary: operations that it still gets.
    remaining: Option<u32>,
    /// Of a canary: whose operations it gets.
    instance: Option<String>,
    /// Operations that ended.
    ended: u32,
    /// So many without a broken call, and it stays, a canary for all; null: a person says so.
    enough: Option<u32>,
    /// Calls that broke.
    broken: u32,
    /// So many, and it is taken back.
    breaks: u32,
    since: String,
}

/// The next operations use this plugin, with the settings as they are: all of them, or a canary's; those that run end on theirs. It is on
/// trial until 100 operations ended, or a canary's: when it breaks too often, the plugin of now takes over again by itself.
#[utoipa::path(put, path = "/v1/backends/{name}/plugin", tag = "backends", params(("name" = String, Path)), request_body = Swap, responses((status = 200, body = BackendView)))]
async fn swap(
    Operator(caller): Operator,
    State(app): State<App>,
    Named(name): Named,
    Body(body): Body<Swap>,
) -> Result<impl IntoResponse> {
    app.store().newest_revision(&name).await?.ok_or_else(|| Problem::not_found("backend", &name))?;
    let digest = digest(&app, &body.digest)?;
    let canary = body.canary.map(Canary::try_from).transpose()?;
    let breaks = body.breaks.unwrap_or(BREAKS);
    if !(1..=1000).contains(&breaks) {
        return Err(Problem::new("invalid-field", "breaks: 1 to 1000"));
    }
    let by = caller.says(body.reason)?;
    app.lifecycle.swap(&name, digest, body.grant, canary, breaks, by).await.map_err(Problem::in_body)?;
    whole(&app, &name).await
}

/// Lets a canary's plugin have all operations that begin from now on.
#[utoipa::path(post, path = "/v1/backends/{name}/promote", tag = "backends", params(("name" = String, Path)), request_body = Reason, responses((status = 200, body = BackendView)))]
async fn promote(
    Operator(caller): Operator,
    State(app): State<App>,
    Named(name): Named,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<impl IntoResponse> {
    app.lifecycle.promote(&name, caller.says(reason)?).await?;
    whole(&app, &name).await
}

/// Ends a canary; or lets the plugin that ran before run again, with the settings that it had then, also one below the floor. Operations
/// that run end on what they began with.
#[utoipa::path(post, path = "/v1/backends/{name}/roll-back", tag = "backends", params(("name" = String, Path)), request_body = Reason, responses((status = 200, body = BackendView)))]
async fn roll_back(
    Operator(caller): Operator,
    State(app): State<App>,
    Named(name): Named,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<impl IntoResponse> {
    app.lifecycle.roll_back(&name, caller.says(reason)?).await?;
    whole(&app, &name).await
}

impl TryFrom<CanaryBody> for Canary {
    type Error = Problem;

    fn try_from(body: CanaryBody) -> Result<Self> {
        let wrong = |what: &str| Problem::new("invalid-field", format!("canary: {what}"));
        match (body.operations, body.instance, body.project) {
            (Some(operations @ 1..=100_000), None, None) => Ok(Self::Next(operations)),
            (Some(_), None, None) => Err(wrong("1 to 100000 operations")),
            (None, Some(instance), project) => {
                let usual = || Name::parse("project", "default");
                let project = project.map_or_else(usual, Ok)?;
                Ok(Self::Instance { instance, project })
            }
            _ => Err(wrong("either operations, or an instance with its project")),
        }
    }
}

impl TrialView {
    pub(super) fn of(app: &App, trial: Trial) -> Self {
        let (remaining, instance) = match &trial.canary {
            Some(Canary::Next(operations)) => (Some(*operations), None),
            Some(Canary::Instance { instance, .. }) => (None, Some(instance.clone())),
            None => (None, None),
        };
        Self {
            revision: trial.revision.0,
            plugin: title(app, &trial.digest),
            digest: trial.digest.to_string(),
            kind: if trial.canary.is_some() { "canary" } else { "swap" },
            remaining,
            instance,
            ended: trial.ended,
            enough: trial.enough,
            broken: trial.broken,
            breaks: trial.most,
            since: time::show(trial.since),
        }
    }
}
