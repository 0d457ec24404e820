//! A stack whose service is backed up, and one that is restored beside the same far sides.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::process::binary;
use crate::service::Service;
use crate::stack::Stack;

impl Stack {
    /// `moganite backup FILE`, while the service goes on.
    pub async fn backup(&self, file: &Path) -> Result<()> {
        self.command(&["backup", &file.display().to_string()]).await?;
        self.service.canaries.scan_files(file);
        Ok(())
    }

    /// Ends the service as a power cut would and starts another on what `moganite restore` makes of a backup.
    pub async fn restored(self, file: &Path) -> Result<Self> {
        let Self { sim, service, folder, patience, program } = self;
        service.kill().await?;
        let state = folder.path().join("restored");
        run(&["restore", &file.display().to_string(), "--state", &state.display().to_string()], None).await?;
        let service = Service::start_as(&program, &state, &crate::plugins(), patience, &[]).await?;
        Ok(Self { sim, service, folder, patience, program })
    }

    /// The command line, spoken to this service; answers what it printed.
    pub async fn command(&self, words: &[&str]) -> Result<String> {
        let said = run(words, Some(self.service.api.base())).await;
        let shown = said.as_ref().map_or_else(ToString::to_string, Clone::clone);
        self.service.canaries.scan(&format!("moganite {}", words.join(" ")), shown.as_bytes());
        said
    }
}

async fn run(words: &[&str], api: Option<&str>) -> Result<String> {
    let api = api.map(|api| ("MOGANITE_API", api));
    let output = Command::new(binary("moganite")?).args(words).envs(api).output().await?;
    ensure!(output.status.success(), "moganite {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).context("no text was printed")
}
