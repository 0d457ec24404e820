//! The host's own way to call a driver: the real library, store, limits and gate, with one plugin bound.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use moganite::clock::Clock;
use moganite::config::{Config, Flows, Sandbox};
use moganite::driver::{Call, Doing, Drivers, Enroller};
use moganite::model::{
    Auth, Endpoint, Identity, Mark, Name, Node, OperationId, Revision, RevisionId, SweepPolicy, Tls,
};
use moganite::store::{Lane, Store, WriteRevision};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{peers, spread};
use crate::clock::{Moment, pause};
use crate::figures::{Figures, quantile};
use crate::process::memory;
use crate::serve::Serve;

/// Calls at once that wait on HTTP.
const WAITING: u32 = 1000;

/// Drivers that are loaded beside each other.
const LOADED: u32 = 20;

/// Callers of the backend that is swapped, and how often it is.
const SWAPPED_UNDER: usize = 4;
const SWAPS: usize = 100;

pub(super) struct Place<'a> {
    pub(super) state: &'a Path,
    /// Kept between measurements: what is measured here is no compiler.
    pub(super) compiled: &'a Path,
}

struct Rig {
    store: Store,
    drivers: Drivers,
}

/// A packed plugin, as `cargo xtask plugins` left it.
pub(super) fn packed(name: &str) -> Result<Vec<u8>> {
    let target = target()?;
    let files = [target.join("plugins"), target.join("../plugins")].map(|folder| folder.join(format!("{name}.wasm")));
    let found = files.iter().find_map(|file| std::fs::read(file).ok());
    found.with_context(|| format!("{name}.wasm is missing: run `cargo xtask plugins`"))
}

fn target() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.parent().and_then(Path::parent).context("a target folder")?.to_owned())
}

/// The service itself, which is also what compiles.
fn program() -> Result<PathBuf> {
    let program = target()?.join("release/moganite");
    ensure!(program.exists(), "{} is not built: `cargo xtask bench driver` does", program.display());
    Ok(program)
}

impl Rig {
    async fn open(place: &Place<'_>, sandbox: Sandbox) -> Result<Self> {
        std::fs::create_dir_all(place.state)?;
        std::fs::create_dir_all(place.compiled)?;
        // Of one key and one cache: compiled files are good for the key that they were made under.
        let key = place.compiled.join("secret.key");
        if key.exists() {
            std::fs::copy(&key, place.state.join("secret.key"))?;
        }
        std::os::unix::fs::symlink(place.compiled, place.state.join("compiled")).ok();
        let config = Config {
            state: place.state.to_owned(),
            plugins: None,
            listen: ([127, 0, 0, 1], 0).into(),
            sandbox,
            flows: Flows::default(),
        };
        let store = Store::open(place.state)?;
        let drivers = Drivers::open_with(&config, store.clone(), Clock::system(), program()?).await?;
        if !key.exists() {
            std::fs::copy(place.state.join("secret.key"), key)?;
        }
        Ok(Self { store, drivers })
    }

    /// The newest revision of the backend from now on, with this plugin.
    async fn bind(
        &self,
        plugin: Vec<u8>,
        backend: &str,
        settings: Value,
        endpoints: &[(&str, String)],
    ) -> Result<RevisionId> {
        let plugin = self.drivers.add(plugin.into()).await.map_err(|refusal| anyhow!("{refusal}"))?;
        let bound = |url: &String| Endpoint { url: url.clone(), auth: Auth::None, tls: Tls::default() };
        let backend = Name::parse("name", backend)?;
        let after = self.store.newest_revision(&backend).await?.map(|newest| newest.id);
        let revision = Revision {
            id: RevisionId(0),
            backend,
            digest: plugin.digest,
            settings: settings.as_object().cloned().unwrap_or_else(Map::new),
            endpoints: endpoints.iter().map(|(name, url)| ((*name).to_owned(), bound(url))).collect(),
            access: None,
            grants: vec![],
            sweep: SweepPolicy::default(),
            budgets: moganite::model::Budgets::default(),
            granted: None,
            limits: moganite::model::Limits::default(),
            projects: moganite::model::Projects::default(),
        };
        let write = WriteRevision { revision, exclusive: vec![], after, at: 0 };
        Ok(self.store.write(Lane::Interactive, write).await?)
    }

    async fn enroller(&self, settings: Value) -> Result<Enroller> {
        let far = [("far", "http://127.0.0.1:9".to_owned())];
        let revision = self.bind(packed("misbehave")?, "bench", settings, &far).await?;
        self.drivers.enroller(revision).await.map_err(|fault| anyhow!(fault.message))
    }
}

fn call() -> Call {
    Call { operation: OperationId("op-1".into()), attempt: 1, checkpoint: None, access_of: None }
}

