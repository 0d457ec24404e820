//! Lives on a real Ironic with a real Redfish emulator, ours and the bare script's in turn. Both go through the same taps, and what is
//! composed is the simulated pod manager's, which answers at once.

use anyhow::{Context, Result, ensure};
use real::{RealIronic, Tap};
use scenarios::{BMC_PASSWORD, Elsewhere, Options, Patience, Stack};
use serde_json::json;

use super::figures;
use super::lives::{self, Order};
use super::script::{self, Script};
use crate::clock::Moment;
use crate::figures::{Figures, median};
use crate::process::Used;

const ORDER: Order = Order { flavor: "small", image: "cirros" };

/// Between two looks at a node. Milliseconds.
const POLL_MS: u32 = 300;

struct World {
    stack: Stack,
    ironic: Tap,
    valence: Tap,
    _real: RealIronic,
}

pub(super) async fn measure(rounds: u32) -> Result<Figures> {
    let world = World::start().await?;
    // What is loaded and cached once is, on both sides.
    world.live("first").await?;
    let script = world.record().await?;
    let calls = script.compose.len() + script.ironic.len() + script.release.len();
    let poll = f64::from(POLL_MS) / 1e3;
    let (mut ours, mut theirs, mut added) = (Vec::new(), Vec::new(), Vec::new());
    let (mut our_gaps, mut their_gaps) = (Vec::new(), Vec::new());
    let pid = world.stack.service.pid().context("the service has ended")?;
    let (mut cpu, mut asked) = (Vec::new(), [0, 0]);
    for round in 0..rounds {
        let (mut our, mut their, mut used) = (0.0, 0.0, 0.0);
        // In turn the first.
        for turn in [round % 2, 1 - round % 2] {
            let (seen, before, begun) = (world.ironic.exchanges().len(), Used::by(pid), Moment::now());
            if turn == 0 {
                world.live(&format!("life-{round}")).await?;
                our = begun.seconds();
                used = Used::by(pid).since(&before) * 1e3;
            } else {
                script::run(&script, &world.valence.url(), &world.ironic.url(), poll).await?;
                their = begun.seconds();
            }
            let exchanges = &world.ironic.exchanges()[seen..];
            asked[turn as usize] += exchanges.len();
            [&mut our_gaps, &mut their_gaps][turn as usize].push(script::between(exchanges, poll));
        }
        let number = round + 1;
        eprintln!("bench: round {number} of {rounds}: ours {our:.2} s, CPU {used:.0} ms; the script's {their:.2} s");
        cpu.push(used);
        ours.push(our);
        theirs.push(their);
        added.push(our - their);
    }
    let middle = |values: Vec<f64>| median(values).context("no rounds");
    let (added, theirs) = (middle(added)?, middle(theirs)?);
    Ok(figures([
        ("lives", f64::from(rounds)),
        ("calls", calls as f64),
        ("ours_s", middle(ours)?),
        ("script_s", theirs),
        ("added_ms", added * 1e3),
        ("added_percent", added / theirs * 100.0),
        ("cpu_ms", middle(cpu)?),
        ("our_requests", asked[0] as f64 / f64::from(rounds)),
        ("script_requests", asked[1] as f64 / f64::from(rounds)),
        ("our_gaps_ms", middle(our_gaps)? * 1e3),
        ("script_gaps_ms", middle(their_gaps)? * 1e3),
    ]))
}

impl World {
    async fn start() -> Result<Self> {
        let options = real::Options { systems: 2, bmc_password: BMC_PASSWORD.into(), ..real::Options::default() };
        let real = RealIronic::start(options).await?;
        let ironic = Tap::start(&real.ironic_url)?;
        let elsewhere = Elsewhere {
            ironic: ironic.url(),
            bmc_address: real.redfish_url.clone(),
            boot_iso: real.boot_iso_url.clone(),
            ironic_password: None,
            keystone: None,
            ca: None,
        };
        // The emulator's systems have no processors to inspect, and its host may have no tool to make a config drive.
        let settings = json!({"inspect": false, "automated_clean": false, "erases": "none", "poll_ms": POLL_MS});
        // Nothing but the lives speaks to Ironic.
        let patience = Patience { observe_every: std::time::Duration::from_secs(24 * 3600), ..Patience::usual() };
        let sim = ["--systems", "2", "--emulated-systems", "--assemble-ms", "0"];
        let stack = Stack::with(Options {
            erase: "none",
            sim: &sim,
            ironic: settings,
            elsewhere: Some(elsewhere),
            patience,
            ..Options::default()
        })
        .await?;
        let valence = Tap::start(&stack.sim.valence)?;
        let world = Self { stack, ironic, valence, _real: real };
        world.tap_valence().await?;
        Ok(world)
    }

    async fn tap_valence(&self) -> Result<()> {
        let api = &self.stack.service.api;
        let bound = api.get("/v1/backends/pod-a").await?.ok()?;
        let changed = json!({
            "plugin": bound["digest"], "settings": bound["settings"], "access": bound["access"],
            "endpoints": {"valence": {"url": self.valence.url()}},
        });
        api.clone().always("if-match", "*").put("/v1/backends/pod-a", &changed).await?.ok().map(drop)
    }

    async fn live(&self, name: &str) -> Result<()> {
        lives::live(&self.stack.service.api, ORDER, name).await.map(drop)
    }

    /// One life of ours as a script.
    async fn record(&self) -> Result<Script> {
        let poll = f64::from(POLL_MS) / 1e3;
        let (ironic, valence) = (self.ironic.exchanges().len(), self.valence.exchanges().len());
        self.live("recorded").await?;
        let valence = self.valence.exchanges().split_off(valence);
        let made = valence.iter().position(|exchange| exchange.method == "POST").context("nothing was composed")?;
        // What follows the answer to the POST and is not the release: the look at what was made.
        let given_back =
            valence.iter().position(|exchange| exchange.method == "DELETE").context("nothing was released")?;
        ensure!(made < given_back, "released before it was composed");
        let from = (made + 1..given_back).find(|at| valence[*at].path == "/v1/nodes").unwrap_or(given_back);
        Ok(Script {
            compose: script::calls(&valence[..from], poll),
            ironic: script::calls(&self.ironic.exchanges()[ironic..], poll),
            release: script::calls(&valence[from..], poll),
        })
    }
}
