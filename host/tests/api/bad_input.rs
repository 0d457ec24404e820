//! What a caller can do wrong: each has its status and its code, and the service goes on.

use moganite::config::Sandbox;
use moganite::driver::pack;
use reqwest::{Method, header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::{Answer, Server};

const MANIFEST: &str = r#"
name = "empty"
version = "0.1.0"
vendor = "nobody"
description = "nothing in it"
settings = "schema.json"

[endpoints.far]
description = "a far side"
auth = ["none"]

[[requests]]
endpoint = "far"
methods = ["GET"]
path = "/**"
"#;

/// The header of a component, and nothing after it.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

#[tokio::test]
async fn each_mistake_in_an_order_has_its_code() {
    let server = Server::furnished().await;
    let order = |change: fn(&mut Value)| {
        let mut order = json!({"name": "web-1", "flavor": "small", "image": "cirros"});
        change(&mut order);
        order
    };
    let cases: [(&str, Value, u16, &str); 18] = [
        ("an unknown flavor", order(|o| o["flavor"] = json!("huge")), 422, "unknown-flavor"),
        ("an unknown image", order(|o| o["image"] = json!("windows")), 422, "unknown-image"),
        ("a name over length", order(|o| o["name"] = json!("x".repeat(64))), 422, "invalid-field"),
        ("a name in capitals", order(|o| o["name"] = json!("Web")), 422, "invalid-field"),
        ("an empty name", order(|o| o["name"] = json!("")), 422, "invalid-field"),
        ("a name of the wrong type", order(|o| o["name"] = json!(7)), 422, "invalid-field"),
        ("no flavor", order(|o| drop(o.as_object_mut().unwrap().remove("flavor"))), 422, "invalid-field"),
        ("an unknown field", order(|o| o["image_url"] = json!("http://inside.example/")), 422, "invalid-field"),
        ("a host name with a dot", order(|o| o["hostname"] = json!("a.b")), 422, "invalid-field"),
        ("a key of two lines", order(|o| o["ssh_keys"] = json!(["ssh-rsa A\nssh-rsa B"])), 422, "invalid-field"),
        ("seventeen keys", order(|o| o["ssh_keys"] = json!(vec!["ssh-rsa A"; 17])), 422, "invalid-field"),
        ("user data over length", order(|o| o["user_data"] = json!("x".repeat(65_536))), 422, "invalid-field"),
        ("metadata over length", order(|o| o["metadata"] = json!({"k": "x".repeat(16_384)})), 422, "invalid-field"),
        ("metadata that is no object", order(|o| o["metadata"] = json!([])), 422, "invalid-field"),
        ("an unknown network", order(|o| o["networks"] = json!(["blue"])), 422, "unknown-network"),
        ("seventeen networks", order(|o| o["networks"] = json!(vec!["blue"; 17])), 422, "invalid-field"),
        ("a node where none is claimed", order(|o| o["node"] = json!("n-1")), 422, "node-of-composed-flavor"),
        ("a list", json!(["web-1", "small", "cirros", null, [], null, {}]), 422, "invalid-field"),
    ];
    for (what, order, status, code) in cases {
        let answer = server.post("/v1/instances", &order).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{what}: {answer:?}");
    }
    let left = server.get("/v1/instances").await.body();
    assert_eq!(left["items"], json!([]), "nothing was written");
    assert_eq!(server.get("/v1/flows").await.body()["items"], json!([]));
}

#[tokio::test]
async fn each_broken_request_has_its_code() {
    let server = Server::furnished().await;
    let json_post = |text: &str| {
        let request = server.request(Method::POST, "/v1/instances").header(header::CONTENT_TYPE, "application/json");
        request.body(text.to_owned())
    };
    let deep = format!("{{\"metadata\": {{\"a\": {}1{}}}}}", "[".repeat(200), "]".repeat(200));
    let order = json!({"name": "web-1", "flavor": "small", "image": "cirros"});
    let key = |key: &str| server.request(Method::POST, "/v1/instances").json(&order).header("idempotency-key", key);
    let get = |path: &str| server.request(Method::GET, path);
    let cases = [
        ("half a body", json_post("{\"name\":"), 400, "malformed-json"),
        ("no body", json_post(""), 400, "malformed-json"),
        ("a body that is nested too deep", json_post(&deep), 400, "malformed-json"),
        ("a body that is no UTF-8", json_post("{\"name\":\"x\"}").body(vec![b'"', 0xff, b'"']), 400, "malformed-json"),
        ("a body over length", json_post(&"x".repeat((1 << 20) + 1)), 413, "body-too-large"),
        (
            "a form",
            server.request(Method::POST, "/v1/instances").header(header::CONTENT_TYPE, "text/plain").body("{}"),
            415,
            "not-acceptable-type",
        ),
        ("a key with a space", key("a b"), 400, "invalid-idempotency-key"),
        ("a key over length", key(&"k".repeat(256)), 400, "invalid-idempotency-key"),
        ("no route", get("/v2"), 404, "no-such-route"),
        ("no method", server.request(Method::PATCH, "/v1/flavors/small"), 405, "no-such-method"),
        ("an id that is none", get("/v1/instances/web-1"), 400, "invalid-parameter"),
        ("a name that is none", get("/v1/flavors/Small"), 400, "invalid-parameter"),
        ("an id of nothing", get("/v1/instances/01a20294-a90f-70fb-bbdb-6fef6a4b1b4a"), 404, "not-found"),
        ("a flow of nothing", get("/v1/flows/01a20294-a90f-70fb-bbdb-6fef6a4b1b4a"), 404, "not-found"),
        ("a page of nothing", get("/v1/instances?limit=0"), 400, "invalid-parameter"),
        ("a page too large", get("/v1/instances?limit=1001"), 400, "invalid-parameter"),
        ("a page of no number", get("/v1/instances?limit=ten"), 400, "invalid-parameter"),
        ("a cursor that is none", get("/v1/instances?cursor=%00"), 400, "invalid-cursor"),
        (
            "a cursor of ours with another key",
            get("/v1/instances?cursor=696e7374616e6365732078"),
            400,
            "invalid-cursor",
        ),
        ("a state that is none", get("/v1/instances?state=happy"), 400, "invalid-parameter"),
        ("a filter that is no word of truth", get("/v1/instances?degraded=2"), 400, "invalid-parameter"),
        ("a project that is none", get("/v1/instances?project=%2F"), 400, "invalid-parameter"),
    ];
    for (what, request, status, code) in cases {
        let answer = Answer::of(request).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{what}: {answer:?}");
    }
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn what_is_no_id_is_told_what_the_id_would_be() {
    let server = Server::furnished().await;
    for (path, body, form) in [
        ("/v1/instances/web-1/power", json!({"wish": "off"}), "an instance's is a UUID, as GET /v1/instances has it"),
        ("/v1/flows/7/retry", json!({"reason": "again"}), "a flow's is a UUID, as GET /v1/flows has it"),
        (
            "/v1/orphans/mg-7/release",
            json!({"reason": "ours"}),
            "an orphan's is a whole number, as GET /v1/orphans has it",
        ),
        (
            "/v1/orphans/mg-7/keep",
            json!({"reason": "theirs"}),
            "an orphan's is a whole number, as GET /v1/orphans has it",
        ),
        ("/v1/debts/mg-7/write-off", json!({"reason": "gone"}), "a debt's is a whole number, as GET /v1/debts has it"),
    ] {
        let answer = server.post(path, &body).await;
        assert_eq!(answer.problem(), (400, "invalid-parameter".into()), "{path}: {answer:?}");
        assert!(answer.body()["detail"].as_str().is_some_and(|detail| detail.ends_with(form)), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn each_mistake_of_an_operator_has_its_code() {
    let server = Server::furnished().await;
    let route = |backend: &str| json!({"compose": [backend], "enroll": ["pod-a"], "deploy": ["pod-a"]});
    let binding = json!({"plugin": "ghost"});
    let cases = [
        ("/v1/flavors/big", json!({"route": route("ghost")}), 422, "unknown-backend"),
        ("/v1/flavors/big", json!({"route": {"compose": ["pod-a"]}}), 422, "invalid-field"),
        ("/v1/flavors/big", json!({"route": route("pod-a"), "shape": {"cores": 65_537}}), 422, "invalid-field"),
        ("/v1/flavors/big", json!({"route": route("pod-a"), "shape": {"cores": -1}}), 422, "invalid-field"),
        ("/v1/flavors/big", json!({"route": route("pod-a"), "erase": "twice"}), 422, "invalid-field"),
        ("/v1/flavors/big", json!({"name": "other", "route": route("pod-a")}), 422, "invalid-field"),
        ("/v1/images/x", json!({}), 422, "invalid-field"),
        ("/v1/networks/x", json!({}), 422, "invalid-field"),
        ("/v1/backends/new", binding.clone(), 422, "plugin-unknown"),
        ("/v1/backends/pod-a", binding, 428, "if-match-required"),
        ("/v1/secrets/s", json!({"value": ""}), 422, "invalid-field"),
        ("/v1/secrets/s", json!({"value": "x", "more": 1}), 422, "invalid-field"),
    ];
    for (path, body, status, code) in cases {
        let answer = server.put(path, &body).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{path} {body}: {answer:?}");
    }
    let swap = server.put("/v1/backends/pod-a/plugin", &json!({"digest": "ghost"})).await;
    assert_eq!(swap.problem(), (422, "plugin-unknown".into()));
    let swap = server.put("/v1/backends/ghost/plugin", &json!({"digest": "ghost"})).await;
    assert_eq!(swap.problem(), (404, "not-found".into()));
    let stale = server.request(Method::PUT, "/v1/backends/pod-a").header(header::IF_MATCH, "\"999\"");
    let stale = Answer::of(stale.json(&json!({"plugin": "ghost"}))).await;
    assert_eq!(stale.problem(), (412, "stale-revision".into()));
    for gone in ["/v1/flavors/big", "/v1/images/big", "/v1/networks/big", "/v1/secrets/big", "/v1/tokens/big"] {
        assert_eq!(server.delete(gone).await.problem(), (404, "not-found".into()), "{gone}");
    }
}

#[tokio::test]
async fn each_file_that_is_no_plugin_has_its_code() {
    let server = Server::with(Sandbox { plugin: 1 << 20, ..Sandbox::default() }).await;
    let send = |kind: &'static str, file: Vec<u8>| {
        server.request(Method::POST, "/v1/plugins").header(header::CONTENT_TYPE, kind).body(file)
    };
    let packed = packed(EMPTY);
    let cut = packed[..packed.len() - 10].to_vec();
    let cases = [
        ("a text", b"#!/bin/sh".to_vec(), 422, "plugin-not-a-component"),
        ("nothing", Vec::new(), 422, "plugin-not-a-component"),
        ("a core module", b"\0asm\x01\0\0\0".to_vec(), 422, "plugin-not-a-component"),
        ("half a plugin", cut, 422, "plugin-truncated"),
        ("a component without manifest", EMPTY.to_vec(), 422, "plugin-no-manifest"),
        ("a component that is no driver", packed.clone(), 422, "plugin-no-driver"),
        ("a driver of another contract", self::packed(&of_another_contract()), 422, "plugin-contract-version"),
        ("a file over length", vec![0; (1 << 20) + 1], 413, "body-too-large"),
    ];
    for (what, file, status, code) in cases {
        let answer = Answer::of(send("application/wasm", file)).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{what}: {answer:?}");
    }
    let over = Answer::of(send("application/wasm", vec![0; 2 << 20])).await;
    assert_eq!(over.body()["detail"], "the body has more than the 1048576 bytes that are read");
    let form = Answer::of(send("multipart/form-data", packed)).await;
    assert_eq!(form.problem(), (415, "not-acceptable-type".into()));
    assert_eq!(server.get("/v1/plugins").await.body()["items"], json!([]), "nothing of them was kept");
    assert_eq!(server.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn who_sends_all_of_a_request_before_reading_gets_the_answer_to_it() {
    let server = Server::with(Sandbox { plugin: 1 << 20, ..Sandbox::default() }).await;
    let more_than_the_system_keeps = vec![0; 64 << 20];
    for (path, answer) in [("/v1/plugins", "HTTP/1.1 413"), ("/v1/nothing", "HTTP/1.1 404")] {
        let length = more_than_the_system_keeps.len();
        for connection in ["close", "keep-alive"] {
            let headers = format!("connection: {connection}\r\ncontent-length: {length}");
            let mut line = post(&server, path, &headers).await;
            line.write_all(&more_than_the_system_keeps).await.unwrap();
            assert_eq!(begin(&mut line).await, answer, "{path}, {connection}");
        }
        let mut line = post(&server, path, "transfer-encoding: chunked").await;
        line.write_all(format!("{length:x}\r\n").as_bytes()).await.unwrap();
        line.write_all(&more_than_the_system_keeps).await.unwrap();
        assert_eq!(begin(&mut line).await, answer, "{path}, without its length");
    }
}

#[tokio::test]
async fn who_asks_before_sending_is_refused_without_being_told_to_send() {
    let server = Server::start().await;
    for (path, length, answer) in [("/v1/nothing", 1000, "HTTP/1.1 404"), ("/v1/plugins", 100 << 20, "HTTP/1.1 413")] {
        let mut line = post(&server, path, &format!("expect: 100-continue\r\ncontent-length: {length}")).await;
        assert_eq!(begin(&mut line).await, answer);
    }
}

/// A request's head, sent.
async fn post(server: &Server, path: &str, headers: &str) -> TcpStream {
    let address = server.base.trim_start_matches("http://");
    let mut line = TcpStream::connect(address).await.unwrap();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/wasm\r\n{headers}\r\n\r\n");
    line.write_all(head.as_bytes()).await.unwrap();
    line
}

/// Of the answer, as far as its status.
async fn begin(line: &mut TcpStream) -> String {
    let mut begin = [0; "HTTP/1.1 200".len()];
    line.read_exact(&mut begin).await.unwrap();
    String::from_utf8_lossy(&begin).into_owned()
}

fn packed(component: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("schema.json"), r#"{"type": "object"}"#).unwrap();
    pack(component, MANIFEST, folder.path()).unwrap()
}

/// `(component (instance) (export "moganite:driver/driver@7.0.0" (instance 0)))`, byte by byte.
fn of_another_contract() -> Vec<u8> {
    let name = b"moganite:driver/driver@7.0.0";
    let instances = [5, 3, 1, 1, 0];
    let mut export = vec![1, 0, u8::try_from(name.len()).unwrap()];
    export.extend(name);
    export.extend([5, 0, 0]);
    let size = u8::try_from(export.len()).unwrap();
    [EMPTY, &instances, &[11, size], &export].concat()
}
