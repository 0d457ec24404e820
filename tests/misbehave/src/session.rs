//! What a driver does with a session that it never sees: where it belongs, and where it does not.

use crate::network::outcome;
use moganite_driver::{Endpoint, Fault, Reply, info};
use serde_json::{Value, json};

const PASSWORD: &str = "{{secret.password}}";
const SUBJECT: &str = "{{session.subject}}";
const TOKEN: &str = "{{session.token}}";

/// The facts that it answers: the exchange before the login, the login, and the exchanges after it, as they looked from
/// here.
pub(crate) fn log_in() -> Result<String, Fault> {
    let before = in_header(TOKEN)?;
    let login = far().post("/login", &json!({ "users": { "root": { "Password": PASSWORD } } }))?;
    let body = far().post("/jobs/7", &json!([{ "AccessToken": TOKEN }, { "AccessToken": TOKEN }]))?;
    let header = in_header(TOKEN)?;
    let subject = far().header("X-Subject-Token", SUBJECT).get("/subject")?;
    let all = [("before", before), ("login", login), ("body", body), ("header", header), ("subject", subject)];
    let seen: Value = all.into_iter().map(|(name, reply)| (name.to_owned(), told(&reply))).collect();
    info!("the far side said {seen}");
    Ok(seen.to_string())
}

pub(crate) fn used() -> Result<String, Fault> {
    Ok(json!({ "header": told(&in_header(TOKEN)?) }).to_string())
}

pub(crate) fn log_in_when_asked() -> Result<String, Fault> {
    let first = in_header(TOKEN)?;
    if first.status != 401 {
        return Ok(json!({ "header": told(&first) }).to_string());
    }
    far().post("/login", &json!({ "users": { "root": { "Password": PASSWORD } } }))?;
    used()
}

pub(crate) fn asked_and_hangs() -> Result<String, Fault> {
    in_header(TOKEN)?;
    Ok(json!({ "hung": told(&far().get("/hang")?) }).to_string())
}

pub(crate) fn elsewhere() -> Vec<String> {
    let far = far();
    vec![
        outcome("another header", far.clone().header("x-note", TOKEN).get("/work")),
        outcome("a longer value", far.clone().header("x-auth-token", format!("Bearer {TOKEN}")).get("/jobs/7")),
        outcome("a header of one's own", far.clone().header("x-auth-token", "forged").get("/jobs/7")),
        outcome("a secret in the session's place", far.clone().header("x-auth-token", PASSWORD).get("/jobs/7")),
        outcome("another session in its place", far.clone().header("x-auth-token", SUBJECT).get("/jobs/7")),
        outcome("another path", far.clone().header("x-auth-token", TOKEN).get("/other")),
        outcome("a path", far.get(&format!("/jobs/{TOKEN}"))),
        outcome("another pointer", far.post("/jobs/7", &json!([{ "Note": TOKEN }]))),
        outcome("deeper than the pointer", far.post("/jobs/7", &json!([[{ "AccessToken": TOKEN }]]))),
        outcome("another method", far.put("/jobs/7", &json!([{ "AccessToken": TOKEN }]))),
        outcome("the secret elsewhere", far.post("/login", &json!({ "Password": PASSWORD }))),
        outcome("no such secret", far.post("/login", &json!({ "users": { "a": { "Password": "{{secret.other}}" } } }))),
    ]
}

fn in_header(placeholder: &str) -> Result<Reply, Fault> {
    far().header("X-Auth-Token", placeholder).get("/jobs/7/state")
}

fn far() -> Endpoint {
    Endpoint::named("far")
}

fn told(reply: &Reply) -> Value {
    json!({ "status": reply.status, "headers": format!("{:?}", reply.headers), "body": reply.text() })
}
