//! What sweeps found, as operators see it and decide it. Here nothing is asked of a far side: the looks are written by the test.

use std::collections::BTreeSet;

use moganite::model::{FlowId, Mark, Name, OperationId, Role, Site};
use moganite::store::{Effect, Lane, Theirs, WriteLook};
use serde_json::{Value, json};

use crate::server::Server;

/// One look at pod-a's compose that found these marks, each on a machine of its own name.
async fn look(server: &Server, at: i64, found: &[(&Mark, &str)]) {
    let theirs = |(mark, handle): &(&Mark, &str)| {
        let operation = site(server).operation(mark).unwrap();
        Theirs {
            mark: (*mark).clone(),
            handle: (*handle).to_owned(),
            said: "Assembled".into(),
            flow: operation.parts().map(|(flow, ..)| flow),
            round: 1,
            instance: None,
            certain: true,
        }
    };
    let look = WriteLook {
        backend: Name::parse("name", "pod-a").unwrap(),
        role: Role::Compose,
        began: at,
        at,
        listed: found.iter().map(|(mark, _)| (*mark).clone()).collect::<BTreeSet<_>>(),
        theirs: found.iter().map(theirs).collect(),
        missing: Vec::new(),
    };
    server.store.write(Lane::Flow, look).await.unwrap();
}

fn site(server: &Server) -> Site {
    Site::parse(&server.site).unwrap()
}

fn mark(server: &Server) -> Mark {
    site(server).mark(&OperationId::doing(FlowId::fresh(), 0, 1))
}

async fn orphans(server: &Server) -> Vec<Value> {
    server.get("/v1/orphans").await.body()["items"].as_array().cloned().unwrap()
}

#[tokio::test]
async fn an_orphan_is_released_once_and_owed_from_then_on() {
    let server = Server::furnished().await;
    let (one, two) = (mark(&server), mark(&server));
    look(&server, 1_700_000_000_000 - 90_000, &[(&one, "n1"), (&two, "n2")]).await;
    let listed = orphans(&server).await;
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!(
        (&listed[0]["mark"], &listed[0]["age_s"], &listed[0]["state"]),
        (&json!(one.0), &json!(90), &json!("orphan"))
    );

    let path = |verb: &str| format!("/v1/orphans/{}/{verb}", listed[0]["id"]);
    let reason = json!({"reason": "nobody's"});
    assert_eq!(server.post(&path("release"), &json!({"reason": " "})).await.problem().0, 422);
    let released = server.post(&path("release"), &reason).await;
    assert_eq!(released.status, 202, "{released:?}");
    let again = server.post(&path("release"), &reason).await;
    assert_eq!(again.problem(), (409, "orphan-not-releasable".into()));
    assert_eq!(server.post(&path("keep"), &reason).await.problem(), (409, "orphan-not-releasable".into()));
    assert_eq!(server.post("/v1/orphans/4711/release", &reason).await.problem().0, 404);

    let holdings = server.get("/v1/holdings").await.body();
    assert_eq!(
        (&holdings["items"][0]["mark"], &holdings["items"][0]["state"]),
        (&json!(one.0), &json!("held")),
        "{holdings}"
    );
    let flow = server.get(&format!("/v1/flows/{}", released.field("flow"))).await.body();
    assert_eq!(flow["kind"], "instance.settle", "{flow}");
}

#[tokio::test]
async fn one_that_is_kept_stays_so_until_it_is_gone() {
    let server = Server::furnished().await;
    let one = mark(&server);
    look(&server, 1_000, &[(&one, "n1")]).await;
    let id = orphans(&server).await[0]["id"].clone();
    let kept = server.post(&format!("/v1/orphans/{id}/keep"), &json!({"reason": "the lab's"})).await;
    assert_eq!(kept.status, 204, "{kept:?}");
    look(&server, 2_000, &[(&one, "n1")]).await;
    let listed = orphans(&server).await;
    assert_eq!(
        (&listed[0]["state"], &listed[0]["why"], &listed[0]["first_seen"]),
        (&json!("kept"), &json!("the lab's"), &json!("1970-01-01T00:00:01.000Z"))
    );
    look(&server, 3_000, &[]).await;
    assert_eq!(orphans(&server).await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_is_on_a_machine_that_an_instance_has_is_not_released() {
    let server = Server::furnished().await;
    let made = server.post("/v1/instances", &json!({"name": "web", "flavor": "small", "image": "cirros"})).await;
    let (flow, instance) = (made.field("flow"), made.field("id"));
    let operation = OperationId::doing(flow.parse().unwrap(), 0, 1);
    let held = Effect::Hold { operation, handle: "n1".into(), facts: serde_json::Map::new(), node: None };
    server.end(&flow, vec![held]).await;
    let one = mark(&server);
    look(&server, 1_000, &[(&one, "n1")]).await;
    let listed = orphans(&server).await;
    assert_eq!(listed[0]["blocked_by"], json!(instance), "{listed:?}");
    let refused = server.post(&format!("/v1/orphans/{}/release", listed[0]["id"]), &json!({"reason": "x"})).await;
    assert_eq!(refused.problem(), (409, "orphan-not-releasable".into()));
    assert!(refused.text.contains(&instance), "{refused:?}");
}

#[tokio::test]
async fn a_backend_that_cannot_be_seen_is_said() {
    let server = Server::furnished().await;
    let report = server.post("/v1/sweep", &json!({})).await;
    assert_eq!(report.status, 200, "{report:?}");
    let pod = &report.body()["backends"][0];
    assert!(pod["fault"].as_str().is_some_and(|why| why.contains("pod-a")), "{pod}");
    assert_eq!((&pod["at"], &pod["policy"], &pod["brake"]["limit"]), (&Value::Null, &json!("report"), &json!(5)));
    assert!(server.get("/metrics").await.text.contains("moganite_sweep_fault{backend=\"pod-a\"} 1"));
    assert_eq!(server.post("/v1/sweep", &json!({"backend": "pod-z"})).await.problem().0, 404);
    let go_on = server.post("/v1/sweep/pod-a/go-on", &json!({"reason": "x"})).await;
    assert_eq!(go_on.problem(), (409, "not-stopped".into()));
}

#[tokio::test]
async fn a_store_that_was_not_restored_has_nothing_to_reconcile() {
    let server = Server::furnished().await;
    let shown = server.get("/v1/reconcile").await.body();
    assert_eq!((&shown["restored_at"], &shown["to_do"]), (&Value::Null, &json!([])), "{shown}");
    assert_eq!(
        server.post("/v1/reconcile/done", &json!({"reason": "x"})).await.problem(),
        (409, "not-reconciled".into())
    );
    let mixed = json!({"of": "theirs", "decision": "forget", "reason": "x"});
    assert_eq!(server.post("/v1/reconcile/decide", &mixed).await.problem(), (422, "invalid-field".into()));
    let none = json!({"of": "ours", "decision": "forget", "reason": "x"});
    assert_eq!(server.post("/v1/reconcile/decide", &none).await.body(), json!({"decided": 0}));
}
