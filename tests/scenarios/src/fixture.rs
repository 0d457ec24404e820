//! `cargo xtask fixture`: a state folder with flows in every position, for the versions that come after this one.
//!
//! Each position is reached by the service itself, on simulators, call by call. What is written is `moganite.db`, `secret.key` and
//! `about.json`: the far sides' addresses and the plugins' digests are replaced by words, since both are others when it is opened
//! (`tests/state.rs`).

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use rusqlite::Connection;
use scenarios::{Options, Patience, Stack, fingerprints, poured, replace_everywhere, unpacked};
use serde_json::{Value, json};

const F: &str = "forward";
const B: &str = "backward";

/// A flow may go past a position between two looks; then another one is made.
const TRIES: u32 = 3;

/// Where a flow is to stand.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    phase: &'static str,
    task: u32,
    checkpoint: bool,
    /// Its calls there are to fail, so that it stands between two tries: this side breaks every connection, once the flow stood there.
    broken: Option<(&'static str, Option<(&'static str, u32)>)>,
}

const fn at(phase: &'static str, task: u32) -> Wanted {
    Wanted { phase, task, checkpoint: false, broken: None }
}

const fn waiting(phase: &'static str, task: u32) -> Wanted {
    Wanted { phase, task, checkpoint: true, broken: None }
}

