//! A flow's timeline as it grows: server-sent events, each with its number, so that a broken connection goes on where it was.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Reader;
use super::body::{Id, text};
use super::error::{Problem, Result};
use super::flows::of_caller;
use super::time;
use crate::model::{Direction, Event, EventKind, Evidence, Exchange, FlowId};
use crate::store::{self, Watch};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(follow))
}

/// One line of a timeline.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct EventView {
    /// From 1, without gaps.
    seq: i64,
    at: String,
    /// Empty for what concerns the whole flow.
    task: String,
    /// execute or revert.
    #[schema(value_type = String)]
    direction: Direction,
    round: u32,
    attempt: u32,
    /// created, done, pending, retry, failed, cancel-asked, needs-operator, resumed or ended.
    #[schema(value_type = String)]
    kind: EventKind,
    note: String,
    backend: Option<String>,
    plugin: Option<String>,
    /// What a done rests on. gate: the exchange that the plugin's manifest names was seen; witness: a second driver sees the machine
    /// as well; driver: it is reported by the driver only.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
    /// What the gate saw in this call; for operators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    exchanges: Option<Vec<ExchangeView>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Exchange)]
pub(super) struct ExchangeView {
    at: String,
    /// As the manifest names it.
    endpoint: String,
    method: String,
    path: String,
    /// Null: no answer came.
    status: Option<u16>,
    body_sha256: Option<String>,
    /// Bytes of the answer's body.
    bytes: u64,
    took_ms: u64,
}

/// The timeline from its beginning, or after Last-Event-ID, until the flow rests or ends. The id of an event is its `seq`. 204: there
/// is nothing more to come.
#[utoipa::path(get, path = "/v1/flows/{id}/events", tag = "flows",
    params(("id" = String, Path), ("Last-Event-ID" = Option<i64>, Header)),
    responses((status = 200, body = EventView, content_type = "text/event-stream"), (status = 204)))]
async fn follow(
    Reader(caller): Reader,
    State(app): State<App>,
    Id(id): Id<FlowId>,
    headers: HeaderMap,
) -> Result<Response> {
    // Subscribed before the first read, so that nothing falls between.
    let changes = app.store().watch_flow(id);
    let flow = of_caller(&app, &caller, id).await?;
    let after = match text(&headers, "last-event-id")? {
        None => 0,
        Some(text) => text.parse().map_err(|_| Problem::new("invalid-parameter", "Last-Event-ID is a number"))?,
    };
    if !flow.position.phase.runs() && app.store().events(id, after).await?.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let timeline = Timeline {
        app,
        id,
        after,
        changes,
        read: VecDeque::new(),
        behind: true,
        runs: true,
        operator: caller.is_operator(),
    };
    Ok(Sse::new(timeline.stream()).keep_alive(KeepAlive::default()).into_response())
}

struct Timeline {
    app: App,
    id: FlowId,
    /// The number of the last event that was read.
    after: i64,
    changes: Watch,
    /// Read, not yet sent.
    read: VecDeque<Event>,
    /// There may be more to read at once.
    behind: bool,
    /// The flow ran when it was read last.
    runs: bool,
    operator: bool,
}

impl Timeline {
    fn stream(self) -> impl Stream<Item = std::result::Result<sse::Event, Infallible>> {
        stream::unfold(self, |mut timeline| async move {
            let event = timeline.next().await?;
            Some((Ok(event.into_sse()), timeline))
        })
    }

    /// None: nothing more comes, or the service ends and the client will come again.
    async fn next(&mut self) -> Option<EventView> {
        while self.read.is_empty() {
            let is_more = self.behind || self.runs && self.changed().await;
            if !is_more {
                return None;
            }
            if let Err(error) = self.look().await {
                tracing::warn!(flow = %self.id, %error, "a stream of events ends early");
                return None;
            }
        }
        self.read.pop_front().map(|event| EventView::of(event, self.operator))
    }

    async fn look(&mut self) -> store::Result<()> {
        let (runs, events) = self.app.store().next_events(self.id, self.after).await?;
        (self.runs, self.behind) = (runs, events.len() == store::NEXT);
        self.after = events.last().map_or(self.after, |event| event.seq);
        self.read = events.into();
        Ok(())
    }

    /// False when the service ends.
    async fn changed(&mut self) -> bool {
        tokio::select! {
            () = self.changes.changed() => true,
            // Its sender gone means the same.
            _ = self.app.stop.wait_for(|stop| *stop) => false,
        }
    }
}

impl EventView {
    pub(super) fn of(event: Event, operator: bool) -> Self {
        let Event {
            seq, at, task, direction, round, attempt, kind, note, backend, plugin, evidence, exchanges, ..
        } = event;
        let exchanges = operator.then(|| exchanges.into_iter().map(ExchangeView::of).collect());
        Self {
            seq,
            at: time::show(at),
            task,
            direction,
            round,
            attempt,
            kind,
            note,
            backend,
            plugin,
            evidence,
            exchanges,
        }
    }

    fn into_sse(self) -> sse::Event {
        let event = sse::Event::default().id(self.seq.to_string());
        match serde_json::to_string(&self) {
            Ok(data) => event.data(data),
            Err(error) => event.comment(error.to_string()),
        }
    }
}

impl ExchangeView {
    pub(super) fn of(exchange: Exchange) -> Self {
        let Exchange { at, endpoint, method, path, status, body_sha256, bytes, took_ms } = exchange;
        Self { at: time::show(at), endpoint, method, path, status, body_sha256, bytes, took_ms }
    }
}
