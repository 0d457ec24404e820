//! One Ironic with one Redfish emulator: started, asked and ended together.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::boot_iso::BootIso;
use crate::keystone::Keystone;
use crate::options::{Auth, Options, Release};
use crate::packages::Packages;
use crate::ports::{self, Ports};
use crate::process::Process;
use crate::python::Environment;
use crate::{clock, folder, http, settings};

/// The version of Ironic's API that the driver speaks, too.
const MICROVERSION: &str = "1.86";

/// Both programs answer after 10 to 25 s on two busy cores.
const START_WITHIN: Duration = Duration::from_secs(120);

/// How often a start is tried when others take its ports.
const STARTS: u32 = 3;

/// A running Ironic, an emulator that it manages, and an ISO that the emulator can download.
///
/// Dropping it ends all three and removes the state folder; after a panic the folder stays until the next start.
/// It may be kept in a static and shared by tests with runtimes of their own: then the leash ends the programs.
#[derive(Debug)]
pub struct RealIronic {
    /// `http://127.0.0.1:PORT`, as are the others; no slash at the end.
    pub ironic_url: String,
    /// With [`Auth::Basic`] only.
    pub ironic_credentials: Option<(String, String)>,
    pub redfish_url: String,
    pub redfish_user: String,
    pub redfish_password: String,
    pub boot_iso_url: String,
    /// With [`Auth::Keystone`] only.
    pub keystone: Option<Keystone>,
    client: reqwest::Client,
    _iso: BootIso,
    // Before the folder: fields are dropped in this order, and the programs write to it.
    ironic: Process,
    emulator: Process,
    state: TempDir,
}

impl RealIronic {
    /// Starts everything and waits until a node can be created. The first start makes the Python environments that it needs.
    pub async fn start(options: Options) -> Result<Self> {
        Self::start_on(options, Ports::free).await
    }

    /// The same on the ports that `free` names, and on the next ones that it names when somebody took one of those.
    async fn start_on(options: Options, mut free: impl FnMut() -> Result<Ports> + Send) -> Result<Self> {
        for _ in 1..STARTS {
            match Self::start_once(options.clone(), free()?).await {
                Err(error) if ports::were_taken(&error) => eprintln!("once more, on other ports: {error:#}"),
                started => return started,
            }
        }
        Self::start_once(options, free()?).await
    }

    async fn start_once(options: Options, ports: Ports) -> Result<Self> {
        let packages = match options.release {
            Release::R39 => Packages::Ironic39,
            Release::Older => Packages::Ironic26,
        };
        let (environment, state) =
            tokio::task::spawn_blocking(move || anyhow::Ok((Environment::get(packages)?, folder::new_run()?)))
                .await
                .context("prepare")??;
        let folder = state.path();
        settings::write(&environment, folder, &options, &ports)?;
        let keystone = match options.auth {
            Auth::Keystone => Some(Keystone::start(folder, ports.keystone, options.token_life_s).await?),
            Auth::None | Auth::Basic => None,
        };
        let (emulator, ironic) = start_programs(&environment, folder, &ports)?;
        let iso = BootIso::start()?;
        let started = Self {
            ironic_url: format!("http://127.0.0.1:{}", ports.ironic),
            ironic_credentials: match options.auth {
                Auth::None | Auth::Keystone => None,
                Auth::Basic => Some(("admin".to_owned(), options.ironic_password)),
            },
            redfish_url: format!("http://127.0.0.1:{}", ports.redfish),
            redfish_user: "admin".to_owned(),
            redfish_password: options.bmc_password,
            boot_iso_url: iso.url(),
            keystone,
            client: http::client()?,
            _iso: iso,
            ironic,
            emulator,
            state,
        };
        started.wait().await?;
        Ok(started)
    }

    /// What Ironic answers to a GET that must succeed. `path` begins with `/v1` and may have a query.
    pub async fn ironic_get(&self, path: &str) -> Result<Value> {
        let (status, body) = self.ironic(Method::GET, path, None).await?;
        ensure!(status.is_success(), "GET {path}: {status} {body}");
        Ok(body)
    }

    /// What Ironic answers, whatever the status; an empty body is null. A token of a few seconds may be over before a busy machine used
    /// it, and what was answered 401 did nothing: once more, with a new one.
    pub async fn ironic(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value)> {
        let answer = self.ask(&method, path, body).await?;
        if answer.0 == StatusCode::UNAUTHORIZED && self.keystone.is_some() {
            return self.ask(&method, path, body).await;
        }
        Ok(answer)
    }

