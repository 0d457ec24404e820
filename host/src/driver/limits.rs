//! What one call of a driver may use: memory, CPU time, tables, log lines, bytes handed to the host.
//!
//! Every limit is a typed error with its figures, so that `call.rs` can say which one it was. Wall time is counted in
//! `call.rs`, requests in `egress.rs`.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::ResourceTable;
use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::bindings::log;
use super::bounds::Bounds;
use super::egress::Gate;
use super::engine::{CORE_INSTANCES, MEMORIES, TABLES};
use super::lane::Computed;
use super::text;
use super::ticker::TICK;
use crate::clock::Clock;

/// Characters of one line of log.
const LOG_LINE: usize = 512;
/// Bytes of stderr that are kept: where a panic says what it was.
const STDERR: usize = 16 << 10;

/// A limit that a call ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Limit {
    #[error("it used more than {} ms of CPU time in one call", .0.as_millis())]
    Cpu(Duration),
    #[error("it asked for {asked} bytes of memory, and one call may have {allowed}")]
    Memory { asked: usize, allowed: usize },
    #[error("it asked for {asked} table elements, and one call may have {allowed}")]
    Tables { asked: usize, allowed: usize },
}

/// Who emits log lines: the host says it, never the guest.
#[derive(Debug, Clone)]
pub(super) struct Speaker {
    pub(super) backend: String,
    pub(super) plugin: String,
    pub(super) operation: String,
}

/// All that a guest can reach, made for one call and dropped with it.
pub(super) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    gate: Gate,
    space: Space,
    speaker: Speaker,
    lines: u32,
    lines_allowed: u32,
}

/// Sums what grows: wasmtime's own limits are per memory and per table.
struct Space {
    memory: usize,
    memory_allowed: usize,
    elements: usize,
    elements_allowed: usize,
}

/// A fresh store. What the guest writes to stderr is in the pipe, also after the store is gone.
pub(super) fn store(
    engine: &Engine,
    bounds: &Bounds,
    clock: Clock,
    gate: Gate,
    speaker: Speaker,
    computed: Arc<Computed>,
) -> (Store<State>, MemoryOutputPipe) {
    let stderr = MemoryOutputPipe::new(STDERR);
    let wasi = WasiCtx::builder()
        .stderr(stderr.clone())
        .wall_clock(Wall(clock))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(bounds.random_bytes)
        .build();
    let mut http = WasiHttpCtx::new();
    http.set_field_size_limit(bounds.header_bytes);
    let mut table = ResourceTable::new();
    table.set_max_capacity(bounds.resources);
    let (memory_allowed, elements_allowed) = (bounds.memory, bounds.table_elements);
    let space = Space { memory: 0, memory_allowed, elements: 0, elements_allowed };
    let mut store = Store::new(
        engine,
        State { wasi, http, table, gate, space, speaker, lines: 0, lines_allowed: bounds.log_lines },
    );
    store.limiter(|state| &mut state.space);
    store.set_hostcall_fuel(bounds.host_bytes);

    let cpu = bounds.cpu;
    let allowed = cpu.as_millis().div_ceil(TICK.as_millis());
    store.set_epoch_deadline(1);
    // Once per tick in which the guest was running: CPU time, not wall time. Yielding lets others run on this thread. The deadline passes
    // also while a guest waits; then it goes on, or it would stand behind all who compute each time that it is answered.
    store.epoch_deadline_callback(move |_| {
        let interrupted = computed.was_interrupted();
        if u128::from(computed.used()) > allowed {
            return Err(Limit::Cpu(cpu).into());
        }
        Ok(if interrupted { UpdateDeadline::Yield(1) } else { UpdateDeadline::Continue(1) })
    });
    (store, stderr)
}

/// What time it is, for a guest: the service's own clock, to the millisecond.
struct Wall(Clock);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.now()).unwrap_or_default())
    }
}

impl ResourceLimiter for Space {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let asked = self.memory.saturating_add(desired.saturating_sub(current));
        if asked > self.memory_allowed {
            return Err(Limit::Memory { asked, allowed: self.memory_allowed }.into());
        }
        self.memory = asked;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let asked = self.elements.saturating_add(desired.saturating_sub(current));
        if asked > self.elements_allowed {
            return Err(Limit::Tables { asked, allowed: self.elements_allowed }.into());
        }
        self.elements = asked;
        Ok(true)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.gate }
    }
}

impl log::Host for State {
    fn emit(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.lines = self.lines.saturating_add(1);
        if self.lines <= self.lines_allowed {
            self.speaker.say(level, &text::plain(&message, LOG_LINE));
        }
        Ok(())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(dropped) = self.lines.checked_sub(self.lines_allowed).filter(|dropped| *dropped > 0) {
            self.speaker.say(
                log::Level::Warn,
                &format!("{dropped} more lines were dropped: a call has {}", self.lines_allowed),
            );
        }
    }
}

impl Speaker {
    /// `message` is one field of the record, escaped: a guest cannot end the line or add a field.
    fn say(&self, level: log::Level, message: &str) {
        let Self { backend, plugin, operation } = self;
        match level {
            log::Level::Debug => tracing::debug!(target: "driver", backend, plugin, operation, said = message),
            log::Level::Info => tracing::info!(target: "driver", backend, plugin, operation, said = message),
            log::Level::Warn => tracing::warn!(target: "driver", backend, plugin, operation, said = message),
            log::Level::Error => tracing::error!(target: "driver", backend, plugin, operation, said = message),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn memories_are_summed_and_not_looked_at_one_by_one() {
        let mut space = Space { memory: 0, memory_allowed: 100, elements: 0, elements_allowed: 9 };
        assert!(space.memory_growing(0, 60, None).is_ok());
        assert!(space.memory_growing(0, 40, None).is_ok());
        let over = space.memory_growing(40, 41, None).unwrap_err();
        assert_eq!(over.downcast_ref(), Some(&Limit::Memory { asked: 101, allowed: 100 }));
    }

    #[test]
    fn tables_are_summed_too() {
        let mut space = Space { memory: 0, memory_allowed: 100, elements: 0, elements_allowed: 9 };
        assert!(space.table_growing(0, 9, None).is_ok());
        assert!(space.table_growing(0, 1, None).is_err());
    }
}
