//! What a process of ours gives up for good: new privileges, core files, and every file and port that it has no use for.
//!
//! It is given up by the calling thread, and so by all threads and processes that this one starts: call it before there is a second one.
//! A kernel that lacks a part of it enforces the rest, and [`Enforced`] says which. What is open already stays open.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, NetPort, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::set_no_new_privs;

/// The newest rules that are asked for: files (1 to 3), TCP ports (4), devices (5), signals and abstract sockets (6).
const RULES: ABI = ABI::V6;

/// What stays. A path that is not there is left out; a folder stands for all that is below it, now and later.
#[derive(Debug, Default)]
pub(crate) struct Keep {
    pub(crate) read: Vec<PathBuf>,
    /// Also to read.
    pub(crate) write: Vec<PathBuf>,
    /// Programs to start, and what they are linked to.
    pub(crate) run: Vec<PathBuf>,
    pub(crate) network: Network,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Network {
    #[default]
    Nothing,
    /// Listens on this port, 0 for a free one, and connects to any: which addresses is the gate's business.
    Serve(u16),
}

/// How much of it this kernel holds us to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enforced {
    All,
    /// It knows older rules only.
    Part,
    /// It has no landlock: no new privileges, and nothing more.
    PrivilegesOnly,
}

/// Gives up everything but this.
pub(crate) fn give_up_all_but(keep: &Keep) -> anyhow::Result<Enforced> {
    // A core file would have the keys in it, and what users sent.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).context("giving up core files")?;
    set_no_new_privs(true).context("giving up new privileges")?;

    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let change = AccessFs::WriteFile | AccessFs::Truncate;
    let make = AccessFs::MakeReg | AccessFs::MakeDir | AccessFs::RemoveFile | AccessFs::RemoveDir;
    let ports: BitFlags<AccessNet> = match keep.network {
        Network::Nothing => AccessNet::from_all(RULES),
        Network::Serve(_) => AccessNet::BindTcp.into(),
    };
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(RULES))?
        .handle_access(ports)?
        .scope(Scope::from_all(RULES))?
        .create()?
        .add_rules(path_beneath_rules(&keep.read, read))?
        .add_rules(path_beneath_rules(&keep.write, read | change | make))?
        .add_rules(path_beneath_rules(&keep.run, read | AccessFs::Execute))?;
    if let Network::Serve(port) = keep.network {
        rules = rules.add_rule(NetPort::new(port, AccessNet::BindTcp))?;
    }
    let status = rules.restrict_self().context("giving up files and ports")?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Enforced::All,
        RulesetStatus::PartiallyEnforced => Enforced::Part,
        RulesetStatus::NotEnforced => Enforced::PrivilegesOnly,
    })
}

impl Keep {
    /// What a program needs to start and to be linked: itself, and the folders of what this one is linked to.
    pub(crate) fn for_running(program: &Path) -> Self {
        let mut run = BTreeSet::from([program.to_owned()]);
        // Folders and not files: an upgrade of a library puts another file in its place.
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let mapped = maps.lines().filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
        run.extend(mapped.filter(|file| is_library(file)).filter_map(Path::parent).map(Path::to_owned));
        let read = ["/etc", "/proc", "/sys/fs/cgroup", "/sys/devices/system/cpu", "/dev/urandom"];
        Self {
            read: read.map(PathBuf::from).to_vec(),
            write: vec!["/dev/null".into()],
            run: run.into_iter().collect(),
            network: Network::Nothing,
        }
    }

    /// What finding an address by its name and trusting a certificate take beside `/etc`: modules of the C library, the targets of its links,
    /// and the variables that say where certificates are.
    pub(crate) fn for_reaching_out(&mut self) {
        let folders = [
            "/lib",
            "/lib64",
            "/usr/lib",
            "/usr/lib64",
            "/usr/share/ca-certificates",
            "/usr/local/share/ca-certificates",
            "/var/lib/ca-certificates",
            "/nix/store",
            "/run/systemd/resolve",
            "/run/resolvconf",
            "/run/NetworkManager",
        ];
        self.read.extend(folders.map(PathBuf::from));
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(std::env::var_os);
        self.read.extend(named.iter().flatten().flat_map(std::env::split_paths));
    }
}

fn is_library(file: &Path) -> bool {
    file.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.contains(".so"))
}

impl Enforced {
    /// For the log.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::All => "no new privileges; files and ports by landlock",
            Self::Part => "no new privileges; files and ports by landlock, as far as this older kernel knows it",
            Self::PrivilegesOnly => "no new privileges; this kernel has no landlock",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::io::ErrorKind;
    use std::net::TcpListener;
    use std::process::Command;

    use super::*;

    const FOLDER: &str = "MOGANITE_TEST_HARDENED";
    const NAME: &str = "harden::tests::what_was_given_up_is_gone_and_what_was_kept_is_there";

    /// Runs itself again as a child, which gives up and then tries.
    #[test]
    fn what_was_given_up_is_gone_and_what_was_kept_is_there() {
        if let Some(folder) = std::env::var_os(FOLDER) {
            return given_up(Path::new(&folder));
        }
        let folder = tempfile::tempdir().unwrap();
        for name in ["shown", "kept", "secret"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("file"), name).unwrap();
        }
        let program = std::env::current_exe().unwrap();
        let child =
            Command::new(program).args(["--exact", NAME, "--nocapture"]).env(FOLDER, folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success() && said.contains("1 passed"), "{said}");
        let text = fs::read_to_string(folder.path().join("secret/file")).unwrap();
        assert_eq!(text, "secret");
    }

    fn given_up(folder: &Path) {
        let own = PathBuf::from("/proc/self/exe");
        let mut keep = Keep::for_running(&own);
        keep.read.push(folder.join("shown"));
        keep.write.push(folder.join("kept"));
        keep.network = Network::Serve(0);
        let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let runs = |program: &Path| Command::new(program).arg("--list").output();
        assert!(runs(Path::new("/bin/ls")).is_ok());

        let enforced = give_up_all_but(&keep).unwrap();

        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        if enforced != Enforced::All {
            // The rest of the promise is this kernel's.
            println!("not tried further: {}", enforced.in_words());
            return;
        }
        assert_eq!(fs::read_to_string(folder.join("shown/file")).unwrap(), "shown");
        fs::write(folder.join("kept/file"), "changed").unwrap();
        fs::write(folder.join("kept/new"), "new").unwrap();
        fs::rename(folder.join("kept/new"), folder.join("kept/newer")).unwrap();
        fs::remove_file(folder.join("kept/newer")).unwrap();
        assert!(TcpListener::bind("127.0.0.1:0").is_ok());
        assert!(runs(&own).unwrap().status.success());

        let denied = |error: std::io::Error| assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        denied(fs::read(folder.join("secret/file")).unwrap_err());
        denied(fs::read_dir(folder).unwrap_err());
        denied(fs::write(folder.join("shown/file"), "changed").unwrap_err());
        denied(fs::remove_file(folder.join("secret/file")).unwrap_err());
        denied(fs::write(folder.join("new"), "new").unwrap_err());
        denied(TcpListener::bind(taken).unwrap_err());
        denied(runs(Path::new("/bin/ls")).unwrap_err());
    }
}
