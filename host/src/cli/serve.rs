//! `serve`: builds the pieces from the bottom up, says where it listens, runs until it is told to stop.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use super::Failed;
use super::output::say;
use crate::api;
use crate::archive::KEY;
use crate::clock::Clock;
use crate::config::{Config, Flows, Sandbox};
use crate::driver::Drivers;
use crate::folder::Folder;
use crate::harden::{self, Keep, Network};
use crate::lifecycle::{Lifecycle, is_half_restored};
use crate::seal::{Master, Masters, wipe};
use crate::store::Store;

/// How long requests and streams may take to end once it stops. Milliseconds.
const DRAIN: i64 = 5_000;

#[derive(clap::Args)]
pub(super) struct Options {
    /// Database, plugins, compiled files and the secrets' key. One `serve` per folder.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Loopback only, as long as no token exists.
    #[arg(long, default_value = "127.0.0.1:8787", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Prints the master key on its standard output, in hex or base64; run once, by `sh`. Left out: MOGANITE_SECRET_KEY, else `secret.key` in
    /// the state folder.
    #[arg(long, value_name = "COMMAND")]
    secret_key_command: Option<String>,
    /// Prints the master key that was given before, once after it was changed. Left out: MOGANITE_OLD_SECRET_KEY.
    #[arg(long, value_name = "COMMAND")]
    old_secret_key_command: Option<String>,
    /// Plugin files to offer beside those that were added.
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// Auto: text on a terminal, else JSON.
    #[arg(long, value_enum, default_value = "auto")]
    log_format: LogFormat,
    /// Takes the place of every longer wait that a driver asks for; for demonstrations and tests.
    #[arg(long, value_name = "MS")]
    longest_wait_ms: Option<u64>,
    #[arg(long, hide = true, value_name = "N")]
    flows_at_once: Option<usize>,
    #[arg(long, hide = true, value_name = "MS")]
    backoff_ms: Option<u64>,
    #[arg(long, hide = true, value_name = "MS")]
    backoff_max_ms: Option<u64>,
    #[arg(long, hide = true, value_name = "N")]
    attempts: Option<u32>,
    #[arg(long, hide = true, value_name = "N")]
    revert_attempts: Option<u32>,
    #[arg(long, hide = true, value_name = "MS")]
    deadline_ms: Option<u64>,
    #[arg(long, hide = true, value_name = "MS")]
    notice_every_ms: Option<u64>,
    #[arg(long, hide = true, value_name = "MS")]
    observe_every_ms: Option<u64>,
    /// From one sweep of the backends for orphans to the next; 900000 when left out.
    #[arg(long, value_name = "MS")]
    sweep_every_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Auto,
    Text,
    Json,
}

/// Until it is told to stop. Starts the runtime itself: what is given up is given up by the first thread, for all that follow.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    log(options.log_format);
    let config = options.config();
    make_private(&config.state)?;
    // Held until the process ends, however it ends.
    let _lock = lock(&config.state)?;
    if is_half_restored(&config.state) {
        let what = format!("a restore into {} did not end", config.state.display());
        bail!(Failed::new(what, "remove what is in it, and restore again"));
    }
    // Its command is not ours, and may need what is given up next.
    let masters = options.masters()?;
    clear_halves(&config.state)?;
    let enforced = harden::give_up_all_but(&to_keep(&config))?;
    tracing::info!(enforced = enforced.in_words(), "hardened");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config, masters))
}

async fn serve(mut config: Config, masters: Masters) -> anyhow::Result<()> {
    let store = Store::open_with(&config.state, masters)?;
    let credentials = api::may_listen(&store, &config).await?;
    let clock = Clock::system();
    let drivers = Drivers::open(&config, store.clone(), clock.clone()).await?;
    drivers.spawn_loading();
    let lifecycle = Lifecycle::open(&config, store, drivers, clock.clone()).await?;

    let listener = TcpListener::bind(config.listen).await.with_context(|| format!("listening on {}", config.listen))?;
    config.listen = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    // Before it says that it listens: from then on somebody may end it.
    let mut ends = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let router = api::router(lifecycle.clone(), config.clone(), stopped.clone());
    let mut runner = tokio::spawn({
        let stopped = stopped.clone();
        async move { lifecycle.run(stopped).await }
    });
    if !credentials {
        tracing::warn!(listen = %config.listen, "no token exists: everybody on this machine is operator; it listens on loopback only");
    }
    tracing::info!(listen = %config.listen, state = %config.state.display(), "serving");
    say(&format!("listening on http://{}", config.listen));

    let mut told = stopped.clone();
    let until_told = async move {
        // Its sender gone means the same.
        told.wait_for(|stop| *stop).await.ok();
    };
    // A stream's next event would wait until the client acknowledged the one before, which takes it 40 ms. Fails on a connection that is gone.
    let listener = listener.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    let serving = tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(until_told).await });
    tokio::select! {
        () = signalled(&mut ends) => (),
        // Without it nothing would ever be done here.
        ended = &mut runner => return ended?.context("running the flows"),
    }
    tracing::info!("stopping: flows go on where they are at the next start");
    stop.send_replace(true);
    let drained = async {
        runner.await??;
        serving.await??;
        anyhow::Ok(())
    };
    tokio::select! {
        ended = drained => ended,
        () = clock.until(clock.now() + DRAIN) => {
            tracing::warn!("some requests were cut");
            Ok(())
        }
    }
}

