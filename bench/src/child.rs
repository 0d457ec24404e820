//! One measurement in a process of its own: its folder is fresh, its CPU time and memory are its own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use anyhow::{Context, Result, ensure};

use crate::clock::Moment;
use crate::figures::{Figures, from_output, to_line};
use crate::recovery::{self, Fill};
use crate::{raw, running};

/// Runs one in this process; its last line of output are the figures.
pub(crate) fn run(name: &str, settings: &[&str]) -> Result<()> {
    let start = Moment::now();
    let settings = Settings(settings.iter().filter_map(|setting| setting.split_once('=')).collect());
    let folder = PathBuf::from(settings.get::<String>("folder")?);
    std::fs::create_dir_all(&folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let figures = match name {
        "commit" => raw::commit(&folder, settings.get("seconds")?)?,
        "raw" => raw::transitions(&folder, settings.get("batch")?, settings.get("seconds")?)?,
        "alone" => runtime.block_on(running::alone(&folder, settings.get("seconds")?))?,
        "flows" => runtime.block_on(running::many(&folder, settings.get("at_once")?, settings.get("seconds")?))?,
        "fill" => runtime.block_on(recovery::fill(&folder, settings.fill()?))?,
        "recover" => runtime.block_on(recovery::recover(&folder, start, settings.get("to_the_end")?))?,
        "park" => runtime.block_on(recovery::park(&folder))?,
        #[cfg(feature = "life")]
        name if name.starts_with("life-") => runtime.block_on(crate::life::measure(name, &folder, &settings))?,
        #[cfg(feature = "driver")]
        other => crate::driver::measure(other, &folder, &settings)?,
        #[cfg(not(feature = "driver"))]
        other => anyhow::bail!("no measurement is called {other}"),
    };
    println!("{}", to_line(&figures));
    Ok(())
}

pub(crate) struct Settings<'a>(HashMap<&'a str, &'a str>);

impl Settings<'_> {
    pub(crate) fn get<T: FromStr>(&self, name: &str) -> Result<T> {
        let text = self.0.get(name).with_context(|| format!("{name}=... is missing"))?;
        text.parse().ok().with_context(|| format!("{name}={text} cannot be read"))
    }

    fn fill(&self) -> Result<Fill> {
        Ok(Fill { unfinished: self.get("unfinished")?, finished: self.get("finished")?, parked: self.get("parked")? })
    }
}

/// Starts one in a process of its own, in this folder, and answers its figures. `dies` says that its end is a kill.
pub(crate) fn start(name: &str, folder: &Path, settings: &[(&str, String)], dies: bool) -> Result<Figures> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["child", name]).arg(format!("folder={}", folder.display()));
    command.args(settings.iter().map(|(name, value)| format!("{name}={value}")));
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("start a measurement")?;
    ensure!(output.status.success() || (dies && output.status.code().is_none()), "{name}: {}", output.status);
    from_output(&output.stdout).context(name.to_owned())
}
