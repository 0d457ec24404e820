//! Where a request goes: the operator's URL, and the path that a driver may add to it.
//!
//! A driver names no host. What it names is a path, and the path must mean the same to every reader of it: whatever
//! some server might decode, resolve or fold on the way is denied. Next: `address.rs`.

use std::net::IpAddr;

use reqwest::Url;

use super::address::check_address;

/// Bytes of path and query together.
const LONGEST: usize = 8 << 10;
/// Bytes of an operator's prefix: a path behind it must have room.
const LONGEST_PREFIX: usize = 1 << 10;

/// An operator's URL: origin and prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Base {
    /// Without a path.
    origin: Url,
    /// Empty, or `/` and segments without a `/` at the end.
    prefix: String,
}

impl Base {
    /// The error is one sentence for people.
    pub(in super::super) fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("{text:?} is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{text:?}: the scheme is http or https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("user and password do not belong into the URL: bind `auth` with a secret".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("{text:?}: a base URL has no query and no fragment"));
        }
        let prefix = url.path().trim_end_matches('/').to_owned();
        if prefix.len() > LONGEST_PREFIX {
            return Err(format!("a base URL's path has at most {LONGEST_PREFIX} bytes"));
        }
        if !prefix.is_empty() {
            check_path(&prefix).map_err(|why| format!("{text:?}: {why}"))?;
        }
        let mut origin = url;
        origin.set_path("");
        if let Some(literal) = literal(&origin) {
            check_address(literal, true).map_err(|why| format!("{text:?}: {why}"))?;
        }
        Ok(Self { origin, prefix })
    }

    /// The URL of the guest's path and query behind this base. The error says why the path is denied.
    pub(super) fn join(&self, path: &str, query: Option<&str>) -> Result<Url, String> {
        check_path(path)?;
        if let Some(query) = query {
            check_query(query)?;
        }
        let path = format!("{}{path}", self.prefix);
        if path.len() + query.map_or(0, str::len) > LONGEST {
            return Err(format!("path and query are longer than {LONGEST} bytes"));
        }
        let mut url = self.origin.clone();
        url.set_path(&path);
        url.set_query(query);
        // The parser may fold what it reads. It must not have.
        if url.path() != path || url.origin() != self.origin.origin() {
            return Err(format!("the path {path:?} does not mean the same to everyone"));
        }
        Ok(url)
    }

    /// Path and query behind this base of a link in an answer to `asked`; none when it leads elsewhere.
    pub(super) fn within(&self, asked: &Url, link: &str) -> Option<String> {
        let link = asked.join(link).ok()?;
        if link.origin() != self.origin.origin() || !link.username().is_empty() || link.password().is_some() {
            return None;
        }
        let path = link.path().strip_prefix(&self.prefix).filter(|path| path.starts_with('/'))?;
        Some(link.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")))
    }

    /// True when the operator wrote a loopback address, or `localhost`.
    pub(super) fn is_loopback(&self) -> bool {
        let name = self.origin.host_str().unwrap_or_default();
        name == "localhost" || name.ends_with(".localhost") || literal(&self.origin).is_some_and(|ip| ip.is_loopback())
    }

    pub(super) fn is_https(&self) -> bool {
        self.origin.scheme() == "https"
    }
}

/// `/`, then segments of RFC 3986 without dots alone, without anything between two slashes, and with no encoded dot,
/// slash, backslash, percent or control character.
fn check_path(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err("a path begins with /".into());
    }
    let bytes = path.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
        if byte == b'%' {
            let code = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
            let code = code
                .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
                .and_then(|hex| u8::from_str_radix(hex, 16).ok());
            match code {
                Some(b'.' | b'/' | b'\\' | b'%' | 0x7f | 0..=0x1f) => {
                    return Err("the path has an encoded dot, slash, backslash, percent or control character".into());
                }
                Some(_) => {}
                None => return Err("the path has a % without two hex digits".into()),
            }
        } else if !plain {
            return Err(format!("the path has {:?}, which no path may have unencoded", char::from(byte)));
        }
    }
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        // Some servers drop what follows a semicolon before they look for dots.
        if matches!(segment.split(';').next(), Some("." | "..")) {
            return Err("the path has a segment of dots".into());
        }
        if segment.is_empty() && segments.peek().is_some() {
            return Err("the path has two slashes in a row".into());
        }
    }
    Ok(())
}

