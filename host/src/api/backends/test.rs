//! `POST /v1/backends/{name}/test`: is this backend as it should be? One line for each question, and what to do about it.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::auth::Operator;
use crate::api::body::{Key, Named};
use crate::api::error::{Problem, Result};
use crate::api::{App, plugins, secrets, time};
use crate::driver::{Certificate, Reached, Unreached};
use crate::model::{Auth, Endpoint, Millis, Revision};

/// A certificate that ends sooner is warned of.
const SOON: Millis = 30 * DAY;
const DAY: Millis = 24 * 3600 * 1000;
/// A clock that is further away is warned of: tokens and certificates are judged by it. Dates have whole seconds.
const FAR: Millis = 30_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(test))
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
struct Tested {
    backend: String,
    /// No check failed.
    ok: bool,
    checks: Vec<Check>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Check {
    /// Such as `endpoint ironic`, `certificate of ironic`, `clock of ironic`, `login`.
    what: String,
    /// ok, warning or failed.
    state: Verdict,
    said: String,
    /// Null where nothing is to be done.
    to_do: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

/// Looks at everything that the backend needs: plugin, secrets, each endpoint, then the far side's own word through the driver.
/// Changes nothing.
#[utoipa::path(post, path = "/v1/backends/{name}/test", tag = "backends", params(("name" = String, Path)), responses((status = 200, body = Tested)))]
async fn test(_: Operator, State(app): State<App>, Named(name): Named, _: Key) -> Result<Json<Tested>> {
    let revision = app.store().newest_revision(&name).await?.ok_or_else(|| Problem::not_found("backend", &name))?;
    let mut checks = vec![plugin(&app, &revision)];
    checks.extend(missing(&app, &revision).await?);
    for (endpoint, bound) in &revision.endpoints {
        let reached = app.drivers().check_endpoint(bound).await;
        checks.extend(endpoint_checks(endpoint, bound, reached, app.now()));
    }
    // What is not there answers nothing, and waiting for it would only say so again.
    if checks.iter().all(|check| check.state != Verdict::Failed) {
        checks.extend(asked(app.lifecycle.probe(&name).await.map_err(|error| error.to_string())));
    }
    let ok = checks.iter().all(|check| check.state != Verdict::Failed);
    Ok(Json(Tested { backend: name.to_string(), ok, checks }))
}

fn plugin(app: &App, revision: &Revision) -> Check {
    let Some(plugin) = app.drivers().plugin(&revision.digest) else {
        let to_do = "add its file with `moganite plugin add FILE`, or swap the backend to a plugin that is here";
        return Check::failed("plugin", format!("{} is not here", revision.digest), to_do);
    };
    let title = plugin.manifest.title();
    match plugins::word(&plugin.state) {
        ("ready", _) => Check::ok("plugin", format!("{title} is ready")),
        ("compiling", _) => Check::failed("plugin", format!("{title} is still compiled"), "try again in a moment"),
        (_, why) => {
            let said = format!("{title} is refused: {}", why.unwrap_or_default());
            Check::failed("plugin", said, "swap the backend to another plugin, or to a newer build")
        }
    }
}

/// Secrets that are named and not there.
async fn missing(app: &App, revision: &Revision) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    for secret in secrets::named(revision) {
        if app.store().secret(secret).await?.is_none() {
            let to_do = format!("set it: `moganite secret set {secret}`");
            checks.push(Check::failed(&format!("secret {secret}"), "it is not there".into(), &to_do));
        }
    }
    Ok(checks)
}

fn endpoint_checks(
    name: &str,
    bound: &Endpoint,
    reached: std::result::Result<Reached, Unreached>,
    now: Millis,
) -> Vec<Check> {
    let what = format!("endpoint {name}");
    let reached = match reached {
        Ok(reached) => reached,
        Err(unreached) => return vec![Check::failed(&what, format!("{}: {unreached}", bound.url), cure(&unreached))],
    };
    let from = reached.address.map(|address| format!(" at {address}")).unwrap_or_default();
    let said = format!("{} answers {} in {} ms{from}", bound.url, reached.status, reached.took_ms);
    let clear = bound.url.starts_with("http:") && bound.auth != Auth::None;
    let loopback = reached.address.is_some_and(|address| address.ip().is_loopback());
    let mut checks = vec![if clear && !loopback {
        Check::warning(&what, format!("{said}; the password goes there unencrypted"), "bind an https URL")
    } else {
        Check::ok(&what, said)
    }];
    checks.extend(reached.certificate.map(|certificate| until(name, &certificate, now)));
    checks.extend(reached.ahead_ms.map(|ahead| clock(name, ahead)));
    checks
}

fn cure(unreached: &Unreached) -> &'static str {
    match unreached {
        Unreached::Binding(_) => "change the endpoint's url or tls.ca",
        Unreached::Name(_) => "look at the name in the endpoint's url, and at this host's resolver",
        Unreached::Prohibited(_) => {
            "bind an address of a management network; loopback only where the url says so itself"
        }
        Unreached::Connection(_) => "look whether the service runs, at its port, and at what stands between",
        Unreached::Certificate(_) => {
            "put the certificates of the CA that issued it into the endpoint's tls.ca, or have the far side renew it"
        }
        Unreached::Answer(_) => "look whether it is the right port, http or https, and whether the service is well",
    }
}

