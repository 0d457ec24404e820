//! Service, simulators and the hostile far side; how one misbehaviour is lived through, and how its traces are cleared.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use canary::Canaries;
use scenarios::{Answer, Http, Options, Patience, Stack, for_tests, pause, stopwatch, until};
use serde_json::{Value, json};

use crate::canary::{ACCESS, LOGIN, planted, scan_far};
use crate::far::{Far, Got};
use crate::made;

pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) far: Far,
    pub(crate) canaries: Canaries,
    /// Of `misbehave`, with a wall time that a case can wait for.
    pub(crate) digest: String,
    /// Bytes of the log that were looked through.
    log_read: Cell<u64>,
    /// What was asked for last, again and again.
    asked: RefCell<String>,
    number: Cell<u32>,
    /// Backends of the case that runs, and its instances.
    backends: RefCell<Vec<String>>,
    instances: RefCell<Vec<String>>,
}

/// Wall time of every verb of the attacker's. Unit: milliseconds.
const WALL: u64 = 2_500;
/// Seconds for each of its tasks, pending included.
const BUDGET: u64 = 3;
const VERBS: [&str; 14] = [
    "probe",
    "compose",
    "release",
    "claim",
    "unclaim",
    "enroll",
    "refresh",
    "unenroll",
    "deploy",
    "undeploy",
    "set-power",
    "observe",
    "find",
    "list",
];

impl World {
    pub(crate) async fn start() -> Result<Self> {
        let patience =
            Patience { attempts: 5, revert_attempts: 8, observe_every: Duration::from_secs(1), ..Patience::default() };
        let sim = ["--deploy-ms", "100", "--step-ms", "20", "--lock-ms", "10"];
        let stack = Stack::with(Options { patience, sim: &sim, ..Options::default() }).await?;
        let far = Far::serve().await?;
        let world = Self {
            stack,
            far,
            canaries: planted(),
            digest: String::new(),
            log_read: Cell::new(0),
            asked: RefCell::new("/healthz".into()),
            number: Cell::new(0),
            backends: RefCell::default(),
            instances: RefCell::default(),
        };
        for (name, value) in [("bad-access", ACCESS), ("bad-login", LOGIN)] {
            world.put(&format!("/v1/secrets/{name}"), &json!({"value": value})).await?.ok()?;
        }
        let zero = world.upload(for_tests("driver-from-zero")?).await?.ok()?;
        world.put("/v1/backends/zero", &json!({"plugin": zero["digest"]})).await?.ok()?;
        world.put("/v1/images/none", &json!({"name": "none", "backends": {"zero": {}}})).await?.ok()?;
        world.put_flavor("tiny", "compose", "zero").await?;
        let slow = made::repacked(&for_tests("misbehave")?, |manifest| {
            manifest["wall_ms"] = VERBS.map(|verb| (verb.to_owned(), Value::from(WALL))).into_iter().collect();
        })?;
        let digest = text(&world.upload(slow).await?.ok()?, "digest")?;
        Ok(Self { digest, ..world })
    }

    pub(crate) fn api(&self) -> &Http {
        &self.stack.service.api
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        self.scanned(path, self.api().get(path).await)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.scanned(path, self.api().post(path, body).await)
    }

    /// What is there already is replaced.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        let answer = self.scanned(path, self.api().put(path, body).await)?;
        if answer.body["code"] != "if-match-required" {
            return Ok(answer);
        }
        self.scanned(path, self.api().clone().always("if-match", "*").put(path, body).await)
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Answer> {
        self.scanned(path, self.api().delete(path).await)
    }

    pub(crate) async fn upload(&self, bytes: Vec<u8>) -> Result<Answer> {
        self.scanned("/v1/plugins", self.api().upload("/v1/plugins", bytes).await)
    }

    fn scanned(&self, path: &str, answer: Result<Answer>) -> Result<Answer> {
        if let Ok(answer) = &answer {
            self.canaries.scan(&format!("the answer to {path}"), answer.body.to_string().as_bytes());
        }
        answer
    }

