//! Text as a reader of JSON would read it, wherever in the bytes the JSON begins, and where each byte of that came from.
//!
//! No parser: what is cut off, nested too deep, doubled or has other text around it reads like the rest. Next: `echoes.rs`.

/// JSON in JSON in JSON is read.
const DEEPEST: usize = 3;

/// What the bytes are read as, with escapes replaced by what they mean.
pub(super) struct Reading {
    text: Vec<u8>,
    /// Where in the bytes each byte of the text begins, and behind the last one their end. In 32 bits: an answer has less.
    from: Vec<u32>,
}

/// Read once, read again what that gives, and so on, as long as there is something to replace.
pub(super) fn readings(bytes: &[u8]) -> Vec<Reading> {
    let mut readings: Vec<Reading> = Vec::new();
    while readings.len() < DEEPEST {
        let next = match readings.last() {
            None => Reading::of(bytes),
            Some(last) => Reading::of(&last.text).map(|next| next.behind(last)),
        };
        match next {
            Some(next) => readings.push(next),
            None => break,
        }
    }
    readings
}

impl Reading {
    /// None: nothing is escaped.
    fn of(bytes: &[u8]) -> Option<Self> {
        if !bytes.contains(&b'\\') || u32::try_from(bytes.len()).is_err() {
            return None;
        }
        let (mut text, mut from) = (Vec::with_capacity(bytes.len()), Vec::with_capacity(bytes.len() + 1));
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let (meant, length) = escape(&bytes[at..]).unwrap_or((char::from(byte), 1));
            if length == 1 {
                text.push(byte);
            } else {
                text.extend_from_slice(meant.encode_utf8(&mut [0; 4]).as_bytes());
            }
            from.resize(text.len(), at as u32);
            at += length;
        }
        from.push(at as u32);
        (text.len() < bytes.len()).then_some(Self { text, from })
    }

    fn behind(mut self, earlier: &Self) -> Self {
        self.from.iter_mut().for_each(|at| *at = earlier.from[*at as usize]);
        self
    }

    /// Where `wanted` is read that does not stand there as it is.
    pub(super) fn of_escaped(
        &self,
        wanted: &[u8],
        find: impl Fn(&[u8], &[u8]) -> Option<usize>,
    ) -> Vec<(usize, usize)> {
        let (mut found, mut begin) = (Vec::new(), 0);
        while let Some(at) = find(&self.text[begin..], wanted) {
            let end = begin + at + wanted.len();
            let place = (self.from[begin + at] as usize, self.from[end] as usize);
            if place.1 - place.0 > wanted.len() {
                found.push(place);
            }
            begin = end;
        }
        found
    }
}

/// The character that an escape in front means, and how long the escape is. None: there is none.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let short = |meant| Some((meant, 2));
    match bytes {
        [b'\\', c @ (b'"' | b'\\' | b'/'), ..] => short(char::from(*c)),
        [b'\\', b'b', ..] => short('\u{8}'),
        [b'\\', b'f', ..] => short('\u{c}'),
        [b'\\', b'n', ..] => short('\n'),
        [b'\\', b'r', ..] => short('\r'),
        [b'\\', b't', ..] => short('\t'),
        _ => {
            let first = unit(bytes)?;
            let units = [Some(first), bytes.get(6..).and_then(unit)];
            let meant = char::decode_utf16(units.into_iter().flatten()).next()?.ok()?;
            Some((meant, 6 * meant.len_utf16()))
        }
    }
}

/// `\uXXXX`.
fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        readings(text.as_bytes()).iter().map(|reading| String::from_utf8_lossy(&reading.text).into_owned()).collect()
    }

    #[test]
    fn escapes_are_read_as_json_reads_them_and_what_is_none_stays() {
        assert_eq!(read("none"), Vec::<String>::new());
        assert_eq!(read(r#"\"\/\b\f\n\r\t\u00f6\uD83D\uDE00"#), ["\"/\u{8}\u{c}\n\r\tö😀"]);
        assert_eq!(read(r"\x \u12 \uD83D. \u+123 \"), Vec::<String>::new());
        assert_eq!(read(r"\\\\u0061"), [r"\\u0061", r"\u0061", "a"]);
    }

    #[test]
    fn what_was_read_is_found_where_it_stands() {
        let bytes = br"x\\u0061b ab";
        let found: Vec<_> = readings(bytes)
            .iter()
            .map(|reading| {
                reading.of_escaped(b"ab", |text, wanted| text.windows(wanted.len()).position(|window| window == wanted))
            })
            .collect();
        assert_eq!(found, [vec![], vec![(1, 9)]], "what stands there as it is is no escape");
    }
}
