//! Orders, repeats, pages, deletes.

use std::collections::BTreeSet;

use moganite::store::{Effect, InstanceChange};
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server};

fn order(name: &str) -> Value {
    json!({"name": name, "flavor": "small", "image": "cirros", "metadata": {"a": 1, "b": [2]}})
}

#[tokio::test]
async fn an_order_answers_where_to_follow_it() {
    let server = Server::furnished().await;
    let made = server.post("/v1/instances", &order("web-1")).await;
    assert_eq!(made.status, 202, "{made:?}");
    let (id, flow) = (made.field("id"), made.field("flow"));
    assert_eq!(made.headers["location"], format!("/v1/instances/{id}"));
    let body = made.body();
    assert_eq!(body["state"], "creating");
    assert_eq!(body["links"]["flow"], format!("/v1/flows/{flow}"));
    assert_eq!(body["now"]["task"], "compose");
    assert_eq!(body["created_at"], "2023-11-14T22:13:20.000Z");
    let shown = server.get(&format!("/v1/flows/{flow}")).await.body();
    assert_eq!(shown["instance"], id);
    assert_eq!(shown["tasks"][0]["state"], "running");
    assert_eq!(shown["tasks"][1]["state"], "waiting");
    assert_eq!(shown["events"][0]["kind"], "created");
}

#[tokio::test]
async fn a_repeat_with_the_same_key_orders_once() {
    let server = Server::furnished().await;
    let send = |key: &str, body: String| {
        let request = server.request(Method::POST, "/v1/instances").header("idempotency-key", key.to_owned());
        Answer::of(request.header("content-type", "application/json").body(body))
    };
    let first = send("k1", order("web-1").to_string()).await;
    // The same request, said otherwise.
    let again = r#" {"metadata": {"b": [2], "a": 1}, "image": "cirros", "flavor": "small", "name": "web-1"} "#;
    let again = send("k1", again.into()).await;
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(first.field("id"), again.field("id"));
    let other = send("k1", order("web-2").to_string()).await;
    assert_eq!(other.problem(), (422, "idempotency-key-reused".into()));
    let fresh = send("k2", order("web-1").to_string()).await;
    assert_ne!(first.field("id"), fresh.field("id"));
    assert_eq!(server.get("/v1/instances").await.body()["items"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn pages_show_every_instance_once_also_when_some_are_added() {
    let server = Server::furnished().await;
    for n in 0..5 {
        assert_eq!(server.post("/v1/instances", &order(&format!("web-{n}"))).await.status, 202);
    }
    let mut names = Vec::new();
    let mut path = "/v1/instances?limit=2".to_owned();
    loop {
        let page = server.get(&path).await.body();
        let items = page["items"].as_array().unwrap();
        names.extend(items.iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        if names.len() == 4 {
            assert_eq!(server.post("/v1/instances", &order("web-5")).await.status, 202);
        }
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/instances?limit=2&cursor={next}");
    }
    assert_eq!(names.len(), 6, "{names:?}");
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 6, "{names:?}");
    let flows = server.get("/v1/flows?limit=4").await.body();
    assert_eq!(flows["items"].as_array().map(Vec::len), Some(4));
    let crossed = server.get(&format!("/v1/instances?cursor={}", flows["next"].as_str().unwrap())).await;
    assert_eq!(crossed.problem(), (400, "invalid-cursor".into()));
}

#[tokio::test]
async fn a_delete_is_repeatable_and_names_one_flow() {
    let server = Server::furnished().await;
    let made = server.post("/v1/instances", &order("web-1")).await;
    let path = format!("/v1/instances/{}", made.field("id"));
    let (first, again) = (server.delete(&path).await, server.delete(&path).await);
    assert_eq!((first.status, again.status), (202, 202), "{first:?} {again:?}");
    assert_eq!(first.field("flow"), again.field("flow"));
    let shown = server.get(&path).await.body();
    assert_eq!(shown["state"], "deleting");
    let waits = shown["now"]["waits_for"].as_str().unwrap();
    assert!(waits.contains(&made.field("flow")), "it follows the create: {waits}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_beside_the_end_of_its_instance_is_taken_or_told_that_it_is_gone() {
    let server = Server::furnished().await;
    for n in 0..30 {
        let made = server.post("/v1/instances", &order(&format!("web-{n}"))).await;
        let (id, path) = (made.field("id"), format!("/v1/instances/{}", made.field("id")));
        let gone = InstanceChange { gone: true, ..InstanceChange::of(id.parse().unwrap()) };
        let flow = made.field("flow");
        let end = server.end(&flow, vec![Effect::Instance(gone)]);
        let delete = || server.delete(&path);
        let (_, one, two, three, four) = tokio::join!(end, delete(), delete(), delete(), delete());
        for deleted in [one, two, three, four] {
            assert!(deleted.status == 202 || deleted.problem() == (404, "instance-gone".into()), "{deleted:?}");
        }
    }
}

#[tokio::test]
async fn only_a_flow_that_rests_is_retried() {
    let server = Server::furnished().await;
    let flow = server.post("/v1/instances", &order("web-1")).await.field("flow");
    let retried = server.post(&format!("/v1/flows/{flow}/retry"), &json!({})).await;
    assert_eq!(retried.problem(), (409, "flow-does-not-rest".into()));
}

#[tokio::test]
async fn what_is_taken_is_listed_for_operators() {
    let server = Server::furnished().await;
    let id = server.post("/v1/instances", &order("web-1")).await.field("id");
    let held = server.get("/v1/holdings").await.body();
    assert_eq!(held["items"][0]["instance"], id);
    assert_eq!(held["items"][0]["state"], "intended");
    assert!(held["items"][0]["mark"].as_str().is_some_and(|mark| mark.starts_with("mg-")));
    let nodes = server.get("/v1/nodes").await.body();
    assert_eq!(nodes["items"][0]["handle"], Value::Null);
}

#[tokio::test]
async fn a_secret_never_comes_back() {
    let server = Server::start().await;
    let canary = "canary-7391-value";
    let put = server.put("/v1/secrets/bmc", &json!({"value": canary})).await;
    assert_eq!(put.status, 200);
    for answer in [put, server.get("/v1/secrets").await, server.get("/v1/secrets/bmc").await] {
        assert!(!answer.text.contains(canary), "{answer:?}");
    }
}

#[tokio::test]
async fn figures_count_requests_by_route_and_not_by_path() {
    let server = Server::furnished().await;
    for n in 0..3 {
        server.get(&format!("/v1/flavors/ghost-{n}")).await;
    }
    let text = server.get("/metrics").await.text;
    let line = r#"moganite_http_requests_total{method="GET",route="/v1/flavors/{name}",status="404"} 3"#;
    assert!(text.contains(line), "{text}");
    assert!(!text.contains("ghost"), "{text}");
}
