//! `cargo xtask up` as a newcomer meets it: what it prints is typed into a shell, then Ctrl-C.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Told to end when a test fails on the way; its children end with it.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().ok();
            self.0.wait().ok();
        }
    }
}

/// Programs whose command line names the folder.
fn running_in(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).filter(|line| line.contains(folder)).collect()
}

#[test]
fn the_five_commands_work_as_printed_and_ctrl_c_leaves_nothing() {
    let mut up = Command::new(env!("CARGO_BIN_EXE_up")).stdout(Stdio::piped()).spawn().map(Up).unwrap();
    let mut printed = BufReader::new(up.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let lines: Vec<_> = printed.by_ref().take_while(|line| !line.starts_with("Ctrl-C")).collect();
    let with = |word: &str| lines.iter().filter_map(|line| line.strip_prefix(word)).map(str::trim).collect::<Vec<_>>();
    let (setup, commands) = (with("  export"), with("  moganite"));
    assert_eq!((setup.len(), commands.len()), (2, 5), "{lines:#?}");
    let folder = with("folder")[0].split("  ").next().unwrap().to_owned();
    assert!(Path::new(&folder).is_dir(), "{folder}");
    assert!(!running_in(&folder).is_empty(), "the service names its state folder");

    let mut said = Vec::new();
    for command in commands {
        let script = format!("export {}\nexport {}\nmoganite {command}", setup[0], setup[1]);
        let output = Command::new("sh").args(["-c", &script]).env_remove("MOGANITE_TOKEN_FILE").output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command}: {out}{}", String::from_utf8_lossy(&output.stderr));
        said.push(out);
    }
    assert!(said[0].contains("is active"), "{}", said[0]);
    assert!(said[1].contains("web-1"), "{}", said[1]);
    assert!(said[2].contains("compose") && said[2].contains("deploy"), "{}", said[2]);
    assert!(said[3].contains("login"), "{}", said[3]);
    assert!(said[4].contains("web-1 is gone"), "{}", said[4]);

    assert!(Command::new("kill").args(["-INT", &up.0.id().to_string()]).status().unwrap().success());
    assert_eq!(up.0.wait().unwrap().code(), Some(0));
    assert!(!Path::new(&folder).exists(), "{folder}");
    assert_eq!(running_in(&folder), Vec::<String>::new());
}
