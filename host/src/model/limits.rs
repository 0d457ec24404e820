//! What one call of a driver may use, and how hard an endpoint is leaned on, where an operator wants it otherwise than usual.
//!
//! The usual values are the service's (`config.rs`); how far an operator may go stands here.

use serde::{Deserialize, Serialize};

use super::Invalid;

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $range:expr;)+) => {
        /// Of one backend. What is left out is as usual.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Limits {
            $($(#[doc = $doc])+ #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<u64>,)+
        }

        impl Limits {
            /// Each within its range.
            pub fn check(&self) -> Result<(), Invalid> {
                $(if let Some(value) = self.$name {
                    let range = $range;
                    if !range.contains(&value) {
                        let field = concat!("limits.", stringify!($name));
                        return Err(Invalid::new(field, format!("{} to {}, not {value}", range.start(), range.end())));
                    }
                })+
                Ok(())
            }

            /// By name: the least and the most.
            pub fn ranges() -> Vec<(&'static str, std::ops::RangeInclusive<u64>)> {
                vec![$((stringify!($name), $range)),+]
            }
        }
    };
}

limits! {
    /// CPU time of one call, counted in steps of 2 ms. Usual: 1,000. Unit: milliseconds.
    cpu_ms: 10..=60_000;
    /// The most that a call takes, its requests and waits included, whatever its manifest asks for. Usual: 300,000, and 30,000 for a
    /// verb of which the manifest says nothing. Unit: milliseconds.
    wall_ms: 100..=300_000;
    /// All linear memories of a call together. Usual: 64. Unit: MiB.
    memory_mib: 1..=Limits::MOST_MEMORY_MIB;
    /// Elements of all tables of a call together. Usual: 20,000.
    table_elements: 100..=20_000;
    /// Bytes that pass between host and guest in one host call. Usual: 16 MiB.
    host_bytes: 65_536..=67_108_864;
    /// Requests, bodies and streams that a call holds at once. Usual: 1,024.
    resources: 16..=4_096;
    /// Random bytes that a call gets at once. Usual: 64 KiB.
    random_bytes: 64..=1_048_576;
    /// Headers of one answer. Usual: 100.
    headers: 16..=1_000;
    /// Bytes of the headers of one request or answer. Usual: 64 KiB.
    header_bytes: 4_096..=262_144;
    /// Requests of one call. Usual: 64.
    requests: 1..=1_000;
    /// Bytes of one request's body. Usual: 256 KiB.
    request_bytes: 1_024..=16_777_216;
    /// Bytes of one answer's body. Usual: 4 MiB.
    answer_bytes: 1_024..=16_777_216;
    /// Bytes of all bodies that one call sends. Usual: 4 MiB.
    bytes_out: 1_024..=67_108_864;
    /// Bytes of all bodies that one call gets. Usual: 64 MiB.
    bytes_in: 1_024..=268_435_456;
    /// Until a connection stands. Usual: 10,000. Unit: milliseconds.
    connect_ms: 100..=60_000;
    /// Until the first byte of an answer, and from one piece of it to the next. Usual: 180,000. Unit: milliseconds.
    first_byte_ms: 100..=300_000;
    /// A whole exchange. Usual: 300,000. Unit: milliseconds.
    exchange_ms: 100..=300_000;
    /// Requests to one endpoint at once, over all calls. Usual: 4.
    at_once: 1..=64;
    /// Requests to one endpoint in a second, over all calls; as many may come at once. Usual: 500.
    per_second: 1..=10_000;
    /// Bytes of one checkpoint or JSON text that a driver answers. Usual: 64 KiB.
    text_bytes: 1_024..=262_144;
    /// Lines of log of one call. Usual: 64.
    log_lines: 0..=1_000;
}

impl Limits {
    /// What the pool of instances has room for.
    pub const MOST_MEMORY_MIB: u64 = 256;

    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_limit_has_a_least_and_a_most() {
        let with = |name: &str, value: u64| {
            serde_json::from_value::<Limits>(serde_json::json!({ name: value })).unwrap().check()
        };
        assert_eq!(Limits::ranges().len(), 21);
        for (name, range) in Limits::ranges() {
            assert!(with(name, *range.start()).is_ok() && with(name, *range.end()).is_ok(), "{name}");
            let over = with(name, range.end() + 1).unwrap_err();
            assert_eq!(over.field, format!("limits.{name}"));
            assert!(over.to_string().contains(&range.end().to_string()), "{over}");
            if let Some(under) = range.start().checked_sub(1) {
                assert!(with(name, under).is_err(), "{name}");
            }
        }
        assert!(serde_json::from_value::<Limits>(serde_json::json!({"cpu": 1})).is_err());
    }
}
