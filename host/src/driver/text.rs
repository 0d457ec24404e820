//! Text from a guest or a far side, made harmless: one line, no control characters, a bounded length.

/// At most `limit` characters of `text`; control characters, line separators and changes of direction are escaped.
pub(super) fn plain(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for (count, c) in text.chars().enumerate() {
        if count == limit {
            out.push('…');
            break;
        }
        if is_tricky(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// The end of it, where a crash says why.
pub(super) fn tail(text: &str, limit: usize) -> String {
    let text = text.trim_end();
    let skip = text.chars().count().saturating_sub(limit);
    plain(&text.chars().skip(skip).collect::<String>(), limit)
}

fn is_tricky(c: char) -> bool {
    let is_separator = matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{200b}'..='\u{200d}');
    let is_direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || is_separator || is_direction
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_guest_cannot_end_a_line_or_colour_a_terminal() {
        assert_eq!(plain("ok\r\nlevel=error \u{1b}[31mred\u{202e}", 99), r"ok\r\nlevel=error \u{1b}[31mred\u{202e}");
        assert_eq!(plain("Grüße, 節点", 99), "Grüße, 節点");
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        assert_eq!(plain("abcdef", 3), "abc…");
        assert_eq!(plain("abc", 3), "abc");
        assert_eq!(tail("long story: the end\n", 7), "the end");
    }
}
