//! What `serve` gives up on this system, and the unit that fences it in once more.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::{PROGRAM, SECRET, Serving, command, err, out, serve};

/// Tenths of the exposure that `systemd-analyze security` says, at most. Lower is tighter.
const EXPOSURE: &str = "16";

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_state_folder_is_made_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("deep/state");
    drop(Serving::start(&state));
    assert_eq!(mode(&state), 0o700);
    for file in std::fs::read_dir(&state).unwrap().flatten() {
        assert!(file.file_name() != "secret.key" || mode(&file.path()) == 0o600);
    }
}

#[test]
fn a_state_folder_that_is_open_to_others_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o750)).unwrap();
    let refused = command(&["serve", "--state", folder.path().to_str().unwrap()]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("open to others (mode 750)"), "{}", err(&refused));
    assert!(err(&refused).contains(&format!("to do: chmod 700 {}", folder.path().display())), "{}", err(&refused));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made in it");
}

#[test]
fn every_thread_of_a_running_service_has_given_up_new_privileges() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path());
    let threads = std::fs::read_dir(format!("/proc/{}/task", serving.child.id())).unwrap();
    let statuses = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap());
    let statuses: Vec<_> = statuses.collect();
    assert!(statuses.len() > 2, "one thread is no runtime");
    assert!(statuses.iter().all(|status| status.contains("NoNewPrivs:\t1")), "{statuses:?}");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", serving.child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

#[test]
fn the_compiling_child_stands_back_for_what_serves() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("component"), folder.path().join("output"));
    assert!(Command::new("mkfifo").arg(&input).status().unwrap().success());
    std::fs::write(&output, "").unwrap();
    let mut child = command(&["compile-plugin", input.to_str().unwrap(), output.to_str().unwrap()]);
    let child = child.stderr(std::process::Stdio::null()).spawn().unwrap();
    // Opens once the child reads, which it does last.
    let component = std::fs::File::options().write(true).open(&input).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    drop(component);
    assert!(!child.wait_with_output().unwrap().status.success(), "what it read is no component");
    // Counted behind the name, which may have spaces in it.
    let nice = status.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(16)).unwrap();
    assert_eq!(nice, "19", "{status}");
}

/// What a component that took over the compiler would try: a file beside the one that it is to write.
#[test]
fn the_compiling_child_writes_the_file_that_is_there_and_makes_no_other() {
    let folder = tempfile::tempdir().unwrap();
    // target/tmp is cargo's folder for integration tests.
    let component = std::fs::read(concat!(env!("CARGO_TARGET_TMPDIR"), "/../plugins/misbehave.wasm")).unwrap();
    let input = folder.path().join(format!("{}.wasm", moganite::model::Digest::of(&component).hex()));
    std::fs::write(&input, component).unwrap();
    let (there, other) = (folder.path().join("there"), folder.path().join("other"));
    std::fs::write(&there, "").unwrap();
    let compile = |output: &Path| {
        command(&["compile-plugin", input.to_str().unwrap(), output.to_str().unwrap()]).output().unwrap()
    };
    let refused = compile(&other);
    if refused.status.success() {
        println!("not tried further: this kernel has no landlock");
        return;
    }
    assert!(err(&refused).contains("Permission denied"), "{}", err(&refused));
    assert!(!other.exists());
    let compiled = compile(&there);
    assert!(compiled.status.success(), "{}", err(&compiled));
    assert!(std::fs::metadata(&there).unwrap().len() > 0);
}

#[test]
fn the_unit_is_one_that_systemd_takes_and_calls_tight() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("not tried: systemd-analyze is not here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("moganite.service");
    let unit = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/moganite.service")).unwrap();
    let analyzed = |unit: &str, words: &[&str]| {
        std::fs::write(&file, unit).unwrap();
        let output = Command::new("systemd-analyze").args(words).arg(&file).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &err(&output))
    };
    // It looks whether the program is there.
    let here = unit.replace("/usr/bin/moganite", PROGRAM);
    let (good, said) = analyzed(&here, &["verify", "--man=no"]);
    assert!(good && !said.contains("moganite.service"), "{said}");
    let (_, said) =
        analyzed(&here.replace("RestrictRealtime=yes", "RestrictRealtime=sometimes"), &["verify", "--man=no"]);
    assert!(said.contains("moganite.service"), "a wrong value is said: {said}");

    let security = ["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE];
    let (tight, said) = analyzed(&here, &security);
    assert!(tight, "{said}");
    let (tight, _) = analyzed(&here.replace("CapabilityBoundingSet=\n", "").replace("PrivateUsers=yes", ""), &security);
    assert!(!tight, "a unit that keeps capabilities is not called tight");
}

/// A state folder whose master key comes from outside, with a secret in it.
#[test]
fn a_master_key_that_is_given_is_in_no_file_and_is_changed_by_giving_another() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let (old, new) = ("0a".repeat(32), "0b".repeat(32));
    let starts = |words: &[&str], variables: &[(&str, &str)]| {
        let mut command = serve(&state, "127.0.0.1:0");
        Serving::of(command.args(words).envs(variables.iter().copied()))
    };
    let serving = starts(&[], &[("MOGANITE_SECRET_KEY", &old)]).unwrap();
    let value = folder.path().join("value");
    std::fs::write(&value, format!("{SECRET}\n")).unwrap();
    assert!(serving.run(&["secret", "set", "bmc", "--from-file", value.to_str().unwrap()]).status.success());
    let refused = serving.run(&["secret", "rotate", "--reason", "test"]);
    assert!(err(&refused).contains("MOGANITE_OLD_SECRET_KEY"), "{}", err(&refused));
    drop(serving);
    assert!(!state.join("secret.key").exists());

    let other = starts(&[], &[("MOGANITE_SECRET_KEY", &new)]).unwrap_err();
    assert!(other.contains("no key that is here opens the database"), "{other}");
    let none = starts(&[], &[("MOGANITE_SECRET_KEY", "hunter2")]).unwrap_err();
    assert!(none.contains("MOGANITE_SECRET_KEY gives no key") && !none.contains("hunter2"), "{none}");
    let fails = starts(&["--secret-key-command", "exit 3"], &[]).unwrap_err();
    assert!(fails.contains("exit status: 3"), "{fails}");

    let command = format!("echo {new}");
    drop(starts(&["--secret-key-command", &command], &[("MOGANITE_OLD_SECRET_KEY", &old)]).unwrap());
    drop(starts(&["--secret-key-command", &command], &[]).unwrap());
    assert!(starts(&[], &[("MOGANITE_SECRET_KEY", &old)]).is_err(), "the old one opens nothing any more");
}

#[test]
fn a_rotated_master_key_is_another_file_and_the_secrets_are_still_there() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let serving = Serving::start(&state);
    let before = std::fs::read(state.join("secret.key")).unwrap();
    let rotated = serving.run(&["secret", "rotate", "--reason", "a copy was lost"]);
    assert!(rotated.status.success(), "{}", err(&rotated));
    assert_ne!(std::fs::read(state.join("secret.key")).unwrap(), before);
    assert_eq!(mode(&state.join("secret.key")), 0o600);
    let audit = serving.run(&["-o", "json", "audit"]);
    assert!(out(&audit).contains("master-key.rotate") && out(&audit).contains("a copy was lost"), "{}", out(&audit));
    drop(serving);
    Serving::start(&state);
}