async fn signalled([terminate, interrupt]: &mut [Signal; 2]) {
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
}

/// The files of a service: its state, the plugins that it is offered, itself to compile them, and what reaching out takes.
fn to_keep(config: &Config) -> Keep {
    let mut keep = Keep::for_running(Path::new(crate::driver::OWN_PROGRAM));
    keep.for_reaching_out();
    keep.read.extend(config.plugins.clone());
    keep.write.push(config.state.clone());
    #[cfg(feature = "failpoints")]
    keep.write.extend(crate::failpoint::folders());
    keep.network = Network::Serve(config.listen.port());
    keep
}

/// The folder holds keys and what users sent: its owner's alone. One that is open to others is theirs to close, since somebody else may
/// rely on it.
fn make_private(state: &Path) -> anyhow::Result<()> {
    let making = || format!("making {}", state.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state).with_context(making)?;
    let mode = std::fs::metadata(state).with_context(making)?.permissions().mode();
    if mode & 0o077 != 0 {
        let what = format!("the state folder {} is open to others (mode {:o})", state.display(), mode & 0o777);
        bail!(Failed::new(what, format!("chmod 700 {}", state.display())));
    }
    Ok(())
}

/// One `serve` per folder: two would both run the flows.
fn lock(state: &Path) -> anyhow::Result<File> {
    let path = state.join("lock");
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
    if file.try_lock().is_err() {
        let mut holder = String::new();
        file.read_to_string(&mut holder).ok();
        let what = format!("the state folder {} is served by process {}", state.display(), holder.trim());
        bail!(Failed::new(what, "stop that one first, or name another folder with --state"));
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// What a `serve` that died was writing; the lock says that no other one is.
fn clear_halves(state: &Path) -> anyhow::Result<()> {
    for path in ["plugins", "compiled"].map(|folder| state.join(folder)) {
        let cleared = Folder::make(&path).and_then(|folder| folder.remove_halves());
        cleared.with_context(|| format!("clearing {}", path.display()))?;
    }
    Ok(())
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_env("MOGANITE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let json = format == LogFormat::Json || (format == LogFormat::Auto && !std::io::stderr().is_terminal());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json { log.json().with_span_list(false).init() } else { log.with_ansi(std::io::stderr().is_terminal()).init() }
}

/// The key that a command prints, or that the environment has; none when nobody says one.
fn given(command: Option<&str>, variable: &str) -> anyhow::Result<Option<Master>> {
    let (mut text, whose) = match (command, std::env::var(variable)) {
        (Some(command), _) => (printed(command)?, format!("the command `{command}`")),
        (None, Ok(text)) if !text.is_empty() => (text.into_bytes(), variable.to_owned()),
        _ => return Ok(None),
    };
    let master = std::str::from_utf8(&text).ok().and_then(Master::parse);
    wipe(&mut text);
    // What was said instead is not shown: it may be the better part of a key.
    let what = || format!("{whose} gives no key");
    Ok(Some(master.ok_or_else(|| Failed::new(what(), "32 bytes, in hex or base64: `openssl rand -hex 32` makes one"))?))
}

fn printed(command: &str) -> anyhow::Result<Vec<u8>> {
    let ran = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let ran = ran.with_context(|| format!("running `{command}`"))?;
    if !ran.status.success() {
        bail!(Failed::new(
            format!("the command `{command}` ended with {}", ran.status),
            "try it in a shell: it is to print the master key"
        ));
    }
    Ok(ran.stdout)
}

impl Options {
    fn masters(&self) -> anyhow::Result<Masters> {
        Ok(Masters {
            given: given(self.secret_key_command.as_deref(), "MOGANITE_SECRET_KEY")?,
            given_before: given(self.old_secret_key_command.as_deref(), "MOGANITE_OLD_SECRET_KEY")?,
            file: self.state.join(KEY),
        })
    }

    fn config(&self) -> Config {
        let usual = Flows::default();
        let time = |given: Option<u64>, usual| given.map_or(usual, Duration::from_millis);
        Config {
            state: self.state.clone(),
            plugins: self.plugins.clone(),
            listen: self.listen,
            sandbox: Sandbox::default(),
            flows: Flows {
                at_once: self.flows_at_once.unwrap_or(usual.at_once),
                backoff: time(self.backoff_ms, usual.backoff),
                backoff_max: time(self.backoff_max_ms, usual.backoff_max),
                // Whoever shortens the one means the other, too.
                revert_backoff_max: time(self.backoff_max_ms, usual.revert_backoff_max),
                at_once_per_backend: usual.at_once_per_backend,
                attempts: self.attempts.unwrap_or(usual.attempts),
                revert_attempts: self.revert_attempts.unwrap_or(usual.revert_attempts),
                deadline: time(self.deadline_ms, usual.deadline),
                longest_wait: time(self.longest_wait_ms, usual.longest_wait),
                notice_every: time(self.notice_every_ms, usual.notice_every),
                shown_wait: usual.shown_wait,
                observe_every: time(self.observe_every_ms, usual.observe_every),
                sweep_every: time(self.sweep_every_ms, usual.sweep_every),
            },
        }
    }
}
