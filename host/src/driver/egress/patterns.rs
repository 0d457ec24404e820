//! What a manifest's patterns fit: paths of requests, and pointers into their bodies.

/// Whether `path`, without its query, is like `pattern`, in which `*` stands for one segment and a last `**` for all that
/// may follow.
pub(in super::super) fn is_like(pattern: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (mut wanted, mut shown) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), shown.next()) {
            (None, None) => return true,
            (Some("**"), Some(_)) => return true,
            (Some("*"), Some(segment)) if !segment.is_empty() => {}
            (Some(wanted), Some(segment)) if wanted == segment => {}
            _ => return false,
        }
    }
}

/// Whether a JSON pointer is the wanted one, in which `*` stands for any index or key.
pub(super) fn is_under(wanted: &str, pointer: &str) -> bool {
    let (mut wanted, mut shown) = (wanted.split('/'), pointer.split('/'));
    loop {
        match (wanted.next(), shown.next()) {
            (None, None) => return true,
            (Some(wanted), Some(shown)) if wanted == "*" || wanted == shown => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_segment() {
        assert!(is_like("/v1/nodes/*", "/v1/nodes/7?fields=uuid"));
        assert!(is_like("/v1/*/x", "/v1/nodes/x"));
        for path in ["/v1/", "/v1/nodes", "/v1/nodes/7/states?a=b"] {
            assert!(is_like("/v1/**", path) && is_like("/**", path), "{path}");
        }
        assert!(!is_like("/v1/**", "/v1") && !is_like("/v1/**", "/v2/nodes"));
        for path in ["/v1/nodes", "/v1/nodes/", "/v1/nodes/7/states", "/v2/nodes/7", "/v1/nodes/7/"] {
            assert!(!is_like("/v1/nodes/*", path), "{path}");
        }
    }

    #[test]
    fn a_star_in_a_pointer_is_one_index_or_key() {
        assert!(is_under("/*/AccessToken", "/0/AccessToken") && is_under("/a/*", "/a/b"));
        for pointer in ["/AccessToken", "/0/1/AccessToken", "/0/AccessToken/x", "/0/accesstoken", ""] {
            assert!(!is_under("/*/AccessToken", pointer), "{pointer}");
        }
    }
}
