//! A far side that writes down who asked what under which mark, and answers when the test lets it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::routing::get;
use tokio::sync::watch;

/// User agents by mark, in the order in which they came.
pub(crate) type Log = BTreeMap<String, Vec<String>>;

/// Many far sides on one port, each under a path of its own.
pub(crate) struct Far {
    origin: String,
    desk: Arc<Desk>,
}

#[derive(Default)]
struct Desk {
    seen: watch::Sender<Seen>,
    /// What is held gets its answer.
    let_go: watch::Sender<bool>,
}

#[derive(Default)]
struct Seen {
    log: Log,
    /// So many of the next calls that start something get no answer until they are let go.
    to_hold: usize,
}

impl Far {
    pub(crate) async fn serve() -> Self {
        let desk = Arc::new(Desk::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/{far}/{what}/{mark}", get(asked)).with_state(desk.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { origin, desk }
    }

    /// Of the far side with this name.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.origin)
    }

    /// So many of the next calls that start something get no answer.
    pub(crate) fn hold(&self, calls: usize) {
        self.desk.seen.send_modify(|seen| seen.to_hold = calls);
    }

    /// Returns when as many are here.
    pub(crate) async fn all_held(&self) {
        self.desk.seen.subscribe().wait_for(|seen| seen.to_hold == 0).await.unwrap();
    }

    pub(crate) fn let_go(&self) {
        self.desk.let_go.send_replace(true);
    }

    /// Waits for the first request under this mark; answers who asked it.
    pub(crate) async fn arrived(&self, mark: &str) -> String {
        let mut seen = self.desk.seen.subscribe();
        let seen = seen.wait_for(|seen| seen.log.contains_key(mark)).await.unwrap();
        seen.log[mark][0].clone()
    }

    pub(crate) fn log(&self) -> Log {
        self.desk.seen.borrow().log.clone()
    }
}

async fn asked(
    State(desk): State<Arc<Desk>>,
    Path((_, what, mark)): Path<(String, String, String)>,
    headers: HeaderMap,
) {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default().to_owned();
    let mut is_held = false;
    desk.seen.send_modify(|seen| {
        seen.log.entry(mark).or_default().push(agent);
        is_held = what == "start" && seen.to_hold > 0;
        seen.to_hold -= usize::from(is_held);
    });
    if is_held {
        desk.let_go.subscribe().wait_for(|let_go| *let_go).await.unwrap();
    }
}
