//! The content of a simulated file: what it is, and what a loss of power would take back.

use std::collections::BTreeMap;
use std::io;

/// Discs write whole sectors: one survives or it does not.
const SECTOR_BYTES: u64 = 512;

type Sector = Box<[u8; SECTOR_BYTES as usize]>;

/// Sectors that were never written are zeros.
#[derive(Debug, Default)]
pub(super) struct Content {
    sectors: BTreeMap<u64, Sector>,
    len: u64,
    /// What the sectors that were written since the last sync held before.
    unsynced: BTreeMap<u64, Option<Sector>>,
    /// How long it was at the last sync.
    synced_len: u64,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        if offset + bytes.len() as u64 > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.fill(0);
        let (first, end) = (offset / SECTOR_BYTES, offset + bytes.len() as u64);
        for (&number, sector) in self.sectors.range(first..) {
            let start = number * SECTOR_BYTES;
            if start >= end {
                break;
            }
            let (from, to) = (start.max(offset), (start + SECTOR_BYTES).min(end));
            let piece = sector.get((from - start) as usize..(to - start) as usize);
            let place = bytes.get_mut((from - offset) as usize..(to - offset) as usize);
            if let (Some(piece), Some(place)) = (piece, place) {
                place.copy_from_slice(piece);
            }
        }
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (number, within) = (at / SECTOR_BYTES, (at % SECTOR_BYTES) as usize);
            let count = rest.len().min(SECTOR_BYTES as usize - within);
            let (piece, later) = rest.split_at(count);
            self.write_sector(number, within, piece);
            (at, rest) = (at + count as u64, later);
        }
        self.len = self.len.max(at);
    }

    fn write_sector(&mut self, number: u64, within: usize, piece: &[u8]) {
        let before = self.sectors.get(&number);
        // Zeros over zeros change nothing, and preallocated files are full of them.
        if before.is_none() && piece.iter().all(|byte| *byte == 0) {
            return;
        }
        self.unsynced.entry(number).or_insert_with(|| before.cloned());
        let sector = self.sectors.entry(number).or_insert_with(|| Box::new([0; SECTOR_BYTES as usize]));
        if let Some(place) = sector.get_mut(within..within + piece.len()) {
            place.copy_from_slice(piece);
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let cut = vec![0; (len.next_multiple_of(SECTOR_BYTES).min(self.len) - len) as usize];
            self.write(&cut, len);
            for (number, sector) in self.sectors.split_off(&len.div_ceil(SECTOR_BYTES)) {
                self.unsynced.entry(number).or_insert(Some(sector));
            }
        }
        self.len = len;
    }

    pub(super) fn sync(&mut self) {
        self.unsynced.clear();
        self.synced_len = self.len;
    }

    /// The power fails: each sector that was not synced is there or is not, as `survives` says, and so is the length.
    pub(super) fn lose_power(&mut self, mut survives: impl FnMut() -> bool) {
        for (number, before) in std::mem::take(&mut self.unsynced) {
            if survives() {
                continue;
            }
            match before {
                Some(sector) => self.sectors.insert(number, sector),
                None => self.sectors.remove(&number),
            };
        }
        if self.len != self.synced_len && !survives() {
            self.len = self.synced_len;
        }
        let end = self.len.div_ceil(SECTOR_BYTES);
        drop(self.sectors.split_off(&end));
        self.synced_len = self.len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(content: &Content) -> Vec<u8> {
        let mut bytes = vec![0; content.len() as usize];
        content.read(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn what_was_written_is_read_across_sectors() {
        let mut content = Content::default();
        content.write(&[7; 1000], 300);
        assert_eq!(content.len(), 1300);
        assert_eq!(all(&content), [vec![0; 300], vec![7; 1000]].concat());
        assert!(content.read(&mut [0; 2], 1299).is_err());
    }

    #[test]
    fn a_loss_of_power_takes_back_what_was_not_synced() {
        let mut content = Content::default();
        content.write(b"synced", 0);
        content.sync();
        content.write(b"LOST", 0);
        content.write(b"far", 5000);
        content.lose_power(|| false);
        assert_eq!(all(&content), b"synced");
    }

    #[test]
    fn a_cut_is_taken_back_too() {
        let mut content = Content::default();
        content.write(&[1; 2000], 0);
        content.sync();
        content.set_len(100);
        assert_eq!(content.len(), 100);
        content.lose_power(|| false);
        assert_eq!(all(&content), vec![1; 2000]);
        content.set_len(100);
        content.sync();
        content.set_len(300);
        assert_eq!(all(&content), [vec![1; 100], vec![0; 200]].concat());
    }
}
