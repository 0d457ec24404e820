//! A host's drivers with one plugin and one backend bound to a far side that this process serves.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use canary::{Canaries, Watch};
use moganite::clock::Clock;
use moganite::config::{Config, Flows, Sandbox};
use moganite::driver::{Answer, Call, Composer, Doing, Drivers, Plugin};
use moganite::model::{
    Access, Asks, Auth, Digest, Endpoint, Grant, Granted, Mark, Name, Node, OperationId, Place, Revision, RevisionId,
    Shape, SweepPolicy, Tls, Value,
};
use moganite::store::{Lane, PutSecret, Store, WriteRevision};
use serde_json::{Map, Value as Json, json};
use tokio::sync::Notify;

use crate::compiled::share_compiled;

pub(crate) const PASSWORD: &str = "c4nary/\"pass\"";

pub(crate) const LOGIN: &str = "c4nary-login";

/// What the far side got of one request.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

pub(crate) struct Rig {
    pub(crate) config: Config,
    pub(crate) drivers: Drivers,
    pub(crate) store: Store,
    pub(crate) plugin: Plugin,
    pub(crate) far: Far,
    /// Neither secret is in what is written, nor in a line that a far side got.
    watch: Watch,
    _state: tempfile::TempDir,
}

/// A far side on a free loopback port; it keeps what it gets.
#[derive(Clone)]
pub(crate) struct Far {
    pub(crate) url: String,
    got: Arc<Mutex<Vec<Got>>>,
    arrived: Arc<Notify>,
}

/// `target/plugins/NAME.wasm`.
pub(crate) fn packed(name: &str) -> Vec<u8> {
    let file = target().join(format!("plugins/{name}.wasm"));
    std::fs::read(&file).unwrap_or_else(|_| panic!("{} is missing: run `cargo xtask plugins` first", file.display()))
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse("name", text).unwrap()
}

pub(crate) fn call() -> Call {
    Call { operation: OperationId("op-1".into()), attempt: 1, checkpoint: None, access_of: Some(name("pod-a")) }
}

pub(crate) fn shape() -> Shape {
    Shape { cores: 2, memory_mib: 4096, ..Shape::default() }
}

impl Rig {
    pub(crate) async fn of(plugin: &str) -> Self {
        Self::with(packed(plugin), Sandbox { slots: 4, ..Sandbox::default() }, echo).await
    }

    pub(crate) async fn with(bytes: Vec<u8>, sandbox: Sandbox, answer: fn(&Got) -> Response) -> Self {
        let state = tempfile::tempdir().unwrap();
        let config = Config {
            state: state.path().to_owned(),
            plugins: None,
            listen: ([127, 0, 0, 1], 0).into(),
            sandbox,
            flows: Flows::default(),
        };
        share_compiled(state.path());
        let store = Store::open(state.path()).unwrap();
        let drivers = open(&config, &store).await;
        let plugin = drivers.add(bytes.into()).await.unwrap();
        let canaries = Arc::new(Canaries::of(&[("the access", PASSWORD), ("the login", LOGIN)]));
        let watch = Watch { canaries, over: vec![state.path().to_owned()] };
        let rig = Self { config, drivers, store, plugin, far: Far::serve(answer).await, watch, _state: state };
        rig.put_secret("bmc", PASSWORD).await;
        rig.put_secret("login", LOGIN).await;
        let access = Access { address: "https://bmc".into(), username: "root".into(), password_secret: name("bmc") };
        rig.write(Revision { access: Some(access), ..rig.revision("pod-a", json!({})) }).await;
        rig
    }

    /// A composer of the plugin with these settings, its endpoint `far` bound and its place granted.
    pub(crate) async fn composer(&self, settings: Json) -> Composer {
        self.bound(self.revision("tested", settings)).await
    }

    pub(crate) async fn bound(&self, revision: Revision) -> Composer {
        self.drivers.check_binding(&self.plugin.digest, &revision).unwrap();
        let id = self.write(revision).await;
        self.drivers.composer(id).await.unwrap()
    }

    /// As the host names the plugin.
    pub(crate) fn label(&self) -> String {
        format!("{} sha256:{}", self.plugin.manifest.title(), self.plugin.digest.short())
    }

    /// Composes once with these settings.
    pub(crate) async fn compose(&self, settings: Json) -> Answer<Doing<Node>> {
        self.composer(settings).await.compose(call(), &Mark("mg-abc123-op-1".into()), &shape()).await
    }

