//! Ironic's manners against what was observed of release 39.0.0: versions, headers, error bodies, creating, reading and listing nodes. The
//! microversion is 1.86 unless a test says otherwise.

use serde_json::{Value, json};

use crate::bench::{Bench, created, fake};

#[tokio::test]
async fn the_root_tells_its_versions_and_every_answer_carries_the_headers() {
    let bench = Bench::new().await;
    let root = bench.send("GET", &bench.sim.addresses().ironic, "/", Value::Null, &[]).await.unwrap();
    let version = &root.body["versions"][0];
    assert_eq!(
        (&version["id"], &version["status"], &version["min_version"], &version["version"]),
        (&json!("v1"), &json!("CURRENT"), &json!("1.1"), &json!("1.115"))
    );
    assert_eq!(root.header("x-openstack-ironic-api-version"), "1.1");
    for path in ["/v1/nodes", "/v1/nodes/unknown"] {
        let got = bench.ironic("GET", path, Value::Null).await;
        assert_eq!(got.header("x-openstack-ironic-api-minimum-version"), "1.1");
        assert_eq!(got.header("x-openstack-ironic-api-maximum-version"), "1.115");
        assert_eq!(got.header("x-openstack-ironic-api-version"), "1.86");
        assert!(got.header("x-openstack-request-id").starts_with("req-"));
    }
    assert_eq!(bench.ironic("HEAD", "/v1/nodes", Value::Null).await.status, 405);
}

#[tokio::test]
async fn a_version_out_of_range_and_a_field_too_young_are_406() {
    let bench = Bench::new().await;
    let got = bench.ironic_at("1.999", "GET", "/v1/nodes", Value::Null).await;
    assert_eq!(got.status, 406);
    assert_eq!(
        got.inner()["description"],
        "Version 1.999 was requested but the minor version is not supported by this service. The supported version range is: [1.1, 1.115]."
    );
    let mut body = fake("n1");
    body["firmware_interface"] = json!("no-firmware");
    let got = bench.ironic_at("1.81", "POST", "/v1/nodes", body).await;
    assert_eq!((got.status, got.sentence()), (406, "Request not acceptable.".to_owned()));
    assert_eq!(bench.ironic_at("latest", "GET", "/v1/nodes", Value::Null).await.status, 200);
}

