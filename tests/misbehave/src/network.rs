//! Ways out of the sandbox, tried one after the other. Each try says "denied", "failed" or "reached".

use moganite_driver::{ACCESS_ADDRESS, ACCESS_PASSWORD, ACCESS_USERNAME, Endpoint, Fault, Reply, fault, info};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::TcpStream;

/// One request, as the settings have it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Try {
    /// The authority.
    to: String,
    #[serde(default = "get")]
    method: String,
    path: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: Option<Value>,
}

fn get() -> String {
    "GET".into()
}

/// Short, so that what came of all of them is one fault.
pub(crate) fn one((number, what): (usize, &Try)) -> String {
    let named = Endpoint::named(&what.to);
    let far = what.headers.iter().fold(named, |far, (name, value)| far.header(name, value));
    let body = what.body.as_ref().map(|body| body.to_string().into_bytes());
    match far.send(&what.method, &what.path, body) {
        Ok(reply) => {
            let said: String = reply.text().chars().take(120).collect();
            format!("{number} reached {} {:?} {said}", reply.status, reply.header("location").unwrap_or_default())
        }
        Err(refused) if fault::sentence(&refused).contains("denied") => format!("{number} denied"),
        Err(refused) => format!("{number} failed {:.60}", fault::sentence(&refused)),
    }
}

pub(crate) fn huge_body() -> String {
    outcome("a body of a mebibyte", Endpoint::named("far").post("/work", &"x".repeat(1 << 20)))
}

pub(crate) fn foreign_host() -> Vec<String> {
    ["metadata.internal", "127.0.0.1:1", "169.254.169.254", "[::1]:1", "far.example", "far:80"]
        .map(|host| outcome(&format!("http://{host}/"), Endpoint::named(host).get("/")))
        .into()
}

pub(crate) fn userinfo() -> Vec<String> {
    ["user:password@far", "far@metadata.internal", "far:x@127.0.0.1:1"]
        .map(|authority| outcome(&format!("http://{authority}/"), Endpoint::named(authority).get("/")))
        .into()
}

pub(crate) fn unasked() -> Vec<String> {
    let far = Endpoint::named("far");
    vec![
        outcome("DELETE", far.delete("/keep")),
        outcome("PATCH", far.patch("/keep", &json!({}))),
        outcome("HEAD", far.send("HEAD", "/keep", None)),
        outcome("DELETE of the root", far.delete("/")),
    ]
}

pub(crate) fn set_authorization() -> Vec<String> {
    ["authorization", "Authorization", "proxy-authorization", "cookie", "x-auth-token", "host"]
        .map(|name| outcome(&format!("header {name}"), Endpoint::named("far").header(name, "Bearer forged").get("/")))
        .into()
}

pub(crate) fn placeholder_in_path() -> Vec<String> {
    let far = Endpoint::named("far");
    let escaped = "%7B%7Baccess.password%7D%7D";
    [format!("/{ACCESS_PASSWORD}"), format!("/?p={ACCESS_PASSWORD}"), format!("/{escaped}"), format!("/?p={escaped}")]
        .map(|path| outcome(&format!("GET {path}"), far.get(&path)))
        .into()
}

pub(crate) fn placeholder_elsewhere() -> Vec<String> {
    let far = Endpoint::named("far");
    let header = far.clone().header("x-note", ACCESS_PASSWORD);
    vec![
        outcome("a header", header.get("/")),
        outcome("another path", far.post("/elsewhere", &json!({ "password": ACCESS_PASSWORD }))),
        outcome("another pointer", far.post("/keep", &json!({ "note": ACCESS_PASSWORD }))),
        outcome("a longer string", far.post("/keep", &json!({ "password": format!("x{ACCESS_PASSWORD}") }))),
        outcome("a key", far.post("/keep", &json!({ ACCESS_PASSWORD: "x" }))),
        outcome("another value", far.post("/keep", &json!({ "password": ACCESS_ADDRESS, "user": ACCESS_USERNAME }))),
        outcome("another method", far.put("/keep", &json!({ "password": ACCESS_PASSWORD }))),
    ]
}

/// The facts that it answers: what the far side said, which echoes.
pub(crate) fn echo_secret() -> Result<String, Fault> {
    let said = Endpoint::named("far").post("/keep", &json!({ "password": ACCESS_PASSWORD }))?;
    let (headers, body) = (format!("{:?}", said.headers), said.text());
    info!("the far side said {body} with {headers}");
    Ok(json!({ "headers": headers, "body": body }).to_string())
}

pub(crate) fn as_told() -> Result<(), Fault> {
    let told = Endpoint::named("far").get("/told")?.text();
    assert!(told != "panic", "this version panics, as its far side told it to");
    Ok(())
}

pub(crate) fn request_flood() -> Vec<String> {
    let far = Endpoint::named("far");
    let answered = (0..1_000).map_while(|n| far.get(&format!("/{n}")).ok()).count();
    vec![format!("{answered} of 1000 requests were answered")]
}

pub(crate) fn environment() -> Vec<String> {
    let variables = std::env::vars().count();
    let arguments = std::env::args().skip(1).count();
    let folder = std::fs::read_dir("/").map(|entries| entries.count());
    let file = std::fs::write("/tmp/misbehave", "x");
    let socket = TcpStream::connect("127.0.0.1:1");
    let listener = std::net::TcpListener::bind("127.0.0.1:0");
    vec![
        format!("{variables} environment variables"),
        format!("{arguments} arguments"),
        local("read the folder /", folder.map(drop)),
        local("write a file", file),
        local("connect a socket", socket.map(drop)),
        local("open a listener", listener.map(drop)),
    ]
}

pub(crate) fn outcome(what: &str, tried: Result<Reply, Fault>) -> String {
    match tried {
        Ok(reply) => format!("{what}: reached, it answered {}", reply.status),
        Err(refused) if fault::sentence(&refused).contains("denied") => format!("{what}: denied"),
        Err(refused) => format!("{what}: failed, {}", fault::sentence(&refused)),
    }
}

/// A connection that is refused came through to the machine, so it counts as reached.
fn local(what: &str, tried: std::io::Result<()>) -> String {
    match tried {
        Ok(()) => format!("{what}: reached"),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => format!("{what}: reached, {error}"),
        Err(error) => format!("{what}: denied, {:?}", error.kind()),
    }
}