fn until(name: &str, certificate: &Certificate, now: Millis) -> Check {
    let Certificate { subject, ends_at } = certificate;
    let what = format!("certificate of {name}");
    let left = ends_at.saturating_sub(now);
    let subject = if subject.is_empty() { "it" } else { subject };
    let said = format!("{subject}, until {}: {} days", time::show(*ends_at), left / DAY);
    if left < SOON {
        Check::warning(&what, said, "have the far side renew it before that day")
    } else {
        Check::ok(&what, said)
    }
}

fn clock(name: &str, ahead: Millis) -> Check {
    let what = format!("clock of {name}");
    let seconds = ahead.abs() / 1000;
    let said = match ahead {
        -1999..=1999 => "as ours".into(),
        2000.. => format!("{seconds} s ahead of ours"),
        _ => format!("{seconds} s behind ours"),
    };
    if ahead.abs() > FAR { Check::warning(&what, said, "synchronise both clocks") } else { Check::ok(&what, said) }
}

/// What the far side answered to the driver.
fn asked(answer: std::result::Result<Map<String, Value>, String>) -> Vec<Check> {
    let told = match answer {
        Ok(told) => told,
        Err(why) => {
            let to_do = "look at the backend's credentials and settings; the sentence is the driver's";
            return vec![Check::failed("login", why, to_do)];
        }
    };
    let problems = told.get("problems").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let problem = |said: &str| {
        let to_do = "cure it at the far side, or change the backend's settings";
        Check::failed("far side", said.to_owned(), to_do)
    };
    let mut checks: Vec<_> = problems.map(problem).collect();
    if checks.is_empty() {
        checks.push(Check::ok("login", "the far side answers the driver, and nothing is wrong".into()));
    }
    checks.extend(told.get("version").and_then(Value::as_str).map(|version| Check::ok("version", version.to_owned())));
    let abilities = told.get("abilities").and_then(Value::as_object).filter(|abilities| !abilities.is_empty());
    checks.extend(abilities.map(|abilities| Check::ok("abilities", Value::Object(abilities.clone()).to_string())));
    checks
}

impl Check {
    fn ok(what: &str, said: String) -> Self {
        Self { what: what.to_owned(), state: Verdict::Ok, said, to_do: None }
    }

    fn warning(what: &str, said: String, to_do: &str) -> Self {
        Self { what: what.to_owned(), state: Verdict::Warning, said, to_do: Some(to_do.to_owned()) }
    }

    fn failed(what: &str, said: String, to_do: &str) -> Self {
        Self { what: what.to_owned(), state: Verdict::Failed, said, to_do: Some(to_do.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;

    #[test]
    fn a_certificate_that_ends_soon_and_a_clock_that_is_off_are_warned_of() {
        let state = |left: Millis| {
            let certificate = Certificate { subject: "far".into(), ends_at: 1_700_000_000_000 + left };
            until("x", &certificate, 1_700_000_000_000)
        };
        assert_eq!(state(SOON).state, Verdict::Ok);
        let soon = state(SOON - 1);
        assert_eq!(soon.state, Verdict::Warning);
        assert_eq!(soon.said, "far, until 2023-12-14T22:13:19.999Z: 29 days");
        assert_eq!((clock("x", 1_500).state, clock("x", 1_500).said), (Verdict::Ok, "as ours".into()));
        assert_eq!(
            (clock("x", -31_000).state, clock("x", -31_000).said),
            (Verdict::Warning, "31 s behind ours".into())
        );
    }

    #[test]
    fn a_password_over_http_is_warned_of_but_on_this_host() {
        let auth = json!({"basic": {"username": "u", "password_secret": "s"}});
        let bound: Endpoint = serde_json::from_value(json!({"url": "http://far.example/", "auth": auth})).unwrap();
        let state = |address: &str| {
            let address = address.parse().ok();
            let reached = Reached { status: 200, address, took_ms: 1, certificate: None, ahead_ms: None };
            endpoint_checks("x", &bound, Ok(reached), 0)[0].state
        };
        assert_eq!(state("192.0.2.1:80"), Verdict::Warning);
        assert_eq!(state("127.0.0.1:80"), Verdict::Ok);
    }

    #[test]
    fn what_the_driver_found_wrong_is_a_failed_check_each() {
        let told = json!({"version": "1.115", "problems": ["no node", "no disk"], "abilities": {"erase": ["none"]}});
        let checks = asked(Ok(told.as_object().unwrap().clone()));
        let said: Vec<_> = checks.iter().map(|check| (check.what.as_str(), check.state)).collect();
        assert_eq!(
            said,
            [
                ("far side", Verdict::Failed),
                ("far side", Verdict::Failed),
                ("version", Verdict::Ok),
                ("abilities", Verdict::Ok)
            ]
        );
        assert!(checks.iter().all(|check| check.to_do.is_some() == (check.state == Verdict::Failed)));
    }
}