#[tokio::test]
async fn without_a_version_a_node_starts_available_and_hides_most_fields() {
    let bench = Bench::new().await;
    let base = bench.sim.addresses().ironic.clone();
    let got = bench.send("POST", &base, "/v1/nodes", json!({"driver": "fake-hardware"}), &[]).await.unwrap();
    assert_eq!((got.status, &got.body["provision_state"]), (201, &json!("available")));
    assert!(got.body.get("resource_class").is_none() && got.body.get("name").is_none());
    assert_eq!(
        bench.ironic("GET", "/v1/nodes?provision_state=available", Value::Null).await.body["nodes"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// Creating: what is refused, with which status and which sentence, and in which inner shape.
#[tokio::test]
async fn a_create_is_refused_with_the_observed_sentences() {
    let bench = Bench::new().await;
    let uuid = "6f9d6a5e-0f0e-4b6f-9f42-0a2a5d8f8f01";
    let mut first = fake("n1");
    first["uuid"] = json!(uuid);
    assert_eq!(created(&bench, first).await, uuid);
    let with = |key: &str, value: Value| {
        let mut body = fake("n2");
        body[key] = value;
        body
    };
    let redfish = |key: &str, value: &str| json!({"driver": "redfish", key: value});
    for (body, status, sentence) in [
        (fake("n1"), 409, "A node with name n1 already exists."),
        (with("uuid", json!(uuid)), 409, &*format!("A node with UUID {uuid} already exists.")),
        (json!({"uuid": uuid, "name": "n1", "driver": "fake-hardware"}), 409, "A node with name n1 already exists."),
        (
            json!({"driver": "nope"}),
            400,
            "No valid host was found. Reason: No conductor service registered which supports driver nope",
        ),
        (json!({"name": "n2"}), 400, "'driver' is a required property"),
        (with("name", json!("a b")), 400, "invalid name"),
        (with("uuid", json!("no-uuid")), 400, "Expected a UUID"),
        (with("traits", json!(["CUSTOM_A"])), 400, "Schema error for node: Additional properties are not allowed"),
        (with("protected", json!(true)), 400, "Schema error for node: Additional properties are not allowed"),
        (with("provision_state", json!("active")), 400, "Schema error for node: Additional properties are not allowed"),
        (with("nonsense", json!(1)), 400, "Schema error for node: Additional properties are not allowed"),
        (
            with("owner", json!("me")),
            400,
            "Cannot create a node as a project scoped admin with an owner other than your own project",
        ),
        (redfish("deploy_interface", "noop"), 400, "is not supported by hardware type RedfishHardware"),
        (redfish("power_interface", "fake"), 400, "is not supported by hardware type RedfishHardware"),
    ] {
        let got = bench.ironic("POST", "/v1/nodes", body.clone()).await;
        assert_eq!(got.status, status, "{body}");
        assert!(got.sentence().contains(sentence), "{body}: {}", got.sentence());
        let inner = got.inner();
        assert_eq!(inner["faultcode"], "Client");
        assert_eq!(inner["debuginfo"], Value::Null);
    }
    assert_eq!(bench.ledger()["ironic"]["made"], 1);
}

#[tokio::test]
async fn a_node_is_found_by_uuid_in_its_case_or_by_name_and_shows_no_password() {
    let bench = Bench::new().await;
    let composed = bench.compose("n1").await;
    let uuid = bench.enroll("n1", &composed).await;
    for key in [&*uuid, "n1"] {
        let got = bench.ironic("GET", &format!("/v1/nodes/{key}"), Value::Null).await;
        assert_eq!((got.status, &got.body["driver_info"]["redfish_password"]), (200, &json!("******")));
    }
    assert_eq!(bench.ironic("GET", &format!("/v1/nodes/{}", uuid.to_uppercase()), Value::Null).await.status, 404);
    assert_eq!(bench.ironic("GET", "/v1/nodes/a!b", Value::Null).await.status, 400);
    let chosen =
        bench.ironic("GET", &format!("/v1/nodes/{uuid}?fields=provision_state,reservation"), Value::Null).await.body;
    let keys: Vec<&String> = chosen.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["links", "provision_state", "reservation"]);
    assert_eq!(bench.ironic("GET", &format!("/v1/nodes/{uuid}?fields=nonsense"), Value::Null).await.status, 400);
}

#[tokio::test]
async fn http_basic_has_a_shape_of_its_own() {
    let bench = Bench::with(|options| options.http_basic = Some("myuser:secret".to_owned())).await;
    let base = bench.sim.addresses().ironic.clone();
    let ask = async |path: &str, authorization: &str| {
        let headers = [("X-OpenStack-Ironic-API-Version", "1.86"), ("Authorization", authorization)];
        let headers = if authorization.is_empty() { &headers[..1] } else { &headers };
        bench.send("GET", &base, path, Value::Null, headers).await.unwrap()
    };
    assert_eq!((ask("/", "").await.status, ask("/v1", "").await.status), (200, 200));
    for (authorization, status, message) in [
        ("", 401, "Authorization required"),
        ("Basic bXl1c2VyOndyb25n", 401, "Incorrect username or password"),
        ("Bearer x", 400, "Only Basic authorization is supported"),
    ] {
        let got = ask("/v1/nodes", authorization).await;
        assert_eq!((got.status, &got.body["error"]), (status, &json!({"message": message, "code": status})));
        if status == 401 {
            assert_eq!(got.header("www-authenticate"), "Basic realm=\"Baremetal API\"");
        }
    }
    assert_eq!(ask("/v1/nodes", "Basic bXl1c2VyOnNlY3JldA==").await.status, 200);
}

#[tokio::test]
async fn lists_filter_choose_fields_and_page() {
    let bench = Bench::new().await;
    for name in ["n1", "n2", "n3"] {
        created(&bench, fake(name)).await;
    }
    let got = bench.ironic("GET", "/v1/nodes?limit=2&driver=fake-hardware&fields=uuid,name", Value::Null).await.body;
    let names: Vec<&Value> = got["nodes"].as_array().unwrap().iter().map(|node| &node["name"]).collect();
    assert_eq!(names, ["n1", "n2"]);
    assert_eq!(got["nodes"][0].as_object().unwrap().keys().collect::<Vec<_>>(), ["links", "name", "uuid"]);
    let next = got["next"].as_str().unwrap().strip_prefix(&bench.sim.addresses().ironic).unwrap();
    let got = bench.ironic("GET", next, Value::Null).await.body;
    assert_eq!((&got["nodes"][0]["name"], got.get("next")), (&json!("n3"), None));

    for (query, status) in [
        ("associated=false&maintenance=false&provision_state=enroll&resource_class=gold", 200),
        ("name=n1", 400),
        ("traits=CUSTOM_A", 400),
        ("provision_state_in=enroll", 400),
        ("associated=perhaps", 400),
        ("detail=true&fields=uuid", 400),
        ("fields=nonsense", 500),
        ("marker=6f9d6a5e-0f0e-4b6f-9f42-0a2a5d8f8f01", 404),
    ] {
        assert_eq!(bench.ironic("GET", &format!("/v1/nodes?{query}"), Value::Null).await.status, status, "{query}");
    }
}
