//! A backup, made while others write.

use std::fs::File;
use std::io::Write as _;

use moganite::archive::{self, DATABASE, KEY, Manifest};
use reqwest::Method;
use serde_json::json;

use crate::server::{Answer, Server};

async fn backup(server: &Server, with_key: bool) -> (File, Manifest) {
    let request = server.request(Method::POST, "/v1/backup").json(&json!({"with_key": with_key}));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/x-tar");
    let length = answer.content_length().unwrap();
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, length);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let manifest = archive::check(&file).unwrap();
    (file, manifest)
}

fn has(manifest: &Manifest, name: &str) -> bool {
    manifest.parts.iter().any(|part| part.name == name)
}

#[tokio::test]
async fn a_backup_has_all_that_was_answered_before_and_nothing_half_done() {
    let server = Server::start().await;
    let write = async |n: u32| {
        let path = format!("/v1/images/image-{n:03}");
        assert_eq!(server.put(&path, &json!({"backends": {"a": {"n": n}}})).await.status, 200);
    };
    for n in 0..20 {
        write(n).await;
    }
    let writing = async {
        for n in 20..60 {
            write(n).await;
        }
    };
    let ((file, manifest), ()) = tokio::join!(backup(&server, false), writing);
    assert!(has(&manifest, DATABASE) && !has(&manifest, KEY), "{manifest:?}");
    assert_eq!(manifest.site, server.get("/v1").await.field("site"));

    let folder = tempfile::tempdir().unwrap();
    archive::unpack(&file, |part| File::create_new(folder.path().join(&part.name))).unwrap();
    let db = rusqlite::Connection::open(folder.path().join(DATABASE)).unwrap();
    let mut names = db.prepare("SELECT name FROM image ORDER BY name").unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let first: Vec<_> = (0..names.len()).map(|n| format!("image-{n:03}")).collect();
    assert_eq!(names, first, "a beginning of what was written, without gaps");
    assert!(names.len() >= 20, "{names:?}");
    let page = server.get("/v1/images?limit=500").await.body();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(60), "and the service went on");
}

#[tokio::test]
async fn the_key_goes_along_only_when_it_is_asked_for_and_only_to_an_operator() {
    let server = Server::furnished().await;
    let (_, manifest) = backup(&server, true).await;
    assert!(has(&manifest, KEY) && manifest.has_key());
    // The plugin of these tests is nowhere.
    assert_eq!(manifest.missing_plugins.len(), 1);
    let unknown = server.post("/v1/backup", &json!({"with_keys": true})).await;
    assert_eq!(unknown.problem(), (422, "invalid-field".into()));
    let root = server.token(None, "root", "default", "operator").await;
    let member = server.token(Some(&root), "team", "team", "member").await;
    let request = server.request(Method::POST, "/v1/backup").bearer_auth(member).json(&json!({}));
    assert_eq!(Answer::of(request).await.problem(), (403, "role-too-small".into()));
}
