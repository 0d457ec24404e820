//! The pod manager's own face: credentials, the machines as BMCs, and that no two simulators have a machine in common.

use serde_json::{Value, json};

use crate::bench::{Bench, Got};

const RIGHT: &str = "Basic YWRtaW46Ym1jLXNlY3JldC1wYXNzd29yZA==";

async fn ask(bench: &Bench, method: &str, path: &str, body: Value, authorization: &str) -> Got {
    bench.send(method, &bench.sim.addresses().podm, path, body, &[("Authorization", authorization)]).await.unwrap()
}

#[tokio::test]
async fn all_but_the_root_wants_credentials_and_a_changed_password_counts_at_once() {
    let bench = Bench::new().await;
    for (path, authorization, status) in [
        ("/redfish/v1", "", 200),
        ("/redfish/v1/Systems/1", "", 401),
        ("/redfish/v1/Systems/1", "Basic eDp5", 401),
        ("/redfish/v1/Systems/1", RIGHT, 200),
        ("/redfish/v1/Systems/none", RIGHT, 404),
    ] {
        let got = ask(&bench, "GET", path, Value::Null, authorization).await;
        assert_eq!(got.status, status, "{path}");
        if status == 401 {
            assert_eq!(got.body["error"]["message"], "Incorrect username or password");
        }
    }
    bench.control("PUT", "/settings", json!({"bmc_password": "another"})).await;
    assert_eq!(ask(&bench, "GET", "/redfish/v1/Systems/1", Value::Null, RIGHT).await.status, 401);
    bench.compose("n1").await;
}

#[tokio::test]
async fn a_machine_is_switched_booted_and_given_media_over_its_bmc() {
    let bench = Bench::new().await;
    let system = "/redfish/v1/Systems/1";
    let media = "/redfish/v1/Managers/1/VirtualMedia/Cd";
    let insert = format!("{media}/Actions/VirtualMedia.InsertMedia");
    let reset = format!("{system}/Actions/ComputerSystem.Reset");
    for (method, path, body, status) in [
        ("POST", &*insert, json!({"Image": "http://images.example/boot.iso", "Inserted": true}), 204),
        ("POST", &*insert, json!({}), 400),
        (
            "PATCH",
            system,
            json!({"Boot": {"BootSourceOverrideTarget": "Cd", "BootSourceOverrideEnabled": "Once"}}),
            204,
        ),
        ("POST", &*reset, json!({"ResetType": "On"}), 204),
        ("POST", &*reset, json!({"ResetType": "nonsense"}), 400),
    ] {
        assert_eq!(ask(&bench, method, path, body, RIGHT).await.status, status, "{path}");
    }
    let shown = ask(&bench, "GET", system, Value::Null, RIGHT).await.body;
    assert_eq!((&shown["PowerState"], &shown["Boot"]["BootSourceOverrideTarget"]), (&json!("On"), &json!("Cd")));
    let drive = ask(&bench, "GET", media, Value::Null, RIGHT).await.body;
    assert_eq!((&drive["Inserted"], &drive["Image"]), (&json!(true), &json!("http://images.example/boot.iso")));
    ask(&bench, "POST", &format!("{media}/Actions/VirtualMedia.EjectMedia"), json!({}), RIGHT).await;
    assert_eq!(ask(&bench, "GET", media, Value::Null, RIGHT).await.body["Inserted"], false);
}

#[tokio::test]
async fn two_pods_have_no_machine_in_common_unless_they_have_one_seed() {
    let identity = async |seed: Option<u64>| {
        let bench = Bench::with(|options| options.seed = seed).await;
        let composed = bench.compose("n1").await;
        let system = ask(&bench, "GET", "/redfish/v1/Systems/1", Value::Null, RIGHT).await.body;
        [system["UUID"].clone(), system["SerialNumber"].clone(), composed["metadata"]["network"][0]["mac"].clone()]
    };
    let (one, other) = (identity(None).await, identity(None).await);
    assert!(one.iter().zip(&other).all(|(one, other)| one != other), "{one:?} {other:?}");
    assert_eq!(identity(Some(7)).await, identity(Some(7)).await);
}

#[tokio::test]
async fn emulated_systems_are_known_by_what_the_emulator_calls_them() {
    let bench = Bench::with(|options| options.emulated_systems = true).await;
    let composed = bench.compose("n1").await;
    let path = "/redfish/v1/Systems/00000000-0000-4000-8000-000000000001";
    assert_eq!(composed["computer_system"]["@odata.id"], path);
    assert_eq!(composed["metadata"]["network"][0]["mac"], "52:54:00:00:00:01");
    let system = bench.valence("GET", path.strip_prefix("/redfish/v1").unwrap(), Value::Null).await.body;
    assert_eq!(system["UUID"], "00000000-0000-4000-8000-000000000001");
}
