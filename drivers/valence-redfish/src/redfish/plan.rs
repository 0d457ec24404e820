//! Which blocks: of all sets within one zone that hold what is wanted, the one that wastes least. A block comes whole, so what it has beyond
//! the wish is lost to others. The search is a branch and bound over the open wish, cores first; it ends after so many steps with the best
//! that it has.

use super::block::Block;
use super::want::Want;

/// A release, a check and a reservation read every block, and a call has few requests.
pub(crate) const MOST_BLOCKS: usize = 12;
const MOST_STEPS: u32 = 20_000;

/// The chosen blocks. `zones`: which blocks may be combined, as indexes; none fits: none.
pub(crate) fn choose(blocks: &[Block], zones: &[Vec<usize>], want: &Want) -> Option<Vec<Block>> {
    let mut search = Search { blocks, zone: &[], best: None, steps: 0 };
    for zone in zones {
        search.zone = zone;
        search.steps = 0;
        search.go(&mut Vec::new(), 0, &Open::of(want));
    }
    let (_, chosen) = search.best?;
    Some(chosen.into_iter().map(|at| blocks[at].clone()).collect())
}

struct Search<'a> {
    blocks: &'a [Block],
    zone: &'a [usize],
    /// With its cost.
    best: Option<(u64, Vec<usize>)>,
    steps: u32,
}

/// What is still wanted.
#[derive(Clone)]
struct Open {
    cores: u32,
    memory_mib: u64,
    disks_gib: Vec<u64>,
    nics_mbps: Vec<u32>,
}

impl Search<'_> {
    fn go(&mut self, chosen: &mut Vec<usize>, cost: u64, open: &Open) {
        self.steps += 1;
        if self.best.as_ref().is_some_and(|(best, _)| cost >= *best) {
            return;
        }
        if open.is_met() {
            self.best = Some((cost, chosen.clone()));
            return;
        }
        if chosen.len() == MOST_BLOCKS {
            return;
        }
        let mut tried: Vec<&Block> = Vec::new();
        for at in self.candidates(chosen, open) {
            let block = &self.blocks[at];
            if self.steps >= MOST_STEPS {
                return;
            }
            // One of several alike stands for all.
            if tried.iter().any(|other| other.is_like(block)) {
                continue;
            }
            tried.push(block);
            chosen.push(at);
            self.go(chosen, cost + weight(block), &open.without(block));
            chosen.pop();
        }
    }

    /// The blocks that bring something of the next wish: those first that meet it by themselves, the lightest first.
    fn candidates(&self, chosen: &[usize], open: &Open) -> Vec<usize> {
        let fits = |at: &&usize| !chosen.contains(at) && open.first_is_served_by(&self.blocks[**at]).is_some();
        let mut candidates: Vec<usize> = self.zone.iter().filter(fits).copied().collect();
        candidates.sort_by_key(|at| {
            let block = &self.blocks[*at];
            (open.first_is_served_by(block) != Some(true), weight(block))
        });
        candidates
    }
}

impl Open {
    fn of(want: &Want) -> Self {
        let Want { cores, memory_mib, disks_gib, nics_mbps } = want.clone();
        Self { cores, memory_mib, disks_gib, nics_mbps }
    }

    fn is_met(&self) -> bool {
        self.cores == 0 && self.memory_mib == 0 && self.disks_gib.is_empty() && self.nics_mbps.is_empty()
    }

    /// Whether a block brings what is looked for next, and whether it brings all of that. None: nothing.
    fn first_is_served_by(&self, block: &Block) -> Option<bool> {
        if self.cores > 0 {
            return (block.cores > 0).then_some(block.cores >= self.cores);
        }
        if self.memory_mib > 0 {
            return (block.memory_mib > 0).then_some(block.memory_mib >= self.memory_mib);
        }
        if let Some(largest) = self.disks_gib.first() {
            return block.disks.iter().any(|disk| disk.gib >= *largest).then_some(true);
        }
        let fastest = self.nics_mbps.first()?;
        block.nics.iter().any(|nic| nic.mbps >= *fastest).then_some(true)
    }

    /// What a block leaves open. Each wish takes the smallest piece that serves it.
    fn without(&self, block: &Block) -> Self {
        let sizes = block.disks.iter().map(|disk| disk.gib).collect();
        let speeds = block.nics.iter().map(|nic| nic.mbps).collect();
        Self {
            cores: self.cores.saturating_sub(block.cores),
            memory_mib: self.memory_mib.saturating_sub(block.memory_mib),
            disks_gib: unserved(&self.disks_gib, sizes),
            nics_mbps: unserved(&self.nics_mbps, speeds),
        }
    }
}

fn unserved<T: Copy + Ord>(wishes: &[T], mut pieces: Vec<T>) -> Vec<T> {
    pieces.sort();
    let mut left = Vec::new();
    for wish in wishes {
        match pieces.iter().position(|piece| piece >= wish) {
            Some(at) => {
                pieces.remove(at);
            }
            None => left.push(*wish),
        }
    }
    left
}