fn node() -> Node {
    Node {
        handle: "node-1".into(),
        identity: Identity {
            system_uuid: Some("4c4c4544-0042-3510-8052-b4c04f4a3132".into()),
            serial: Some("S-1".into()),
            macs: vec!["52:54:00:00:00:01".into()],
        },
        parts: vec![],
        place: None,
        access: None,
        facts: peers::message()["node"]["facts"].as_object().cloned().unwrap_or_default(),
    }
}

async fn enroll(driver: &Enroller, node: &Node) -> Result<()> {
    match driver.enroll(call(), &Mark("mg-abc123-op-1-1-1".into()), node).await.result {
        Ok(Doing::Done(_)) => Ok(()),
        Ok(Doing::Pending(_)) => Err(anyhow!("it did not enroll at once")),
        Err(fault) => Err(anyhow!(fault.message)),
    }
}

pub(super) async fn calls(place: Place<'_>, seconds: f64) -> Result<Figures> {
    let rig = Rig::open(&place, Sandbox::default()).await?;
    let (driver, node) = (rig.enroller(json!({})).await?, node());
    let (begun, mut each) = (Moment::now(), Vec::new());
    while begun.seconds() < seconds {
        let one = Moment::now();
        enroll(&driver, &node).await?;
        each.push(one.seconds() * 1e6);
    }
    Ok(spread(each))
}

/// As many callers as threads, each one call after the other.
pub(super) async fn rate(place: Place<'_>, threads: usize, seconds: f64) -> Result<Figures> {
    let rig = Rig::open(&place, Sandbox::default()).await?;
    let (driver, node) = (Arc::new(rig.enroller(json!({})).await?), node());
    let begun = Moment::now();
    let callers: Vec<_> = (0..threads)
        .map(|_| {
            let (driver, node) = (driver.clone(), node.clone());
            tokio::spawn(async move {
                let mut calls = 0_u32;
                while begun.seconds() < seconds {
                    enroll(&driver, &node).await?;
                    calls += 1;
                }
                anyhow::Ok(calls)
            })
        })
        .collect();
    let mut calls = 0;
    for caller in callers {
        calls += caller.await??;
    }
    Ok(Figures::from([("per_s".into(), f64::from(calls) / begun.seconds())]))
}

/// What the process grows by while so many calls wait for a far side that does not answer yet.
pub(super) async fn waiting(place: Place<'_>) -> Result<Figures> {
    let rig = Rig::open(&place, Sandbox { slots: WAITING, ..Sandbox::default() }).await?;
    let far = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", far.local_addr()?);
    let (answer, answered) = tokio::sync::watch::channel(false);
    let (asked, mut asks) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut line, _)) = far.accept().await {
            let (mut answered, asked) = (answered.clone(), asked.clone());
            tokio::spawn(async move {
                asked.send(()).ok();
                answered.wait_for(|now| *now).await.ok();
                line.write_all(b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await
            });
        }
    });
    let revision = rig.bind(packed("ironic")?, "bench", json!({}), &[("ironic", url)]).await?;
    let prober = Arc::new(rig.drivers.prober(revision).await.map_err(|fault| anyhow!(fault.message))?);
    let before = memory("VmRSS");
    let calls: Vec<_> = (0..WAITING)
        .map(|_| {
            let prober = prober.clone();
            tokio::spawn(async move { prober.probe(call()).await })
        })
        .collect();
    asks.recv().await.context("nobody asked the far side")?;
    // The others wait for their turn at the endpoint, and all of them are in their guest by then.
    pause(3.0).await;
    let grown = memory("VmRSS") - before;
    answer.send_replace(true);
    for call in calls {
        call.await?;
    }
    let figures = [("kib_each", grown * 1024.0 / f64::from(WAITING)), ("after_mib", memory("VmRSS") - before)];
    Ok(figures.map(|(name, value)| (name.to_owned(), value)).into())
}

/// A far side that answers whatever it is asked with 200. Its address.
async fn agreeable() -> Result<String> {
    let far = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", far.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut line, _)) = far.accept().await {
            // One small request comes in one piece.
            if line.read(&mut [0; 4096]).await.is_ok() {
                line.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await.ok();
            }
        }
    });
    Ok(url)
}

/// Twenty drivers of the same code and twenty digests, which each asked a far side once. One went the same way before: what the first one
/// costs, the service's own code that runs and memory that is used again, is of none of them.
pub(super) async fn loaded(place: Place<'_>) -> Result<Figures> {
    let rig = Rig::open(&place, Sandbox::default()).await?;
    let far = agreeable().await?;
    let packed: Vec<_> = (0..=LOADED).map(|n| renumbered("patient", &format!("0.2.{n}"))).collect::<Result<_>>()?;
    let mut kept = Vec::new();
    let mut before = 0.0;
    for (n, packed) in packed.iter().enumerate() {
        let revision = rig.bind(packed.clone(), &format!("bench-{n}"), json!({}), &[("far", far.clone())]).await?;
        let driver = rig.drivers.enroller(revision).await.map_err(|fault| anyhow!(fault.message))?;
        enroll(&driver, &node()).await?;
        kept.push(driver);
        if n == 0 {
            before = memory("VmRSS");
        }
    }
    Ok(Figures::from([("mib_each".into(), (memory("VmRSS") - before) / f64::from(LOADED))]))
}

