//! Deploy: enter the lent server again with the image under both marks, start it from the network, and poll by status. The server is
//! off until it is started, so nothing installs before everything that CloudBoot does not check was checked.

use crate::bmc::Power;
use crate::claim::LOOKS;
use crate::device::{Device, Marks, Status};
use crate::enter::{Entry, Kind, template};
use crate::far::{Far, left_ms, now_ms, read};
use crate::network::{self, Network};
use crate::order::{self, Networks};
use crate::said::Said;
use crate::step::{DeployStage, Deploying, TRIES, is_stale};
use crate::{power, words};
use moganite_driver::{Answer, Context, DeployDoing, Deployed, Fault, Order, fault, info, intent, pause, wait};
use serde_json::{Value, json};

/// Starts from the network.
const STARTS: u32 = 2;

pub(crate) fn deploy(cx: &Context, far: &Far, mark: &str, order: &Order) -> Answer<DeployDoing> {
    let Some(at) = cx.resume::<Deploying>()? else {
        return begin(far, mark, order);
    };
    match at.stage {
        DeployStage::Entering => enter(cx, far, at),
        DeployStage::Starting => start(far, at),
        DeployStage::Installing { started_ms } => install(far, at, started_ms),
        DeployStage::Confirming => confirm(far, at),
    }
}

/// Everything that can be refused is; then the intent is stored. Changes nothing.
fn begin(far: &Far, mark: &str, order: &Order) -> Answer<DeployDoing> {
    let (image, networks) = order::read(order)?;
    let sn = words::word("the node", &order.node)?;
    let device = far.device(sn)?.ok_or_else(|| fault::broken(format!("CloudBoot has no device {sn}")))?;
    let claim = match device.marks() {
        Some(Marks { claim, deploy: None }) if Marks::of_claim(&claim).is_of_the_site_of(mark) => claim,
        _ => {
            return Err(fault::conflict(format!(
                "server {sn} is not lent to this site, or has a deployment: its AssetNumber is {:?}",
                device.asset_number
            )));
        }
    };
    if device.status == Status::Success {
        return Err(fault::conflict(format!("server {sn} reads as installed, and not by this deployment")));
    }
    let entry = Entry {
        sn: device.sn.clone(),
        hostname: order.hostname.clone(),
        ip: String::new(),
        network: 0,
        os: template(far, Kind::Os, &image.os)?,
        system: template(far, Kind::System, &image.system)?,
        hardware: image.hardware.as_ref().map(|wanted| template(far, Kind::Hardware, wanted)).transpose()?,
        marks: Marks { claim, deploy: Some(mark.to_owned()) },
    };
    check_hostname(far, &entry)?;
    let row = far.discovered(sn)?;
    power::of(far, sn)?;
    let (network, ip) = address(far, mark, &device, &networks, 0)?;
    let at = Deploying {
        entry: Entry { network: network.id, ip, ..entry },
        network: network.cidr,
        inventory: row.map(|row| row.inventory()).unwrap_or_default(),
        since_ms: now_ms(),
        stage: DeployStage::Entering,
        doubtful: false,
        tries: 1,
        looks: 0,
    };
    intent(&at, format!("server {sn} is about to be entered for {}", order.hostname))
}

/// The network and an address of it: what was asked for, else what the server has since it was lent.
fn address(far: &Far, mark: &str, device: &Device, networks: &Networks, attempt: u32) -> Answer<(Network, String)> {
    let network = network::named(far, networks.network.as_deref().unwrap_or(&far.settings.network))?;
    let ip = match &networks.ip {
        Some(ip) => {
            network::check_address(far, &network, ip)?;
            ip.clone()
        }
        None if attempt == 0 && network.id == device.network_id => device.ip.clone(),
        None => network::free_address(far, &network, mark, attempt)?,
    };
    Ok((network, ip))
}

