//! The binary as its users start it: exit codes, the lock of the state folder, where it may listen, how it ends.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod backup;
mod hardening;

use std::io::{BufRead, BufReader, Read as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

use canary::Canaries;
use tempfile::NamedTempFile;

/// The secret that these tests give to the service: it must say it nowhere.
const SECRET: &str = "canary-2342";

const PROGRAM: &str = env!("CARGO_BIN_EXE_moganite");

/// A running `serve`; killed when dropped, and what it said is looked through then.
#[derive(Debug)]
struct Serving {
    child: Child,
    address: String,
    /// Standard output after its first line, once it ended.
    out: Option<JoinHandle<Vec<u8>>>,
    err: NamedTempFile,
}

impl Serving {
    fn start(state: &Path) -> Self {
        Self::of(&mut serve(state, "127.0.0.1:0")).unwrap()
    }

    /// What it said when it did not start.
    fn of(serve: &mut Command) -> Result<Self, String> {
        let err = NamedTempFile::new().unwrap();
        let mut child = serve.stdout(Stdio::piped()).stderr(err.reopen().unwrap()).spawn().unwrap();
        let (mut out, mut line) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        out.read_line(&mut line).unwrap();
        let Some(address) = line.strip_prefix("listening on ") else {
            child.wait().unwrap();
            return Err(std::fs::read_to_string(err.path()).unwrap());
        };
        let rest = move || {
            let mut rest = Vec::new();
            out.read_to_end(&mut rest).unwrap();
            rest
        };
        Ok(Self { child, address: address.trim().to_owned(), out: Some(std::thread::spawn(rest)), err })
    }

    /// Where the secret stands in what it said until its end.
    fn told(&mut self) -> Vec<String> {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
        let canaries = Canaries::of(&[("the secret", SECRET)]);
        let out = self.out.take().map(|out| out.join().unwrap()).unwrap_or_default();
        canaries.scan("standard output", &out);
        canaries.scan("standard error", &std::fs::read(self.err.path()).unwrap());
        canaries.seen()
    }

    fn run(&self, words: &[&str]) -> Output {
        command(words).env("MOGANITE_API", &self.address).output().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let told = self.told();
        assert!(std::thread::panicking() || told.is_empty(), "{told:?}");
    }
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(words).env_remove("MOGANITE_API").env_remove("MOGANITE_TOKEN").env_remove("MOGANITE_LOG");
    command
}

fn serve(state: &Path, listen: &str) -> Command {
    if state.exists() {
        // As `serve` itself would have made it.
        std::fs::set_permissions(state, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    command(&["serve", "--listen", listen, "--state", state.to_str().unwrap()])
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_second_serve_of_one_folder_is_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = Serving::start(folder.path());
    let second = serve(folder.path(), "127.0.0.1:0").output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = err(&second);
    assert!(said.contains(&format!("process {}", first.child.id())), "{said}");
    assert!(said.contains(folder.path().to_str().unwrap()), "{said}");
    drop(first);
    Serving::start(folder.path());
}

/// Or the search for the secret in what every other test's `serve` said would find nothing.
#[test]
fn what_a_serve_says_is_looked_through_to_its_end() {
    for (place, to) in [("standard output", "1"), ("standard error", "2")] {
        let script = format!("echo listening on nothing; echo {SECRET} >&{to}");
        let mut serving = Serving::of(Command::new("sh").args(["-c", &script])).unwrap();
        serving.child.wait().unwrap();
        let told = serving.told();
        assert!(told.len() == 1 && told[0].contains(place), "{told:?}");
        // Once is enough: its end would say it again.
        serving.err = NamedTempFile::new().unwrap();
    }
}

#[test]
fn what_a_serve_that_died_was_writing_is_gone_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    drop(Serving::start(folder.path()));
    let halves = ["plugins/ab.7-0.part", "compiled/ab-7-0.part"].map(|name| folder.path().join(name));
    let other = folder.path().join("compiled/ab.cwasm");
    halves.iter().chain([&other]).for_each(|file| std::fs::write(file, "half").unwrap());
    drop(Serving::start(folder.path()));
    assert!(halves.iter().all(|half| !half.exists()));
    assert!(other.exists(), "what is whole stays");
}

#[test]
fn without_credentials_it_listens_on_loopback_only() {
    let folder = tempfile::tempdir().unwrap();
    let output = serve(folder.path(), "0.0.0.0:0").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("loopback only"), "{}", err(&output));
}

#[test]
fn a_term_signal_ends_it_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(folder.path());
    let pid = serving.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_fails_is_one_line_and_what_to_do_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path());
    let output = serving.run(&["flavor", "show", "ghost"]);
    assert_eq!(output.status.code(), Some(1));
    let said = err(&output);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], "error: no flavor is named ghost (not-found)");
    assert!(lines[1].starts_with("to do: "), "{said}");
    assert_eq!(serving.run(&["flavor", "paint", "x"]).status.code(), Some(2));
    let nobody = command(&["--api", "http://127.0.0.1:9", "flavor", "list"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(err(&nobody).starts_with("error: no service answers at http://127.0.0.1:9"), "{}", err(&nobody));
}

#[test]
fn a_secret_comes_from_stdin_and_never_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path());
    let mut set = command(&["secret", "set", "bmc"]);
    set.env("MOGANITE_API", &serving.address).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut set = set.spawn().unwrap();
    set.stdin.take().unwrap().write_all(format!("{SECRET}\n").as_bytes()).unwrap();
    let set = set.wait_with_output().unwrap();
    assert!(set.status.success());
    let list = serving.run(&["-o", "json", "secret", "list"]);
    assert!(out(&list).contains("bmc") && !out(&list).contains(SECRET), "{}", out(&list));
    for file in std::fs::read_dir(folder.path()).unwrap().flatten().filter(|file| file.path().is_file()) {
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "{:?}", file.path());
    }
}

