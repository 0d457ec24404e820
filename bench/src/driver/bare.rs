//! The same component and the same verb with wasmtime alone: a fresh store, the pre-linked component, one call. No limits but the
//! engine's, no gate, no checks of what is answered.

use anyhow::{Context, Result};
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use super::{peers, rig, spread};
use crate::clock::Moment;
use crate::figures::Figures;

wasmtime::component::bindgen!({
    path: "../wit",
    world: "enroller",
    imports: { default: trappable },
    exports: { default: async },
    require_store_data_send: true,
});

use self::moganite::driver::{log, types};

struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    nobody: Nobody,
}

/// No request leaves.
struct Nobody;

type Sent<T> = Box<dyn Future<Output = std::result::Result<T, Error>> + Send>;

impl WasiHttpHooks for Nobody {
    fn send_request(
        &mut self,
        _: axum::http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Sent<()>,
    ) -> Sent<(axum::http::Response<WasiBody>, Sent<()>)> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.nobody }
    }
}

impl log::Host for State {
    fn emit(&mut self, _: log::Level, _: String) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl types::Host for State {}

pub(super) async fn calls(seconds: f64) -> Result<Figures> {
    let engine = Engine::new(&settings())?;
    let mut linker = Linker::<State>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    log::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    let component = Component::new(&engine, rig::packed("misbehave")?)?;
    let linked = EnrollerPre::new(linker.instantiate_pre(&component)?)?;

    let asked = peers::message();
    let node = types::Node {
        handle: "node-1".into(),
        identity: types::Identity {
            system_uuid: Some("4c4c4544-0042-3510-8052-b4c04f4a3132".into()),
            serial: Some("S-1".into()),
            macs: vec!["52:54:00:00:00:01".into()],
        },
        parts: vec![],
        place: None,
        access: None,
        facts: asked["node"]["facts"].to_string(),
    };
    let (begun, mut each) = (Moment::now(), Vec::new());
    while begun.seconds() < seconds {
        let one = Moment::now();
        let context = types::Context {
            operation: "op-1".into(),
            attempt: 1,
            budget: 30_000,
            settings: "{}".into(),
            checkpoint: None,
        };
        let state = State {
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
            nobody: Nobody,
        };
        let mut store = Store::new(&engine, state);
        store.set_epoch_deadline(1_000_000);
        let driver = linked.instantiate_async(&mut store).await?;
        let answered =
            driver.moganite_driver_enroll().call_enroll(&mut store, &context, "mg-abc123-op-1-1-1", &node).await?;
        answered.ok().context("it did not enroll")?;
        drop(store);
        each.push(one.seconds() * 1e6);
    }
    Ok(spread(each))
}

/// As the service has them, as far as they change what a call costs.
fn settings() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(64)
        .total_stacks(64)
        .total_core_instances(512)
        .total_memories(256)
        .total_tables(512)
        .max_memory_size(64 << 20)
        .max_core_instances_per_component(60)
        .max_memories_per_component(4)
        .max_tables_per_component(60)
        .table_elements(20_000)
        .max_component_instance_size(2 << 20)
        .max_core_instance_size(2 << 20)
        .linear_memory_keep_resident(512 << 10)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(16 << 10);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
