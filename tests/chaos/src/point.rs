//! Places at which the service can die, as its own log names them.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};

/// One place, with ids taken out, so that it is the same in every run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    /// The driver's name, or `moganite` where none is called.
    pub(crate) whose: String,
    when: String,
    what: String,
}

/// Every place that one process reached, in order; none when it reached none.
pub(crate) fn read(log: &Path) -> Result<Vec<Point>> {
    let text = match std::fs::read_to_string(log) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", log.display())),
    };
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole
        .map(|line| line.trim_end_matches('\n'))
        .map(|line| parse(line).with_context(|| format!("an odd line in the log of places: {line}")))
        .collect()
}

fn parse(line: &str) -> Option<Point> {
    let mut words = line.split('\t').skip(1).map(str::to_owned);
    let (whose, when, what) = (words.next()?, words.next()?, words.next()?);
    Some(Point { whose, when, what: without_ids(&what) })
}

/// `/v1/nodes/1f0e...` becomes `/v1/nodes/*`: a segment with a digit is an id, but for a version.
fn without_ids(what: &str) -> String {
    let is_version = |part: &str| part.len() <= 3 && part.starts_with('v');
    let plain =
        |part: &str| if part.bytes().any(|b| b.is_ascii_digit()) && !is_version(part) { "*" } else { part }.to_owned();
    what.split('/').map(plain).collect::<Vec<_>>().join("/")
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.whose, self.when, self.what)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_same_place_is_the_same_in_every_run() {
        let point = parse("12\tironic\tafter the answer\tGET ironic /v1/nodes/5a0e3c52/ports").unwrap();
        assert_eq!(point.to_string(), "ironic: after the answer GET ironic /v1/nodes/*/ports");
        let commit = parse("13\tironic\tbefore the commit\texecute enroll done").unwrap();
        assert_eq!(commit.to_string(), "ironic: before the commit execute enroll done");
        assert!(parse("13\tironic").is_none());
    }
}
