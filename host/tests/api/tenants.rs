//! Every route, as nobody, as a reader, and as the wrong tenant. The routes are those of the document, so that a new one is tested
//! from its first day.

use reqwest::Method;
use serde_json::{Value, json};

use crate::document::operations;
use crate::server::{Answer, Server};

/// In the name of the other tenant's instance: seen nowhere else.
const CANARY: &str = "canary-4815";

struct Tenants {
    server: Server,
    operator: String,
    owner: String,
    stranger: String,
    reader: String,
    instance: String,
    flow: String,
    routes: Vec<(Method, String, Value)>,
}

impl Tenants {
    async fn start() -> Self {
        let server = Server::furnished().await;
        let network = json!({"backends": {"pod-a": {"vlan": 4}}});
        assert_eq!(server.put("/v1/networks/blue", &network).await.status, 200);
        let operator = server.token(None, "root", "default", "operator").await;
        let owner = server.token(Some(&operator), "owner", "owners", "member").await;
        let stranger = server.token(Some(&operator), "stranger", "strangers", "member").await;
        let reader = server.token(Some(&operator), "reader", "owners", "reader").await;
        let order = json!({"name": CANARY, "flavor": "small", "image": "cirros"});
        let made = Answer::of(server.request(Method::POST, "/v1/instances").bearer_auth(&owner).json(&order)).await;
        assert_eq!(made.status, 202, "{made:?}");
        let (instance, flow) = (made.field("id"), made.field("flow"));
        let document = server.get("/openapi.json").await.body();
        let route = |(path, method, operation): (String, String, Value)| {
            let id = if path.starts_with("/v1/flows") { &flow } else { &instance };
            let path = path.replace("{id}", id).replace("{name}", "pod-a").replace("{plugin}", "ghost");
            let path = path.replace("{backend}", "pod-a").replace("{project}", "owners").replace("{handle}", "node-1");
            (method.to_uppercase().parse().unwrap(), path, operation)
        };
        let routes = operations(&document).into_iter().map(route).collect();
        Self { server, operator, owner, stranger, reader, instance, flow, routes }
    }

    async fn ask(&self, method: &Method, path: &str, token: Option<&str>) -> Answer {
        let mut request = self.server.request(method.clone(), path);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if *method != Method::GET {
            // Whole where it has to be, so that it is not the body which is refused.
            let body = if path.ends_with("/power") { json!({"wish": "off"}) } else { json!({}) };
            request = request.json(&body);
        }
        Answer::of(request).await
    }

    async fn is_as_it_was(&self) {
        let shown = self.ask(&Method::GET, &format!("/v1/instances/{}", self.instance), Some(&self.owner)).await;
        assert_eq!(shown.body()["state"], "creating", "{shown:?}");
        assert_eq!(shown.field("flow"), self.flow);
    }
}

#[tokio::test]
async fn nobody_gets_in_anywhere_but_where_the_document_says_so() {
    let tenants = Tenants::start().await;
    for (method, path, operation) in &tenants.routes {
        let answer = tenants.ask(method, path, None).await;
        let open = operation["security"] == json!([{}]);
        assert_eq!(answer.status == 401, !open, "{method} {path}: {answer:?}");
    }
    tenants.is_as_it_was().await;
}

#[tokio::test]
async fn a_reader_changes_nothing() {
    let tenants = Tenants::start().await;
    for (method, path, _) in tenants.routes.iter().filter(|(method, ..)| *method != Method::GET) {
        let answer = tenants.ask(method, path, Some(&tenants.reader)).await;
        assert_eq!(answer.problem(), (403, "role-too-small".into()), "{method} {path}");
    }
    tenants.is_as_it_was().await;
}

#[tokio::test]
async fn a_stranger_sees_and_changes_nothing_of_another_project() {
    let tenants = Tenants::start().await;
    for (method, path, _) in &tenants.routes {
        let answer = tenants.ask(method, path, Some(&tenants.stranger)).await;
        assert!(!answer.text.contains(CANARY), "{method} {path}: {answer:?}");
        let named = path.contains(&tenants.instance) || path.contains(&tenants.flow);
        if named {
            assert!(matches!(answer.status, 403 | 404), "{method} {path}: {answer:?}");
        } else {
            assert!(!answer.text.contains(&tenants.instance), "{method} {path}: {answer:?}");
            assert!(!answer.text.contains(&tenants.flow), "{method} {path}: {answer:?}");
        }
    }
    for asked in ["/v1/instances?project=owners", "/v1/flows?project=owners", "/v1/nodes?project=owners"] {
        let answer = tenants.ask(&Method::GET, asked, Some(&tenants.stranger)).await;
        assert_eq!(answer.problem(), (403, "role-too-small".into()), "{asked}");
    }
    tenants.is_as_it_was().await;
}

#[tokio::test]
async fn an_operator_sees_all_projects_or_the_one_that_is_asked_for() {
    let tenants = Tenants::start().await;
    let list = async |query: &str| {
        let answer = tenants.ask(&Method::GET, &format!("/v1/instances{query}"), Some(&tenants.operator)).await;
        answer.body()["items"].as_array().map(Vec::len)
    };
    assert_eq!(list("").await, Some(1));
    assert_eq!(list("?project=owners").await, Some(1));
    assert_eq!(list("?project=strangers").await, Some(0));
}

#[tokio::test]
async fn what_a_backend_calls_an_image_and_what_the_gate_saw_is_the_operators() {
    let tenants = Tenants::start().await;
    let flow = format!("/v1/flows/{}", tenants.flow);
    let owned = tenants.ask(&Method::GET, &flow, Some(&tenants.owner)).await.body();
    assert!(owned["events"][0].get("exchanges").is_none(), "{owned}");
    let all = tenants.ask(&Method::GET, &flow, Some(&tenants.operator)).await.body();
    assert!(all["events"][0]["exchanges"].is_array(), "{all}");
    let image = tenants.ask(&Method::GET, "/v1/images/cirros", Some(&tenants.owner)).await;
    assert!(!image.text.contains("images.example"), "{image:?}");
    let network = tenants.ask(&Method::GET, "/v1/networks/blue", Some(&tenants.owner)).await;
    assert_eq!(network.body(), json!({"name": "blue"}), "{network:?}");
}

#[tokio::test]
async fn a_key_of_one_project_is_free_in_another() {
    let tenants = Tenants::start().await;
    let order = json!({"name": "web-1", "flavor": "small", "image": "cirros"});
    let send = async |token: &str| {
        let request = tenants.server.request(Method::POST, "/v1/instances").bearer_auth(token);
        Answer::of(request.header("idempotency-key", "same").json(&order)).await
    };
    let (one, other) = (send(&tenants.owner).await, send(&tenants.stranger).await);
    assert_eq!((one.status, other.status), (202, 202));
    assert_ne!(one.field("id"), other.field("id"));
    assert_eq!(other.field("project"), "strangers");
}
