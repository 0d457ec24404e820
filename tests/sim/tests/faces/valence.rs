//! Valence against what was observed of it. The tree of 2017 (2017-08-10) is the default; the release is 0.9.0.dev301.

use serde_json::{Value, json};

use crate::bench::{Bench, shape, until};

const REQUEST_ID: &str = "00000000-0000-0000-0000-000000000000";

/// Section "errors" of Valence's contract: one body, three kinds of code, and 500 where one expects 404.
#[tokio::test]
async fn errors_have_one_body_and_odd_codes() {
    let bench = Bench::new().await;
    let bad = |properties: Value| json!({"name": "mg-1", "properties": properties});
    for (method, path, body, status, code) in [
        ("GET", "/v1/nodes/unknown", Value::Null, 404, "Not Found"),
        ("DELETE", "/v1/nodes/unknown", Value::Null, 404, "Not Found"),
        ("GET", "/v1/nothing", Value::Null, 500, "NotFound"),
        ("GET", "/v1/storages", Value::Null, 500, "NotImplemented"),
        ("GET", "/v1/pod_managers", Value::Null, 500, "TypeError"),
        ("POST", "/v1/nodes", json!({"properties": {}}), 400, "Bad Request"),
        ("POST", "/v1/nodes", bad(json!({"memory": {"capacity_mib": 8192}})), 400, "Bad Request"),
        ("POST", "/v1/nodes", bad(json!({"disk": {"capacity_gib": "100"}})), 400, "Bad Request"),
        ("POST", "/v1/nodes", bad(json!({"processor": {"count": "2"}})), 400, "Bad Request"),
        ("POST", "/v1/nodes", bad(json!({"pci_device": {"type": ["NIC"]}})), 400, "Bad Request"),
        ("POST", "/v1/nodes", json!({"name": "mg-1", "flavor_id": "unknown"}), 404, "Not Found"),
        ("POST", "/v1/nodes/manage", json!({"node_index": "7"}), 404, "Base.1.0.GeneralError"),
    ] {
        let got = bench.valence(method, path, body).await;
        assert_eq!((got.status, &got.body["code"]), (status, &json!(code)), "{method} {path}: {}", got.body);
        let keys: Vec<&String> = got.body.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["code", "detail", "request_id", "status", "title"]);
        assert_eq!((&got.body["status"], &got.body["request_id"]), (&json!(status), &json!(REQUEST_ID)));
        assert_eq!(got.header("access-control-allow-origin"), "*");
    }
}

#[tokio::test]
async fn a_body_without_the_json_type_reads_as_null_and_a_broken_one_is_a_500() {
    let bench = Bench::new().await;
    let got = bench.raw("POST", &bench.sim.addresses().valence, "/v1/nodes", "text/plain", "{}").await;
    assert_eq!((got.status, &got.body["detail"]), (400, &json!("None is not of type 'object'")));
    let got = bench.raw("POST", &bench.sim.addresses().valence, "/v1/nodes", "application/json", "{").await;
    assert_eq!((got.status, &got.body["code"]), (500, &json!("BadRequest")));
}

/// The quoted answers of composing: brief node, full pool, failed assembly.
#[tokio::test]
async fn composing_answers_as_quoted() {
    let bench = Bench::with(|options| options.systems = 1).await;
    bench.fault(json!({"side": "podm", "kind": "assembly-fails"}));
    let failed = bench.valence("POST", "/v1/nodes", shape("n1")).await;
    assert_eq!(failed.status, 200);
    assert_eq!(
        failed.body,
        json!({"code": "Base.1.0.GeneralError", "detail": "assembly failed", "status": 200, "title": "assembly failed", "request_id": REQUEST_ID})
    );

    let made = bench.valence("POST", "/v1/nodes/", shape("n1")).await;
    let keys: Vec<&String> = made.body.as_object().unwrap().keys().collect();
    assert_eq!(
        (made.status, keys),
        (
            200,
            ["index", "links", "name", "uuid"].iter().map(|key| key.to_string()).collect::<Vec<_>>().iter().collect()
        )
    );
    assert_eq!((&made.body["index"], &made.body["name"]), (&json!("1"), &json!("n1")));
    let of_the_pod = bench.valence("GET", "/Nodes/1", Value::Null).await.body["UUID"].clone();
    let href = made.body["links"][0]["href"].as_str().unwrap();
    assert!(href.ends_with(of_the_pod.as_str().unwrap()), "links carry the pod manager's uuid: {href}");
    assert_ne!(made.body["uuid"], of_the_pod);

    let full = bench.valence("POST", "/v1/nodes", shape("n2")).await;
    assert_eq!(
        (full.status, &full.body["code"], &full.body["status"]),
        (409, &json!("Base.1.0.GeneralError"), &json!(409))
    );
    assert!(full.body["detail"].as_str().unwrap().starts_with("There are no computer systems"));
}

