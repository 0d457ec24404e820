//! Other ways to run somebody's code: a native call, a helper process over a pipe, an HTTP sidecar. All take and answer the same JSON.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::spread;
use crate::clock::Moment;
use crate::figures::Figures;

/// What goes each way: about 1 KiB.
pub(super) fn message() -> Value {
    json!({
        "mark": "mg-abc123-0190a1b2c3d4-1-1",
        "node": {
            "handle": "node-1",
            "identity": {"system_uuid": "4c4c4544-0042-3510-8052-b4c04f4a3132", "serial": "S-1", "macs": ["52:54:00:00:00:01"]},
            "facts": {"note": "x".repeat(700)},
        },
    })
}

trait Enroll {
    fn enroll(&self, asked: &Value) -> Value;
}

struct Native;

impl Enroll for Native {
    fn enroll(&self, asked: &Value) -> Value {
        asked["node"].clone()
    }
}

pub(super) fn native(seconds: f64) -> Figures {
    let (driver, asked): (Box<dyn Enroll>, _) = (Box::new(Native), message());
    let (begun, mut each) = (Moment::now(), Vec::new());
    while begun.seconds() < seconds {
        let one = Moment::now();
        std::hint::black_box(driver.enroll(std::hint::black_box(&asked)));
        each.push(one.seconds() * 1e6);
    }
    spread(each)
}

/// A line there, a line back.
pub(super) fn pipe(seconds: f64) -> Result<Figures> {
    let mut helper = helper("pipe-helper").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut there = helper.stdin.take().context("its input")?;
    let mut back = BufReader::new(helper.stdout.take().context("its output")?);
    let (asked, mut line) = (message(), String::new());
    let (begun, mut each) = (Moment::now(), Vec::new());
    while begun.seconds() < seconds {
        let one = Moment::now();
        writeln!(there, "{asked}")?;
        line.clear();
        back.read_line(&mut line)?;
        let _: Value = serde_json::from_str(&line)?;
        each.push(one.seconds() * 1e6);
    }
    drop(there);
    helper.wait()?;
    Ok(spread(each))
}

/// The helper's side: until its input ends.
pub(super) fn help() -> Result<Figures> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line?)?;
        writeln!(out, "{}", asked["node"])?;
        out.flush()?;
    }
    Ok(Figures::new())
}

pub(super) async fn sidecar(seconds: f64) -> Result<Figures> {
    // Its standard input is a life line: the sidecar ends with it.
    let mut helper = helper("sidecar-helper").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut url = String::new();
    // Kept to the end: its last line is written there.
    let mut said = BufReader::new(helper.stdout.take().context("its output")?);
    said.read_line(&mut url)?;
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let asked = message();
    let (begun, mut each) = (Moment::now(), Vec::new());
    while begun.seconds() < seconds {
        let one = Moment::now();
        let _: Value = client.post(url.trim()).json(&asked).send().await?.json().await?;
        each.push(one.seconds() * 1e6);
    }
    drop(helper.stdin.take());
    helper.wait()?;
    Ok(spread(each))
}

/// The sidecar's side.
pub(super) async fn serve() -> Result<Figures> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/enroll", listener.local_addr()?);
    let enroll = async |axum::Json(asked): axum::Json<Value>| axum::Json(asked["node"].clone());
    let app = axum::Router::new().route("/enroll", axum::routing::post(enroll));
    let parent_is_gone = tokio::task::spawn_blocking(|| std::io::stdin().lock().lines().for_each(drop));
    tokio::select! {
        ended = axum::serve(listener, app) => ended?,
        gone = parent_is_gone => gone?,
    }
    Ok(Figures::new())
}

/// This program, as one of the helpers.
fn helper(name: &str) -> Command {
    let program = std::env::current_exe().unwrap_or_else(|_| "bench".into());
    let mut command = Command::new(program);
    command.args(["child", name, "folder=.", "seconds=0", "compiled=."]);
    command
}
