//! No far side to wait for: the real service with examples/driver-from-zero, a real component that makes everything up.

use std::path::Path;

use anyhow::{Context, Result};
use scenarios::{Patience, Service, for_tests};
use serde_json::{Value, json};

use super::lives::{self, Order};
use crate::figures::Figures;

pub(super) const ORDER: Order = Order { flavor: "any", image: "none" };

/// A service with that driver in every role; `settings` are the driver's. `name` tells several in one folder apart.
pub(super) async fn service(folder: &Path, name: &str, settings: Value) -> Result<Service> {
    let state = folder.join(name).join("state");
    std::fs::create_dir_all(&state)?;
    let service = Service::start(&state, &scenarios::plugins(), Patience::usual()).await?;
    let api = &service.api;
    let driver = api.upload("/v1/plugins", for_tests("driver-from-zero")?).await?.ok()?;
    let backend = json!({"plugin": driver["digest"], "settings": settings});
    api.put("/v1/backends/zero", &backend).await?.ok().context("binding the driver")?;
    let image = json!({"name": ORDER.image, "backends": {"zero": {}}});
    api.put("/v1/images/none", &image).await?.ok()?;
    let route = json!({"compose": ["zero"], "enroll": ["zero"], "deploy": ["zero"]});
    let shape = json!({"cores": 2, "memory_mib": 1024});
    let flavor = json!({"name": ORDER.flavor, "shape": shape, "route": route, "erase": "none"});
    api.put("/v1/flavors/any", &flavor).await?.ok()?;
    Ok(service)
}

pub(super) async fn headroom(folder: &Path, clients: u32, seconds: f64) -> Result<Figures> {
    let service = service(folder, "zero", json!({})).await?;
    lives::by(&service, ORDER, clients, seconds).await
}

pub(super) async fn alone(folder: &Path, seconds: f64) -> Result<Figures> {
    let service = service(folder, "zero", json!({})).await?;
    lives::by(&service, ORDER, 1, seconds).await
}