#[test]
fn from_the_first_token_on_the_command_line_needs_one() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path());
    let made = serving.run(&["token", "create", "root", "--role", "operator"]);
    let token = out(&made).trim().to_owned();
    assert!(token.starts_with("mgt_"), "{token}");
    assert_eq!(serving.run(&["flavor", "list"]).status.code(), Some(1));
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let with_file = serving.run(&["--token-file", file.to_str().unwrap(), "flavor", "list"]);
    assert!(with_file.status.success(), "{}", err(&with_file));
}

#[test]
fn an_image_written_as_toml_is_shown_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path());
    let file = folder.path().join("cirros.toml");
    std::fs::write(&file, "name = \"cirros\"\n[backends.ironic-1]\nboot_iso = \"http://images.example/c.iso\"\n")
        .unwrap();
    let put = serving.run(&["image", "put", file.to_str().unwrap()]);
    assert!(put.status.success(), "{}", err(&put));
    let shown = serving.run(&["-o", "json", "image", "show", "cirros"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["backends"]["ironic-1"]["boot_iso"], "http://images.example/c.iso");
}

#[test]
fn a_site_is_applied_once_and_is_the_same_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path());
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let yaml = "secrets: [bmc]\nnetworks:\n- name: blue\n  backends: {ironic-1: {vif: n1}}\nimages:\n- name: cirros\n  backends: {ironic-1: {boot_iso: http://i/c.iso}}\n";
    let site = file("site.yaml", yaml);
    let refused = serving.run(&["apply", "-f", &site]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("to do: `moganite secret set bmc`"), "{}", err(&refused));
    let secret = file("bmc", "a-value\n");
    assert!(serving.run(&["secret", "set", "bmc", "--from-file", &secret]).status.success());

    let lines = |words: &[&str]| {
        let output = serving.run(words);
        assert!(output.status.success(), "{words:?}: {}", err(&output));
        out(&output).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let dry = lines(&["apply", "-f", &site, "--dry-run"]);
    assert_eq!(
        dry,
        [
            "create  network  blue",
            "create  image    cirros",
            "2 to create, 0 to change, 0 the same: nothing was written"
        ]
    );
    assert_eq!(lines(&["-o", "json", "network", "list"]), ["[]"]);
    assert_eq!(lines(&["apply", "-f", &site]).last().unwrap(), "2 created, 0 changed, 0 the same");
    assert_eq!(lines(&["apply", "-f", &site]).last().unwrap(), "0 created, 0 changed, 2 the same");

    let toml = file("site.toml", "[[networks]]\nname = \"blue\"\nbackends.ironic-1.vif = \"n2\"\n");
    let changed = lines(&["apply", "-f", &toml]);
    assert_eq!(changed[0], "change  network  blue  backends.ironic-1.vif: n1 -> n2");
    assert_eq!(changed[2], "not in the document and left alone: image cirros");
    let exported = file("exported.yaml", &lines(&["export"]).join("\n"));
    assert_eq!(lines(&["apply", "-f", &exported])[2], "0 created, 0 changed, 2 the same");
    let json = file("exported.json", &lines(&["-o", "json", "export"]).join("\n"));
    assert_eq!(lines(&["apply", "-f", &json])[2], "0 created, 0 changed, 2 the same");
}

#[test]
fn what_a_site_refers_to_is_looked_for_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path());
    let network = "networks: [{name: blue, backends: {}}]\n";
    let cases = [
        ("flavors: [{name: s, route: {compose: [a], enroll: [b], deploy: [b]}}]", "flavor s names backend a"),
        ("backends: [{name: a, plugin: ghost}]", "no plugin is named ghost"),
        (
            "backends: [{name: a, plugin: p, grants: [{place: x, of: b}]}, {name: b, plugin: p, grants: [{place: x, of: a}]}]",
            "the grants of a, b name each other",
        ),
        (
            "backends: [{name: a, plugin: p, endpoints: {e: {url: u, auth: {basic: {username: n, password_secret: s-1}}}}}]",
            "s-1 is not among the secrets",
        ),
        ("backends: [{name: a, plugin: p, colour: red}]", "backend a: unknown field `colour`"),
        ("networks: [{name: blue, backends: {}}]", "is no YAML"),
    ];
    for (text, words) in cases {
        let path = folder.path().join("site.yaml");
        std::fs::write(&path, format!("{network}{text}\n")).unwrap();
        let output = serving.run(&["apply", "-f", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(err(&output).contains(words), "{text}: {}", err(&output));
    }
    assert_eq!(out(&serving.run(&["-o", "json", "network", "list"])).trim(), "[]");
}
