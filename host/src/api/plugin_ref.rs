//! How people name a plugin: by digest, by the first hex digits of it, by `name` or by `name@version`.

use super::App;
use super::error::{Problem, Result};
use crate::driver::{Plugin, PluginState};

/// Hex digits of a shortened digest, at least.
const SHORTEST: usize = 6;

/// The only plugin that is meant. Of those named by `name`, refused ones do not count when another is there.
pub(super) fn find(app: &App, text: &str) -> Result<Option<Plugin>> {
    let mut fits: Vec<_> = app.drivers().plugins().into_iter().filter(|plugin| is_meant(plugin, text)).collect();
    if fits.len() > 1 {
        fits.retain(|plugin| !matches!(plugin.state, PluginState::Refused(_)));
    }
    match fits.len() {
        0 | 1 => Ok(fits.pop()),
        n => {
            let digests: Vec<_> = fits.iter().map(|plugin| plugin.digest.to_string()).collect();
            Err(Problem::new("ambiguous-plugin", format!("{n} plugins fit {text:?}: {}", digests.join(", "))))
        }
    }
}

fn is_meant(plugin: &Plugin, text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let digest = hex.len() >= SHORTEST && plugin.digest.hex().starts_with(hex);
    digest || text == plugin.manifest.name || text == plugin.manifest.title()
}
