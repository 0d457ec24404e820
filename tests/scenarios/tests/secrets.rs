//! A BMC's password reaches Ironic and nothing else: no guest, no checkpoint, no row, no log, no answer.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use scenarios::{BMC_PASSWORD, Stack};

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn the_password_is_in_ironics_request_and_nowhere_else() {
    let stack = Stack::start().await.unwrap();
    let (id, flow) = stack.create("web", "small").await.unwrap();
    stack.service.instance_in(&id, "active").await.unwrap();
    let log = stack.sim.log(0).await.unwrap();
    let created =
        log.iter().find(|entry| entry["side"] == "ironic" && entry["method"] == "POST" && entry["path"] == "/v1/nodes");
    assert_eq!(created.unwrap()["body"]["driver_info"]["redfish_password"], BMC_PASSWORD);
    for path in
        [format!("/v1/flows/{flow}"), format!("/v1/instances/{id}"), "/v1/secrets".into(), "/v1/backends/pod-a".into()]
    {
        let shown = stack.service.api.get(&path).await.unwrap().body.to_string();
        assert!(!shown.contains(BMC_PASSWORD), "{path}");
    }
    assert!(!contains(&stack.written().unwrap(), BMC_PASSWORD), "in the state folder or the log");
    stack.delete_and_wait(&id).await.unwrap();
    assert!(!contains(&stack.written().unwrap(), BMC_PASSWORD), "in the state folder or the log, after the delete");
}
