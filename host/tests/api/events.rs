//! The stream of a flow's events, and how it is taken up again.

use eventsource_stream::{Event, Eventsource as _};
use futures_util::{Stream, StreamExt as _};
use moganite::model::{self, EventKind};
use moganite::store::{FlowUpdate, Lane, Transition};
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server, has_no_secret};

async fn stream(server: &Server, flow: &str, after: Option<&str>) -> impl Stream<Item = Event> + use<> {
    let mut request = server.request(Method::GET, &format!("/v1/flows/{flow}/events"));
    if let Some(after) = after {
        request = request.header("last-event-id", after);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    Box::pin(
        response
            .bytes_stream()
            .eventsource()
            .filter_map(async |event| event.ok())
            .inspect(|event| has_no_secret(&event.data)),
    )
}

fn kind(event: &Event) -> String {
    let data: Value = serde_json::from_str(&event.data).unwrap();
    data["kind"].as_str().unwrap().to_owned()
}

/// What the runner does when a task is pending; here no runner runs.
async fn step(server: &Server, flow: &str) {
    let flow = server.store.flow(flow.parse().unwrap()).await.unwrap().unwrap();
    let update = FlowUpdate {
        position: flow.position,
        state: flow.state,
        checkpoint: None,
        task_since: flow.task_since,
        wake: flow.wake,
        fault: None,
        backend: None,
        calls: None,
        progress: flow.progress,
        task_over: false,
        shown: false,
        as_due_as_before: false,
    };
    let event = server.store.events(flow.id, 0).await.unwrap().remove(0);
    let event = model::Event { kind: EventKind::Pending, ..event };
    let transition =
        Transition { flow: flow.id, row: flow.row, from: flow.revision, update, event, effects: Vec::new() };
    server.store.write(Lane::Flow, transition).await.unwrap();
}

#[tokio::test]
async fn events_come_as_they_happen_and_go_on_after_a_break() {
    let server = Server::furnished().await;
    let order = json!({"name": "web-1", "flavor": "small", "image": "cirros"});
    let made = server.post("/v1/instances", &order).await;
    let flow = made.field("flow");
    let mut events = stream(&server, &flow, None).await;
    let first = events.next().await.unwrap();
    assert_eq!((first.id.as_str(), kind(&first).as_str()), ("1", "created"));
    step(&server, &flow).await;
    let second = events.next().await.unwrap();
    assert_eq!((second.id.as_str(), kind(&second).as_str()), ("2", "pending"));
    drop(events);
    let mut again = stream(&server, &flow, Some("1")).await;
    assert_eq!(again.next().await.unwrap().id, "2");
    server.stop.send_replace(true);
    assert!(again.next().await.is_none(), "the service ends, and the stream with it");
}

#[tokio::test]
async fn a_last_event_id_that_is_no_number_is_refused() {
    let server = Server::furnished().await;
    let order = json!({"name": "web-1", "flavor": "small", "image": "cirros"});
    let flow = server.post("/v1/instances", &order).await.field("flow");
    let request = server.request(Method::GET, &format!("/v1/flows/{flow}/events")).header("last-event-id", "x");
    assert_eq!(Answer::of(request).await.problem(), (400, "invalid-parameter".into()));
}
