//! `backup`: the service's whole state into one file, which is there when it is whole and was read again.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::Failed;
use super::client::Client;
use super::output::Format;
use crate::archive::{self, Manifest};
use crate::clock::Clock;
use crate::model::Millis;

/// What takes longer tells how far it is, this often. Milliseconds.
const PATIENCE: Millis = 2_000;

#[derive(clap::Args)]
pub(super) struct Options {
    /// Written beside and renamed when it is whole, in place of what is there; for its owner's eyes alone (mode 0600).
    file: PathBuf,
    /// Leaves out `secret.key`. With it, the file opens every secret of this installation: keep it as you keep them. Without it, keep
    /// that key apart: the database does not open without it.
    #[arg(long)]
    without_key: bool,
}

pub(super) async fn run(options: Options, client: &Client, output: Format) -> anyhow::Result<()> {
    let mut beside = options.file.clone().into_os_string();
    beside.push(format!(".{}.part", std::process::id()));
    let beside = PathBuf::from(OsString::from(&beside));
    let made = make(&options, client, &beside).await;
    if made.is_err() {
        // Nobody takes a part for the whole.
        fs::remove_file(&beside).ok();
    }
    let (manifest, length) = made?;
    let shown = options.file.display();
    if output == Format::Json {
        output.one(&json!({ "file": options.file, "bytes": length, "manifest": manifest }));
    }
    output.done(&format!("{shown}: {} parts, {length} bytes, read again and whole", manifest.parts.len()));
    for plugin in &manifest.missing_plugins {
        eprintln!("warning: plugin {plugin} is not in it: its file is not in the state folder");
    }
    if manifest.has_key() {
        output.done("it holds the secrets' key: keep it as you keep the secrets");
    } else {
        output.done("it does not hold the secrets' key: keep `secret.key` of the state folder apart");
    }
    Ok(())
}

async fn make(options: &Options, client: &Client, beside: &Path) -> anyhow::Result<(Manifest, u64)> {
    let writing = || format!("writing {}", beside.display());
    let mut file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(beside).with_context(writing)?;
    receive(client, !options.without_key, &mut file).await?;
    file.sync_all().with_context(writing)?;
    let manifest = match archive::check(&file) {
        Ok(manifest) => manifest,
        Err(error) => bail!(Failed::new(format!("what came is not a whole backup: {error}"), "try again")),
    };
    fs::rename(beside, &options.file).with_context(|| format!("writing {}", options.file.display()))?;
    let folder = options.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| format!("writing {}", folder.display()))?;
    Ok((manifest, file.metadata()?.len()))
}

async fn receive(client: &Client, with_key: bool, file: &mut File) -> anyhow::Result<()> {
    let clock = Clock::system();
    let mut tell_at = clock.now() + PATIENCE;
    let order = json!({ "with_key": with_key });
    let mut answer = Box::pin(client.post_for_file("/v1/backup", &order));
    let mut answer = loop {
        tokio::select! {
            answer = &mut answer => break answer?,
            () = clock.until(tell_at) => {
                eprintln!("the service copies its database ...");
                tell_at = clock.now() + PATIENCE;
            }
        }
    };
    let whole = answer.content_length();
    let mut come: u64 = 0;
    while let Some(piece) = answer.chunk().await.context("the backup broke off")? {
        file.write_all(&piece).context("writing the backup")?;
        come += piece.len() as u64;
        if clock.now() > tell_at {
            let of = whole.map(|whole| format!(" of {}", whole >> 20)).unwrap_or_default();
            eprintln!("{}{of} MiB ...", come >> 20);
            tell_at = clock.now() + PATIENCE;
        }
    }
    Ok(())
}
