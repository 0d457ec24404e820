//! The engine that runs components: which features of WebAssembly they may use, and the pool that they run in.
//!
//! The figures were measured; docs/speed.md has what they cost. Next: `ticker.rs`, what interrupts them, and `limits.rs`, what one call may use.

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails};

use super::bindings::log;
use super::limits::State;
use crate::config::Sandbox;
use crate::model::Limits;

/// Of one instance. Python and JavaScript components have dozens of core instances and tables; Rust ones about five.
pub(super) const CORE_INSTANCES: u32 = 60;
pub(super) const TABLES: u32 = 60;
pub(super) const MEMORIES: u32 = 4;
const TABLE_ELEMENTS: usize = 20_000;

/// The engine of the service. Compiles nothing by itself.
pub(super) fn serving(sandbox: &Sandbox) -> anyhow::Result<Engine> {
    Ok(Engine::new(&settings(sandbox))?)
}

/// The engine of the compiling child: the same settings, or the service could not load what it makes.
pub(super) fn compiling() -> anyhow::Result<Engine> {
    Ok(Engine::new(&settings(&Sandbox { slots: 1, ..Sandbox::default() }))?)
}

/// Everything a component may import. The context behind it grants nothing: no files, no environment, no sockets.
pub(super) fn linker(engine: &Engine) -> anyhow::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    log::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// Changes when compiled files of another engine or another setting no longer fit.
pub(super) fn compatibility(engine: &Engine) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn settings(sandbox: &Sandbox) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    let slots = sandbox.slots.max(1);
    pool.total_component_instances(slots)
        .total_stacks(slots)
        .total_core_instances(slots.saturating_mul(8).max(CORE_INSTANCES))
        .total_memories(slots.saturating_mul(MEMORIES))
        .total_tables(slots.saturating_mul(8).max(TABLES))
        .max_memory_size(sandbox.memory.max((Limits::MOST_MEMORY_MIB as usize) << 20))
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_component_instance_size(2 << 20)
        .max_core_instance_size(2 << 20)
        // What a call wrote is overwritten. Beyond that pages are given back to the kernel and faulted in again, at twice the price of a call, and
        // no two threads do that at once. `pagemap_scan` would save writing, but passes over pages that are swapped out: what one call wrote
        // there the next one would read.
        .linear_memory_keep_resident(512 << 10)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(16 << 10)
        .max_unused_warm_slots(slots.min(64));

    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        // A backtrace has the names of functions. Places in the source would take tables, a tenth of what is compiled, and would have the
        // host read the guest's DWARF.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .generate_address_map(false)
        // For debuggers of this process alone; a trap's backtrace needs none of it.
        .native_unwind_info(false)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20)
        // A smaller surface: what compilers for wasip2 do not emit.
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_the_child_compiles_fits_every_size_of_the_service() {
        let child = compatibility(&compiling().unwrap());
        for (slots, memory) in [(1, 16 << 20), (64, 64 << 20), (8, 256 << 20)] {
            let service = serving(&Sandbox { slots, memory, ..Sandbox::default() }).unwrap();
            assert_eq!(compatibility(&service), child, "{slots} slots of {memory} bytes");
        }
    }
}
