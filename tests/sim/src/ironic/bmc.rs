//! What the conductor asks of a machine: Redfish requests to the pod manager with the node's own address, system and credentials, so that a
//! wrong one fails as it does in truth. A node of `fake-hardware` has no machine, and every request succeeds.

use std::sync::Arc;

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::store::Node;
use crate::basic;
use crate::call::Call;
use crate::exchange::{Side, exchange};
use crate::world::World;

pub(super) struct Bmc {
    node: String,
    /// None: fake hardware.
    redfish: Option<Redfish>,
}

struct Redfish {
    address: String,
    system: String,
    credentials: String,
}

impl Bmc {
    /// Reads driver_info. The error is Ironic's sentence.
    pub(super) fn of(node: &Node) -> Result<Self, String> {
        let uuid = node.uuid.clone();
        if !node.is_redfish() {
            return Ok(Self { node: uuid, redfish: None });
        }
        let info = &node.document["driver_info"];
        let text = |key: &str| info[key].as_str().unwrap_or_default().trim_end_matches('/').to_owned();
        let invalid =
            |reason: String| format!("Failed to validate power driver interface for node {uuid}. Error: {reason}");
        let address = text("redfish_address");
        if address.is_empty() {
            return Err(invalid(
                "Missing the following Redfish properties in node's driver_info: ['redfish_address']".to_owned(),
            ));
        }
        if !address.starts_with("http://") && !address.starts_with("https://") {
            return Err(invalid(format!(
                "Invalid Redfish address {address} set in driver_info/redfish_address on node {uuid}"
            )));
        }
        let system = text("redfish_system_id");
        if !system.starts_with('/') {
            return Err(invalid(format!(
                "Invalid value \"{}\" set in driver_info/redfish_system_id on node {uuid}",
                info["redfish_system_id"]
            )));
        }
        let credentials =
            basic::header(&text("redfish_username"), info["redfish_password"].as_str().unwrap_or_default());
        Ok(Self { node: uuid, redfish: Some(Redfish { address, system, credentials }) })
    }

    /// Whether the machine runs.
    pub(super) async fn power(&self, world: &Arc<World>) -> Result<bool, String> {
        Ok(self.ask(world, Method::GET, "", None).await?["PowerState"] == "On")
    }

    pub(super) async fn set_power(&self, world: &Arc<World>, kind: &str) -> Result<(), String> {
        self.ask(world, Method::POST, "/Actions/ComputerSystem.Reset", Some(json!({"ResetType": kind}))).await.map(drop)
    }

    pub(super) async fn insert(&self, world: &Arc<World>, image: &str) -> Result<(), String> {
        self.ask(world, Method::GET, "/VirtualMedia", None).await?;
        let media = json!({"Image": image, "Inserted": true, "WriteProtected": true});
        self.ask(world, Method::POST, "/VirtualMedia/Cd/Actions/VirtualMedia.InsertMedia", Some(media)).await.map(drop)
    }

    pub(super) async fn eject(&self, world: &Arc<World>) -> Result<(), String> {
        self.ask(world, Method::POST, "/VirtualMedia/Cd/Actions/VirtualMedia.EjectMedia", Some(json!({})))
            .await
            .map(drop)
    }

    pub(super) async fn boot_from(&self, world: &Arc<World>, target: &str) -> Result<(), String> {
        let boot = json!({"Boot": {"BootSourceOverrideTarget": target, "BootSourceOverrideEnabled": "Continuous"}});
        self.ask(world, Method::PATCH, "", Some(boot)).await.map(drop)
    }

    /// The id of its system, where it has one.
    pub(super) fn system(&self) -> Option<&str> {
        self.redfish.as_ref().and_then(|redfish| redfish.system.rsplit('/').next())
    }

    async fn ask(&self, world: &Arc<World>, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let Some(redfish) = &self.redfish else { return Ok(Value::Null) };
        let path = format!("{}{path}", redfish.system);
        let url = format!("{}{path}", redfish.address);
        let unreachable = |reason: &str| {
            format!("Redfish connection failed for node {}: Unable to connect to {url}. Error: {reason}", self.node)
        };
        if world.addresses.get().is_none_or(|addresses| addresses.podm != redfish.address) {
            world.clock.sleep(world.options.bmc_timeout_ms).await;
            return Err(unreachable("[Errno 111] Connection refused"));
        }
        let call = Call::new(method.clone(), &path).with_header(header::AUTHORIZATION, &redfish.credentials);
        let call = call.with_header(header::USER_AGENT, "ironic");
        let call = body.iter().fold(call, |call, body| call.with_json(body));
        let answer = exchange(world.clone(), Side::Podm, call).await;
        let answer = answer.ok_or_else(|| {
            unreachable("('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))")
        })?;
        match answer.status {
            StatusCode::NOT_FOUND => Err(format!("Resource {url} not found")),
            status if status.is_client_error() || status.is_server_error() => {
                let error = &answer.value()["error"];
                let (code, message) =
                    (error["code"].as_str().unwrap_or_default(), error["message"].as_str().unwrap_or_default());
                Err(format!("HTTP {method} {url} returned code {}. {code}: {message}", status.as_u16()))
            }
            _ => Ok(answer.value()),
        }
    }
}
