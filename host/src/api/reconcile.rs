//! Reconcile: after a restore, what the far sides know and this database does not, and the other way round. Flows run when all is decided.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Operator;
use super::body::{Body, Key};
use super::error::{Problem, Result};
use super::orphans::{MissingView, OrphanView, missing, orphans};
use super::reason::Reason;
use super::sweep::{SweptView, swept};
use super::time;
use crate::lifecycle::Decision;
use crate::model::Name;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(show, look))
        .routes(routes!(decide))
        .routes(routes!(without))
        .routes(routes!(done))
}

/// What was restored, and what differs.
#[derive(Debug, Serialize, ToSchema)]
struct Reconcile {
    /// When this store was restored; null: nothing waits for a reconcile, and flows run.
    restored_at: Option<String>,
    /// What is still to be done before flows run, a sentence each.
    to_do: Vec<String>,
    backends: Vec<SweptView>,
    /// Theirs and not ours.
    theirs: Vec<TheirDifference>,
    /// Ours and not theirs.
    ours: Vec<OurDifference>,
}

/// What one flow made there, or what is on one machine: it is decided as one.
#[derive(Debug, Serialize, ToSchema)]
struct TheirDifference {
    /// Of any of its parts.
    id: i64,
    /// release or keep; null: not decided.
    decision: Option<&'static str>,
    parts: Vec<OrphanView>,
}