    async fn put_flavor(&self, name: &str, first: &str, backend: &str) -> Result<()> {
        let mut route = json!({first: [backend], "deploy": [backend]});
        if first == "compose" {
            route["enroll"] = json!([backend]);
        }
        let shape = json!({"cores": 2, "memory_mib": 1024});
        let flavor = json!({"name": name, "shape": shape, "route": route, "erase": "none"});
        self.put(&format!("/v1/flavors/{name}"), &flavor).await?.ok().map(drop)
    }

    /// A backend of its own for this case, so that no breaker of another one is open; with the image and both flavors of its name.
    pub(crate) async fn fresh_backend(&self, digest: &str) -> Result<String> {
        self.number.set(self.number.get() + 1);
        let name = format!("bad-{}", self.number.get());
        self.bind(&name, digest, &json!({})).await?;
        let image = json!({"name": name, "backends": {&name: {}}});
        self.put(&format!("/v1/images/{name}"), &image).await?.ok()?;
        Ok(name)
    }

    /// The attacker's binding: all that its manifest asks for is granted.
    pub(crate) async fn bind(&self, backend: &str, digest: &str, settings: &Value) -> Result<Answer> {
        let mut body = json!({"plugin": digest, "settings": settings});
        if digest == self.digest {
            body["endpoints"] = json!({"far": {"url": self.far.url}});
            body["access"] =
                json!({"address": "https://bmc.example", "username": "root", "password_secret": "bad-access"});
        }
        let verbs = ["compose", "release", "claim", "unclaim", "enroll", "unenroll", "deploy", "undeploy", "set-power"];
        body["budgets"] = verbs.map(|verb| (verb.to_owned(), Value::from(BUDGET))).into_iter().collect();
        if digest == self.digest && self.get(&format!("/v1/backends/{backend}")).await?.status == 200 {
            body["grants"] = json!([
                {"place": "keep-password", "of": backend}, {"place": "login-password", "secret": "bad-login"},
                {"place": "token"}, {"place": "subject"},
            ]);
        }
        let path = format!("/v1/backends/{backend}");
        let answer = self.put(&path, &body).await?;
        if answer.body["code"] != "plugin-asks-more" {
            return Ok(answer);
        }
        body["grant"] = answer.body["asks_more"].clone();
        self.put(&path, &body).await
    }

    /// A backend of `misbehave` that behaves but in one verb, `find` or `compose.find`.
    pub(crate) async fn misbehaving(&self, case: &str, verb: &str, more: Value) -> Result<String> {
        let backend = self.fresh_backend(&self.digest).await?;
        self.backends.borrow_mut().push(backend.clone());
        self.put_flavor(&backend, "compose", &backend).await?;
        self.put_flavor(&format!("{backend}-lent"), "claim", &backend).await?;
        let mut settings = more;
        settings["case"] = case.into();
        match verb.split_once('.') {
            Some((role, verb)) => (settings["role"], settings["verb"]) = (role.into(), verb.into()),
            None => settings["verb"] = verb.into(),
        }
        self.bind(&backend, &self.digest, &settings).await?.ok()?;
        Ok(backend)
    }

    /// One misbehaviour from its first call to its end; answers all that was told of it.
    pub(crate) async fn live(&self, case: &str, verb: &str, more: Value) -> Result<String> {
        self.live_as(&self.digest, case, verb, more).await
    }

