//! `restore`: a state folder made from a backup's file. It speaks to no service.

use std::path::PathBuf;

use anyhow::bail;
use serde_json::json;

use super::Failed;
use super::output::Format;
use crate::clock::Clock;
use crate::lifecycle::{NotRestored, Restored, restore};

#[derive(clap::Args)]
pub(super) struct Options {
    /// What `moganite backup` made.
    file: PathBuf,
    /// Empty, or not there yet.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
}

/// What is restored changes nothing on a far side until a person compared both.
pub(super) fn run(options: &Options, output: Format) -> anyhow::Result<()> {
    let Restored { manifest, found } = match restore(&options.file, &options.state, Clock::system().now()) {
        Ok(restored) => restored,
        Err(NotRestored { what, to_do }) => bail!(Failed::new(what, to_do)),
    };
    let secrets: Vec<_> = found.secrets.iter().map(ToString::to_string).collect();
    if output == Format::Json {
        output.one(&json!({
            "state": options.state, "manifest": manifest, "epoch": found.epoch, "instances": found.instances,
            "flows": found.flows, "holdings": found.holdings, "secrets": secrets, "has_key": manifest.has_key(),
        }));
    }
    let made_at =
        jiff::Timestamp::from_millisecond(manifest.made_at_ms).map(|at| format!("{at:.0}")).unwrap_or_default();
    let folder = options.state.display();
    output.done(&format!(
        "{folder}: site {} as it was at {made_at}: {} instances, {} flows that have not ended, {} holdings",
        manifest.site, found.instances, found.flows, found.holdings
    ));
    if !manifest.has_key() {
        output.done(&format!(
            "the backup has no key: before the first start put the installation's own at {} (mode 600), or give it to `serve` as before; \
             without it the database does not open",
            options.state.join(crate::archive::KEY).display(),
        ));
    }
    for plugin in &manifest.missing_plugins {
        output.done(&format!("plugin {plugin} was not in the backup: add it with `moganite plugin add`"));
    }
    output.done(&format!(
        "make sure that the service this is a backup of does not run any more, then start this one with `moganite serve --state \
         {folder}`; it changes nothing on a far side until `moganite reconcile` is decided"
    ));
    Ok(())
}
