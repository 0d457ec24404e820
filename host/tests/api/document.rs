//! The OpenAPI document: a diff of the snapshot shows a reviewer what callers will see.

use std::path::Path;

use moganite::config::Sandbox;
use serde_json::Value;

use crate::server::Server;

#[tokio::test]
async fn the_document_is_as_the_snapshot_has_it() {
    let server = Server::start().await;
    let document = server.get("/openapi.json").await.body();
    assert_eq!(document["openapi"], "3.1.0");
    let shown = format!("{document:#}\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi.json");
    if std::env::var_os("MOGANITE_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &shown).unwrap();
    }
    let snapshot = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = shown.lines().zip(snapshot.lines()).find(|(new, old)| new != old);
    let hint = "look at the change, then run again with MOGANITE_UPDATE_SNAPSHOTS=1";
    assert!(shown == snapshot, "the API changed, first at {differs:?}: {hint}");
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own_words_and_a_problem() {
    let server = Server::start().await;
    let document = server.get("/openapi.json").await.body();
    let mut names = std::collections::BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap_or_default();
        assert!(names.insert(name.to_owned()), "{name} is there twice");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
        assert!(operation["responses"]["default"].is_object(), "{method} {path}");
    }
    assert!(names.len() > 30, "{names:?}");
}

#[tokio::test]
async fn the_document_names_the_limit_of_a_plugins_file() {
    let document = Server::start().await.get("/openapi.json").await.body();
    let summary = document["paths"]["/v1/plugins"]["post"]["summary"].as_str().unwrap();
    let limit = format!("at most {} MiB", Sandbox::default().plugin >> 20);
    assert!(summary.contains(&limit), "{summary}");
}

/// Path, method and description of each operation.
pub(crate) fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| {
        let item = item.as_object().unwrap().clone();
        let path = path.clone();
        item.into_iter()
            .filter(|(_, operation)| operation.is_object())
            .map(move |(method, operation)| (path.clone(), method, operation))
    };
    paths.iter().flat_map(of).collect()
}