const fn retrying(phase: &'static str, task: u32, side: &'static str, after: Option<(&'static str, u32)>) -> Wanted {
    Wanted { phase, task, checkpoint: false, broken: Some((side, after)) }
}

/// compose, enroll, verify, deploy. Composing is one at a time, so what stands there is made last.
const COMPOSED: &[Wanted] =
    &[retrying(F, 1, "ironic", None), waiting(F, 1), at(F, 2), retrying(F, 3, "ironic", Some((F, 2))), waiting(F, 3)];
const COMPOSED_BACK: &[Wanted] = &[at(B, 3), waiting(B, 3), at(B, 2), retrying(B, 1, "ironic", Some((B, 2))), at(B, 0)];
/// claim, verify, deploy.
const PRESET: &[Wanted] = &[waiting(F, 0), waiting(F, 2)];
/// undeploy, unenroll, unclaim, release.
const DELETE: &[Wanted] = &[retrying(F, 0, "ironic", None), waiting(F, 0), at(F, 1), retrying(F, 3, "valence", None)];

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let made = match &arguments[..] {
        [folder] => make(Path::new(folder)).await,
        [pour, folder] if pour == "--pour" => poured(Path::new(folder)),
        _ => Err(anyhow!("say where: fixture [--pour] FOLDER")),
    };
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the fixture was not made: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn make(to: &Path) -> Result<()> {
    let patience = Patience { revert_attempts: 3, ..Patience::default() };
    // Ironic's lock is kept long enough for each verb to answer *pending*.
    let sim = ["--systems", "60", "--step-ms", "700", "--deploy-ms", "700"];
    let stack = Stack::with(Options { sim: &sim, patience, ..Options::default() }).await?;
    stack.preset(50..55).await?;
    stack.put_preset_flavor("gold", false).await?;
    let mut made = Made { stack, positions: Vec::new() };
    made.ended().await?;
    made.resting().await?;
    made.stack.slow_calls().await?;
    for wanted in COMPOSED {
        made.create("small", wanted, false).await?;
    }
    for wanted in COMPOSED_BACK {
        made.create("small", wanted, true).await?;
    }
    for wanted in PRESET {
        made.create("gold", wanted, false).await?;
    }
    made.create("gold", &at(B, 0), true).await?;
    for wanted in DELETE {
        made.delete(wanted).await?;
    }
    made.following().await?;
    made.composing().await?;
    made.write(to).await
}

struct Made {
    stack: Stack,
    /// One line each: what stands where.
    positions: Vec<String>,
}

impl Made {
    /// An active instance, a failed one, one that is gone; a node in quarantine.
    async fn ended(&mut self) -> Result<()> {
        self.active("stays").await?;
        let gone = self.active("gone").await?;
        self.stack.delete_and_wait(&gone).await?;
        self.fails("the ramdisk did not boot", 1).await?;
        let (failed, _) = self.stack.create("failed", "small").await?;
        self.stack.service.instance_in(&failed, "failed").await?;
        self.fails("a bad DIMM", 1).await?;
        let (other, _) = self.stack.create("another-node", "gold").await?;
        self.stack.service.instance_in(&other, "active").await?;
        self.say("ended: active, failed, gone; a node in quarantine")
    }

    /// A delete and a create that need an operator; a debt with the flow that settles it.
    async fn resting(&mut self) -> Result<()> {
        for (name, abandoned) in [("kept", false), ("owed", true)] {
            let id = self.active(name).await?;
            self.stack.sim.fault(json!({"kind": "keep-on-release", "times": 0})).await?;
            let flow = self.stack.delete(&id).await?;
            self.rests(&flow).await?;
            if abandoned {
                let path = format!("/v1/flows/{flow}/abandon");
                let answer = self.stack.service.api.post(&path, &json!({"reason": "a fixture"})).await?.ok()?;
                let settled_by = answer["settled_by"].as_str().context("no flow settles it")?;
                self.stack
                    .service
                    .api
                    .post(&format!("/v1/flows/{settled_by}/pause"), &json!({"reason": "held"}))
                    .await?
                    .ok()?;
                self.say("a debt, and the flow that settles it")?;
            }
            self.stack.sim.no_faults().await?;
        }
        self.stack.sim.fault(json!({"kind": "same-system-twice"})).await?;
        let (_, flow) = self.stack.create("disputed", "small").await?;
        self.rests(&flow).await?;
        self.say("needs an operator: a delete whose release is not believed, a create with a disputed holding")
    }

    async fn create(&mut self, flavor: &str, wanted: &Wanted, fails: bool) -> Result<()> {
        for _ in 0..TRIES {
            if fails {
                self.fails("it is to turn round", 3).await?;
            }
            let (_, flow) = self.stack.create(&self.name("create"), flavor).await?;
            let stands = self.hold(&format!("create {flavor}"), &flow, wanted).await?;
            self.stack.sim.no_faults().await?;
            self.stack.slow_calls().await?;
            if stands {
                break;
            }
        }
        Ok(())
    }

    async fn delete(&mut self, wanted: &Wanted) -> Result<()> {
        for _ in 0..TRIES {
            self.stack.sim.no_faults().await?;
            let id = self.active(&self.name("delete")).await?;
            self.stack.slow_calls().await?;
            let flow = self.stack.delete(&id).await?;
            if self.hold("delete", &flow, wanted).await? {
                break;
            }
        }
        Ok(())
    }

    fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.positions.len())
    }

    /// A delete that waits for the create that it cancelled.
    async fn following(&mut self) -> Result<()> {
        let (id, flow) = self.stack.create("cancelled", "small").await?;
        self.hold("create, to be cancelled", &flow, &waiting(F, 3)).await?;
        self.stack.delete(&id).await?;
        self.say("a delete that follows the create that it cancelled")
    }

    /// One composes, and one waits for its turn.
    async fn composing(&mut self) -> Result<()> {
        self.stack.sim.fault(json!({"kind": "stuck-assembling"})).await?;
        let (_, flow) = self.stack.create("composing", "small").await?;
        self.hold("create small", &flow, &waiting(F, 0)).await?;
        let (_, behind) = self.stack.create("in-line", "small").await?;
        self.hold("create small, in line", &behind, &at(F, 0)).await.map(drop)
    }

    async fn hold(&mut self, what: &str, flow: &str, wanted: &Wanted) -> Result<bool> {
        let Wanted { phase, task, checkpoint, broken } = *wanted;
        if let Some((side, after)) = broken {
            if let Some((phase, task)) = after {
                self.stack.hold(flow, phase, task, false).await?;
            }
            // Of two switches that fit a request the first one strikes.
            self.stack.sim.no_faults().await?;
            self.stack.sim.fault(json!({"kind": "drop", "side": side, "times": 0})).await?;
        }
        let reached = self.stack.hold(flow, phase, task, checkpoint).await?;
        let line = format!("{what}: {phase}, task {task}{}", if checkpoint { ", with a checkpoint" } else { "" });
        self.say(&if reached { line } else { format!("{line}: not seen, it went on to its end") })?;
        Ok(reached)
    }

    async fn active(&self, name: &str) -> Result<String> {
        let (id, _) = self.stack.create(name, "small").await?;
        self.stack.service.instance_in(&id, "active").await?;
        Ok(id)
    }

    async fn rests(&self, flow: &str) -> Result<()> {
        self.stack.service.flow(flow, "to rest", |flow| flow["phase"] == "needs-operator").await.map(drop)
    }

    async fn fails(&self, why: &str, times: u32) -> Result<()> {
        self.stack.sim.fault(json!({"kind": "deploy-fails", "message": why, "times": times})).await
    }

    fn say(&mut self, line: &str) -> Result<()> {
        println!("{line}");
        self.positions.push(line.to_owned());
        Ok(())
    }

    /// A backup as it is, then what no other machine has. The history is thinned, as it is for people only; everything is frozen, so that whoever opens it begins when it is ready.
    async fn write(self, to: &Path) -> Result<()> {
        let Self { stack, positions } = self;
        let file = stack.folder.path().join("fixture.tar");
        stack.backup(&file).await?;
        std::fs::create_dir_all(to)?;
        unpacked(&file, to)?;
        let db = Connection::open(to.join("moganite.db"))?;
        let mut about = json!({"moganite": env!("CARGO_PKG_VERSION"), "made": positions, "stand": standing(&db)?});
        for (word, url) in [("valence", &stack.sim.valence), ("podm", &stack.sim.podm), ("ironic", &stack.sim.ironic)] {
            replace_everywhere(&db, url, &format!("http://{word}.fixture"))?;
        }
        about["migrations"] = fingerprints()?;
        for plugin in ["valence-redfish", "ironic"] {
            let digest = stack.service.digest(plugin).await?;
            about["plugins"][plugin] = json!(digest);
        }
        db.execute_batch(
            "UPDATE site SET frozen_at = (SELECT max(updated_at) FROM flow), frozen_why = 'a fixture';
             UPDATE flow SET paused_at = NULL, paused_why = NULL WHERE id <> (SELECT min(id) FROM flow WHERE paused_at IS NOT NULL);
             DELETE FROM audit WHERE verb IN ('flow.pause', 'flow.resume');
             DELETE FROM event WHERE json_extract(body, '$.kind') IN ('paused', 'resumed', 'pending')
                OR flow IN (SELECT id FROM flow WHERE phase IN ('done', 'reverted'))
                   AND json_extract(body, '$.kind') NOT IN ('created', 'ended');
             UPDATE event SET seq = (SELECT count(*) FROM event e WHERE e.flow = event.flow AND e.n <= event.n);
             UPDATE flow SET lines = (SELECT count(*) FROM event WHERE event.flow = flow.id);
             UPDATE event SET body = json_remove(body, '$.exchanges') WHERE json_extract(body, '$.kind') <> 'ended';
             PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM;",
        )?;
        db.close().map_err(|(_, error)| error)?;
        std::fs::write(to.join("about.json"), format!("{about:#}\n"))?;
        let bytes = std::fs::metadata(to.join("moganite.db"))?.len();
        println!("{}: {} KiB", to.display(), bytes >> 10);
        Ok(())
    }
}

/// Where each flow really stands, and how many of them: a call may have ended after the last look.
fn standing(db: &Connection) -> Result<Value> {
    let sql = "SELECT kind || ' ' || phase || ' ' || task || iif(checkpoint IS NULL, '', ' with a checkpoint')
               || iif(attempt > 1, ' again', '') || iif(follows IS NULL, '', ' following'), count(*) FROM flow GROUP BY 1";
    let mut rows = db.prepare(sql)?;
    let rows = rows.query_map([], |row| Ok((row.get(0)?, json!(row.get::<_, u32>(1)?))))?;
    Ok(Value::Object(rows.collect::<rusqlite::Result<_>>()?))
}
