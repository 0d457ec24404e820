//! Where a placeholder begins, also where a reader further on would first have to decode it.

/// How a placeholder begins.
const BEGINNINGS: [&str; 3] = ["{{access.", "{{secret.", "{{session."];

/// In bytes as they stand; also half decoded, as `%7B%7Baccess.` in a path.
pub(super) fn has_placeholder(bytes: &[u8]) -> bool {
    let begins = |bytes: &[u8]| {
        BEGINNINGS
            .iter()
            .any(|beginning| bytes.windows(beginning.len()).any(|w| w.eq_ignore_ascii_case(beginning.as_bytes())))
    };
    begins(bytes)
        || (bytes.contains(&b'%') && begins(&replaced(bytes, &[(b"%7b", b"{"), (b"%2e", b".")])))
        || (bytes.contains(&b'\\') && begins(&replaced(bytes, &[(b"\\u007b", b"{"), (b"\\u002e", b".")])))
}

fn replaced(bytes: &[u8], pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    'next: while let Some((&first, after)) = rest.split_first() {
        for (from, to) in pairs {
            if rest.get(..from.len()).is_some_and(|head| head.eq_ignore_ascii_case(from)) {
                out.extend_from_slice(to);
                rest = &rest[from.len()..];
                continue 'next;
            }
        }
        out.push(first);
        rest = after;
    }
    out
}
