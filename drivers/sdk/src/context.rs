//! What a call gets, read as serde values.

use crate::{Context, Fault, Holding, fault};
use serde::de::DeserializeOwned;
use std::time::Duration;

impl Context {
    /// The backend's settings. They were checked against the manifest's schema, so a value that does not fit is the
    /// driver's own contradiction and `broken`.
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_str(&self.settings)
            .map_err(|error| fault::broken(format!("the settings do not fit this driver: {error}")))
    }

    /// The step that this operation stored last; none on its first call. What does not parse was written by another
    /// format: `broken`.
    pub fn resume<T: DeserializeOwned>(&self) -> Result<Option<T>, Fault> {
        parse_checkpoint(self.checkpoint.as_deref())
    }

    /// Wall time of this call.
    pub fn budget(&self) -> Duration {
        Duration::from_millis(self.budget)
    }
}

impl Holding {
    /// What the doing verb answered beside the handle. It is `{}` when that answer was lost, so every field of `T` must
    /// be optional.
    pub fn facts<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_str(&self.facts)
            .map_err(|error| fault::broken(format!("the holding's facts cannot be read: {error}")))
    }

    /// The step that the doing verb stored last, if it stored any.
    pub fn trail<T: DeserializeOwned>(&self) -> Result<Option<T>, Fault> {
        parse_checkpoint(self.trail.as_deref())
    }
}

fn parse_checkpoint<T: DeserializeOwned>(stored: Option<&[u8]>) -> Result<Option<T>, Fault> {
    stored
        .map(|bytes| {
            serde_json::from_slice(bytes)
                .map_err(|error| fault::broken(format!("the checkpoint cannot be read: {error}")))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use crate::{Fault, testing};

    #[test]
    fn a_checkpoint_of_another_format_is_broken_and_a_missing_one_is_a_first_call() {
        let mut cx = testing::context("{}");
        assert_eq!(cx.resume::<u32>(), Ok(None));
        cx.checkpoint = Some(b"7".to_vec());
        assert_eq!(cx.resume::<u32>(), Ok(Some(7)));
        cx.checkpoint = Some(b"\"seven\"".to_vec());
        assert!(matches!(cx.resume::<u32>(), Err(Fault::Broken(_))));
    }
}
