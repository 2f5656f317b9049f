//! What happens to a table while its records are on their way from a peer.

use crate::LogIndex;
use crate::effect::Effect;

/// The effects on a table that is being loaded, to be applied to the records when these have arrived. Bounded: when
/// it is full it starts again, and only a copy taken from then on can be used.
pub(crate) struct LoadBuffer {
    /// The buffer holds every effect on the table after this log index.
    floor: LogIndex,
    /// Each with the record version that the table had then.
    effects: Vec<(u64, Effect, u32)>,
    bytes: usize,
    bytes_max: usize,
}

/// What an effect takes besides key and value.
const EFFECT_OVERHEAD_BYTES: usize = 128;

impl LoadBuffer {
    pub(crate) fn new(floor: LogIndex, bytes_max: usize) -> Self {
        Self { floor, effects: Vec::new(), bytes: 0, bytes_max }
    }

    pub(crate) fn floor(&self) -> LogIndex {
        self.floor
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps an effect of the entry at `index`. Effects come in the order of the log.
    pub(crate) fn push(&mut self, index: u64, effect: &Effect, record_version: u32) {
        let bytes = EFFECT_OVERHEAD_BYTES + payload_bytes(effect);
        if self.bytes + bytes > self.bytes_max {
            tracing::warn!(
                index,
                "too much was written to a table while it was loaded, its copy starts again"
            );
            *self = Self::new(LogIndex(index), self.bytes_max);
            return;
        }
        // A restarted buffer must not keep the second half of an entry whose first half it has dropped.
        if index > self.floor.0 {
            self.bytes += bytes;
            self.effects.push((index, effect.clone(), record_version));
        }
    }

    pub(crate) fn into_effects(self) -> impl Iterator<Item = (u64, Effect, u32)> {
        self.effects.into_iter()
    }
}

fn payload_bytes(effect: &Effect) -> usize {
    match effect {
        Effect::Put { key, value, .. } => key.len() + value.len(),
        Effect::Delete { key, .. } => key.len(),
        _ => 0,
    }
}
