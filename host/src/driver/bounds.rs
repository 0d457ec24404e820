//! What one call of this backend may use: the service's usual values, and the operator's own in their place.

use std::time::Duration;

use crate::config::Sandbox;
use crate::model::Limits;

/// The values of one call.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    pub(super) cpu: Duration,
    /// Of a verb of which the manifest says nothing.
    wall: Duration,
    wall_max: Duration,
    pub(super) memory: usize,
    pub(super) table_elements: usize,
    pub(super) host_bytes: usize,
    pub(super) resources: usize,
    pub(super) random_bytes: u64,
    pub(super) header_bytes: usize,
    pub(super) log_lines: u32,
    pub(super) requests: u32,
    pub(super) request_body: usize,
    pub(super) response_body: usize,
    pub(super) bytes_out: u64,
    pub(super) bytes_in: u64,
    pub(super) text: usize,
    pub(super) pace: Pace,
}

/// How an endpoint is leaned on, by all calls that have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Pace {
    pub(super) connect: Duration,
    /// Until the first byte of an answer, and between two pieces.
    pub(super) first_byte: Duration,
    pub(super) exchange: Duration,
    /// Of one answer: the client reads no more.
    pub(super) headers: usize,
    pub(super) at_once: usize,
    pub(super) per_second: u32,
}

impl Bounds {
    pub(super) fn of(usual: &Sandbox, own: &Limits) -> Self {
        let size = |own: Option<u64>, usual: usize| own.map_or(usual, |own| usize::try_from(own).unwrap_or(usize::MAX));
        let count = |own: Option<u64>, usual: u32| own.map_or(usual, |own| u32::try_from(own).unwrap_or(u32::MAX));
        let time = |own: Option<u64>, usual: Duration| own.map_or(usual, Duration::from_millis);
        Self {
            cpu: own.cpu_ms.map_or(usual.cpu, Duration::from_millis),
            wall: time(own.wall_ms, usual.wall),
            wall_max: time(own.wall_ms, usual.wall_max),
            memory: size(own.memory_mib.map(|mib| mib << 20), usual.memory),
            table_elements: size(own.table_elements, usual.table_elements),
            host_bytes: size(own.host_bytes, usual.host_bytes),
            resources: size(own.resources, usual.resources),
            random_bytes: own.random_bytes.unwrap_or(usual.random_bytes),
            header_bytes: size(own.header_bytes, usual.header_bytes),
            log_lines: count(own.log_lines, usual.log_lines),
            requests: count(own.requests, usual.requests),
            request_body: size(own.request_bytes, usual.request_body),
            response_body: size(own.answer_bytes, usual.response_body),
            bytes_out: own.bytes_out.unwrap_or(usual.bytes_out),
            bytes_in: own.bytes_in.unwrap_or(usual.bytes_in),
            text: size(own.text_bytes, usual.text),
            pace: Pace {
                connect: time(own.connect_ms, usual.connect),
                first_byte: time(own.first_byte_ms, usual.first_byte),
                exchange: time(own.exchange_ms, usual.exchange),
                headers: size(own.headers, usual.headers),
                at_once: size(own.at_once, usual.at_once),
                per_second: count(own.per_second, usual.per_second),
            },
        }
    }

    /// Of a verb for which the manifest asks for so many milliseconds.
    pub(super) fn wall(&self, asked: Option<u64>) -> Duration {
        asked.map_or(self.wall, Duration::from_millis).min(self.wall_max)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_operators_limit_takes_the_place_of_the_usual_one() {
        let usual = Sandbox::default();
        let of = |limits| Bounds::of(&usual, &limits);
        let plain = of(Limits::default());
        assert_eq!((plain.cpu, plain.memory, plain.pace.at_once), (Duration::from_secs(1), 64 << 20, 4));
        let own = of(Limits { cpu_ms: Some(55), memory_mib: Some(2), at_once: Some(1), ..Limits::default() });
        assert_eq!((own.cpu, own.memory, own.pace.at_once), (Duration::from_millis(55), 2 << 20, 1));
    }

    /// The table of limits in docs/threats.md: a line per limit, with its usual and its greatest value.
    #[test]
    fn every_limit_stands_in_the_table_with_its_values() {
        let usual = Sandbox::default();
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        let of = |limit: &str| match limit {
            "cpu_ms" => ms(usual.cpu),
            "wall_ms" => ms(usual.wall),
            "memory_mib" => (usual.memory >> 20) as u64,
            "table_elements" => usual.table_elements as u64,
            "host_bytes" => usual.host_bytes as u64,
            "resources" => usual.resources as u64,
            "random_bytes" => usual.random_bytes,
            "headers" => usual.headers as u64,
            "header_bytes" => usual.header_bytes as u64,
            "requests" => usual.requests.into(),
            "request_bytes" => usual.request_body as u64,
            "answer_bytes" => usual.response_body as u64,
            "bytes_out" => usual.bytes_out,
            "bytes_in" => usual.bytes_in,
            "connect_ms" => ms(usual.connect),
            "first_byte_ms" => ms(usual.first_byte),
            "exchange_ms" => ms(usual.exchange),
            "at_once" => usual.at_once as u64,
            "per_second" => usual.per_second.into(),
            "text_bytes" => usual.text as u64,
            "log_lines" => usual.log_lines.into(),
            other => panic!("{other} has no usual value here"),
        };
        let table = include_str!("../../../docs/threats.md").replace(',', "");
        for (limit, range) in Limits::ranges() {
            let (usual, most) = (of(limit), range.end());
            assert!(range.contains(&usual), "{limit}");
            assert!(table.contains(&format!("| `{limit}` | {usual} | {most} | ")), "{limit}: {usual}, {most}");
        }
    }

    #[test]
    fn a_manifest_gets_the_wall_time_that_it_asks_for_up_to_the_operators() {
        let usual = Sandbox::default();
        let wall = |wall_ms, asked| Bounds::of(&usual, &Limits { wall_ms, ..Limits::default() }).wall(asked).as_secs();
        assert_eq!((wall(None, None), wall(None, Some(120_000)), wall(None, Some(900_000))), (30, 120, 300));
        assert_eq!(
            (wall(Some(60_000), None), wall(Some(60_000), Some(120_000)), wall(Some(60_000), Some(1_000))),
            (60, 60, 1)
        );
    }
}
