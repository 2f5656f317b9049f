//! What becomes of bytes on a disc: bits flip, sectors and pages read as zeros, files lose their end.

const SECTOR_BYTES: u64 = 512;
const PAGE_BYTES: u64 = 4096;

/// What becomes of a file around one of its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Damage {
    Flip {
        bit: u32,
    },
    /// The sector or page around the byte reads as zeros, as after a write that never reached the disc.
    Zeroed {
        bytes: u64,
    },
    /// The file ends before the byte.
    CutOff,
}

impl Damage {
    /// The kinds in turn: of eleven damages eight are flips.
    pub(crate) fn number(number: u64, numbers: &mut Numbers) -> Self {
        match number % 11 {
            8 => Self::Zeroed { bytes: SECTOR_BYTES },
            9 => Self::Zeroed { bytes: PAGE_BYTES },
            10 => Self::CutOff,
            _ => Self::Flip { bit: numbers.below(8) as u32 },
        }
    }

    /// Damages a file's bytes; false if that left them as they were.
    pub(crate) fn strike(self, bytes: &mut Vec<u8>, at: u64) -> bool {
        match self {
            Self::Flip { bit } => bytes[at as usize] ^= 1 << bit,
            Self::CutOff => bytes.truncate(at as usize),
            Self::Zeroed { bytes: block } => {
                let start = (at - at % block) as usize;
                let end = (start + block as usize).min(bytes.len());
                if bytes[start..end].iter().all(|byte| *byte == 0) {
                    return false;
                }
                bytes[start..end].fill(0);
            }
        }
        true
    }
}

/// A generator of its own (SplitMix64), so that a number says which damages were tried.
#[derive(Debug)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// How many damages to try, and the numbers that choose them: as `cargo xtask flips` asks, or the given count.
pub(crate) fn asked(count: u64) -> (u64, Numbers) {
    let asked =
        |name, default| std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default);
    (asked("TABULARAFT_FLIPS", count), Numbers(asked("TABULARAFT_FLIPS_SEED", 1)))
}
