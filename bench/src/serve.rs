//! A `serve` of its own on a state folder, as an operator starts it: whatever it compiled is there, and nothing is lent to it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// Ends with whoever asks it, also where that fails.
pub(crate) struct Serve {
    child: Child,
    /// Where it listens: `http://127.0.0.1:PORT`.
    pub(crate) url: String,
}

impl Serve {
    /// Returns once it listens.
    pub(crate) fn start(program: &Path, state: &Path, plugins: &Path) -> Result<Self> {
        let mut serve = Command::new(program);
        serve.args(["serve", "--listen", "127.0.0.1:0", "--state"]).arg(state).arg("--plugins").arg(plugins);
        let child = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("start serve")?;
        let mut serve = Self { child, url: String::new() };
        let mut line = String::new();
        BufReader::new(serve.child.stdout.take().context("its output")?).read_line(&mut line)?;
        line.trim().strip_prefix("listening on ").context("it does not listen")?.clone_into(&mut serve.url);
        Ok(serve)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