/// How much is lost to others with this block, in MiB of memory or what is worth as much.
fn weight(block: &Block) -> u64 {
    let disks: u64 = block.disks.iter().map(|disk| disk.gib).sum();
    256 + u64::from(block.cores) * 2_048 + block.memory_mib + disks * 16 + block.nics.len() as u64 * 64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::block::{Disk, Nic};
    use super::*;

    fn compute(name: &str, cores: u32, memory_mib: u64) -> Block {
        let nics = vec![Nic { mac: None, mbps: 1_000 }];
        Block { path: name.into(), cores, memory_mib, nics, ..Block::default() }
    }

    fn storage(name: &str, sizes: &[u64]) -> Block {
        let disks = sizes.iter().map(|gib| Disk { gib: *gib, ..Disk::default() }).collect();
        Block { path: name.into(), disks, ..Block::default() }
    }

    fn want(cores: u32, memory_mib: u64, disks_gib: &[u64]) -> Want {
        Want { cores, memory_mib, disks_gib: disks_gib.to_vec(), nics_mbps: vec![] }
    }

    fn chosen(blocks: &[Block], want: &Want) -> Option<Vec<String>> {
        chosen_in(blocks, &[(0..blocks.len()).collect()], want)
    }

    fn chosen_in(blocks: &[Block], zones: &[Vec<usize>], want: &Want) -> Option<Vec<String>> {
        let mut names: Vec<String> = choose(blocks, zones, want)?.into_iter().map(|block| block.path).collect();
        names.sort();
        Some(names)
    }

    #[test]
    fn the_smallest_block_that_fits_is_taken() {
        let blocks = [compute("big", 16, 65_536), compute("small", 4, 8_192), compute("middle", 8, 16_384)];
        assert_eq!(chosen(&blocks, &want(4, 8_192, &[])).unwrap(), ["small"]);
        assert_eq!(chosen(&blocks, &want(6, 8_192, &[])).unwrap(), ["middle"]);
    }

    #[test]
    fn several_small_blocks_beat_one_that_wastes_more() {
        let blocks = [compute("huge", 64, 262_144), compute("a", 4, 8_192), compute("b", 4, 8_192)];
        assert_eq!(chosen(&blocks, &want(8, 16_384, &[])).unwrap(), ["a", "b"]);
    }

    #[test]
    fn each_disk_that_is_wanted_gets_one_of_its_own() {
        let blocks = [compute("c", 4, 8_192), storage("d100", &[100]), storage("d50", &[50]), storage("d200", &[200])];
        assert_eq!(chosen(&blocks, &want(4, 8_192, &[100])).unwrap(), ["c", "d100"]);
        assert_eq!(chosen(&blocks, &want(4, 8_192, &[60, 40])).unwrap(), ["c", "d100", "d50"]);
        assert_eq!(chosen(&blocks, &want(4, 8_192, &[150, 150])), None);
        let two =
            [compute("c", 4, 8_192), storage("pair", &[100, 100]), storage("d500", &[500]), storage("e500", &[500])];
        assert_eq!(chosen(&two, &want(4, 8_192, &[100, 100])).unwrap(), ["c", "pair"]);
    }

    #[test]
    fn blocks_of_two_zones_are_not_combined() {
        let blocks = [compute("c1", 4, 8_192), compute("c2", 16, 65_536), storage("s2", &[100])];
        let zones = [vec![0], vec![1, 2]];
        assert_eq!(chosen_in(&blocks, &zones, &want(4, 8_192, &[100])).unwrap(), ["c2", "s2"]);
        assert_eq!(chosen_in(&blocks, &zones, &want(4, 8_192, &[])).unwrap(), ["c1"]);
        assert_eq!(chosen_in(&blocks, &[vec![0], vec![2]], &want(4, 8_192, &[100])), None);
    }

    #[test]
    fn processors_and_memory_in_blocks_of_their_own_are_joined() {
        let blocks = [
            Block { memory_mib: 0, ..compute("cpu", 8, 0) },
            Block { cores: 0, nics: vec![], ..compute("ram1", 0, 8_192) },
            Block { cores: 0, nics: vec![], ..compute("ram2", 0, 32_768) },
        ];
        assert_eq!(chosen(&blocks, &want(8, 8_192, &[])).unwrap(), ["cpu", "ram1"]);
        assert_eq!(chosen(&blocks, &want(8, 40_000, &[])).unwrap(), ["cpu", "ram1", "ram2"]);
    }

    #[test]
    fn an_interface_must_be_as_fast_as_it_is_wanted() {
        let blocks = [
            compute("slow", 8, 8_192),
            Block { nics: vec![Nic { mac: None, mbps: 25_000 }], ..compute("fast", 16, 16_384) },
        ];
        let fast = Want { nics_mbps: vec![10_000], ..want(8, 8_192, &[]) };
        assert_eq!(chosen(&blocks, &fast).unwrap(), ["fast"]);
    }

    #[test]
    fn a_large_pool_of_equal_blocks_is_searched_in_no_time_and_a_hopeless_one_ends() {
        let mut blocks: Vec<Block> = (0..96).map(|at| compute(&format!("c{at}"), 2, 4_096)).collect();
        blocks.extend((0..96).map(|at| storage(&format!("s{at}"), &[100 + at])));
        assert_eq!(chosen(&blocks, &want(16, 32_768, &[150, 100])).unwrap().len(), 10);
        assert_eq!(chosen(&blocks, &want(64, 32_768, &[150])), None);
    }
}
