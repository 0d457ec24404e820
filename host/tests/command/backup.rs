//! A backup and what is made of it, as an operator types it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::{SECRET, Serving, command, err, out, serve};

/// A service with one secret and one image.
fn furnished(folder: &Path) -> Serving {
    let serving = Serving::start(&folder.join("state"));
    let value = folder.join("value");
    std::fs::write(&value, format!("{SECRET}\n")).unwrap();
    assert!(serving.run(&["secret", "set", "bmc", "--from-file", text(&value)]).status.success());
    let image = folder.join("cirros.toml");
    std::fs::write(&image, "name = \"cirros\"\n[backends.ironic-1]\nboot_iso = \"http://images.example/c.iso\"\n")
        .unwrap();
    assert!(serving.run(&["image", "put", text(&image)]).status.success());
    serving
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_backup_is_restored_into_an_empty_folder_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let serving = furnished(folder.path());
    let (file, state) = (folder.path().join("b.tar"), folder.path().join("restored"));
    let made = serving.run(&["backup", text(&file)]);
    assert!(made.status.success(), "{}", err(&made));
    assert!(out(&made).contains("keep it as you keep the secrets"), "{}", out(&made));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let beside = names(folder.path()).into_iter().filter(|name| name.starts_with("b.tar")).count();
    assert_eq!(beside, 1, "nothing is left beside it");
    assert!(!names(&folder.path().join("state")).contains(&"snapshot.db".to_owned()));
    drop(serving);

    // The folder that it came from is not empty.
    let restore =
        |state: &Path| command(&["-o", "json", "restore", text(&file), "--state", text(state)]).output().unwrap();
    let refused = restore(&folder.path().join("state"));
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("is not empty"), "{}", err(&refused));

    let restored = restore(&state);
    assert!(restored.status.success(), "{}", err(&restored));
    let said: Value = serde_json::from_slice(&restored.stdout).unwrap();
    assert_eq!(said["secrets"], serde_json::json!(["bmc"]));
    assert!(said["epoch"].as_i64().unwrap() > 1, "{said}");
    assert_eq!(names(&state), ["moganite.db", "plugins", "secret.key"]);
    assert_eq!(
        std::fs::read(state.join("secret.key")).unwrap(),
        std::fs::read(folder.path().join("state/secret.key")).unwrap()
    );
    assert!(err(&restore(&state)).contains("is not empty"));

    let serving = Serving::start(&state);
    assert!(out(&serving.run(&["-o", "json", "image", "list"])).contains("cirros"));
}

#[test]
fn a_backup_without_the_key_says_so_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let serving = furnished(folder.path());
    let (file, state) = (folder.path().join("b.tar"), folder.path().join("restored"));
    let made = serving.run(&["backup", "--without-key", text(&file)]);
    assert!(out(&made).contains("does not hold the secrets' key"), "{}", out(&made));
    let restored = command(&["restore", text(&file), "--state", text(&state)]).output().unwrap();
    assert!(out(&restored).contains("without it the database does not open"), "{}", out(&restored));
    assert_eq!(names(&state), ["moganite.db", "plugins"]);
    let refused = serve(&state, "127.0.0.1:0").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("put back the"), "{}", err(&refused));
    std::fs::copy(folder.path().join("state/secret.key"), state.join("secret.key")).unwrap();
    Serving::start(&state);
}

#[test]
fn what_is_no_whole_backup_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let serving = furnished(folder.path());
    let (file, state) = (folder.path().join("b.tar"), folder.path().join("restored"));
    assert!(serving.run(&["backup", text(&file)]).status.success());
    let whole = std::fs::read(&file).unwrap();
    let mut changed = whole.clone();
    // Within the database.
    changed[60_000] ^= 1;
    for (bytes, words) in [(&changed[..], "SHA-256"), (&whole[..whole.len() / 2], "cut off"), (b"noise", "no backup")] {
        std::fs::write(&file, bytes).unwrap();
        let refused = command(&["restore", text(&file), "--state", text(&state)]).output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(err(&refused).contains(words), "{words}: {}", err(&refused));
        assert!(!state.exists(), "{words}");
    }
    // The same into a folder that is there.
    std::fs::create_dir(&state).unwrap();
    assert!(!command(&["restore", text(&file), "--state", text(&state)]).output().unwrap().status.success());
    assert_eq!(names(&state), [""; 0]);
}

#[test]
fn a_database_with_anything_of_somebody_else_in_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(furnished(folder.path()));
    let state = folder.path().join("state");
    let db = rusqlite::Connection::open(state.join("moganite.db")).unwrap();
    db.execute_batch("CREATE TRIGGER thief AFTER UPDATE ON site BEGIN DELETE FROM holding; END").unwrap();
    drop(db);
    let serving = Serving::start(&state);
    let (file, restored) = (folder.path().join("b.tar"), folder.path().join("restored"));
    assert!(serving.run(&["backup", text(&file)]).status.success());
    let refused = command(&["restore", text(&file), "--state", text(&restored)]).output().unwrap();
    assert!(err(&refused).contains("its schema was changed"), "{}", err(&refused));
    assert!(!restored.exists());
}

#[test]
fn a_folder_of_a_newer_version_is_refused_in_words_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let (file, restored) = (folder.path().join("b.tar"), folder.path().join("restored"));
    let serving = furnished(folder.path());
    let db = rusqlite::Connection::open(state.join("moganite.db")).unwrap();
    let ours: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    assert!(serving.run(&["backup", text(&file)]).status.success());
    drop(serving);

    let refused = serve(&state, "127.0.0.1:0").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let schemas = format!("(schema 99, this one knows {ours})");
    let words = format!("the state folder was written by a newer moganite {schemas}: start that version");
    assert!(err(&refused).contains(&words), "{}", err(&refused));
    assert_eq!(db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap(), 99);

    let refused = command(&["restore", text(&file), "--state", text(&restored)]).output().unwrap();
    assert!(err(&refused).contains(&schemas), "{}", err(&refused));
    assert!(err(&refused).contains("to do: restore it with that version or a newer one"), "{}", err(&refused));
    assert!(!restored.exists());
}

#[test]
fn a_folder_that_was_half_restored_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("restoring"), "").unwrap();
    let refused = serve(folder.path(), "127.0.0.1:0").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("did not end"), "{}", err(&refused));
}