    /// The same with another plugin that has the settings and endpoints of `misbehave`.
    pub(crate) async fn live_as(&self, digest: &str, case: &str, verb: &str, more: Value) -> Result<String> {
        let backend = self.misbehaving(case, verb, more).await?;
        if digest != self.digest {
            let body = json!({"plugin": digest, "endpoints": {"far": {"url": self.far.url}}});
            self.put(&format!("/v1/backends/{backend}"), &body).await?.ok()?;
        }
        match verb.rsplit('.').next().unwrap_or(verb) {
            "probe" => {
                let answer = self.post(&format!("/v1/backends/{backend}/probe"), &Value::Null).await?;
                Ok(answer.body.to_string())
            }
            "list" => {
                let answer = self.post("/v1/sweep", &json!({"backend": backend})).await?;
                Ok(answer.body.to_string())
            }
            "compose" | "enroll" | "deploy" => self.created(&backend, &backend).await,
            "claim" => self.created(&format!("{backend}-lent"), &backend).await,
            "set-power" => {
                let (id, _) = self.active(&backend, &backend).await?;
                let answer = self.post(&format!("/v1/instances/{id}/power"), &json!({"wish": "off"})).await?.ok()?;
                self.rested(&text(&answer, "flow")?).await
            }
            "observe" => {
                self.active(&backend, &backend).await?;
                self.logged(|line| line.contains("was not seen") && line.contains("observe")).await
            }
            "unclaim" => self.deleted(&format!("{backend}-lent"), &backend).await,
            _ if verb == "claim.find" => self.deleted(&format!("{backend}-lent"), &backend).await,
            _ => self.deleted(&backend, &backend).await,
        }
    }

    pub(crate) async fn order(&self, flavor: &str, image: &str) -> Result<(String, String)> {
        self.order_in("default", flavor, image).await
    }

    pub(crate) async fn order_in(&self, project: &str, flavor: &str, image: &str) -> Result<(String, String)> {
        self.number.set(self.number.get() + 1);
        let order = json!({"name": format!("bad-{}", self.number.get()), "flavor": flavor, "image": image});
        let made = self.post(&format!("/v1/instances?project={project}"), &order).await?.ok()?;
        let id = text(&made, "id")?;
        self.instances.borrow_mut().push(id.clone());
        Ok((id, text(&made, "flow")?))
    }

    /// A create to its end, whichever.
    pub(crate) async fn created(&self, flavor: &str, image: &str) -> Result<String> {
        let (_, flow) = self.order(flavor, image).await?;
        self.rested(&flow).await
    }

    pub(crate) async fn active(&self, flavor: &str, image: &str) -> Result<(String, String)> {
        let (id, flow) = self.order(flavor, image).await?;
        let told = self.rested(&flow).await?;
        let instance = self.get(&format!("/v1/instances/{id}")).await?.ok()?;
        ensure!(instance["state"] == "active", "it should have come up: {told}");
        Ok((id, flow))
    }

    async fn deleted(&self, flavor: &str, image: &str) -> Result<String> {
        let (id, _) = self.active(flavor, image).await?;
        let answer = self.delete(&format!("/v1/instances/{id}")).await?.ok()?;
        self.rested(&text(&answer, "flow")?).await
    }

    /// All that a flow tells, once it ended or rests.
    pub(crate) async fn rested(&self, flow: &str) -> Result<String> {
        let path = format!("/v1/flows/{flow}");
        self.asked.replace(path.clone());
        until(&format!("flow {flow} to end or rest"), Duration::from_secs(40), async || {
            let flow = self.get(&path).await?.ok()?;
            let rests = !matches!(flow["phase"].as_str(), Some("forward" | "backward"));
            Ok(rests.then(|| flow.to_string()))
        })
        .await
    }

    /// The first line of the log that is like this, from the end of the case before on.
    pub(crate) async fn logged(&self, is: impl Fn(&str) -> bool) -> Result<String> {
        until("a line of the log", Duration::from_secs(20), async || {
            let new = self.new_log()?;
            Ok(String::from_utf8_lossy(&new).lines().find(|line| is(line)).map(str::to_owned))
        })
        .await
    }

    /// What came since it was looked through.
    fn new_log(&self) -> Result<Vec<u8>> {
        let mut log = File::open(self.stack.folder.path().join("service.log"))?;
        log.seek(SeekFrom::Start(self.log_read.get()))?;
        let mut new = Vec::new();
        log.read_to_end(&mut new)?;
        Ok(new)
    }

