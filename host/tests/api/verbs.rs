//! Power and rebuild, what an instance shows of its machine, and the list's filters.

use moganite::model::{Identity, InstanceState, Node, OperationId};
use moganite::store::{Effect, InstanceChange, Lane, WriteObserved};
use serde_json::{Map, Value, json};

use crate::server::{Answer, Server};

async fn ordered(server: &Server, name: &str) -> Answer {
    let made = server.post("/v1/instances", &json!({"name": name, "flavor": "small", "image": "cirros"})).await;
    assert_eq!(made.status, 202, "{made:?}");
    made
}

/// An active instance's id.
async fn active(server: &Server, name: &str) -> String {
    let made = ordered(server, name).await;
    let id = made.field("id");
    let change = InstanceChange { state: Some(InstanceState::Active), ..InstanceChange::of(id.parse().unwrap()) };
    server.end(&made.field("flow"), vec![Effect::Instance(change)]).await;
    id
}

#[tokio::test]
async fn a_wish_answers_the_flow_that_does_it_and_one_flow_works_at_a_time() {
    let server = Server::furnished().await;
    let id = active(&server, "web-1").await;
    let power = format!("/v1/instances/{id}/power");
    let asked = server.post(&power, &json!({"wish": "soft-reboot"})).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let flow = asked.field("flow");
    assert_eq!(asked.headers["location"], format!("/v1/flows/{flow}"));
    assert_eq!(server.get(&format!("/v1/flows/{flow}")).await.field("kind"), "instance.power");
    assert_eq!(server.get(&format!("/v1/instances/{id}")).await.field("flow"), flow);

    assert_eq!(server.post(&power, &json!({"wish": "off"})).await.problem(), (409, "instance-busy".into()));
    let rebuild = format!("/v1/instances/{id}/rebuild");
    assert_eq!(server.post(&rebuild, &json!({})).await.problem(), (409, "instance-busy".into()));
    server.end(&flow, Vec::new()).await;
    let rebuilt = server.post(&rebuild, &json!({"image": "cirros"})).await;
    assert_eq!(rebuilt.status, 202, "{rebuilt:?}");
    let flow = server.get(&format!("/v1/flows/{}", rebuilt.field("flow"))).await;
    assert_eq!(flow.field("kind"), "instance.rebuild");
}

#[tokio::test]
async fn a_wish_that_is_repeated_with_its_key_answers_the_first_flow() {
    let server = Server::furnished().await;
    let id = active(&server, "web-1").await;
    let send = |verb: &str, key: &'static str, body: Value| {
        let request = server.request(reqwest::Method::POST, &format!("/v1/instances/{id}/{verb}"));
        Answer::of(request.header("idempotency-key", key).json(&body))
    };
    let first = send("power", "k1", json!({"wish": "off"})).await;
    // While it is under way, and long after.
    let again = send("power", "k1", json!({"wish": "off"})).await;
    server.end(&first.field("flow"), Vec::new()).await;
    let later = send("power", "k1", json!({"wish": "off"})).await;
    assert_eq!((first.status, again.status, later.status), (202, 202, 202), "{first:?} {again:?} {later:?}");
    assert_eq!([again.field("flow"), later.field("flow")], [first.field("flow"), first.field("flow")]);

    let reused = (422, "idempotency-key-reused".to_owned());
    assert_eq!(send("power", "k1", json!({"wish": "on"})).await.problem(), reused);
    assert_eq!(send("rebuild", "k1", json!({})).await.problem(), reused);
    let rebuilt = send("rebuild", "k2", json!({})).await;
    assert_eq!(send("rebuild", "k2", json!({"image": null})).await.field("flow"), rebuilt.field("flow"));
    // A wish that was refused has no flow to answer with: its key is as good as new.
    assert_eq!(send("power", "k3", json!({"wish": "on"})).await.problem(), (409, "instance-busy".into()));
    server.end(&rebuilt.field("flow"), Vec::new()).await;
    assert_eq!(send("power", "k3", json!({"wish": "on"})).await.status, 202);
}

