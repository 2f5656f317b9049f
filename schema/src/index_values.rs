//! The values under which one record stands in one index.

/// Distinct encoded values in ascending order. Emptied and filled again for each record, so that it allocates rarely.
#[derive(Clone, Debug, Default)]
pub struct IndexValues {
    bytes: Vec<u8>,
    /// Where each value begins and ends in `bytes`.
    places: Vec<(usize, usize)>,
}

impl IndexValues {
    /// The values in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| self.at(*place))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether the record stands nowhere in the index.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether this value is among them.
    #[must_use]
    pub fn contains(&self, value: &[u8]) -> bool {
        self.places.binary_search_by(|place| self.at(*place).cmp(value)).is_ok()
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }

    /// Adds the value that `append` writes.
    pub(crate) fn push(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        append(&mut self.bytes);
        self.places.push((start, self.bytes.len()));
    }

    /// As [`push`](Self::push); a failed value is not added.
    pub(crate) fn try_push<E>(
        &mut self,
        append: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        append(&mut self.bytes)?;
        self.places.push((start, self.bytes.len()));
        Ok(())
    }

    /// Brings the values in order and leaves one of each.
    pub(crate) fn settle(&mut self) {
        if self.places.len() > 1 {
            let bytes = &self.bytes;
            let at = |place: &(usize, usize)| bytes.get(place.0..place.1).unwrap_or_default();
            self.places.sort_unstable_by(|a, b| at(a).cmp(at(b)));
            self.places.dedup_by(|a, b| at(a) == at(b));
        }
    }

    fn at(&self, (start, end): (usize, usize)) -> &[u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }
}

impl PartialEq for IndexValues {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}