    /// Looks through what the case left in the log: secrets, a host that panicked, a line that is no record of the host's.
    pub(crate) fn read_log(&self) -> Result<()> {
        let new = self.new_log()?;
        self.canaries.scan("the log", &new);
        self.log_read.set(self.log_read.get() + new.len() as u64);
        for line in String::from_utf8_lossy(&new).lines().filter(|line| !line.is_empty()) {
            let record: Value =
                serde_json::from_str(line).with_context(|| format!("no record of the host's: {line}"))?;
            ensure!(record["timestamp"].is_string() && record["target"].is_string(), "a forged record: {line}");
            ensure!(!line.contains('\u{1b}'), "an escape in the log: {line:?}");
        }
        Ok(())
    }

    /// The attacker behaves again; what it held is given back.
    pub(crate) async fn tidy(&self) -> Result<()> {
        let backends = std::mem::take(&mut *self.backends.borrow_mut());
        let instances = std::mem::take(&mut *self.instances.borrow_mut());
        for backend in &backends {
            self.bind(backend, &self.digest, &json!({})).await?.ok()?;
        }
        for id in &instances {
            let path = format!("/v1/instances/{id}");
            until(&format!("{id} to be gone"), Duration::from_secs(40), async || {
                let instance = self.get(&path).await?;
                if instance.status == 404 {
                    return Ok(Some(()));
                }
                let flow = text(&instance.body, "flow")?;
                let at = self.get(&format!("/v1/flows/{flow}")).await?.ok()?;
                match at["phase"].as_str() {
                    Some("needs-operator") => {
                        // What is no undo goes the way of a delete.
                        if !self.hand_over(&flow).await? {
                            self.delete(&path).await?;
                        }
                    }
                    Some("forward" | "backward") => {}
                    _ => {
                        self.delete(&path).await?;
                    }
                }
                Ok(None)
            })
            .await?;
        }
        for backend in &backends {
            // An instance may be gone while something of it is still owed.
            until(&format!("nothing to be held at {backend}"), Duration::from_secs(40), async || {
                let held = self.get("/v1/holdings?limit=1000").await?.ok()?;
                let is_ours = |holding: &Value| holding["backend"] == backend.as_str();
                if !held["items"].as_array().into_iter().flatten().any(is_ours) {
                    return Ok(Some(()));
                }
                let flows = self.get("/v1/flows?limit=50").await?.ok()?;
                let rests = |flow: &&Value| flow["phase"] == "needs-operator" && flow["backend"] == backend.as_str();
                for flow in flows["items"].as_array().into_iter().flatten().filter(rests) {
                    self.hand_over(&text(flow, "id")?).await?;
                }
                Ok(None)
            })
            .await?;
        }
        Ok(())
    }

    /// An undo ends on the revision that it began with, unless a person hands it over. False: it is no undo.
    async fn hand_over(&self, flow: &str) -> Result<bool> {
        let over = json!({"plugin": self.digest, "reason": "behaves again"});
        Ok(self.post(&format!("/v1/flows/{flow}/hand-over"), &over).await?.status < 400)
    }

    pub(crate) async fn holding_of(&self, instance: &str, role: &str) -> Result<Value> {
        let held = self.get("/v1/holdings?limit=1000").await?.ok()?;
        let is_it = |holding: &&Value| holding["instance"] == instance && holding["role"] == role;
        let found = held["items"].as_array().into_iter().flatten().find(is_it).cloned();
        found.with_context(|| format!("no {role} of {instance} is held"))
    }

    pub(crate) async fn handle_of(&self, instance: &str, role: &str) -> Result<String> {
        text(&self.holding_of(instance, role).await?, "handle")
    }

    pub(crate) async fn uuid_of(&self, instance: &str) -> Result<String> {
        let nodes = self.get("/v1/nodes?limit=1000").await?.ok()?;
        let is_it = |node: &&Value| node["instance"] == instance;
        let node = nodes["items"].as_array().into_iter().flatten().find(is_it).context("no node of it")?;
        text(&node["identity"], "system_uuid")
    }