#[tokio::test]
async fn each_wish_that_cannot_be_has_its_code() {
    let server = Server::furnished().await;
    let made = ordered(&server, "new").await.field("id");
    let id = active(&server, "web-1").await;
    let (power, rebuild) = (format!("/v1/instances/{id}/power"), format!("/v1/instances/{id}/rebuild"));
    let unknown = "/v1/instances/01a20294-a90f-70fb-bbdb-6fef6a4b1b4a".to_owned();
    assert_eq!(server.put("/v1/images/other", &json!({"backends": {"elsewhere": {}}})).await.status, 200);
    let cases = [
        (&power, json!({}), 422, "invalid-field"),
        (&power, json!({"wish": "explode"}), 422, "invalid-field"),
        (&power, json!({"wish": "on", "now": true}), 422, "invalid-field"),
        (&rebuild, json!({"image": "ghost"}), 422, "unknown-image"),
        (&rebuild, json!({"image": "other"}), 422, "image-not-for-backend"),
        (&rebuild, json!({"image": "http://inside.example/"}), 422, "invalid-field"),
        (&format!("/v1/instances/{made}/power"), json!({"wish": "on"}), 409, "instance-busy"),
        (&format!("{unknown}/power"), json!({"wish": "on"}), 404, "not-found"),
        (&format!("{unknown}/rebuild"), json!({}), 404, "not-found"),
    ];
    for (path, body, status, code) in cases {
        let answer = server.post(path, &body).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{path} {body}: {answer:?}");
    }
}

#[tokio::test]
async fn an_instance_shows_its_ports_and_addresses_once_they_are_known() {
    let server = Server::furnished().await;
    let made = ordered(&server, "web-1").await;
    assert_eq!((&made.body()["ports"], &made.body()["addresses"]), (&json!([]), &json!({})));
    let held = server.get("/v1/holdings").await.body();
    let operation = OperationId(held["items"][0]["operation"].as_str().unwrap().to_owned());
    let macs = vec!["52:54:00:00:00:01".to_owned(), "52:54:00:00:00:02".to_owned()];
    let identity = Identity { macs, ..Identity::default() };
    let (facts, parts) = (Map::new(), Vec::new());
    let node = Node { handle: "n1".into(), identity, parts, place: None, access: None, facts: facts.clone() };
    let addresses = json!({"blue": ["192.0.2.7"]}).as_object().cloned();
    let change = InstanceChange { addresses, ..InstanceChange::of(made.field("id").parse().unwrap()) };
    let hold = Effect::Hold { operation, handle: "n1".into(), facts, node: Some(node) };
    server.end(&made.field("flow"), vec![hold, Effect::Instance(change)]).await;

    let shown = server.get(&format!("/v1/instances/{}", made.field("id"))).await.body();
    assert_eq!(shown["ports"], json!([{"mac": "52:54:00:00:00:01"}, {"mac": "52:54:00:00:00:02"}]));
    assert_eq!(shown["addresses"], json!({"blue": ["192.0.2.7"]}));
}

#[tokio::test]
async fn a_list_is_of_one_state_or_of_what_is_degraded() {
    let server = Server::furnished().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(active(&server, &format!("web-{n}")).await);
        ordered(&server, &format!("new-{n}")).await;
    }
    let wrong = |id: &String| (id.parse().unwrap(), Some("powered off".to_owned()));
    let found = [&ids[1], &ids[3]].map(wrong).to_vec();
    server.store.write(Lane::Flow, WriteObserved { found, at: 2 }).await.unwrap();

    let names = async |query: &str| {
        let (mut names, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = server.get(&format!("/v1/instances?limit=2&{query}{cursor}")).await.body();
            let items = page["items"].as_array().unwrap();
            names.extend(items.iter().map(|item| item["name"].as_str().unwrap().to_owned()));
            let Value::String(next) = &page["next"] else { return names.join(" ") };
            cursor = format!("&cursor={next}");
        }
    };
    assert_eq!(names("state=active").await, "web-0 web-1 web-2 web-3 web-4");
    assert_eq!(names("state=creating").await, "new-0 new-1 new-2 new-3 new-4");
    assert_eq!(names("degraded=true").await, "web-1 web-3");
    assert_eq!(names("state=active&degraded=false").await, "web-0 web-2 web-4");
    assert_eq!(names("state=failed").await, "");
    let shown = server.get(&format!("/v1/instances/{}", ids[1])).await;
    assert_eq!(shown.field("degraded"), "powered off");
}
