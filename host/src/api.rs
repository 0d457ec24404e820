//! HTTP in and out: checks a request, writes down an intent or reads a record, answers.
//!
//! No life-cycle state changes here: a flow does the work, the api answers 202 and where to follow it. Who asks is known from the
//! argument that a handler takes (`Reader`, `Member`, `Operator`, see `auth.rs`); what goes wrong leaves through the one table of
//! `codes.rs`. One resource per file; read `instances.rs` next.

mod audit;
mod auth;
mod backends;
mod backup;
mod binding;
mod body;
mod codes;
mod debts;
mod error;
mod events;
mod flavors;
mod flows;
mod freeze;
mod health;
mod holdings;
mod images;
mod instances;
mod linger;
mod metrics;
mod networks;
mod nodes;
mod openapi;
mod orphans;
mod page;
mod plugin_ref;
mod plugins;
mod quarantine;
mod quotas;
mod reason;
mod receipts;
mod reconcile;
mod requests;
mod root;
mod secrets;
mod sweep;
mod time;
mod tokens;
mod waits;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn_with_state, map_request_with_state};
use tokio::sync::watch;
use utoipa_axum::router::OpenApiRouter;

use crate::config::Config;
use crate::driver::Drivers;
use crate::lifecycle::Lifecycle;
use crate::model::Millis;
use crate::store::Store;

pub use auth::{may_listen, token_hash};

/// What every handler gets.
#[derive(Clone)]
struct App {
    lifecycle: Lifecycle,
    config: Arc<Config>,
    counts: metrics::Counts,
    /// True once the service ends: streams end then.
    stop: watch::Receiver<bool>,
}

/// All routes. `config.listen` is the address as bound: without credentials requests must name it. `stop` ends the streams.
pub fn router(lifecycle: Lifecycle, config: Config, stop: watch::Receiver<bool>) -> Router {
    let app = App { lifecycle, config: Arc::new(config), counts: metrics::Counts::default(), stop };
    let (router, document) = routes().split_for_parts();
    router
        .merge(openapi::serve(document))
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(map_request_with_state(app.clone(), linger::hold))
        .layer(from_fn_with_state(app.clone(), requests::observe))
        .with_state(app)
}

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::frame())
        .merge(root::routes())
        .merge(flavors::routes())
        .merge(images::routes())
        .merge(networks::routes())
        .merge(backends::routes())
        .merge(plugins::routes())
        .merge(secrets::routes())
        .merge(tokens::routes())
        .merge(instances::routes())
        .merge(nodes::routes())
        .merge(holdings::routes())
        .merge(debts::routes())
        .merge(quarantine::routes())
        .merge(sweep::routes())
        .merge(orphans::routes())
        .merge(reconcile::routes())
        .merge(quotas::routes())
        .merge(flows::routes())
        .merge(events::routes())
        .merge(freeze::routes())
        .merge(audit::routes())
        .merge(receipts::routes())
        .merge(health::routes())
        .merge(metrics::routes())
        .merge(backup::routes())
}

impl App {
    fn store(&self) -> &Store {
        self.lifecycle.store()
    }

    fn drivers(&self) -> &Drivers {
        self.lifecycle.drivers()
    }

    fn now(&self) -> Millis {
        self.lifecycle.clock().now()
    }
}