fn check_query(query: &str) -> Result<(), String> {
    match query.bytes().find(|byte| !byte.is_ascii_graphic() || matches!(byte, b'\\' | b'#')) {
        Some(byte) => Err(format!("the query has {:?}", char::from(byte))),
        None => Ok(()),
    }
}

fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_path_goes_behind_the_operators_prefix_and_nowhere_else() {
        let base = Base::parse("http://pod.example:8080/redfish/").unwrap();
        let url = base.join("/v1/Systems/1", Some("$filter=Name eq 'x'".replace(' ', "%20").as_str())).unwrap();
        assert_eq!(url.as_str(), "http://pod.example:8080/redfish/v1/Systems/1?$filter=Name%20eq%20%27x%27");
        assert_eq!(
            Base::parse("https://ironic").unwrap().join("/v1/nodes/", None).unwrap().as_str(),
            "https://ironic/v1/nodes/"
        );
    }

    #[test]
    fn paths_that_some_server_reads_differently_are_denied() {
        let base = Base::parse("http://pod.example/redfish").unwrap();
        for path in [
            "",
            "v1",
            "/..",
            "/../admin",
            "/v1/../../x",
            "/v1/./x",
            "/v1/..;/x",
            "/v1/..;a=b",
            "//evil.example/x",
            "/v1//x",
            "/v1//",
            "/\\evil.example",
            "/v1\\..\\x",
            "/%2e%2e/x",
            "/%2E./x",
            "/.%2e/x",
            "/v1%2f..%2fx",
            "/v1%5cx",
            "/%252e%252e/x",
            "/a%00b",
            "/a%0d%0aHost:x",
            "/a b",
            "/a\tb",
            "/a#b",
            "/a?b",
            "/é",
            "/a%",
            "/a%2",
            "/a%zz",
            "/{{access.password}}",
            "/a[1]",
            "/a|b",
            "/a\"b",
        ] {
            assert!(base.join(path, None).is_err(), "{path:?}");
        }
        for query in ["a#b", "a\\b", "a b", "a\nb"] {
            assert!(base.join("/v1", Some(query)).is_err(), "{query:?}");
        }
    }

    #[test]
    fn an_operators_url_is_an_origin_and_a_prefix() {
        for bad in [
            "pod",
            "ftp://pod/",
            "file:///etc/passwd",
            "http://u:p@pod/",
            "http://u@pod/",
            "http://pod/?a=b",
            "http://pod/#x",
            "http://169.254.169.254/",
            "http://[fe80::1]/",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://[::ffff:169.254.169.254]/",
            "http://0.0.0.0/",
            "http://[fd00:ec2::254]/",
            "http://100.100.100.200/",
        ] {
            assert!(Base::parse(bad).is_err(), "{bad}");
        }
        let long = |bytes: usize| Base::parse(&format!("http://far/{}", "a".repeat(bytes)));
        assert!(long(LONGEST_PREFIX).is_err_and(|why| why.contains("1024")) && long(LONGEST_PREFIX - 1).is_ok());
        for good in [
            "http://127.0.0.1:6385",
            "http://localhost:6385/",
            "https://10.0.0.7/redfish",
            "http://[::1]:8000",
            "http://ironic",
        ] {
            assert!(Base::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn links_of_the_bound_origin_lose_origin_and_prefix_and_others_are_none() {
        let base = Base::parse("http://pod.example/redfish").unwrap();
        let asked = base.join("/v1/Systems", None).unwrap();
        let within = |link| base.within(&asked, link);
        assert_eq!(within("http://pod.example/redfish/v1/Systems/1?a=b").as_deref(), Some("/v1/Systems/1?a=b"));
        assert_eq!(within("/redfish/v1/Tasks/7").as_deref(), Some("/v1/Tasks/7"));
        assert_eq!(within("Systems/1").as_deref(), Some("/v1/Systems/1"));
        for elsewhere in [
            "https://pod.example/redfish/v1",
            "http://evil.example/redfish/v1",
            "//evil.example/redfish/v1",
            "/redfishy",
            "/other",
            "http://u@pod.example/redfish/v1",
        ] {
            assert_eq!(within(elsewhere), None, "{elsewhere}");
        }
    }
}
