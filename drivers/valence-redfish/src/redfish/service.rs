//! Reading a Redfish service, with the patience that real ones need. Seen of the DMTF's interface emulator: members under `Links`, booleans
//! as strings, and 200 with a bare number as the body where 404 is meant. Of any link the path is taken and sent to the one endpoint.

use moganite_driver::{Endpoint, Fault, Reply, fault};
use serde_json::{Value, json};
use std::cell::Cell;

pub(crate) const SYSTEMS: &str = "/redfish/v1/Systems";
pub(crate) const COMPOSITION: &str = "/redfish/v1/CompositionService";

/// The host bounds the requests of a call, to 32 by default.
const REQUESTS: u32 = 28;
/// Pages of one collection that are read in one call.
const PAGES: usize = 8;

pub(crate) struct Service {
    endpoint: Endpoint,
    sent: Cell<u32>,
}

/// A resource as it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) body: Value,
    pub(crate) etag: Option<String>,
}

impl Service {
    pub(crate) fn at(endpoint: Endpoint) -> Self {
        Self { endpoint, sent: Cell::new(0) }
    }

    /// Requests that this call can still send.
    pub(crate) fn left(&self) -> u32 {
        REQUESTS.saturating_sub(self.sent.get())
    }

    /// None when there is no such resource.
    pub(crate) fn read(&self, path: &str) -> Result<Option<Seen>, Fault> {
        let mut reply = self.send("GET", path, None)?;
        reply.status = status(&reply);
        if matches!(reply.status, 404 | 410) {
            return Ok(None);
        }
        let reply = reply.success()?;
        let body: Value = reply.json()?;
        if !body.is_object() {
            return Err(fault::retry(reply.sentence()));
        }
        let etag = reply.header("etag").or(body["@odata.etag"].as_str()).map(str::to_owned);
        Ok(Some(Seen { body, etag }))
    }

    /// The paths of a collection's members, in their order as text. A collection that is not there has none.
    pub(crate) fn members(&self, path: &str) -> Result<Vec<String>, Fault> {
        let mut paths = Vec::new();
        let mut next = Some(path.to_owned());
        for _ in 0..PAGES {
            let Some(page) = next.take() else { break };
            let Some(Seen { body, .. }) = self.read(&page)? else { break };
            paths.extend(links(&body["Members"]));
            paths.extend(links(&body["Links"]["Members"]));
            next = body["Members@odata.nextLink"].as_str().and_then(path_of);
        }
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Reply, Fault> {
        self.send("POST", path, Some(body))
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Reply, Fault> {
        self.send("DELETE", path, None)
    }

    /// With If-Match where the resource has an ETag.
    pub(crate) fn patch(&self, path: &str, etag: Option<&str>, body: &Value) -> Result<Reply, Fault> {
        self.count();
        let endpoint = match etag {
            Some(etag) => self.endpoint.clone().header("if-match", etag),
            None => self.endpoint.clone(),
        };
        endpoint.patch(path, body)
    }

    pub(crate) fn get(&self, path: &str) -> Result<Reply, Fault> {
        self.send("GET", path, None)
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Reply, Fault> {
        self.count();
        self.endpoint.send(method, path, body.map(|body| body.to_string().into_bytes()))
    }

    fn count(&self) {
        self.sent.set(self.sent.get() + 1);
    }
}

/// What was meant: a body that is nothing but a status counts in its place.
pub(crate) fn status(reply: &Reply) -> u16 {
    match serde_json::from_slice::<u16>(&reply.body) {
        Ok(told @ 100..600) if reply.is_success() => told,
        _ => reply.status,
    }
}

/// Path and query of a link, absolute or relative, without a slash at its end. None when it is no link.
pub(crate) fn path_of(link: &str) -> Option<String> {
    let link = link.trim().split('#').next().unwrap_or_default();
    let path = match link.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => link,
    };
    let path = path.trim_end_matches('/');
    path.starts_with('/').then(|| path.to_owned())
}

/// The path of `{"@odata.id": "..."}`.
pub(crate) fn link(value: &Value) -> Option<String> {
    value["@odata.id"].as_str().and_then(path_of)
}

pub(crate) fn links(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(link).collect()
}

/// True, or the word.
pub(crate) fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_str().is_some_and(|word| word.eq_ignore_ascii_case("true")))
}

/// A number, or one in a string; 0 when it is neither.
pub(crate) fn number(value: &Value) -> u64 {
    let float = || value.as_f64().map(|number| number as u64);
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()).or_else(float).unwrap_or(0)
}

/// A text that is not empty.
pub(crate) fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

pub(crate) fn to_links(paths: impl Iterator<Item = impl AsRef<str>>) -> Value {
    paths.map(|path| json!({ "@odata.id": path.as_ref() })).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::testing;

    #[test]
    fn a_bare_number_is_a_status_and_a_resource_is_none() {
        assert_eq!(status(&testing::reply(200, json!(404)).unwrap()), 404);
        assert_eq!(status(&testing::reply(200, json!({ "Id": "1" })).unwrap()), 200);
        assert_eq!(status(&testing::reply(500, json!(200)).unwrap()), 500);
        testing::far_side(|_| testing::reply(200, json!(404)));
        assert!(Service::at(Endpoint::named("redfish")).read("/redfish/v1/Systems/1").unwrap().is_none());
    }

    #[test]
    fn of_a_link_only_the_path_counts() {
        for link in
            ["/redfish/v1/Systems/1", "http://other.example:8443/redfish/v1/Systems/1/", "/redfish/v1/Systems/1#/Links"]
        {
            assert_eq!(path_of(link).unwrap(), "/redfish/v1/Systems/1", "{link}");
        }
        assert_eq!(path_of("http://other.example"), None);
        assert_eq!(path_of("Systems/1"), None);
    }

    #[test]
    fn members_are_found_where_they_are_and_over_pages() {
        testing::far_side(|request| {
            let member = |at: u32| json!({ "@odata.id": format!("/redfish/v1/Systems/{at}") });
            match request.path.as_str() {
                "/a" => testing::reply(200, json!({ "Members": [member(2)], "Members@odata.nextLink": "/a?page=2" })),
                "/a?page=2" => testing::reply(200, json!({ "Members": [member(1)] })),
                _ => testing::reply(200, json!({ "Links": { "Members": [member(3)] } })),
            }
        });
        let service = Service::at(Endpoint::named("redfish"));
        assert_eq!(service.members("/a").unwrap(), ["/redfish/v1/Systems/1", "/redfish/v1/Systems/2"]);
        assert_eq!(service.members("/b").unwrap(), ["/redfish/v1/Systems/3"]);
    }
}
