//! The tools of the other tests work: one node goes its way through a real Ironic, without moganite.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use real::{Auth, Options, RealIronic, Release, Tap, client, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const NODE: &str = "6d6f6761-0000-4000-8000-000000000001";

#[tokio::test]
async fn the_emulator_and_ironic_carry_one_node_through_its_life() {
    a_life(Release::R39, Auth::Basic).await;
}

#[tokio::test]
async fn the_older_ironic_carries_it_too() {
    a_life(Release::Older, Auth::Basic).await;
}

#[tokio::test]
async fn behind_keystone_both_releases_do_and_no_token_is_taken_beyond_its_life() {
    for release in [Release::R39, Release::Older] {
        a_life(release, Auth::Keystone).await;
    }
    let real =
        RealIronic::start(Options { auth: Auth::Keystone, token_life_s: 2, ..Options::default() }).await.unwrap();
    let token = real.keystone.as_ref().unwrap().token().await.unwrap();
    let status = || async {
        let request = client().unwrap().get(format!("{}/v1/nodes", real.ironic_url)).header("X-Auth-Token", &token);
        anyhow::Ok(request.send().await?.status())
    };
    assert_eq!(status().await.unwrap(), StatusCode::OK);
    until("the token's end", Duration::from_secs(10), Duration::from_millis(200), || async {
        Ok((status().await? == StatusCode::UNAUTHORIZED).then_some(()))
    })
    .await
    .unwrap();
    let credential = real.keystone.as_ref().unwrap().application_credential("moganite").await.unwrap();
    assert!(!credential.secret.is_empty());
}

async fn a_life(release: Release, auth: Auth) {
    let real = RealIronic::start(Options {
        auth,
        release,
        systems: 2,
        bmc_password: "bmc-password".to_owned(),
        ..Options::default()
    })
    .await
    .unwrap();
    let state = real.state().to_owned();
    let node = format!("/v1/nodes/{NODE}");

    let (status, made) = real.ironic(Method::POST, "/v1/nodes", Some(&enrollment(&real))).await.unwrap();
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(real.ironic_get("/v1/nodes").await.unwrap()["nodes"][0]["uuid"], NODE);

    bring(&real, "manage", "manageable").await;
    bring(&real, "provide", "available").await;
    let patch = json!([
        {"op": "add", "path": "/instance_uuid", "value": "6d6f6761-0000-4000-8000-00000000000a"},
        {"op": "add", "path": "/instance_info/boot_iso", "value": real.boot_iso_url},
    ]);
    let (status, patched) = real.ironic(Method::PATCH, &node, Some(&patch)).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{patched}");

    bring(&real, "active", "active").await;
    let system = real.redfish_system(1).await.unwrap();
    assert_eq!(system["PowerState"], "On");
    assert_eq!(system["Boot"]["BootSourceOverrideTarget"], "Cd");
    let log = real.emulator_log().unwrap();
    assert!(log.contains("VirtualMedia.InsertMedia"), "{log}");
    assert!(log.contains("ComputerSystem.Reset"), "{log}");

    bring(&real, "deleted", "available").await;
    assert_eq!(real.redfish_system(1).await.unwrap()["PowerState"], "Off");
    assert!(real.emulator_log().unwrap().contains("VirtualMedia.EjectMedia"));

    let (status, _) = real.ironic(Method::DELETE, &node, None).await.unwrap();
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = real.ironic(Method::GET, &node, None).await.unwrap();
    assert_eq!(status, StatusCode::NOT_FOUND);

    let bmc = real.redfish_url.clone();
    drop(real);
    assert!(!state.exists());
    client().unwrap().get(bmc).send().await.unwrap_err();
}

#[tokio::test]
async fn a_tap_before_ironic_shows_the_password_that_ironic_masks() {
    let real = RealIronic::start(Options { bmc_password: "only-in-the-request".to_owned(), ..Options::default() })
        .await
        .unwrap();
    let tap = Tap::start(&real.ironic_url).unwrap();

    let made = client()
        .unwrap()
        .post(format!("{}/v1/nodes", tap.url()))
        .header("X-OpenStack-Ironic-API-Version", "1.86")
        .json(&enrollment(&real))
        .send()
        .await
        .unwrap();

    assert_eq!(made.status(), StatusCode::CREATED);
    let location = made.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(location, format!("{}/v1/nodes/{NODE}", tap.url()));
    let made: Value = made.json().await.unwrap();
    assert_eq!(made["driver_info"]["redfish_password"], "******");
    let sent: Value = serde_json::from_slice(&tap.exchanges()[0].body).unwrap();
    assert_eq!(sent["driver_info"]["redfish_password"], "only-in-the-request");
    assert_eq!(tap.exchanges()[0].status, Some(StatusCode::CREATED));
    let log = real.ironic_log().unwrap();
    assert!(log.contains("POST /v1/nodes - 201"), "{log}");
}

/// A node for the first system: the interfaces are those that reach `active` without an agent in the machine.
fn enrollment(real: &RealIronic) -> Value {
    json!({
        "uuid": NODE,
        "name": "life",
        "driver": "redfish",
        "deploy_interface": "ramdisk",
        "boot_interface": "redfish-virtual-media",
        "bios_interface": "no-bios",
        "firmware_interface": "no-firmware",
        "raid_interface": "no-raid",
        "vendor_interface": "no-vendor",
        "resource_class": "composed",
        "driver_info": {
            "redfish_address": real.redfish_url,
            "redfish_system_id": RealIronic::system_path(1),
            "redfish_username": real.redfish_user,
            "redfish_password": real.redfish_password,
            "redfish_verify_ca": false,
        },
    })
}

/// Sends the verb and waits for the state and for the lock, which is given back 50 to 200 ms later.
async fn bring(real: &RealIronic, verb: &str, state: &str) {
    let node = format!("/v1/nodes/{NODE}");
    let target = json!({"target": verb});
    let path = format!("{node}/states/provision");
    let (status, answer) = real.ironic(Method::PUT, &path, Some(&target)).await.unwrap();
    assert_eq!(status, StatusCode::ACCEPTED, "{verb}: {answer}");
    let every = Duration::from_millis(100);
    until(&format!("{verb} to {state}"), Duration::from_secs(180), every, || async {
        let node = real.ironic_get(&node).await?;
        let free = node["reservation"].is_null();
        let now = node["provision_state"].as_str().unwrap();
        assert!(!free || !["enroll", "deploy failed", "error"].contains(&now), "{verb}: {now}: {}", node["last_error"]);
        Ok((free && now == state).then_some(()))
    })
    .await
    .unwrap();
}