    /// What composing in this case of `misbehave` ended with, in words.
    pub(crate) async fn fault(&self, case: &str) -> String {
        let fault = self.compose(json!({ "case": case })).await.result.expect_err(case);
        format!("{:?}: {}", fault.kind, fault.message)
    }

    pub(crate) fn revision(&self, backend: &str, settings: Json) -> Revision {
        let far = Endpoint { url: self.far.url.clone(), auth: Auth::None, tls: Tls::default() };
        let has_far = self.plugin.manifest.endpoints.contains_key("far");
        Revision {
            id: RevisionId(0),
            backend: name(backend),
            digest: self.plugin.digest.clone(),
            settings: settings.as_object().cloned().unwrap_or_else(Map::new),
            endpoints: has_far.then(|| ("far".to_owned(), far)).into_iter().collect(),
            access: None,
            grants: self.plugin.manifest.places.iter().map(granted).collect(),
            sweep: SweepPolicy::default(),
            budgets: moganite::model::Budgets::default(),
            limits: moganite::model::Limits::default(),
            projects: moganite::model::Projects::default(),
            granted: Some(Granted { asks: Asks::of(&self.plugin.manifest), requests: None }),
        }
    }

    pub(crate) async fn write(&self, revision: Revision) -> RevisionId {
        let newest = self.store.newest_revision(&revision.backend).await.unwrap().map(|revision| revision.id);
        let write = WriteRevision { revision, exclusive: Vec::new(), after: newest, at: 0 };
        self.store.write(Lane::Interactive, write).await.unwrap()
    }

    pub(crate) async fn put_secret(&self, secret: &str, value: &str) {
        let sealed = self.drivers.vault().seal(&name(secret), value.as_bytes()).unwrap();
        self.store.write(Lane::Interactive, PutSecret { name: name(secret), sealed, at: 0 }).await.unwrap();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for got in self.far.got() {
            self.watch.canaries.scan("a request's line", got.line.as_bytes());
        }
    }
}

/// The access of `pod-a`, the secret `login`, or a session.
fn granted(place: &Place) -> Grant {
    let (of, secret) = match place.value {
        Value::AccessAddress | Value::AccessUsername | Value::AccessPassword => (Some(name("pod-a")), None),
        Value::Secret(_) => (None, Some(name("login"))),
        Value::Session(_) => (None, None),
    };
    Grant { place: place.name.clone(), of, secret }
}

pub(crate) async fn open(config: &Config, store: &Store) -> Drivers {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_moganite"));
    Drivers::open_with(config, store.clone(), Clock::system(), program).await.unwrap()
}

impl Far {
    async fn serve(answer: fn(&Got) -> Response) -> Self {
        let (got, arrived) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let arrives = arrived.clone();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base", listener.local_addr().unwrap());
        let keep = async move |State(got): State<Arc<Mutex<Vec<Got>>>>, request: Request| {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_else(|_| Bytes::new());
            let body = String::from_utf8_lossy(&body).into_owned();
            let one = Got { line: format!("{} {}", parts.method, parts.uri), headers: parts.headers, body };
            let response = answer(&one);
            got.lock().unwrap().push(one);
            arrives.notify_waiters();
            response
        };
        let app = axum::Router::new().fallback(keep).with_state(got.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, got, arrived }
    }

    pub(crate) async fn until_got(&self, path: &str) {
        loop {
            let arrived = self.arrived.notified();
            if self.got().iter().any(|got| got.line.ends_with(path)) {
                return;
            }
            arrived.await;
        }
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

/// Answers what it got, in the body and in a header.
pub(crate) fn echo(got: &Got) -> Response {
    (StatusCode::OK, [("x-echo", got.body.clone())], got.body.clone()).into_response()
}

/// What this thread logs from now on, as lines of JSON.
pub(crate) fn logged() -> (tracing::subscriber::DefaultGuard, impl Fn() -> String) {
    let lines = Arc::new(Mutex::new(Vec::<u8>::new()));
    let kept = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || Sink(kept.clone()))
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    (guard, move || String::from_utf8(lines.lock().unwrap().clone()).unwrap())
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn digest_of(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn target() -> PathBuf {
    // target/tmp is cargo's folder for integration tests.
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned()
}
