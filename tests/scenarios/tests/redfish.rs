//! Composed without Valence: cores, memory and disk from resource blocks, erased before they go back.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use scenarios::Stack;
use serde_json::json;

#[tokio::test]
async fn an_instance_with_a_disk_is_composed_erased_and_released() {
    let stack = Stack::start().await.unwrap();
    stack.redfish().await.unwrap();
    for project in ["first", "second"] {
        let (id, _) = stack.create(project, "with-disk").await.unwrap();
        let ended = stack.service.instance(&id, "ended", |instance| instance["state"] != "creating").await.unwrap();
        assert_eq!(ended["state"], "active", "{}", ended["reason"]);
        stack.delete_and_wait(&id).await.unwrap();
        assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new(), "no disk holds {project}'s data");
    }
    assert_eq!(stack.sim.made("pod").await.unwrap(), (2, 2));
}

#[tokio::test]
async fn valence_is_refused_a_disk_and_the_answer_names_who_can() {
    let stack = Stack::start().await.unwrap();
    stack.redfish().await.unwrap();
    let route = json!({"compose": ["pod-a"], "enroll": ["ironic-1"], "deploy": ["ironic-1"]});
    let flavor = json!({"name": "disk", "shape": {"cores": 2, "disks_gib": [50]}, "route": route});
    let refused = stack.service.api.put("/v1/flavors/disk", &flavor).await.unwrap();
    assert_eq!(refused.body["code"], "flavor-not-expressible", "{refused:?}");
    assert!(refused.body["detail"].as_str().unwrap().contains("pod-r can"), "{refused:?}");
}
