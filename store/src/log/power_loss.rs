//! Simulated power loss, for crash tests: the files as they would be had the machine stopped.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::entry::SyncedMark;
use super::segment;
use crate::files::OsFiles;

/// Discs write whole sectors: one survives or it does not.
const SECTOR_BYTES: u64 = 512;

/// Takes back everything in the log's directory that no sync covered: what a power loss may do at worst.
///
/// The log must not be open; take [`RaftLog::synced`](super::RaftLog::synced) before dropping it.
///
/// # Errors
/// If a file cannot be changed.
#[doc(hidden)]
pub fn simulate_power_loss(dir: &Path, mark: SyncedMark) -> io::Result<()> {
    lose(dir, mark, |_| false)
}

/// As [`simulate_power_loss`], but each unsynced sector survives or not, as a coin thrown from `seed` decides: the torn
/// and reordered writes of a real power loss.
///
/// # Errors
/// If a file cannot be changed.
#[doc(hidden)]
pub fn simulate_torn_power_loss(dir: &Path, mark: SyncedMark, seed: u64) -> io::Result<()> {
    lose(dir, mark, |sector| {
        // A multiplicative hash is coin enough.
        let mixed = (sector ^ seed.rotate_left(17)).wrapping_add(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 63 == 1
    })
}

fn lose(dir: &Path, mark: SyncedMark, survives: impl Fn(u64) -> bool) -> io::Result<()> {
    // A segment gets its name only when it is synced, so one behind the mark cannot exist; its creation may be under way.
    segment::list(dir, &OsFiles).map_err(io::Error::other)?;
    let path = segment::segment_path(dir, mark.segment);
    let file = OpenOptions::new().write(true).open(&path)?;
    let bytes = fs::metadata(&path)?.len();
    let mut start = mark.offset;
    while start < bytes {
        let end = ((start / SECTOR_BYTES + 1) * SECTOR_BYTES).min(bytes);
        if !survives(start / SECTOR_BYTES) {
            let lost = usize::try_from(end - start).map_err(io::Error::other)?;
            file.write_all_at(&vec![0; lost], start)?;
        }
        start = end;
    }
    file.sync_all()
}