    async fn ask(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value)> {
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.ironic_url))
            .header("X-OpenStack-Ironic-API-Version", MICROVERSION);
        if let Some((user, password)) = &self.ironic_credentials {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(keystone) = &self.keystone {
            request = request.header("X-Auth-Token", keystone.token().await?);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        send(request).await.with_context(|| format!("{method} {path}"))
    }

    /// The path of an emulated system, which its BMC and Ironic know it by; the first is 1.
    pub fn system_path(i: u32) -> String {
        format!("/redfish/v1/Systems/{}", Self::system_uuid(i))
    }

    /// The uuid of an emulated system; the first is 1.
    pub fn system_uuid(i: u32) -> String {
        format!("00000000-0000-4000-8000-{i:012}")
    }

    /// The MAC of an emulated system's only interface; the first system is 1.
    pub fn system_mac(i: u32) -> String {
        format!("52:54:00:00:{:02x}:{:02x}", i / 256, i % 256)
    }

    /// What the BMC says of a system itself; the first is 1.
    pub async fn redfish_system(&self, i: u32) -> Result<Value> {
        let path = Self::system_path(i);
        let request = self
            .client
            .get(format!("{}{path}", self.redfish_url))
            .basic_auth(&self.redfish_user, Some(&self.redfish_password));
        let (status, body) = send(request).await?;
        ensure!(status.is_success(), "GET {path}: {status} {body}");
        Ok(body)
    }

    /// The emulator's access log: one line a request, with method, path and status.
    pub fn emulator_log(&self) -> Result<String> {
        self.read("emulator.out")
    }

    /// Ironic's log at level info.
    pub fn ironic_log(&self) -> Result<String> {
        self.read("ironic.out")
    }

    /// Where both programs keep what they keep.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = self.state().join(name);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    /// Waits until the emulator answers and Ironic's conductor has registered its drivers.
    ///
    /// Ironic's API answers before that, and then refuses every node.
    async fn wait(&self) -> Result<()> {
        let every = Duration::from_millis(200);
        clock::until("the start of Ironic and the emulator", START_WITHIN, every, || async {
            self.emulator.check(self.state())?;
            self.ironic.check(self.state())?;
            let ready = clock::answered(self.is_ready()).await.unwrap_or(false);
            Ok(ready.then_some(()))
        })
        .await
    }

    async fn is_ready(&self) -> bool {
        let drivers = self.ironic_get("/v1/drivers").await;
        self.redfish_system(1).await.is_ok() && drivers.is_ok_and(|answer| answer["drivers"] != json!([]))
    }
}

impl Drop for RealIronic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.state.disable_cleanup(true);
            eprintln!("the logs are in {} until the next start", self.state().display());
        }
    }
}

fn start_programs(environment: &Environment, folder: &Path, ports: &Ports) -> Result<(Process, Process)> {
    let python = |program: &Path| {
        let mut command = Command::new(environment.python());
        command.arg(folder.join("leash.py")).arg(program);
        command
    };
    let emulator = Process::start(
        "emulator",
        folder,
        python(&environment.program("sushy-emulator"))
            .arg("--fake")
            .arg("--config")
            .arg(folder.join("emulator_conf.py"))
            .args(["--interface", "127.0.0.1", "--port"])
            .arg(ports.redfish.to_string()),
    )?;
    let ironic = Process::start(
        "ironic",
        folder,
        python(&folder.join("ironic_run.py")).arg("--config-file").arg(folder.join("ironic.conf")),
    )?;
    Ok((emulator, ironic))
}

/// Sends it and reads the answer; an empty body is null.
pub(crate) async fn send(request: RequestBuilder) -> Result<(StatusCode, Value)> {
    let answer = request.send().await?;
    let status = answer.status();
    let body = answer.bytes().await?;
    if body.is_empty() {
        return Ok((status, Value::Null));
    }
    let body =
        serde_json::from_slice(&body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
    Ok((status, body))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::TcpListener;

    use super::*;

    /// Starts first where `taken` says that another one listens.
    async fn is_made_on_others(options: Options, taken: [fn(Ports, u16) -> Ports; 2]) {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let free = Ports::free().unwrap();
        let mut named = taken.map(|taken| taken(free, port)).into_iter().chain([free]);

        let real = RealIronic::start_on(options, || named.next().context("asked too often")).await.unwrap();

        assert_eq!(real.ironic_url, format!("http://127.0.0.1:{}", free.ironic));
        assert!(named.next().is_none(), "somebody listened on a taken port");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_start_whose_ports_were_taken_meanwhile_is_made_on_others() {
        is_made_on_others(
            Options::default(),
            [|free, redfish| Ports { redfish, ..free }, |free, ironic| Ports { ironic, ..free }],
        )
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn and_so_is_one_with_a_keystone() {
        is_made_on_others(
            Options { auth: Auth::Keystone, ..Options::default() },
            [|free, keystone| Ports { keystone, ..free }, |free, redfish| Ports { redfish, ..free }],
        )
        .await;
    }
}
