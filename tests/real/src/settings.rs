//! Writes into the state folder what both programs read when they start: settings, password files, scripts.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::keystone;
use crate::options::{Auth, Options, Release};
use crate::ports::Ports;
use crate::python::Environment;

const IRONIC_CONF: &str = include_str!("../ironic/ironic.conf");
const EMULATOR_CONF: &str = include_str!("../ironic/emulator_conf.py");
const LEASH: &str = include_str!("../ironic/leash.py");
const IRONIC_RUN: &str = include_str!("../ironic/ironic_run.py");
const BCRYPT_LINE: &str = include_str!("../ironic/bcrypt_line.py");

pub(crate) fn write(environment: &Environment, folder: &Path, options: &Options, ports: &Ports) -> Result<()> {
    let state = folder.to_str().context("the path of the cache is not UTF-8")?;
    let auth = match options.auth {
        Auth::None => "noauth",
        Auth::Basic => "http_basic",
        Auth::Keystone => "keystone",
    };
    let (low, high) = options.power_delay_s;
    let values = [
        ("@STATE@", state),
        ("@AUTH@", auth),
        ("@IRONIC_PORT@", &ports.ironic.to_string()),
        ("@KEYSTONE_PORT@", &ports.keystone.to_string()),
        ("@KEYSTONE_USER@", keystone::USER),
        ("@KEYSTONE_PASSWORD@", keystone::PASSWORD),
        ("@KEYSTONE_PROJECT@", keystone::PROJECT),
        // The only interface of that kind that the older release does not know.
        ("@NOOP_DEPLOY@", if options.release == Release::R39 { ",noop" } else { "" }),
        ("@REDFISH_PORT@", &ports.redfish.to_string()),
        ("@SYSTEMS@", &options.systems.to_string()),
        ("@SYNC_POWER_S@", &options.sync_power_s.to_string()),
        ("@LOCK_RETRIES@", &options.lock_retries.to_string()),
        ("@POWER_DELAY_LOW_S@", &low.to_string()),
        ("@POWER_DELAY_HIGH_S@", &high.to_string()),
    ];
    let filled =
        |template: &str| values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value));
    fs::write(folder.join("ironic.conf"), filled(IRONIC_CONF))?;
    fs::write(folder.join("emulator_conf.py"), filled(EMULATOR_CONF))?;
    fs::write(folder.join("leash.py"), LEASH)?;
    fs::write(folder.join("ironic_run.py"), IRONIC_RUN)?;
    let line = password_line(environment, &options.ironic_password)?;
    fs::write(folder.join("ironic.htpasswd"), line)?;
    let line = password_line(environment, &options.bmc_password)?;
    fs::write(folder.join("bmc.htpasswd"), line)?;
    fs::copy(environment.made("empty.sqlite"), folder.join("ironic.sqlite"))?;
    Ok(())
}

/// A password file's line for the user `admin`, hashed by the environment's bcrypt.
fn password_line(environment: &Environment, password: &str) -> Result<String> {
    let mut child = Command::new(environment.python())
        .args(["-c", BCRYPT_LINE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("the input of the hasher")?.write_all(password.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "hash a password: {}", output.status);
    String::from_utf8(output.stdout).context("read the hash of a password")
}