#[tokio::test]
async fn the_pod_manager_is_asked_in_the_observed_order() {
    let bench = Bench::new().await;
    bench.valence("POST", "/v1/nodes", shape("n1")).await;
    let log = bench.sim.log_after(0);
    let asked: Vec<String> = log
        .iter()
        .filter(|entry| entry.user_agent.as_deref() == Some("valence"))
        .map(|entry| format!("{} {}", entry.method, entry.path))
        .collect();
    assert_eq!(
        asked,
        [
            "GET /redfish/v1/Nodes",
            "POST /redfish/v1/Nodes/Actions/Allocate",
            "GET /redfish/v1/Nodes/1",
            "POST /redfish/v1/Nodes/1/Actions/ComposedNode.Assemble",
            "GET /redfish/v1/Nodes/1",
        ]
    );
    assert_eq!(
        log[2].body,
        json!({"Name": "n1", "Description": "", "Memory": [{"CapacityMiB": "8192"}], "Processors": [{"TotalCores": "4"}]})
    );
}

#[tokio::test]
async fn a_node_goes_through_assembling_and_its_detail_tells_its_parts() {
    let bench = Bench::with(|options| options.hand_clock = true).await;
    let (made, ()) = tokio::join!(bench.valence("POST", "/v1/nodes", shape("n1")), async {
        bench.until_ledger(|ledger| ledger["pod"]["held"][0]["state"] == "Allocating").await;
        bench.sim.advance(10);
    });
    let path = format!("/v1/nodes/{}", made.body["uuid"].as_str().unwrap());
    assert_eq!(bench.valence("GET", &path, Value::Null).await.body["node_state"], "Assembling");
    bench.sim.advance(40);
    let detail = until(
        || async { bench.valence("GET", &path, Value::Null).await.body },
        |detail| detail["node_state"] == "Assembled",
    )
    .await;

    assert_eq!(detail["computer_system"], json!({"@odata.id": "/redfish/v1/Systems/1"}));
    assert_eq!(
        detail["metadata"]["processor"][0],
        json!({"instruction_set": "x86-64", "model": "Intel(R) Xeon(R)", "speed_mhz": 3700, "total_core": 4})
    );
    assert_eq!(
        detail["metadata"]["memory"][0],
        json!({"data_width_bit": 64, "speed_mhz": 2400, "total_memory_mb": 8192})
    );
    assert_eq!(detail["metadata"]["network"][0]["ipv4"], json!([]));
    assert_eq!((&detail["node_power_state"], &detail["pooled_group_id"]), (&json!("Off"), &Value::Null));
    assert!(detail["created_at"].as_str().unwrap().ends_with(" UTC"));
}

/// The failure table: what is left behind by a compose that broke in the middle.
#[tokio::test]
async fn a_compose_that_breaks_in_the_middle_leaves_what_was_observed() {
    let get = json!({"side": "podm", "method": "GET", "path": "/redfish/v1/Nodes/*", "kind": "refuse", "status": 500});
    let assemble = json!({"side": "podm", "method": "POST", "path": "/redfish/v1/Nodes/*/Actions/ComposedNode.Assemble", "kind": "refuse"});
    let cleanup =
        json!({"side": "podm", "method": "DELETE", "kind": "refuse", "status": 502, "message": "cleanup failed"});
    for (faults, status, code, left) in [
        (vec![get], 500, "KeyError", Some("Allocated")),
        (vec![assemble.clone()], 200, "Base.1.0.GeneralError", None),
        (vec![assemble, cleanup], 502, "Base.1.0.GeneralError", Some("Allocated")),
        (vec![json!({"kind": "etcd-down"})], 500, "EtcdConnectionFailed", Some("Assembling")),
        (vec![json!({"kind": "full-pool"})], 409, "Base.1.0.GeneralError", None),
    ] {
        let bench = Bench::new().await;
        faults.into_iter().for_each(|fault| bench.fault(fault));
        let got = bench.valence("POST", "/v1/nodes", shape("n1")).await;
        assert_eq!((got.status, &got.body["code"]), (status, &json!(code)), "{}", got.body);
        let ledger = bench.ledger();
        assert_eq!(ledger["valence"]["records"], json!([]));
        assert_eq!(ledger["pod"]["held"][0]["state"], json!(left));
    }
}

#[tokio::test]
async fn a_refused_release_keeps_everything_and_a_second_release_is_404() {
    let bench = Bench::new().await;
    let composed = bench.compose("n1").await;
    bench.fault(json!({"side": "podm", "method": "DELETE", "kind": "refuse", "status": 503}));
    assert_eq!(bench.release(&composed).await.status, 503);
    assert_eq!(bench.ledger()["valence"]["records"][0]["name"], "n1");
    let released = bench.release(&composed).await;
    assert_eq!((released.status, &released.body["code"]), (200, &json!("DELETED")));
    let again = bench.release(&composed).await;
    assert_eq!((again.status, &again.body["code"]), (404, &json!("Not Found")));
}

