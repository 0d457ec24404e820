//! A real Keystone: SQLite, Fernet tokens, one user who administers everything.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use rustix::process::{getgid, getuid};
use serde_json::{Value, json};

use crate::packages::Packages;
use crate::process::Process;
use crate::python::{Environment, run};
use crate::real_ironic::send;
use crate::{clock, http};

pub(crate) const USER: &str = "admin";
pub(crate) const PASSWORD: &str = "keystone-password";
pub(crate) const PROJECT: &str = "admin";

const CONF: &str = include_str!("../keystone/keystone.conf");
const RUN: &str = include_str!("../keystone/keystone_run.py");

/// What a first start would make, and each run gets a copy of.
const MADE: [&str; 3] = ["keystone.sqlite", "fernet", "credential"];

/// It answers after 2 to 10 s on two busy cores.
const START_WITHIN: Duration = Duration::from_secs(60);

/// A running Keystone. Its user [`Keystone::user`] is an administrator of [`Keystone::project`] and of the whole system; the domains of both
/// are `Default`.
#[derive(Debug)]
pub struct Keystone {
    /// `http://127.0.0.1:PORT`, without `/v3`.
    pub url: String,
    pub user: String,
    pub password: String,
    pub project: String,
    client: reqwest::Client,
    process: Process,
}

/// A way to log in that needs no password.
#[derive(Debug, Clone)]
pub struct ApplicationCredential {
    pub id: String,
    pub secret: String,
}

impl Keystone {
    /// Starts in the folder of an Ironic's run and waits until somebody can log in. The first start makes the Python environment.
    pub(crate) async fn start(folder: &Path, port: u16, token_life_s: u32) -> Result<Self> {
        let environment = tokio::task::spawn_blocking(|| Environment::get(Packages::Keystone30)).await??;
        for name in MADE {
            copy(&environment.made(name), &folder.join(name))?;
        }
        let settings = folder.join("keystone.conf");
        fs::write(&settings, conf(folder, token_life_s)?)?;
        let program = folder.join("keystone_run.py");
        fs::write(&program, RUN)?;
        // Ironic looks up in the catalogue where Keystone is.
        let url = format!("http://127.0.0.1:{port}");
        let (manage, conf) = (environment.program("keystone-manage"), settings.clone());
        tokio::task::spawn_blocking(move || {
            bootstrap(&manage, &conf, &["--bootstrap-public-url", &url, "--bootstrap-internal-url", &url])
        })
        .await??;
        let mut command = Command::new(environment.python());
        command.arg(folder.join("leash.py")).arg(program).arg(settings).arg(port.to_string());
        let started = Self {
            url: format!("http://127.0.0.1:{port}"),
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            project: PROJECT.to_owned(),
            client: http::client()?,
            process: Process::start("keystone", folder, &mut command)?,
        };
        clock::until("the start of Keystone", START_WITHIN, Duration::from_millis(200), || async {
            started.process.check(folder)?;
            Ok(clock::answered(started.token()).await.and_then(Result::ok))
        })
        .await?;
        Ok(started)
    }

    /// A new token for the whole system, of the life that the options say.
    pub async fn token(&self) -> Result<String> {
        Ok(self.log_in(json!({ "system": { "all": true } })).await?.0)
    }

    /// Makes an application credential for the project, with all of the user's roles there.
    pub async fn application_credential(&self, name: &str) -> Result<ApplicationCredential> {
        let project = json!({ "name": self.project, "domain": { "name": "Default" } });
        let (token, answer) = self.log_in(json!({ "project": project })).await?;
        let user = answer["token"]["user"]["id"].as_str().context("a token without its user's id")?;
        let path = format!("{}/v3/users/{user}/application_credentials", self.url);
        let body = json!({ "application_credential": { "name": name } });
        let (status, made) = send(self.client.post(path).header("X-Auth-Token", token).json(&body)).await?;
        ensure!(status == StatusCode::CREATED, "make an application credential: {status} {made}");
        let text = |key: &str| made["application_credential"][key].as_str().map(str::to_owned);
        Ok(ApplicationCredential { id: text("id").context("no id")?, secret: text("secret").context("no secret")? })
    }

    async fn log_in(&self, scope: Value) -> Result<(String, Value)> {
        let user = json!({ "name": self.user, "domain": { "name": "Default" }, "password": self.password });
        let identity = json!({ "methods": ["password"], "password": { "user": user } });
        let body = json!({ "auth": { "identity": identity, "scope": scope } });
        let answer = self.client.post(format!("{}/v3/auth/tokens", self.url)).json(&body).send().await?;
        let status = answer.status();
        let token = answer.headers().get("x-subject-token").and_then(|token| token.to_str().ok()).map(str::to_owned);
        let body = answer.text().await?;
        ensure!(status == StatusCode::CREATED, "log in at keystone: {status} {body}");
        Ok((token.context("an answer without a token")?, serde_json::from_str(&body)?))
    }
}

/// Makes what each run gets a copy of. About 10 s.
pub(crate) fn make(environment: &Environment) -> Result<()> {
    let folder = environment.made("");
    let settings = environment.made("keystone.conf");
    fs::write(&settings, conf(&folder, 3_600)?)?;
    for name in ["fernet", "credential"] {
        fs::create_dir(folder.join(name))?;
    }
    let manage = |arguments: &[&str]| {
        let mut command = Command::new(environment.program("keystone-manage"));
        run(command.arg("--config-file").arg(&settings).args(arguments))
    };
    manage(&["db_sync"])?;
    // Root must say whose the keys are to be.
    let (user, group) = (getuid().as_raw().to_string(), getgid().as_raw().to_string());
    let owner = ["--keystone-user", &user, "--keystone-group", &group];
    for setup in ["fernet_setup", "credential_setup"] {
        manage(&[&[setup], &owner[..]].concat())?;
    }
    bootstrap(&environment.program("keystone-manage"), &settings, &[])
}

/// Makes the user, its project and its roles; what is there already stays.
fn bootstrap(manage: &Path, settings: &Path, more: &[&str]) -> Result<()> {
    let mut command = Command::new(manage);
    let user = ["bootstrap", "--bootstrap-username", USER, "--bootstrap-password", PASSWORD];
    run(command.arg("--config-file").arg(settings).args(user).args(more))
}

fn conf(folder: &Path, token_life_s: u32) -> Result<String> {
    let state = folder.to_str().context("the path of the cache is not UTF-8")?.trim_end_matches('/');
    Ok(CONF.replace("@STATE@", state).replace("@TOKEN_LIFE_S@", &token_life_s.to_string()))
}

/// A file, or a folder of files.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir(to)?;
        for file in fs::read_dir(from)? {
            let file = file?;
            fs::copy(file.path(), to.join(file.file_name()))?;
        }
        return Ok(());
    }
    fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    Ok(())
}