/// What an instance holds and its backends do not know.
#[derive(Debug, Serialize, ToSchema)]
struct OurDifference {
    /// The instance.
    id: String,
    name: Option<String>,
    /// keep, or by-itself where a flow works on it; null: not decided.
    decision: Option<&'static str>,
    parts: Vec<MissingView>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Decide {
    of: Side,
    decision: Word,
    /// Of one difference. Left out: all of this side that are not decided.
    #[serde(default)]
    id: Option<String>,
    /// One line of 1 to 500 characters.
    reason: String,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Side {
    /// Theirs and not ours: release or keep.
    Theirs,
    /// Ours and not theirs: forget or keep.
    Ours,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Word {
    Release,
    Forget,
    Keep,
}

#[derive(Debug, Serialize, ToSchema)]
struct Decided {
    /// Differences.
    decided: usize,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Without {
    #[schema(value_type = String)]
    backend: Name,
    /// One line of 1 to 500 characters.
    reason: String,
}

/// What the last look found. Asks no far side.
#[utoipa::path(get, path = "/v1/reconcile", tag = "reconcile", responses((status = 200, body = Reconcile)))]
async fn show(_: Operator, State(app): State<App>) -> Result<Json<Reconcile>> {
    whole(&app).await
}

/// Looks at every backend now, and answers what differs.
#[utoipa::path(post, path = "/v1/reconcile", tag = "reconcile", responses((status = 200, body = Reconcile)))]
async fn look(_: Operator, State(app): State<App>, _: Key) -> Result<Json<Reconcile>> {
    app.lifecycle.sweep(None).await?;
    whole(&app).await
}

/// Decides one difference, or all of one side. A release begins when flows run.
#[utoipa::path(post, path = "/v1/reconcile/decide", tag = "reconcile", request_body = Decide, responses((status = 200, body = Decided)))]
async fn decide(
    Operator(caller): Operator,
    State(app): State<App>,
    _: Key,
    Body(body): Body<Decide>,
) -> Result<Json<Decided>> {
    let what = match (body.of, body.decision) {
        (Side::Theirs, Word::Release) => Decision::Release,
        (Side::Theirs, Word::Keep) => Decision::KeepTheirs,
        (Side::Ours, Word::Forget) => Decision::Forget,
        (Side::Ours, Word::Keep) => Decision::KeepOurs,
        (Side::Theirs, Word::Forget) => return Err(unfit("what is theirs is released or kept")),
        (Side::Ours, Word::Release) => return Err(unfit("what is ours and not there is forgotten or kept")),
    };
    let by = caller.says(body.reason)?;
    let decided = app.lifecycle.decide_difference(what, body.id.as_deref(), by).await?;
    Ok(Json(Decided { decided }))
}

/// Lets the reconcile end without a backend that cannot be seen. Nothing is released there by itself until a person goes on.
#[utoipa::path(post, path = "/v1/reconcile/without", tag = "reconcile", request_body = Without, responses((status = 200, body = Reconcile)))]
async fn without(
    Operator(caller): Operator,
    State(app): State<App>,
    _: Key,
    Body(Without { backend, reason }): Body<Without>,
) -> Result<Json<Reconcile>> {
    app.lifecycle.reconcile_without(&backend, caller.says(reason)?).await?;
    whole(&app).await
}

/// Ends the reconcile: flows run from now on. Refused while a backend was not seen, or a difference is not decided.
#[utoipa::path(post, path = "/v1/reconcile/done", tag = "reconcile", request_body = Reason, responses((status = 200, body = Reconcile)))]
async fn done(
    Operator(caller): Operator,
    State(app): State<App>,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<Json<Reconcile>> {
    app.lifecycle.end_reconcile(caller.says(reason)?).await?;
    whole(&app).await
}

async fn whole(app: &App) -> Result<Json<Reconcile>> {
    let restored_at = app.store().standing().await?.restored_at;
    let swept_at = app.store().swept(app.now()).await?;
    let backends = swept(app).await?;
    let mut stacks: BTreeMap<i64, Vec<OrphanView>> = BTreeMap::new();
    for orphan in orphans(app).await?.into_iter().filter(|orphan| orphan.state != "seen") {
        stacks.entry(orphan.stack).or_default().push(orphan);
    }
    let theirs: Vec<_> = stacks.into_values().filter_map(TheirDifference::of).collect();
    let mut instances: BTreeMap<String, Vec<MissingView>> = BTreeMap::new();
    for missing in missing(app).await? {
        instances.entry(missing.instance.clone()).or_default().push(missing);
    }
    let ours: Vec<_> = instances.into_iter().map(|(id, parts)| OurDifference::of(id, parts)).collect();
    let mut to_do = Vec::new();
    if let Some(restored_at) = restored_at {
        for swept in swept_at.iter().filter(|swept| swept.excused.is_none()) {
            match (&swept.fault, swept.at) {
                (Some(why), _) => {
                    to_do.push(format!("{} cannot be seen: {why}; cure it, or go on without it", swept.backend))
                }
                (None, Some(at)) if at >= restored_at => (),
                (None, _) => to_do.push(format!("{} was not looked at since the restore", swept.backend)),
            }
        }
        let open = theirs.iter().filter(|it| it.decision.is_none()).count();
        if open > 0 {
            to_do.push(format!("{open} of theirs and not ours: release or keep"));
        }
        let open = ours.iter().filter(|it| it.decision.is_none()).count();
        if open > 0 {
            to_do.push(format!("{open} of ours and not theirs: forget or keep"));
        }
        if to_do.is_empty() {
            to_do.push("all is decided: say done, and flows run".into());
        }
    }
    Ok(Json(Reconcile { restored_at: restored_at.map(time::show), to_do, backends, theirs, ours }))
}

impl TheirDifference {
    fn of(parts: Vec<OrphanView>) -> Option<Self> {
        let id = parts.first()?.stack;
        let has = |state: &str| parts.iter().any(|part| part.state == state);
        let decision = match () {
            () if has("orphan") => None,
            () if has("releasing") => Some("release"),
            () => Some("keep"),
        };
        Some(Self { id, decision, parts })
    }
}

impl OurDifference {
    fn of(id: String, parts: Vec<MissingView>) -> Self {
        let decision = match () {
            () if parts.iter().all(|part| part.state == "kept") => Some("keep"),
            () if parts.iter().any(|part| part.flow_runs) => Some("by-itself"),
            () => None,
        };
        let name = parts.first().and_then(|part| part.instance_name.clone());
        Self { id, name, decision, parts }
    }
}

fn unfit(why: &str) -> Problem {
    Problem::new("invalid-field", why)
}
