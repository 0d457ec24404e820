//! JSON over a named endpoint. The authority of a request is the endpoint's name from the manifest; the operator bound
//! it to an origin, and the gate adds what authentication there is. Redirects are data and are not followed; see
//! [`Endpoint::follow`].

#[cfg(target_arch = "wasm32")]
mod wasi;

use crate::{Fault, fault, pause::shorten};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// One far side, as the manifest names it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    name: String,
    headers: Vec<(String, String)>,
    within: Option<Duration>,
}

/// What is sent. `headers` hold the endpoint's own defaults too.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub endpoint: String,
    pub method: String,
    /// Path and query, from the root of the binding.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
    /// How long the whole exchange may take; none: as long as the call.
    pub within: Option<Duration>,
}

/// What came back, whatever the status.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub(crate) asked: String,
}

impl Endpoint {
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), headers: Vec::new(), within: None }
    }

    /// Sends this header with every request. `authorization` is the gate's own: a request that sets it is denied.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Gives up an exchange after so long with `retry`; without it the host ends the whole call at its budget.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }

    pub fn get(&self, path: &str) -> Result<Reply, Fault> {
        self.send("GET", path, None)
    }

    pub fn post(&self, path: &str, body: &impl Serialize) -> Result<Reply, Fault> {
        self.send("POST", path, Some(json(body)?))
    }

    pub fn put(&self, path: &str, body: &impl Serialize) -> Result<Reply, Fault> {
        self.send("PUT", path, Some(json(body)?))
    }

    pub fn patch(&self, path: &str, body: &impl Serialize) -> Result<Reply, Fault> {
        self.send("PATCH", path, Some(json(body)?))
    }

    pub fn delete(&self, path: &str) -> Result<Reply, Fault> {
        self.send("DELETE", path, None)
    }

    /// Gets path and query of any link, absolute or relative, from this endpoint. The link's own host is not looked at,
    /// so a far side that names itself otherwise than the operator does cannot lead elsewhere.
    pub fn follow(&self, link: &str) -> Result<Reply, Fault> {
        match path_of(link) {
            Some(path) => self.get(&path),
            None => Err(fault::broken(format!("endpoint {} answered an empty link", self.name))),
        }
    }

    /// Any method, with or without a JSON body. A status is never a fault here; an exchange that did not happen is
    /// `retry`, one that the gate denied is `broken`.
    pub fn send(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> Result<Reply, Fault> {
        let slash = if path.starts_with('/') { "" } else { "/" };
        let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
        if body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        headers.extend(self.headers.iter().cloned());
        let request = Request {
            endpoint: self.name.clone(),
            method: method.to_owned(),
            path: format!("{slash}{path}"),
            headers,
            body,
            within: self.within,
        };
        let mut reply = transport(&request)?;
        reply.asked = request.sentence();
        Ok(reply)
    }
}

impl Request {
    /// The body as JSON; null when there is none or it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        self.body.as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default()
    }

    fn sentence(&self) -> String {
        format!("{}: {} {}", self.endpoint, self.method, self.path)
    }
}

impl Reply {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as `T`. What does not fit is `retry`: a far side that is restarting answers pages of its proxy.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.body).map_err(|error| {
            fault::retry(format!(
                "{} answered {} with a body that cannot be read: {error}: {}",
                self.asked,
                self.status,
                self.excerpt()
            ))
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Itself if the status is 2xx; else the fault that fits where the driver knows nothing better: 408, 425, 429 and
    /// 5xx are
    /// `retry`, the rest is `broken`.
    pub fn success(self) -> Result<Self, Fault> {
        match self.status {
            200..300 => Ok(self),
            408 | 425 | 429 | 500..600 => Err(fault::retry(self.sentence())),
            _ => Err(fault::broken(self.sentence())),
        }
    }

    /// What was asked and what came back, for a fault: `ironic: GET /v1/nodes answered 503: ...`.
    pub fn sentence(&self) -> String {
        format!("{} answered {}: {}", self.asked, self.status, self.excerpt())
    }

    fn excerpt(&self) -> String {
        let mut text = self.text().split_whitespace().collect::<Vec<_>>().join(" ");
        shorten(&mut text, 300);
        text
    }
}

/// Path and query of a link, from its first slash after the host on; none when the link is empty.
fn path_of(link: &str) -> Option<String> {
    let link = link.trim();
    let link = link.split_once('#').map_or(link, |(before, _)| before);
    let rest = link.split_once("://").map(|(_, rest)| rest).or_else(|| link.strip_prefix("//"));
    let path = match rest {
        Some(rest) => rest.find(['/', '?']).map_or("/", |at| &rest[at..]),
        None => link,
    };
    match path {
        "" => None,
        path if path.starts_with('/') => Some(path.to_owned()),
        path => Some(format!("/{path}")),
    }
}

fn json(body: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(body).map_err(|error| fault::broken(format!("a request body cannot be written: {error}")))
}

#[cfg(target_arch = "wasm32")]
fn transport(request: &Request) -> Result<Reply, Fault> {
    wasi::send(request)
}

#[cfg(not(target_arch = "wasm32"))]
fn transport(request: &Request) -> Result<Reply, Fault> {
    crate::testing::send(request)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing;
    use serde_json::json;

    #[test]
    fn a_link_is_taken_for_its_path_and_query_only() {
        for (link, path) in [
            ("http://podm.example:8443/redfish/v1/Nodes/1?only=id", Some("/redfish/v1/Nodes/1?only=id")),
            ("https://elsewhere/v1/nodes?marker=7#top", Some("/v1/nodes?marker=7")),
            ("//elsewhere/v1", Some("/v1")),
            ("/v1/nodes", Some("/v1/nodes")),
            ("v1/nodes", Some("/v1/nodes")),
            ("http://elsewhere", Some("/")),
            ("http://elsewhere?x=http://y/z", Some("/?x=http://y/z")),
            ("", None),
            ("  ", None),
        ] {
            assert_eq!(path_of(link).as_deref(), path, "{link}");
        }
    }

    #[test]
    fn every_request_carries_the_headers_of_its_endpoint() {
        testing::far_side(|request| testing::reply(200, json!({ "saw": format!("{request:?}") })));
        let far = Endpoint::named("far").header("x-openstack-ironic-api-version", "1.90");
        let saw = far.post("v1/nodes", &json!({ "name": "n" })).unwrap().text();
        assert!(saw.contains("x-openstack-ironic-api-version"), "{saw}");
        assert!(saw.contains("content-type"), "{saw}");
        assert!(saw.contains("/v1/nodes"), "{saw}");
    }

    #[test]
    fn a_fault_says_endpoint_method_path_and_what_came_back() {
        testing::far_side(|_| testing::reply(503, json!({ "error": "maintenance" })));
        let refused = Endpoint::named("far").get("/v1/nodes").unwrap().success();
        assert_eq!(refused, Err(fault::retry(r#"far: GET /v1/nodes answered 503: {"error":"maintenance"}"#)));
    }

    #[test]
    fn a_body_that_is_no_json_is_tried_again() {
        testing::far_side(|_| testing::reply(200, json!("gateway")));
        let reply = Endpoint::named("far").get("/").unwrap();
        assert!(matches!(reply.json::<Vec<u32>>(), Err(Fault::Retry(_))));
    }
}