#[tokio::test]
async fn one_name_may_be_composed_twice_and_many_at_once_get_different_systems() {
    let bench = Bench::new().await;
    let (a, b, c) = tokio::join!(bench.compose("n1"), bench.compose("n1"), bench.compose("n2"));
    let mut systems: Vec<String> = [a, b, c].iter().map(|node| node["computer_system"].to_string()).collect();
    systems.sort();
    systems.dedup();
    assert_eq!(systems.len(), 3);
    assert_eq!(bench.valence("GET", "/v1/nodes", Value::Null).await.body.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_orphan_is_adopted_by_its_index_or_deleted_through_the_proxy() {
    let bench = Bench::new().await;
    for adopt in [true, false] {
        bench.fault(json!({"kind": "etcd-down"}));
        bench.valence("POST", "/v1/nodes", shape("n1")).await;
        bench.until_ledger(|ledger| ledger["pod"]["held"][0]["state"] == "Assembled").await;
        let nodes = bench.valence("GET", "/Nodes", Value::Null).await.body;
        let path = nodes["Members"][0]["@odata.id"].as_str().unwrap().strip_prefix("/redfish/v1").unwrap().to_owned();
        assert_eq!(bench.valence("GET", &path, Value::Null).await.body["Name"], "n1");
        if adopt {
            let managed = bench.valence("POST", "/v1/nodes/manage", json!({"node_index": "1"})).await;
            assert_eq!((managed.status, &managed.body["name"]), (200, &json!("n1")));
            let again = bench.valence("POST", "/v1/nodes/manage", json!({"node_index": "1"})).await;
            assert_eq!((again.status, &again.body["code"]), (409, &json!("Conflict")));
            bench.release(&managed.body).await;
        } else {
            assert_eq!(bench.valence("DELETE", &path, Value::Null).await.status, 204);
        }
        assert_eq!(bench.ledger()["pod"]["held"], json!([]));
    }
}

#[tokio::test]
async fn actions_take_exactly_one_known_word() {
    let bench = Bench::new().await;
    let path = format!("/v1/nodes/{}/action", bench.compose("n1").await["uuid"].as_str().unwrap());
    for (body, status) in [
        (json!({"Reset": {"Type": "On"}}), 204),
        (json!({"Boot": {"Enabled": "Once", "Target": "Pxe"}}), 204),
        (json!({"Reset": {"Type": "ForceRestart"}}), 400),
        (json!({"Reset": {"Type": "On"}, "Boot": {"Enabled": "Once", "Target": "Pxe"}}), 400),
        (json!({"attach": {"resource_id": "x"}}), 400),
    ] {
        assert_eq!(bench.valence("POST", &path, body.clone()).await.status, status, "{body}");
    }
    assert_eq!(bench.ledger()["machines"]["running"], json!(["1"]));
}

/// The release: nothing composes, and releasing is a word without a deed.
#[tokio::test]
async fn the_release_composes_nothing_and_releases_nothing() {
    let bench = Bench::new().await;
    let composed = bench.compose("n1").await;
    let node = format!("/v1/nodes/{}", composed["uuid"].as_str().unwrap());
    let settings = bench.control("PUT", "/settings", json!({"valence": "release"})).await;
    assert_eq!(settings.status, 204);
    let podm = json!({"name": "p", "url": "http://127.0.0.1:1", "authentication": [{"type": "basic", "auth_items": {"username": "u", "password": "p"}}]});
    let podm = bench.valence("POST", "/v1/pod_managers", podm).await.body;
    assert_eq!(podm["authentication"][0]["auth_items"]["password"], "p");
    let mut with_podm = shape("n2");
    with_podm["podm_id"] = podm["uuid"].clone();

    for (method, path, body, status, code) in [
        ("POST", "/v1/nodes", shape("n2"), 500, json!("KeyError")),
        ("POST", "/v1/nodes", with_podm, 500, json!("TypeError")),
        ("GET", &node, Value::Null, 500, json!("AttributeError")),
        ("POST", "/v1/nodes/manage", json!({"node_index": "1"}), 500, json!("AttributeError")),
        ("POST", &format!("{node}/action"), json!({"Reset": {"Type": "On"}}), 204, Value::Null),
        ("GET", "/v1/systems", Value::Null, 200, Value::Null),
        ("GET", "/v1/nodes?nothing=1", Value::Null, 500, json!("AttributeError")),
    ] {
        let got = bench.valence(method, path, body).await;
        assert_eq!((got.status, &got.body["code"]), (status, &code), "{method} {path}: {}", got.body);
    }
    let listed = bench.valence("GET", "/v1/nodes?name=n1", Value::Null).await.body;
    assert_eq!((&listed[0]["resource_uri"], &listed[0]["podm_id"]), (&json!("/redfish/v1/Nodes/1"), &Value::Null));
    assert_eq!(bench.ledger()["machines"]["running"], json!([]));

    let released = bench.release(&composed).await;
    assert_eq!((released.status, released.body), (200, Value::Null));
    assert_eq!(bench.ledger()["pod"]["held"][0]["name"], "n1");
    assert_eq!(bench.ledger()["valence"]["records"], json!([]));
}
