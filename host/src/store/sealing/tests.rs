//! A folder of a version that sealed nothing but secrets, opened by this one.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::super::{HoldingFilter, Store};
use super::*;
use crate::model::FlowId;

/// What the old version left, in a folder of its own.
fn old() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/state-0.1.0");
    for name in ["moganite.db", "secret.key"] {
        fs::copy(fixture.join(name), folder.path().join(name)).unwrap();
    }
    fs::set_permissions(folder.path().join("secret.key"), fs::Permissions::from_mode(0o600)).unwrap();
    folder
}

fn raw(folder: &Path) -> Connection {
    Connection::open(folder.join("moganite.db")).unwrap()
}

fn column<T: rusqlite::types::FromSql>(folder: &Path, sql: &str) -> Vec<T> {
    let db = raw(folder);
    let mut rows = db.prepare(sql).unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

/// Everything that stands in the folder.
fn bytes(folder: &Path) -> Vec<u8> {
    // A store that was just dropped still takes its log away: what is gone by now holds nothing.
    let files = fs::read_dir(folder).unwrap().map(|file| match fs::read(file.unwrap().path()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        read => read.unwrap(),
    });
    files.collect::<Vec<_>>().concat()
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

const CANARY: &str = "#cloud-config canary-of-a-user-9141";

const WITH_CHECKPOINT: &str = "SELECT public_id FROM flow WHERE checkpoint IS NOT NULL ORDER BY id";

#[tokio::test]
async fn what_an_older_version_wrote_in_clear_is_sealed_by_the_first_start_and_reads_the_same() {
    let folder = old();
    raw(folder.path())
        .execute("UPDATE instance SET ordered = json_set(ordered, '$.user_data', ?1)", params![CANARY])
        .unwrap();
    let states: Vec<Vec<u8>> = column(folder.path(), "SELECT state FROM flow ORDER BY id DESC");
    let checkpoints: Vec<Option<Vec<u8>>> = column(folder.path(), "SELECT checkpoint FROM flow ORDER BY id DESC");
    let trails: Vec<Option<Vec<u8>>> = column(folder.path(), "SELECT trail FROM holding ORDER BY id");
    assert!(checkpoints.iter().flatten().count() > 1 && trails.iter().flatten().count() > 1);
    assert!(has(&bytes(folder.path()), CANARY.as_bytes()), "it was in clear");

    for start in ["the first", "another"] {
        let store = Store::open(folder.path()).unwrap();
        let flows = store.flows(None, None, 1000).await.unwrap();
        assert_eq!(flows.iter().map(|flow| flow.state.clone()).collect::<Vec<_>>(), states, "{start}");
        assert_eq!(flows.iter().map(|flow| flow.checkpoint.clone()).collect::<Vec<_>>(), checkpoints, "{start}");
        let holdings = store.holdings(HoldingFilter::default()).await.unwrap();
        assert_eq!(holdings.into_iter().map(|holding| holding.trail).collect::<Vec<_>>(), trails, "{start}");
        let instances = store.instances(None, None, 1000).await.unwrap();
        assert!(instances.iter().all(|instance| instance.order.user_data.as_deref() == Some(CANARY)), "{start}");
        for (name, _) in store.secrets().await.unwrap() {
            let sealed = store.secret(&name).await.unwrap().unwrap();
            assert!(store.sealer().open(&secret(name.as_str()), &sealed).is_some(), "{start}: {name}");
        }
        assert!(!store.secrets().await.unwrap().is_empty());
    }
    let left = bytes(folder.path());
    assert!(!has(&left, CANARY.as_bytes()), "nothing of it is left in clear");
    let longest = states.iter().chain(checkpoints.iter().flatten()).chain(trails.iter().flatten());
    assert!(longest.filter(|clear| clear.len() > 20).all(|clear| !has(&left, clear)));
}

#[tokio::test]
async fn checkpoints_that_were_swapped_between_rows_open_in_neither() {
    let folder = old();
    drop(Store::open(folder.path()).unwrap());
    let ids: Vec<String> = column(folder.path(), WITH_CHECKPOINT);
    let blobs: Vec<Vec<u8>> =
        column(folder.path(), "SELECT checkpoint FROM flow WHERE checkpoint IS NOT NULL ORDER BY id");
    for (id, blob) in [(&ids[0], &blobs[1]), (&ids[1], &blobs[0])] {
        let put = "UPDATE flow SET checkpoint = ?2, attempt = 1 WHERE public_id = ?1";
        raw(folder.path()).execute(put, params![id, blob]).unwrap();
    }
    let store = Store::open(folder.path()).unwrap();
    for id in &ids[..2] {
        let flow = store.flow(id.parse::<FlowId>().unwrap()).await.unwrap().unwrap();
        assert_eq!(flow.checkpoint, None);
        assert_eq!(flow.position.attempt, 2, "its driver has to look for what was made");
        assert!(!flow.state.is_empty());
    }
}

#[tokio::test]
async fn states_and_trails_that_were_swapped_are_none() {
    let folder = old();
    drop(Store::open(folder.path()).unwrap());
    raw(folder.path())
        .execute_batch(
            "UPDATE flow SET state = (SELECT state FROM flow ORDER BY id DESC LIMIT 1);
             UPDATE holding SET trail = (SELECT trail FROM holding WHERE trail IS NOT NULL ORDER BY id DESC LIMIT 1);",
        )
        .unwrap();
    let store = Store::open(folder.path()).unwrap();
    let flows = store.flows(None, None, 1000).await.unwrap();
    assert!(flows.iter().skip(1).all(|flow| flow.state.is_empty()));
    assert!(!flows[0].state.is_empty(), "the row that it belongs to");
    let holdings = store.holdings(HoldingFilter::default()).await.unwrap();
    let lost = holdings.iter().filter(|holding| holding.trail.as_ref().is_some_and(Vec::is_empty)).count();
    assert_eq!(lost, holdings.len() - 1, "something was begun, and nothing is said of it");
}

#[tokio::test]
async fn without_its_master_key_a_store_does_not_open_and_no_other_key_is_made() {
    let folder = old();
    drop(Store::open(folder.path()).unwrap());
    let key = folder.path().join("secret.key");
    let own = fs::read(&key).unwrap();
    let refused = |folder: &Path| Store::open(folder).err().map(|error| error.to_string()).unwrap_or_default();
    fs::remove_file(&key).unwrap();
    assert!(refused(folder.path()).contains("put back the"), "{}", refused(folder.path()));
    assert!(!key.exists());
    Master::make(&key).unwrap();
    assert!(refused(folder.path()).contains("put back the"));
    fs::write(&key, own).unwrap();
    assert!(Store::open(folder.path()).is_ok());
}

#[tokio::test]
async fn another_master_key_takes_over_without_touching_a_value() {
    let folder = old();
    let key = folder.path().join("secret.key");
    let store = Store::open(folder.path()).unwrap();
    let before = (fs::read(&key).unwrap(), store.flows(None, None, 1000).await.unwrap());
    let sealed: Vec<Vec<u8>> = column(folder.path(), "SELECT sealed FROM secret");
    store.rotate(By { who: "anna".into(), reason: "she left".into() }, 7).await.unwrap();
    assert_ne!(fs::read(&key).unwrap(), before.0);
    assert!(!Masters::next_file(&key).exists());
    assert_eq!(column::<Vec<u8>>(folder.path(), "SELECT sealed FROM secret"), sealed);
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.flows(None, None, 1000).await.unwrap(), before.1);
    drop(store);
    // The old one opens nothing any more.
    fs::write(&key, before.0).unwrap();
    assert!(Store::open(folder.path()).is_err());
}

#[test]
fn nobody_has_the_key_but_during_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let master = Master::make(&folder.path().join("secret.key")).unwrap();
    let (sealer, _) = master.new_sealer().unwrap();
    let key = Key { sealer: Arc::new(sealer), authentic: master.authentic() };
    let bytes = key.during(|| sealed("a", b"value")).unwrap();
    assert_eq!(key.during(|| opened("a", &bytes)).as_deref(), Some(&b"value"[..]));
    assert!(sealed("a", b"value").is_err());
    assert!(opened("a", &bytes).is_none());
}
