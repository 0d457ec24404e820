//! A restore with differences in both directions, the sweeper on and its policy *release*: nothing live is released, nothing that is gone is
//! shown as active, every difference is listed and waits for a person.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use scenarios::{Options, Stack, until};
use serde_json::{Value, json};

const EACH: usize = 5;

fn items(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

async fn held(stack: &Stack) -> usize {
    items(&stack.sim.ledger().await.unwrap()["pod"]["held"]).len()
}

async fn running(stack: &Stack) -> usize {
    items(&stack.sim.ledger().await.unwrap()["machines"]["running"]).len()
}

async fn created(stack: &Stack, names: &str, n: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for at in 0..n {
        ids.push(stack.create(&format!("{names}-{at}"), "small").await.unwrap().0);
    }
    for id in &ids {
        stack.service.instance_in(id, "active").await.unwrap();
    }
    ids
}

async fn active(stack: &Stack) -> Vec<String> {
    let listed = stack.service.api.get("/v1/instances").await.unwrap().ok().unwrap();
    let active = items(&listed["items"]).into_iter().filter(|instance| instance["state"] == "active");
    active.map(|instance| instance["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn five_creates_and_five_deletes_after_the_backup_are_listed_and_nothing_live_is_released() {
    let options = Options { sim: &["--systems", "16"], sweep: "release", ..Options::default() };
    let stack = Stack::with(options).await.unwrap();
    // It lists by POST: that is a read, as its manifest says, and passes while nothing may be changed.
    stack.cloudboot(&json!({})).await.unwrap();
    let stay = created(&stack, "stay", 1).await;
    let deleted = created(&stack, "old", EACH).await;
    let file = stack.folder.path().join("backup.tar");
    stack.backup(&file).await.unwrap();
    for id in &deleted {
        stack.delete_and_wait(id).await.unwrap();
    }
    created(&stack, "new", EACH).await;
    let (live, runs) = (held(&stack).await, running(&stack).await);
    assert_eq!((live, runs), (EACH + 1, EACH + 1));

    let stack = stack.restored(&file).await.unwrap();
    let api = &stack.service.api;
    // As the schedule would, again and again.
    for _ in 0..3 {
        api.post("/v1/sweep", &json!({})).await.unwrap().ok().unwrap();
    }
    let seen = api.post("/v1/reconcile", &json!({})).await.unwrap().ok().unwrap();
    let (theirs, ours) = (items(&seen["theirs"]), items(&seen["ours"]));
    assert_eq!((theirs.len(), ours.len()), (EACH, EACH), "{seen}");
    assert!(items(&seen["backends"]).iter().all(|backend| backend["fault"] == Value::Null), "{seen}");
    assert!(theirs.iter().all(|it| it["decision"] == Value::Null && items(&it["parts"]).len() == 3), "{seen}");
    let gone: Vec<_> = ours.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
    assert!(deleted.iter().all(|id| gone.contains(id)), "{seen}");
    assert_eq!(active(&stack).await, stay, "no deleted instance is shown as active");
    let whole = api.get(&format!("/v1/instances/{}", stay[0])).await.unwrap().ok().unwrap();
    assert_eq!(whole["degraded"], Value::Null, "it was compared, and is as it was: {whole}");
    let failed = api.get(&format!("/v1/instances/{}", deleted[0])).await.unwrap().ok().unwrap();
    assert!(failed["state"] == "failed" && failed["reason"].as_str().unwrap().starts_with("gone: "), "{failed}");
    assert_eq!((held(&stack).await, running(&stack).await), (live, runs), "nothing live was released");

    let told = stack.command(&["reconcile", "--last"]).await.unwrap();
    assert!(told.contains("5 of theirs and not ours: release or keep") && told.contains("old-4"), "{told}");
    let done = json!({"reason": "compared"});
    assert_eq!(api.post("/v1/reconcile/done", &done).await.unwrap().status, 409, "nothing is decided yet");
    let decide = async |of: &str, decision: &str, id: Option<&Value>| {
        let body =
            json!({"of": of, "decision": decision, "id": id.map(ToString::to_string), "reason": "a test's word"});
        api.post("/v1/reconcile/decide", &body).await.unwrap().ok().unwrap()["decided"].clone()
    };
    assert_eq!(decide("theirs", "release", Some(&theirs[0]["id"])).await, 1);
    assert_eq!(decide("theirs", "keep", None).await, EACH - 1);
    assert_eq!(decide("ours", "forget", None).await, EACH);
    assert_eq!((held(&stack).await, running(&stack).await), (live, runs), "a release waits until flows run");
    let done = api.post("/v1/reconcile/done", &done).await.unwrap().ok().unwrap();
    assert_eq!(done["restored_at"], Value::Null, "{done}");

    // What was decided to be released goes, with all that stands on it; what is kept stays, whatever is swept.
    until("the released one to go", Duration::from_secs(60), async || {
        Ok((held(&stack).await == live - 1).then_some(()))
    })
    .await
    .unwrap();
    for _ in 0..2 {
        api.post("/v1/sweep", &json!({})).await.unwrap().ok().unwrap();
    }
    assert_eq!((held(&stack).await, running(&stack).await), (live - 1, runs - 1));
    assert_eq!(items(&stack.sim.ledger().await.unwrap()["alarms"]), Vec::<Value>::new());
    for id in deleted.iter().chain(&stay) {
        stack.delete_and_wait(id).await.unwrap();
    }
    let kept = items(&api.get("/v1/orphans").await.unwrap().ok().unwrap()["items"]);
    let stacks: std::collections::BTreeSet<_> = kept.iter().map(|orphan| orphan["stack"].as_i64().unwrap()).collect();
    assert_eq!(stacks.len(), EACH - 1, "{kept:?}");
    for stack_id in stacks {
        let release = json!({"reason": "not needed any more"});
        api.post(&format!("/v1/orphans/{stack_id}/release"), &release).await.unwrap().ok().unwrap();
    }
    until("all to be given back", Duration::from_secs(60), async || Ok((held(&stack).await == 0).then_some(())))
        .await
        .unwrap();
    assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
}
