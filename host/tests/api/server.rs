//! A service on a free port, with an empty state folder, and a client for it.

use canary::{Canaries, Watch};
use moganite::api;
use moganite::clock::Clock;
use moganite::config::{Config, Flows, Sandbox};
use moganite::driver::Drivers;
use moganite::lifecycle::Lifecycle;
use moganite::model::{Digest, Event, EventKind, Name, Phase, Position, Projects, Revision, RevisionId, SweepPolicy};
use moganite::store::{Effect, FlowUpdate, Lane, PutSecret, Store, Transition, WriteRevision};
use reqwest::{Method, RequestBuilder, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub(crate) struct Server {
    pub(crate) base: String,
    pub(crate) store: Store,
    /// The letters of this installation's marks.
    pub(crate) site: String,
    pub(crate) stop: watch::Sender<bool>,
    http: reqwest::Client,
    _watch: Watch,
    _folder: TempDir,
}

/// A secret of every server, which nothing answers or writes.
const CANARY: &str = "api-canary/\"7d1e\"";

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: header::HeaderMap,
    pub(crate) text: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Sandbox::default()).await
    }

    pub(crate) async fn with(sandbox: Sandbox) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap();
        let config =
            Config { state: folder.path().to_owned(), plugins: None, listen, sandbox, flows: Flows::default() };
        let store = Store::open(folder.path()).unwrap();
        let clock = Clock::by_hand(1_700_000_000_000);
        let program = env!("CARGO_BIN_EXE_moganite").into();
        let drivers = Drivers::open_with(&config, store.clone(), clock.clone(), program).await.unwrap();
        let lifecycle = Lifecycle::open(&config, store.clone(), drivers, clock).await.unwrap();
        let canary = Name::parse("name", "canary").unwrap();
        let sealed = lifecycle.drivers().vault().seal(&canary, CANARY.as_bytes()).unwrap();
        store.write(Lane::Interactive, PutSecret { name: canary, sealed, at: 0 }).await.unwrap();
        let site = lifecycle.site().as_str().to_owned();
        let (stop, stopped) = watch::channel(false);
        let router = api::router(lifecycle, config, stopped);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let watch = Watch { canaries: canaries().into(), over: vec![folder.path().to_owned()] };
        Self { base: format!("http://{listen}"), store, site, stop, http, _watch: watch, _folder: folder }
    }

    /// With what an order needs: backend `pod-a` of a plugin that is not here, flavor `small`, image `cirros`.
    pub(crate) async fn furnished() -> Self {
        let server = Self::start().await;
        server.write_backend("pod-a").await;
        let route = json!({"compose": ["pod-a"], "enroll": ["pod-a"], "deploy": ["pod-a"]});
        assert_eq!(server.put("/v1/flavors/small", &json!({"route": route})).await.status, 200);
        let image = json!({"backends": {"pod-a": {"boot_iso": "http://images.example/cirros.iso"}}});
        assert_eq!(server.put("/v1/images/cirros", &image).await.status, 200);
        server
    }

    /// Past the checks of a plugin: these tests have none.
    pub(crate) async fn write_backend(&self, name: &str) {
        self.write_backend_for(name, Projects::default()).await;
    }

    /// For these projects.
    pub(crate) async fn write_backend_for(&self, name: &str, projects: Projects) {
        let revision = Revision {
            id: RevisionId(0),
            backend: Name::parse("name", name).unwrap(),
            digest: Digest::of(b"nothing"),
            settings: serde_json::Map::new(),
            endpoints: std::collections::BTreeMap::new(),
            access: None,
            grants: Vec::new(),
            sweep: SweepPolicy::default(),
            budgets: moganite::model::Budgets::default(),
            projects,
            granted: None,
            limits: moganite::model::Limits::default(),
        };
        let write = WriteRevision { revision, exclusive: Vec::new(), after: None, at: 1 };
        self.store.write(Lane::Interactive, write).await.unwrap();
    }

    /// What the runner does when a flow ends well; here no runner runs.
    pub(crate) async fn end(&self, flow: &str, effects: Vec<Effect>) {
        let flow = self.store.flow(flow.parse().unwrap()).await.unwrap().unwrap();
        let update = FlowUpdate {
            position: Position { phase: Phase::Done, ..flow.position },
            state: flow.state,
            checkpoint: None,
            task_since: flow.task_since,
            wake: None,
            fault: None,
            backend: None,
            calls: None,
            progress: flow.progress,
            task_over: true,
            shown: false,
            as_due_as_before: false,
        };
        let event = self.store.events(flow.id, 0).await.unwrap().remove(0);
        let event = Event { kind: EventKind::Ended, ..event };
        let transition = Transition { flow: flow.id, row: flow.row, from: flow.revision, update, event, effects };
        self.store.write(Lane::Flow, transition).await.unwrap();
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::PUT, path).json(body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path)).await
    }

    /// Makes a token; `by` is an operator's, or nothing while there is none.
    pub(crate) async fn token(&self, by: Option<&str>, name: &str, project: &str, role: &str) -> String {
        let mut request = self.request(Method::POST, "/v1/tokens");
        if let Some(by) = by {
            request = request.bearer_auth(by);
        }
        let answer = Answer::of(request.json(&json!({"name": name, "project": project, "role": role}))).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.field("token")
    }
}

fn canaries() -> Canaries {
    Canaries::of(&[("the canary", CANARY)])
}

/// Of something that the API said.
#[track_caller]
pub(crate) fn has_no_secret(said: &str) {
    let canaries = canaries();
    canaries.scan(said, said.as_bytes());
    canaries.check();
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let answer = Self { status, headers, text: response.text().await.unwrap() };
        has_no_secret(&format!("{:?}", answer.headers));
        has_no_secret(&answer.text);
        answer
    }

    pub(crate) fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> String {
        self.body()[name].as_str().unwrap_or_default().to_owned()
    }

    /// Status and code of a problem, which must be whole.
    pub(crate) fn problem(&self) -> (u16, String) {
        let body = self.body();
        assert_eq!(self.headers.get(header::CONTENT_TYPE).unwrap(), "application/problem+json", "{self:?}");
        assert_eq!(body["status"], self.status, "{self:?}");
        for field in ["type", "title", "detail", "what_to_do"] {
            assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {self:?}");
        }
        assert!(body["retryable"].is_boolean(), "{self:?}");
        (self.status, self.field("code"))
    }
}
