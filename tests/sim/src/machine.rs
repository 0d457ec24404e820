//! One machine of the pool: what it has, whether it runs, and whose data lies on its disks. Data stays where it is through a
//! release and the next composition, until somebody erases it.

use uuid::Uuid;

use crate::options::Options;

pub(crate) struct Machine {
    /// The last segment of its Redfish path, from `1`.
    pub(crate) id: String,
    pub(crate) uuid: String,
    pub(crate) serial: String,
    pub(crate) cores: u32,
    /// What it was built with, MiB.
    pub(crate) built_memory_mib: u64,
    /// What it has in its present composition, MiB.
    pub(crate) memory_mib: u64,
    /// Lower case, with colons.
    pub(crate) macs: Vec<String>,
    pub(crate) disks: Vec<Disk>,
    pub(crate) running: bool,
    /// The image in its virtual drive.
    pub(crate) media: Option<String>,
    pub(crate) boot: Boot,
}

pub(crate) struct Disk {
    pub(crate) serial: String,
    pub(crate) gib: u64,
    /// Whose data is on it. None: erased, or never written.
    pub(crate) owner: Option<String>,
}

/// Where it boots from next, in Redfish's words.
pub(crate) struct Boot {
    pub(crate) target: String,
    pub(crate) enabled: String,
    pub(crate) mode: String,
}

impl Machine {
    pub(crate) fn new(options: &Options, namespace: Uuid, number: usize) -> Self {
        let uuid = Uuid::new_v5(&namespace, format!("machine {number}").as_bytes());
        let unique = uuid.simple().to_string();
        let disk =
            |at: usize| Disk { serial: format!("DSK-{}-{at}", &unique[..12]), gib: options.disk_gib, owner: None };
        let mac =
            |at: usize| format!("52:54:{}:{}:{}:{}{at:x}", &unique[0..2], &unique[2..4], &unique[4..6], &unique[6..7]);
        let mut machine = Self {
            id: number.to_string(),
            uuid: uuid.to_string(),
            serial: format!("SN-{}", &unique[..12]),
            cores: options.cores,
            built_memory_mib: options.memory_mib,
            memory_mib: options.memory_mib,
            macs: (0..options.nics.min(16)).map(mac).collect(),
            disks: (0..options.disks).map(disk).collect(),
            running: false,
            media: None,
            boot: Boot { target: "Hdd".to_owned(), enabled: "Disabled".to_owned(), mode: "UEFI".to_owned() },
        };
        if options.emulated_systems {
            machine.uuid = format!("00000000-0000-4000-8000-{number:012}");
            machine.id = machine.uuid.clone();
            machine.macs = vec![format!("52:54:00:00:{:02x}:{:02x}", number / 256, number % 256)];
        }
        machine
    }

    /// One that was made of pieces, with their disks and interfaces.
    pub(crate) fn of_pieces(id: String, uuid: String, cores: u32, memory_mib: u64, macs: Vec<String>) -> Self {
        let serial = format!("SN-{}", &uuid[..8]);
        let boot = Boot { target: "Hdd".to_owned(), enabled: "Disabled".to_owned(), mode: "UEFI".to_owned() };
        let built_memory_mib = memory_mib;
        let (disks, running, media) = (Vec::new(), false, None);
        Self { id, uuid, serial, cores, built_memory_mib, memory_mib, macs, disks, running, media, boot }
    }

    pub(crate) fn path(&self) -> String {
        format!("/redfish/v1/Systems/{}", self.id)
    }

    pub(crate) fn write_disks(&mut self, owner: &str) {
        self.disks.iter_mut().for_each(|disk| disk.owner = Some(owner.to_owned()));
    }

    pub(crate) fn erase_disks(&mut self) {
        self.disks.iter_mut().for_each(|disk| disk.owner = None);
    }

    /// As it goes back into the pool: off, whole, nothing in its drive. Its disks are not touched.
    pub(crate) fn reset(&mut self) {
        self.running = false;
        self.media = None;
        self.memory_mib = self.built_memory_mib;
    }
}
