//! What Ironic keeps beside the states, against release 39.0.0: patches and claims, deletion, ports, traits, allocations.

use serde_json::{Value, json};

use crate::bench::{Bench, available, created, fake, until};

/// Sections "PATCH" and "delete" of Ironic's contract.
#[tokio::test]
async fn a_patch_knows_three_operations_and_the_instance_is_a_claim() {
    let bench = Bench::new().await;
    let (node, other) = (created(&bench, fake("n1")).await, created(&bench, fake("n2")).await);
    let patch = async |node: &str, patch: Value| bench.ironic("PATCH", &format!("/v1/nodes/{node}"), patch).await;
    for (operations, status) in [
        (json!([{"op": "add", "path": "/extra/a", "value": {"b": 1}}]), 200),
        (json!([{"op": "replace", "path": "/extra/a/b", "value": 2}]), 200),
        (json!([{"op": "remove", "path": "/extra/a"}]), 200),
        (json!([{"op": "test", "path": "/name", "value": "n1"}]), 400),
        (json!([{"op": "remove", "path": "/extra/a"}]), 400),
        (json!([{"op": "replace", "path": "/extra/a", "value": 1}]), 400),
        (json!([{"op": "replace", "path": "/provision_state", "value": "active"}]), 400),
        (json!({"op": "add"}), 400),
        (json!([{"op": "replace", "path": "/owner", "value": "me"}]), 200),
    ] {
        assert_eq!(patch(&node, operations.clone()).await.status, status, "{operations}");
    }
    let (mine, theirs) = ("6f9d6a5e-0f0e-4b6f-9f42-0a2a5d8f8f01", "6f9d6a5e-0f0e-4b6f-9f42-0a2a5d8f8f02");
    let claim = |uuid: &str| json!([{"op": "add", "path": "/instance_uuid", "value": uuid}]);
    assert_eq!(patch(&node, claim(mine)).await.status, 200);
    assert_eq!(patch(&node, claim(mine)).await.status, 200);
    let got = patch(&other, claim(mine)).await;
    assert_eq!(
        (got.status, got.sentence()),
        (
            409,
            format!(
                "Instance {mine} is already associated with a node, it cannot be associated with this other node {other}"
            )
        )
    );
    let got = patch(&node, claim(theirs)).await;
    assert_eq!((got.status, got.sentence()), (409, format!("Node {node} is associated with instance {mine}.")));
    let listed = bench.ironic("GET", &format!("/v1/nodes?instance_uuid={mine}"), Value::Null).await.body;
    assert_eq!(listed["nodes"][0]["uuid"], node);

    let path = format!("/v1/nodes/{node}");
    let got = bench.ironic("DELETE", &path, Value::Null).await;
    assert_eq!((got.status, got.sentence()), (409, format!("Node {node} is associated with instance {mine}.")));
    assert_eq!(patch(&node, json!([{"op": "remove", "path": "/instance_uuid"}])).await.status, 200);
    assert_eq!(bench.ironic("DELETE", &format!("{path}?force=true"), Value::Null).await.status, 400);
    assert_eq!(bench.ironic("DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(bench.ironic("DELETE", &path, Value::Null).await.status, 404);
}

#[tokio::test]
async fn in_maintenance_nothing_is_provisioned_and_an_active_node_goes_with_its_machine_on() {
    let bench = Bench::new().await;
    let (composed, node) = bench.deployed("n1").await;
    let path = format!("/v1/nodes/{node}");
    let got = bench.ironic("DELETE", &path, Value::Null).await;
    assert_eq!(got.status, 409);
    assert!(
        got.sentence()
            .starts_with(&format!("Can not delete node \"{node}\" while it is in provision state \"active\"."))
    );
    assert_eq!(bench.ironic("PUT", &format!("{path}/maintenance"), json!({"reason": "look"})).await.status, 202);
    let got = bench.ironic("PUT", &format!("{path}/states/provision"), json!({"target": "active"})).await;
    let sentence =
        format!("The provisioning operation can't be performed on node {node} because it's in maintenance mode.");
    assert_eq!((got.status, got.sentence()), (400, sentence));
    assert_eq!(bench.ironic("DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(bench.ledger()["machines"]["running"], json!(["1"]));
    bench.release(&composed).await;
    assert!(bench.sim.ledger().alarms[0].starts_with("released while running: n1"));
}

#[tokio::test]
async fn ports_and_traits_answer_as_observed() {
    let bench = Bench::new().await;
    let node = created(&bench, fake("n1")).await;
    let port = json!({"node_uuid": node, "address": "52:54:00:00:00:01"});
    assert_eq!(bench.ironic("POST", "/v1/ports", port.clone()).await.status, 201);
    let got = bench.ironic("POST", "/v1/ports", port).await;
    assert_eq!(
        (got.status, got.sentence()),
        (409, "A port with MAC address 52:54:00:00:00:01 already exists.".to_owned())
    );
    let stray = json!({"node_uuid": "6f9d6a5e-0f0e-4b6f-9f42-0a2a5d8f8f01", "address": "52:54:00:00:00:02"});
    assert_eq!(bench.ironic("POST", "/v1/ports", stray).await.status, 400);

    let traits = format!("/v1/nodes/{node}/traits");
    for (method, path, body, status) in [
        ("PUT", traits.clone(), json!({"traits": ["CUSTOM_A", "HW_CPU_X86_VMX"]}), 204),
        ("PUT", format!("{traits}/CUSTOM_B"), Value::Null, 204),
        ("PUT", format!("{traits}/nonsense"), Value::Null, 400),
        ("DELETE", format!("{traits}/CUSTOM_A"), Value::Null, 204),
        ("DELETE", format!("{traits}/CUSTOM_A"), Value::Null, 404),
    ] {
        assert_eq!(bench.ironic(method, &path, body).await.status, status, "{method} {path}");
    }
    assert_eq!(bench.ironic("GET", &traits, Value::Null).await.body, json!({"traits": ["CUSTOM_B", "HW_CPU_X86_VMX"]}));

    assert_eq!(bench.ironic("DELETE", &format!("/v1/nodes/{node}"), Value::Null).await.status, 204);
    assert_eq!(bench.ironic("GET", "/v1/ports", Value::Null).await.body["ports"], json!([]));
}

#[tokio::test]
async fn an_allocation_takes_one_free_node_whose_power_is_known() {
    let bench = Bench::new().await;
    let node = available(&bench, "n1").await;
    let allocate = async |uuid: &str| {
        let got = bench.ironic("POST", "/v1/allocations", json!({"uuid": uuid, "resource_class": "gold"})).await;
        assert_eq!((got.status, &got.body["state"], &got.body["node_uuid"]), (201, &json!("allocating"), &Value::Null));
        let path = format!("/v1/allocations/{uuid}");
        until(
            || async { bench.ironic("GET", &path, Value::Null).await.body },
            |allocation| allocation["state"] != "allocating",
        )
        .await
    };
    let [first, second, third] = [1, 2, 3].map(|n| format!("6f9d6a5e-0f0e-4b6f-9f42-0a2a5d8f8f0{n}"));
    let failed = allocate(&first).await;
    assert_eq!(failed["state"], "error");
    assert!(failed["last_error"].as_str().unwrap().contains("no available nodes match the resource class"));

    bench.ironic("PUT", &format!("/v1/nodes/{node}/states/power"), json!({"target": "power off"})).await;
    bench.settled(&node).await;
    let taken = allocate(&second).await;
    assert_eq!((&taken["state"], &taken["node_uuid"]), (&json!("active"), &json!(node)));
    assert_eq!(bench.settled(&node).await["instance_uuid"], json!(second));
    assert_eq!(
        bench.ironic("GET", &format!("/v1/nodes/{node}/allocation"), Value::Null).await.body["uuid"],
        json!(second)
    );
    assert_eq!(allocate(&third).await["state"], "error");
    let again = json!({"uuid": second, "resource_class": "gold"});
    assert_eq!(bench.ironic("POST", "/v1/allocations", again).await.status, 409);
    assert_eq!(bench.ironic("POST", "/v1/allocations", json!({"name": "a"})).await.status, 400);

    let path = format!("/v1/allocations/{second}");
    bench.provision(&node, "active").await;
    assert_eq!(bench.ironic("DELETE", &path, Value::Null).await.status, 409);
    bench.provision(&node, "deleted").await;
    assert_eq!(bench.ironic("DELETE", &path, Value::Null).await.status, 404);
    assert_eq!(bench.settled(&node).await["instance_uuid"], Value::Null);
}

/// Section "Allocations" of Ironic's contract: one of eight stayed `allocating` for over 20 s, three of them could not reserve any.
#[tokio::test]
async fn an_allocation_may_stay_undecided_or_lose_to_others_and_is_listed_until_it_is_deleted() {
    let bench = Bench::new().await;
    let node = available(&bench, "n1").await;
    bench.ironic("PUT", &format!("/v1/nodes/{node}/states/power"), json!({"target": "power off"})).await;
    bench.settled(&node).await;
    let [stuck, contended, taken] = [1, 2, 3].map(|n| format!("6f9d6a5e-0f0e-4b6f-9f42-0a2a5d8f8f0{n}"));
    let allocate = async |uuid: &str| {
        let got = bench.ironic("POST", "/v1/allocations", json!({"uuid": uuid, "resource_class": "gold"})).await;
        assert_eq!(got.status, 201);
    };
    let decided = async |uuid: &str| {
        let path = format!("/v1/allocations/{uuid}");
        let ask = || async { bench.ironic("GET", &path, Value::Null).await.body };
        until(ask, |allocation| allocation["state"] != "allocating").await
    };
    bench.fault(json!({"kind": "stuck-allocating"}));
    allocate(&stuck).await;
    bench.fault(json!({"kind": "allocation-contended"}));
    allocate(&contended).await;
    let lost = decided(&contended).await;
    assert!(lost["last_error"].as_str().unwrap().contains("could not reserve any of 1 suitable nodes"), "{lost}");
    allocate(&taken).await;
    assert_eq!(decided(&taken).await["state"], "active");

    let list = async |query: &str| bench.ironic("GET", &format!("/v1/allocations{query}"), Value::Null).await.body;
    let states = |list: &Value| -> Vec<String> {
        list["allocations"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect()
    };
    let first = list("?limit=2").await;
    assert_eq!(states(&first), ["allocating", "error"]);
    assert!(first["next"].as_str().unwrap().ends_with(&format!("limit=2&marker={contended}")), "{first}");
    let second = list(&format!("?limit=2&marker={contended}")).await;
    assert_eq!((states(&second), &second["next"]), (vec!["active".to_owned()], &Value::Null));

    // Taking the instance from the node takes its allocation, too.
    let patch = json!([{"op": "remove", "path": "/instance_uuid"}]);
    assert_eq!(bench.ironic("PATCH", &format!("/v1/nodes/{node}"), patch).await.status, 200);
    assert_eq!(states(&list("").await), ["allocating", "error"]);
}
