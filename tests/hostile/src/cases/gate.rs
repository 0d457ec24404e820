//! The way out: other hosts, other paths, redirects, secrets where they do not belong, far sides that answer too much.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::case::{Case, cut, none_of, one_of};
use crate::world::World;

const SSRF: &str = "SSRF";
const REBIND: &str = "DNS rebinding";
const REDIRECT: &str = "Redirect carries credential away";
const READ: &str = "Read credentials";
const LEAK: &str = "Exfiltrate by log, fault, checkpoint, note";
const HAMMER: &str = "Connection exhaustion";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new(SSRF, "forty forms of a URL", async |world: &World| {
            let own = world.api().base().trim_start_matches("http://").to_owned();
            let tries: Vec<Value> = forms(&own).into_iter().map(|(to, path)| json!({"to": to, "path": path})).collect();
            let told = tries_of(world, "compose", &tries).await?;
            none_of(&told, &["reached"])?;
            ensure!(world.got().is_empty(), "something came through");
            Ok(format!("{} forms, none reached anybody", tries.len()))
        }),
        Case::new(SSRF, "other methods", async |world: &World| {
            let tries: Vec<Value> = ["CONNECT", "TRACE", "OPTIONS", "PROPFIND", "get"]
                .map(|method| json!({"to": "far", "path": "/", "method": method}))
                .into();
            let told = tries_of(world, "deploy", &tries).await?;
            none_of(&told, &["reached"])?;
            ensure!(world.got().is_empty(), "something came through");
            Ok("none reached anybody".into())
        }),
        denied(SSRF, "foreign-host", "claim"),
        denied(SSRF, "userinfo", "enroll"),
        denied(SSRF, "env", "undeploy"),
        denied(READ, "set-authorization", "compose"),
        denied(READ, "placeholder-in-path", "enroll"),
        denied(READ, "placeholder-elsewhere", "enroll"),
        denied(READ, "session-elsewhere", "deploy"),
        Case::new(REBIND, "an operator's URL at metadata or link-local", async |world: &World| {
            let mut refused = 0;
            for host in METADATA {
                let body = json!({"plugin": world.digest, "endpoints": {"far": {"url": format!("http://{host}/")}}});
                let answer = world.put("/v1/backends/rebound", &body).await?;
                ensure!((400..500).contains(&answer.status), "{host}: {answer:?}");
                refused += 1;
            }
            Ok(format!("{refused} forms refused when they are bound"))
        }),
        redirect("metadata"),
        redirect("far-side"),
        redirect("scheme"),
        redirect("api"),
        redirect("user"),
        Case::new(READ, "the far side echoes the secret everywhere", async |world: &World| {
            let told = world.live("echo-secret", "enroll", json!({})).await?;
            world
                .far
                .take()
                .iter()
                .find(|got| got.path == "/keep")
                .map(drop)
                .ok_or_else(|| anyhow::anyhow!("not sent"))?;
            one_of(&told, &["enrolled as"])
        }),
        Case::new(READ, "a login whose answer and token are echoed", async |world: &World| {
            let told = world.live("log-in", "compose", json!({})).await?;
            let got = world.got();
            ensure!(got.iter().any(|one| one.headers.contains(crate::far::TOKEN)), "the token never came back");
            one_of(&told, &["composed as"])
        }),
        Case::new(LEAK, "a secret's echo into note and checkpoint", async |world: &World| {
            let told = world.live("leak-by-note", "enroll", json!({})).await?;
            one_of(&told, &["{{access.password}}"])
        }),
        Case::new(LEAK, "a secret's echo into a fault", async |world: &World| {
            let told = world.live("leak-by-fault", "enroll", json!({})).await?;
            one_of(&told, &["{{access.password}}"])
        }),
        Case::new(HAMMER, "a thousand requests in one call", async |world: &World| {
            let told = world.live("request-flood", "compose", json!({})).await?;
            let got = world.got().len();
            ensure!(got <= 5 * 64, "{got} requests came");
            one_of(&told, &["of 1000 requests were answered", "requests"])
        }),
        Case::verb(HAMMER, "huge-body", "compose", &["failed", "body", "limit"]),
        answered("an answer without end", "/endless"),
        answered("an answer that is packed", "/packed"),
        answered("three hundred headers of 4 KB", "/headers"),
        Case::new(HAMMER, "an answer nested 200,000 deep", async |world: &World| {
            let told = tries_of(world, "compose", &[json!({"to": "far", "path": "/deep"})]).await?;
            one_of(&told, &["0 reached 200"])
        }),
    ]
}