/// Callers of whatever revision is the newest, before, while and after their backend is swapped between two plugins.
pub(super) async fn swap(place: Place<'_>, seconds: f64) -> Result<Figures> {
    let rig = Arc::new(Rig::open(&place, Sandbox::default()).await?);
    let versions = [renumbered("misbehave", "0.2.100")?, renumbered("misbehave", "0.2.101")?];
    let far = [("far", "http://127.0.0.1:9".to_owned())];
    let activate = async |n: usize| rig.bind(versions[n % 2].clone(), "bench", json!({}), &far).await;
    // Both are compiled before.
    activate(1).await?;
    let newest = tokio::sync::watch::Sender::new(Some(activate(0).await?));
    let (told, mut calls) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..SWAPPED_UNDER {
        let (rig, newest, told, node) = (rig.clone(), newest.subscribe(), told.clone(), node());
        tokio::spawn(async move {
            loop {
                let Some(revision) = *newest.borrow() else { break };
                let one = Moment::now();
                let called = match rig.drivers.enroller(revision).await {
                    Ok(driver) => enroll(&driver, &node).await,
                    Err(fault) => Err(anyhow!(fault.message)),
                };
                told.send((called.is_ok(), one.seconds() * 1e6)).ok();
            }
        });
    }
    let (mut figures, mut failed) = (Figures::new(), 0);
    for phase in ["before", "during", "after"] {
        while calls.try_recv().is_ok() {}
        match phase {
            "during" => {
                for n in 1..=SWAPS {
                    newest.send_replace(Some(activate(n).await?));
                    pause(seconds / SWAPS as f64).await;
                }
            }
            _ => pause(seconds).await,
        }
        let mut each = Vec::new();
        while let Ok((fine, took)) = calls.try_recv() {
            failed += u32::from(!fine);
            each.push(took);
        }
        figures.insert(format!("{phase}_calls"), each.len() as f64);
        figures.insert(format!("{phase}_p99_us"), quantile(each, 0.99));
    }
    newest.send_replace(None);
    figures.insert("failed".into(), f64::from(failed));
    Ok(figures)
}

/// A driver of the tests as another version.
fn renumbered(name: &str, version: &str) -> Result<Vec<u8>> {
    let (component, source) = (packed(name)?, target()?.join("../tests").join(name));
    let manifest = std::fs::read_to_string(source.join("plugin.toml"))?;
    let manifest = manifest.replace("version = \"0.1.0\"", &format!("version = \"{version}\""));
    moganite::driver::pack(&component, &manifest, &source)
}

pub(super) async fn kill(place: Place<'_>) -> Result<Figures> {
    let rig = Rig::open(&place, Sandbox { cpu: std::time::Duration::from_millis(50), ..Sandbox::default() }).await?;
    let driver = rig.enroller(json!({"case": "spin", "verb": "enroll"})).await?;
    let mut each = Vec::new();
    for _ in 0..20 {
        let one = Moment::now();
        ensure!(enroll(&driver, &node()).await.is_err(), "it span and was not ended");
        each.push(one.seconds() * 1e3);
    }
    Ok(Figures::from([("p50_ms".into(), quantile(each.clone(), 0.5)), ("p99_ms".into(), quantile(each, 0.99))]))
}

/// `serve` on a folder in which it compiled three plugins before: until all three are ready.
pub(super) async fn start(place: Place<'_>) -> Result<Figures> {
    let plugins = target()?.join("../plugins");
    std::fs::create_dir_all(place.state)?;
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(place.state, std::fs::Permissions::from_mode(0o700))?;
    let compiling = ready_after(place.state, &plugins).await?;
    let ready = ready_after(place.state, &plugins).await?;
    Ok(Figures::from([("cold_ms".into(), compiling * 1e3), ("ready_ms".into(), ready * 1e3)]))
}

async fn ready_after(state: &Path, plugins: &Path) -> Result<f64> {
    let begun = Moment::now();
    let serve = Serve::start(&program()?, state, plugins)?;
    let address = serve.url.trim_start_matches("http://");
    loop {
        if is_ready(address)? {
            return Ok(begun.seconds());
        }
        ensure!(begun.seconds() < 60.0, "it is not ready after a minute");
        // Who asks without a pause takes the core that compiles.
        pause(0.001).await;
    }
}

fn is_ready(address: &str) -> Result<bool> {
    use std::io::{Read as _, Write as _};
    let mut line = std::net::TcpStream::connect(address)?;
    write!(line, "GET /v1/plugins HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    line.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "asked for its plugins, it answered {answer}");
    Ok(answer.matches("\"state\":\"ready\"").count() == 3)
}