/// A keyword is compared as a whole with serial numbers, host names and addresses.
fn check_hostname(far: &Far, entry: &Entry) -> Answer<()> {
    let (rows, _) = far.page::<Device>("device/list", json!({ "Keyword": entry.hostname }), 0)?;
    match rows.iter().find(|row| row.hostname == entry.hostname && !row.sn.eq_ignore_ascii_case(&entry.sn)) {
        Some(other) => Err(fault::conflict(format!(
            "host name {} is taken in CloudBoot by server {}, and must be unique there",
            entry.hostname, other.sn
        ))),
        None => Ok(()),
    }
}

fn enter(cx: &Context, far: &Far, mut at: Deploying) -> Answer<DeployDoing> {
    let sn = at.entry.sn.clone();
    let device = here(far, &at)?;
    if device.marks().as_ref() == Some(&at.entry.marks) {
        return entered(&device, at);
    }
    at.doubtful |= cx.attempt > 1;
    if let Some(left) = at.unsettled(&far.settings).filter(|_| at.doubtful) {
        return wait(&at, left, format!("whether server {sn} is entered after a lost answer"));
    }
    if at.doubtful {
        return again(at, "a request to enter it had no answer and no effect");
    }
    if is_stale(at.since_ms) {
        at.since_ms = now_ms();
        return intent(&at, format!("server {sn} is about to be entered"));
    }
    match at.entry.send(far)? {
        Said::Done(_) => entered(&here(far, &at)?, at),
        refused => {
            // Somebody took the address in between, or CloudBoot's checks see what ours did not.
            let network = Networks { network: Some(at.network.clone()), ip: None };
            at.entry.ip = address(far, &at.entry.marks.text(), &device, &network, at.tries)?.1;
            again(at, &refused.why())
        }
    }
}

/// Stores the intent anew, three times at most.
fn again(mut at: Deploying, why: &str) -> Answer<DeployDoing> {
    if at.tries >= TRIES {
        return Err(fault::rejected(format!("server {} cannot be entered: {why}", at.entry.sn)));
    }
    at.tries += 1;
    (at.since_ms, at.doubtful) = (now_ms(), false);
    intent(&at, format!("server {} is about to be entered: {why}", at.entry.sn))
}

/// Reads back what CloudBoot made of it.
fn entered(device: &Device, mut at: Deploying) -> Answer<DeployDoing> {
    if device.marks().as_ref() != Some(&at.entry.marks) {
        return Err(taken(device));
    }
    if let Some(difference) = at.entry.differs(device) {
        return Err(fault::broken(format!("server {} was entered otherwise than asked for: {difference}", device.sn)));
    }
    at.entry.ip = device.ip.clone();
    (at.stage, at.tries, at.looks) = (DeployStage::Starting, 1, 0);
    intent(&at, format!("server {} is about to be started from the network", device.sn))
}

/// Off first, which may be repeated; then one boot from the network. An install that already runs is not started again.
fn start(far: &Far, mut at: Deploying) -> Answer<DeployDoing> {
    let device = ours(far, &at)?;
    let sn = &device.sn;
    let started = DeployStage::Installing { started_ms: now_ms() };
    if device.status != Status::PreInstall {
        at.stage = started;
        return wait(&at, far.settings.poll(), format!("server {sn} installs"));
    }
    let bmc = power::of(far, sn)?;
    let reached = match bmc.off(far)? {
        Power::Reached => bmc.start_from_pxe(far)?,
        Power::Asked if at.looks < LOOKS => {
            at.looks += 1;
            return wait(&at, far.settings.poll(), format!("server {sn} to be off before its start"));
        }
        Power::Asked => return Err(fault::broken(format!("server {sn} does not turn off"))),
        away => away,
    };
    match reached {
        Power::Away(why) => Err(fault::retry(format!("starting server {sn} from the network: {why}"))),
        _ => {
            info!("server {sn} was started from the network");
            (at.stage, at.looks) = (started, 0);
            wait(&at, far.settings.poll(), format!("server {sn} to boot BootOS"))
        }
    }
}