const METADATA: [&str; 12] = [
    "169.254.169.254",
    "0xa9fea9fe",
    "2852039166",
    "0251.0376.0251.0376",
    "169.254.43518",
    "[::ffff:169.254.169.254]",
    "[fe80::1]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "0.0.0.0",
];

/// Authority and path. `own`: where our own API listens.
fn forms(own: &str) -> Vec<(String, String)> {
    let authorities = [
        "169.254.169.254",
        "127.0.0.1:1",
        "localhost",
        "[::1]",
        "0x7f000001",
        "2130706433",
        "far.",
        "FAR",
        "far:80",
        "far:1",
        "far@127.0.0.1",
        "127.0.0.1@far",
        "user:pass@far",
        "far%2eexample",
        "far\\.example",
        "far#.example",
        "metadata.internal",
        own,
    ];
    let paths = [
        "//127.0.0.1/",
        "/..",
        "/../",
        "/a/../../b",
        "/./a",
        "/%2e%2e/a",
        "/%2E%2E%2Fa",
        "/.%2e/",
        "/a%2f..%2fb",
        "/a%5cb",
        "/\\a",
        "/a//b",
        "/a%00b",
        "/a%0d%0aHost:%20evil",
        "/a b",
        "/a;/../b",
        "/..;/a",
        "/%252e%252e/",
        "/é",
        "/{{secret.password}}",
        "/?a=%7B%7Bsecret.password%7D%7D",
        "/a%",
        "/a%zz",
    ];
    let by_authority = authorities.into_iter().map(|to| (to.to_owned(), "/".to_owned()));
    let by_path = paths.into_iter().map(|path| ("far".to_owned(), path.to_owned()));
    by_authority.chain(by_path).collect()
}

async fn tries_of(world: &World, verb: &str, tries: &[Value]) -> Result<String> {
    world.live("requests", verb, json!({"requests": tries})).await
}

/// Ways out that the driver tries one after the other; none may reach anybody.
fn denied(row: &'static str, case: &'static str, verb: &'static str) -> Case {
    Case::new(row, format!("{case} in {verb}"), async move |world: &World| {
        let told = world.live(case, verb, json!({})).await?;
        none_of(&told, &["reached"])?;
        ensure!(world.got().is_empty(), "something came through");
        one_of(&told, &["denied"])
    })
}

/// The far side sends the driver elsewhere, after a request with a secret in it.
fn redirect(to: &'static str) -> Case {
    Case::new(REDIRECT, format!("307 to {to}"), async move |world: &World| {
        let tries = [json!({"to": "far", "path": format!("/away/{to}"), "method": "POST", "body": {"a": 1}})];
        let told = tries_of(world, "compose", &tries).await?;
        ensure!(world.got().len() == 1, "not one request: {}", cut(&told, 500));
        none_of(&told, &["169.254.169.254", "steal", "gopher", "8787", "root:pw"])?;
        one_of(&told, &["0 reached 307 \\\"\\\""])
    })
}

/// An answer that is too much, and never reaches the driver.
fn answered(name: &'static str, path: &'static str) -> Case {
    Case::new(HAMMER, name, async move |world: &World| {
        let told = tries_of(world, "compose", &[json!({"to": "far", "path": path})]).await?;
        none_of(&told, &["reached"])?;
        one_of(&told, &["0 failed", "broke in", "took longer", "limit"])
    })
}