    /// A person's word on what rests because a machine is another instance's.
    pub(crate) async fn skip_disputed(&self) -> Result<()> {
        let instances = self.instances.borrow().clone();
        for id in instances {
            let instance = self.get(&format!("/v1/instances/{id}")).await?.ok()?;
            let flow = text(&instance, "flow")?;
            let at = self.get(&format!("/v1/flows/{flow}")).await?.ok()?;
            if at["phase"] == "needs-operator" {
                let body = json!({"reason": "it never was a machine of its own"});
                self.post(&format!("/v1/flows/{flow}/skip"), &body).await?.ok()?;
                self.rested(&flow).await?;
            }
        }
        Ok(())
    }

    /// What an instance still holds.
    pub(crate) async fn marks_of(&self, instance: &str) -> Result<Vec<String>> {
        let held = self.get("/v1/holdings?limit=1000").await?.ok()?;
        let all = held["items"].as_array().into_iter().flatten().filter(|holding| holding["instance"] == instance);
        all.map(|holding| text(holding, "mark")).collect()
    }

    /// As somebody who can write the database: what one flow keeps becomes the other's.
    pub(crate) async fn swapped_checkpoints(&self, one: &str, other: &str) -> Result<()> {
        let file = self.stack.service.state.join("moganite.db");
        until("both flows to keep a checkpoint", Duration::from_secs(10), async || {
            let db = rusqlite::Connection::open(&file)?;
            db.busy_timeout(Duration::from_secs(5))?;
            let swapped = db.execute(
                "UPDATE flow SET checkpoint = (SELECT o.checkpoint FROM flow o WHERE o.public_id = CASE flow.public_id
                     WHEN ?1 THEN ?2 ELSE ?1 END)
                 WHERE public_id IN (?1, ?2)
                   AND (SELECT count(*) FROM flow WHERE public_id IN (?1, ?2) AND checkpoint IS NOT NULL) = 2",
                [one, other],
            )?;
            Ok((swapped == 2).then_some(()))
        })
        .await
    }

    /// POSTs one order so many times under one key; answers the ids.
    pub(crate) async fn ordered_again(&self, flavor: &str, times: u32) -> Result<Vec<String>> {
        self.number.set(self.number.get() + 1);
        let key = format!("again-{}", self.number.get());
        let keyed = self.api().clone().always("idempotency-key", &key);
        let order = json!({"name": key, "flavor": flavor, "image": flavor});
        let mut ids = Vec::new();
        for _ in 0..times {
            ids.push(text(&keyed.post("/v1/instances", &order).await?.ok()?, "id")?);
        }
        self.instances.borrow_mut().extend(ids.first().cloned());
        Ok(ids)
    }

    /// What a person sees at the command line of everything that is listed.
    pub(crate) async fn shown(&self) -> Result<String> {
        let mut shown = String::new();
        for words in [&["instance", "list"][..], &["flow", "list"], &["node", "list"], &["sweep"], &["debt", "list"]] {
            let said = tokio::process::Command::new(scenarios::binary("moganite")?)
                .args(words)
                .args(["--api", self.api().base()])
                .output()
                .await?;
            shown.push_str(&String::from_utf8_lossy(&said.stdout));
            shown.push_str(&String::from_utf8_lossy(&said.stderr));
        }
        Ok(shown)
    }

    /// What the hostile far side got since this was asked last.
    pub(crate) fn got(&self) -> Vec<Got> {
        scan_far(&self.canaries, &self.far)
    }

    pub(crate) async fn rest(&self, time: Duration) {
        pause(time).await;
    }

    /// Asks for a flow, as often as while a case runs: what the asking costs others, it costs them at all times.
    pub(crate) async fn ask_on(&self, time: Duration) -> Result<()> {
        let (seconds, path) = (stopwatch(), self.asked.borrow().clone());
        until("nothing but time", time * 2, async || {
            self.get(&path).await?;
            Ok((seconds() > time.as_secs_f64()).then_some(()))
        })
        .await
    }

    /// Resident memory of the service. Unit: KiB.
    pub(crate) fn memory(&self) -> Result<u64> {
        let pid = self.stack.service.pid().context("the service has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

pub(crate) fn text(body: &Value, field: &str) -> Result<String> {
    body[field].as_str().map(str::to_owned).with_context(|| format!("no {field} in {body}"))
}
