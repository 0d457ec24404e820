//! What a driver keeps between its calls, beside who wrote it: the plugin's digest and the first of its manifest's checkpoint formats.
//!
//! Another digest gets it back only when its manifest lists that format; else it starts with nothing, as a try that is not the first, and has
//! to find what was made. To the layers above a checkpoint and a trail are bytes.

use super::Plugin;
use super::bindings::types;
use super::call::{Call, Target};
use super::{Doing, arguments};
use crate::model::Holding;

/// In front of what was written since there is a label. Nothing else begins so: what drivers wrote before is JSON.
const LABEL: &[u8] = b"\0kept\x01";

/// Digest and format, each ended by a zero, then what the driver wrote.
pub(super) fn labelled(plugin: &Plugin, bytes: &[u8]) -> Vec<u8> {
    let format = plugin.manifest.checkpoints.first().map_or("", String::as_str);
    [LABEL, plugin.digest.hex().as_bytes(), b"\0", format.as_bytes(), b"\0", bytes].concat()
}

/// None: it is not for this plugin.
pub(super) fn readable(plugin: &Plugin, kept: &[u8]) -> Option<Vec<u8>> {
    // Written before there were labels, by a plugin that nobody knows any more: taken as it is, once.
    let Some(labelled) = kept.strip_prefix(LABEL) else { return Some(kept.to_vec()).filter(|kept| !kept.is_empty()) };
    let mut parts = labelled.splitn(3, |byte| *byte == 0);
    let (writer, format, bytes) = (parts.next()?, parts.next()?, parts.next()?);
    let is_ours = writer == plugin.digest.hex().as_bytes();
    let is_read = !format.is_empty() && plugin.manifest.checkpoints.iter().any(|read| read.as_bytes() == format);
    (is_ours || is_read).then(|| bytes.to_vec())
}

impl Target {
    /// The answer with its checkpoint labelled as this plugin's.
    pub(super) fn labelled<T>(&self, doing: Doing<T>) -> Doing<T> {
        match doing {
            Doing::Done(done) => Doing::Done(done),
            Doing::Pending(mut pause) => {
                pause.checkpoint = labelled(&self.plugin, &pause.checkpoint);
                Doing::Pending(pause)
            }
        }
    }

    /// The call as this plugin may have it.
    pub(super) fn readable(&self, call: Call) -> Call {
        let Some(kept) = call.checkpoint else { return call };
        let checkpoint = readable(&self.plugin, &kept);
        let attempt = if checkpoint.is_none() { call.attempt.max(2) } else { call.attempt };
        Call { checkpoint, attempt, ..call }
    }

    pub(super) fn holding(&self, what: &Holding) -> types::Holding {
        let trail = what.trail.as_deref().and_then(|kept| readable(&self.plugin, kept));
        types::Holding { trail, ..arguments::holding(what) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::driver::PluginState;
    use crate::model::Digest;

    fn plugin(content: &str, formats: &[&str]) -> Plugin {
        let manifest = serde_json::json!({
            "name": "p", "version": "0.1.0", "vendor": "v", "description": "d", "settings": {}, "checkpoints": formats,
        });
        Plugin {
            digest: Digest::of(content.as_bytes()),
            manifest: serde_json::from_value(manifest).unwrap(),
            roles: Vec::new(),
            state: PluginState::Ready,
            size: 0,
            label: String::new(),
        }
    }

    #[test]
    fn a_checkpoint_goes_back_to_its_writer_and_to_who_reads_its_format() {
        let bytes = b"\0any\0bytes".to_vec();
        let kept = labelled(&plugin("one", &["v2", "v1"]), &bytes);
        assert_eq!(readable(&plugin("one", &["v2", "v1"]), &kept), Some(bytes.clone()));
        assert_eq!(readable(&plugin("two", &["v3", "v2"]), &kept), Some(bytes.clone()));
        assert_eq!(readable(&plugin("two", &["v3", "v1"]), &kept), None, "v1 is read by its writer, not written");
        assert_eq!(readable(&plugin("two", &[]), &kept), None);
        // One that names no format is its own reader only: two without a name are not alike.
        let unnamed = labelled(&plugin("one", &[]), &bytes);
        assert_eq!(readable(&plugin("one", &[]), &unnamed), Some(bytes));
        assert_eq!(readable(&plugin("two", &[""]), &unnamed), None);
    }

    #[test]
    fn what_was_kept_before_there_were_labels_is_taken_as_it_is() {
        assert_eq!(readable(&plugin("one", &[]), br#"{"step":1}"#).as_deref(), Some(&br#"{"step":1}"#[..]));
        assert_eq!(readable(&plugin("one", &[]), b""), None);
        assert_eq!(readable(&plugin("one", &[]), LABEL), None, "a label that was cut");
    }
}
