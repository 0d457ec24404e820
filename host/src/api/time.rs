//! Times as people and other programs read them: RFC 3339 in UTC, with milliseconds.

use crate::model::Millis;

pub(super) fn show(at: Millis) -> String {
    match jiff::Timestamp::from_millisecond(at) {
        Ok(time) => format!("{time:.3}"),
        // Outside of the years -9999 to 9999.
        Err(_) => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_time_shows_its_milliseconds() {
        assert_eq!(super::show(1_700_000_000_007), "2023-11-14T22:13:20.007Z");
    }
}