/// Status alone tells; progress is for people.
fn install(far: &Far, mut at: Deploying, started_ms: u64) -> Answer<DeployDoing> {
    let device = ours(far, &at)?;
    let (sn, settings) = (&device.sn, &far.settings);
    match device.status {
        Status::Success => {
            at.stage = DeployStage::Confirming;
            confirm(far, at)
        }
        Status::Failure => Err(fault::broken(format!("the install of server {sn} failed: {}", cause(far, &device)?))),
        Status::PreInstall if left_ms(started_ms, settings.boot_within_s * 1_000).is_none() => {
            if at.tries >= STARTS {
                return Err(fault::broken(format!(
                    "server {sn} was started from the network {STARTS} times and began no install within {} s",
                    settings.boot_within_s
                )));
            }
            at.tries += 1;
            at.stage = DeployStage::Starting;
            intent(&at, format!("server {sn} is about to be started from the network again"))
        }
        _ if left_ms(started_ms, settings.install_within_s * 1_000).is_none() => Err(fault::broken(format!(
            "the install of server {sn} did not end within {} s: it is {} at {:.0} %, {}",
            settings.install_within_s,
            device.status.word(),
            device.install_progress * 100.0,
            cause(far, &device)?
        ))),
        status => {
            let note = format!("server {sn} is {}", status.word());
            let mut pause = pause(&at, settings.poll(), note)?;
            pause.percent = Some((device.install_progress.clamp(0.0, 1.0) * 100.0) as u8);
            Ok(DeployDoing::Pending(pause))
        }
    }
}

/// Installed; the machine must be on, which only a power call that is refused proves.
fn confirm(far: &Far, mut at: Deploying) -> Answer<DeployDoing> {
    let sn = at.entry.sn.clone();
    match power::of(far, &sn)?.on(far)? {
        Power::Reached => {}
        Power::Asked if at.looks < LOOKS => {
            at.looks += 1;
            return wait(&at, far.settings.poll(), format!("server {sn} to be on"));
        }
        Power::Asked => return Err(fault::broken(format!("server {sn} is installed and does not turn on"))),
        Power::Away(why) => return Err(fault::retry(format!("whether server {sn} is on: {why}"))),
    }
    let device = ours(far, &at)?;
    Ok(DeployDoing::Done(Deployed {
        handle: device.sn.clone(),
        addresses: json!({ at.network: [device.ip] }).to_string(),
        facts: json!({ "device_id": device.id, "status": device.status.word(), "asset": device.asset_number })
            .to_string(),
    }))
}

/// The row, whoever's it is.
fn here(far: &Far, at: &Deploying) -> Answer<Device> {
    let sn = &at.entry.sn;
    let device = far.device(sn)?.ok_or_else(|| fault::conflict(format!("somebody deleted server {sn}")))?;
    match device.claimed_as().as_deref() == Some(at.entry.marks.claim.as_str()) {
        true => Ok(device),
        false => Err(taken(&device)),
    }
}

/// The row, while it bears both marks.
fn ours(far: &Far, at: &Deploying) -> Answer<Device> {
    let device = here(far, at)?;
    match device.marks().as_ref() == Some(&at.entry.marks) {
        true => Ok(device),
        false => Err(taken(&device)),
    }
}

fn taken(device: &Device) -> Fault {
    fault::conflict(format!("somebody entered server {} anew, as {:?}", device.sn, device.asset_number))
}

/// The newest title of the install's log, which is the reason of a failure; without one it was cancelled.
fn cause(far: &Far, device: &Device) -> Answer<String> {
    let query = json!({ "DeviceID": device.id, "Type": "install", "Order": "id DESC", "MaxID": 0 });
    let rows: Option<Vec<Value>> = read(far.read("deviceLog/list", &query)?)?;
    let title = rows.iter().flatten().next().and_then(|row| row["Title"].as_str()).map(str::to_owned);
    let timed_out = device.status == Status::Failure && device.install_progress < 0.0;
    Ok(match (title, timed_out) {
        (Some(title), true) => format!("CloudBoot saw no report for too long, the last was {title:?}"),
        (Some(title), false) => format!("the last report was {title:?}"),
        (None, _) => "there is no report of it: it was cancelled, or never began".into(),
    })
}
