use crate::memory::page::Page;

/// The separators left and right of a node: `low <= key < high` for every key that a search leads there.
///
/// All such keys share the prefix that the two fences share. So pages need not look at it: their heads hold the four
/// bytes behind it, which tell neighbours apart even if all keys of the table begin alike.
///
/// Reading separators costs cache misses and only splits and joins need them, so on the way
/// down fences only remember where they are.
#[derive(Clone, Copy, Default)]
pub(super) struct Fences<'a> {
    low: Fence<'a>,
    high: Fence<'a>,
}

#[derive(Clone, Copy, Default)]
enum Fence<'a> {
    /// There is no limit.
    #[default]
    Open,
    At(&'a [u8]),
    /// The separator at this position of the page.
    Separator(&'a Page, usize),
}

impl<'a> Fence<'a> {
    fn key(self) -> Option<&'a [u8]> {
        match self {
            Self::Open => None,
            Self::At(key) => Some(key),
            Self::Separator(page, position) => Some(page.key(position)),
        }
    }
}

impl<'a> Fences<'a> {
    /// The fences of the child at `position` of a node whose separators and fences these are.
    pub(super) fn of_child(self, separators: &'a Page, position: usize) -> Self {
        self.of_children(separators, position, position)
    }

    /// The fences of the run of children from `first` to `last`.
    pub(super) fn of_children(self, separators: &'a Page, first: usize, last: usize) -> Self {
        let low = first.checked_sub(1).map(|before| Fence::Separator(separators, before));
        let high = (last < separators.len()).then_some(Fence::Separator(separators, last));
        Self { low: low.unwrap_or(self.low), high: high.unwrap_or(self.high) }
    }

    /// Fences at these separators, or open where there is none.
    pub(super) fn between(low: Option<&'a [u8]>, high: Option<&'a [u8]>) -> Self {
        Self { low: low.map_or(Fence::Open, Fence::At), high: high.map_or(Fence::Open, Fence::At) }
    }

    pub(super) fn up_to(self, separator: &'a [u8]) -> Self {
        Self { high: Fence::At(separator), ..self }
    }

    pub(super) fn from(self, separator: &'a [u8]) -> Self {
        Self { low: Fence::At(separator), ..self }
    }

    /// Whether keys above all others lead here.
    pub(super) fn is_last(self) -> bool {
        matches!(self.high, Fence::Open)
    }

    #[cfg(test)]
    pub(super) fn enclose(self, key: &[u8]) -> bool {
        self.low.key().is_none_or(|low| low <= key) && self.high.key().is_none_or(|high| key < high)
    }

    /// How many bytes all keys between the fences share.
    pub(super) fn shared_bytes(self) -> u32 {
        let (Some(low), Some(high)) = (self.low.key(), self.high.key()) else { return 0 };
        let shared = low.iter().zip(high).take_while(|(low, high)| low == high).count();
        u32::try_from(shared).unwrap_or(0)
    }
}

/// The four bytes of the key that follow the shared ones, as a number that sorts like them.
///
/// A key that ends earlier is filled up with zeros, so different keys may have the same head; the order is never wrong.
#[inline]
pub(super) fn head(key: &[u8], shared_bytes: u32) -> u32 {
    let rest = key.get(shared_bytes as usize..).unwrap_or_default();
    if let Some(head) = rest.first_chunk::<4>() {
        return u32::from_be_bytes(*head);
    }
    let mut head = [0; 4];
    for (to, from) in head.iter_mut().zip(rest) {
        *to = *from;
    }
    u32::from_be_bytes(head)
}

/// The shortest key that is above `left` and not above `right`, given `left < right`.
pub(super) fn separator<'a>(left: &[u8], right: &'a [u8]) -> &'a [u8] {
    let shared = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    right.get(..=shared).expect("the right key is above the left one, so it goes on where they part")
}
