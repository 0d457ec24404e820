//! Which headers pass the gate, in both directions.
//!
//! A driver sets no credential, no host, nothing that says how the connection or the method is to be read; an answer
//! brings no session into the guest. Next: `places.rs`.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;

use super::url::Base;

/// A guest that sets one of these gets an error at once.
pub(super) fn is_forbidden(name: &HeaderName) -> bool {
    const CREDENTIALS: [&str; 5] =
        ["authorization", "cookie", "x-auth-token", "proxy-authorization", "x-subject-token"];
    is_hop_by_hop(name) || *name == header::HOST || CREDENTIALS.contains(&name.as_str())
}

/// Whether a place may be in this header: it says nothing of the connection, and is not the endpoint's own `auth`.
pub(in super::super) fn may_hold_value(name: &str) -> bool {
    let Ok(name) = HeaderName::try_from(name) else { return false };
    let own = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE, header::HOST, header::CONTENT_TYPE];
    !is_hop_by_hop(&name) && !own.contains(&name) && !is_left_out(&name)
}

/// Whether a session may be in this header of an answer.
pub(in super::super) fn may_bring_session(name: &str) -> bool {
    let Ok(name) = HeaderName::try_from(name) else { return false };
    let own = [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::LOCATION, header::LINK, header::SET_COOKIE];
    !is_hop_by_hop(&name) && !own.contains(&name)
}

/// As they are on the wire. Unit: bytes.
pub(super) fn size(headers: &HeaderMap) -> usize {
    const MARKS: usize = ": \r\n".len();
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + MARKS).sum()
}

/// What of the guest's request goes on. Length, host and user agent are set anew; an encoded or partial answer could
/// not be searched for secrets, so none is asked for.
pub(super) fn outgoing(headers: &HeaderMap) -> HeaderMap {
    let passes = |name: &HeaderName| !is_forbidden(name) && !is_left_out(name);
    headers.iter().filter(|(name, _)| passes(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn is_left_out(name: &HeaderName) -> bool {
    const NAMES: [&str; 10] = [
        "accept-encoding",
        "content-length",
        "user-agent",
        "range",
        "expect",
        "forwarded",
        "x-http-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x-method-override",
    ];
    name.as_str().starts_with("x-forwarded-") || NAMES.contains(&name.as_str())
}

/// What of an answer to `asked` reaches the guest: links lead to the endpoint's name or are gone, sessions stay here.
pub(super) fn incoming(headers: &HeaderMap, endpoint: &str, base: &Base, asked: &Url) -> HeaderMap {
    const LEFT_OUT: [&str; 6] =
        ["set-cookie", "x-auth-token", "x-subject-token", "content-length", "alt-svc", "refresh"];
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    let inward = |link: &str| base.within(asked, link).map(|path| format!("http://{endpoint}{path}"));
    let mut passed = HeaderMap::new();
    for (name, value) in headers {
        if is_hop_by_hop(name) || LEFT_OUT.contains(&name.as_str()) || named.iter().any(|n| n == name.as_str()) {
            continue;
        }
        let value = if *name == header::LOCATION || *name == header::CONTENT_LOCATION {
            value.to_str().ok().and_then(inward).and_then(|link| HeaderValue::try_from(link).ok())
        } else if *name == header::LINK {
            value
                .to_str()
                .ok()
                .and_then(|links| relink(links, inward))
                .and_then(|links| HeaderValue::try_from(links).ok())
        } else {
            Some(value.clone())
        };
        if let Some(value) = value {
            passed.append(name.clone(), value);
        }
    }
    passed
}

/// Of `<url>; rel=next, <url>; rel=prev` the links that lead inward; none when no one does.
fn relink(links: &str, inward: impl Fn(&str) -> Option<String>) -> Option<String> {
    let kept: Vec<String> = links
        .split('<')
        .skip(1)
        .filter_map(|link| {
            let (url, rest) = link.split_once('>')?;
            let rest = rest.trim_end().trim_end_matches(',');
            Some(format!("<{}>{rest}", inward(url)?))
        })
        .collect();
    (!kept.is_empty()).then(|| kept.join(", "))
}

/// RFC 9110, 7.6.1, and what wasi:http forbids beside it.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    const NAMES: [&str; 10] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
    ];
    NAMES.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
    }

    fn answered(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let base = Base::parse("http://pod.example/redfish").unwrap();
        let asked = base.join("/v1/Systems", None).unwrap();
        incoming(&map(pairs), "pod", &base, &asked)
    }

    #[test]
    fn a_driver_sets_no_credential_and_no_host() {
        for name in [
            "authorization",
            "cookie",
            "x-auth-token",
            "host",
            "connection",
            "transfer-encoding",
            "proxy-authorization",
        ] {
            assert!(is_forbidden(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["accept", "content-type", "x-openstack-ironic-api-version", "if-match", "odata-version"] {
            assert!(!is_forbidden(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn what_would_mislead_the_far_side_or_the_search_for_secrets_is_left_out() {
        let sent = outgoing(&map(&[
            ("accept", "application/json"),
            ("accept-encoding", "gzip"),
            ("range", "bytes=0-3"),
            ("content-length", "7"),
            ("x-forwarded-host", "evil"),
            ("x-http-method-override", "DELETE"),
            ("user-agent", "curl"),
        ]));
        assert_eq!(sent, map(&[("accept", "application/json")]));
    }

    #[test]
    fn links_lead_to_the_endpoints_name_or_are_gone() {
        assert_eq!(
            answered(&[("location", "http://pod.example/redfish/v1/Systems/1")])["location"],
            "http://pod/v1/Systems/1"
        );
        assert!(answered(&[("location", "http://evil.example/redfish/v1")]).is_empty());
        let links = answered(&[("link", "</redfish/v1/a?x=1>; rel=\"next\", <https://evil.example/>; rel=prev")]);
        assert_eq!(links["link"], "<http://pod/v1/a?x=1>; rel=\"next\"");
    }

    #[test]
    fn sessions_stay_with_the_gate() {
        let passed = answered(&[
            ("set-cookie", "s=1"),
            ("x-auth-token", "t"),
            ("www-authenticate", "Basic"),
            ("x-internal", "1"),
            ("connection", "x-internal"),
        ]);
        assert_eq!(passed, map(&[("www-authenticate", "Basic")]));
    }
}
