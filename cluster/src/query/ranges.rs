//! Conditions that are ranges of encoded values.

use std::ops::Bound;

use tabularaft_schema::{FieldType, Value};
use tabularaft_store::IndexBounds;

use super::filter::Condition;

/// The ranges of encoded values that meet the condition, in ascending order and apart from each other; `None` if no
/// range says it.
pub(super) fn of(value_type: &FieldType, condition: &Condition) -> Option<Vec<IndexBounds>> {
    let key = |value: &Value| value_type.key_of_value(value).ok();
    let one = |low: Bound<&Value>, high: Bound<&Value>| {
        let encode = |bound: Bound<&Value>| match bound {
            Bound::Included(value) => key(value).map(Bound::Included),
            Bound::Excluded(value) => key(value).map(Bound::Excluded),
            Bound::Unbounded => Some(Bound::Unbounded),
        };
        let (low, high) = (encode(low)?, encode(high)?);
        let bounds = IndexBounds::values(
            low.as_ref().map(tabularaft_schema::Key::as_bytes),
            high.as_ref().map(tabularaft_schema::Key::as_bytes),
        );
        Some(vec![bounds])
    };
    // A missing value comes before all others, and is less than none of them.
    let lowest = match value_type {
        FieldType::Optional(_) => Bound::Excluded(&Value::Null),
        _ => Bound::Unbounded,
    };
    match condition {
        Condition::Eq(value) => one(Bound::Included(value), Bound::Included(value)),
        Condition::Lt(limit) => one(lowest, Bound::Excluded(limit)),
        Condition::Le(limit) => one(lowest, Bound::Included(limit)),
        Condition::Gt(limit) => one(Bound::Excluded(limit), Bound::Unbounded),
        Condition::Ge(limit) => one(Bound::Included(limit), Bound::Unbounded),
        Condition::Between(low, high) => one(Bound::Included(low), Bound::Included(high)),
        Condition::Prefix(prefix) => {
            value_type.key_prefix_of_text(prefix).map(|prefix| vec![IndexBounds::prefix(&prefix)])
        }
        Condition::In(values) => {
            let mut keys = values.iter().map(key).collect::<Option<Vec<_>>>()?;
            keys.sort_unstable();
            keys.dedup();
            Some(keys.iter().map(|key| IndexBounds::value(key)).collect())
        }
        Condition::Contains(_) => None,
    }
}

/// The same ranges behind a common beginning: of compound keys whose first fields are known.
pub(super) fn behind(prefix: &[u8], bounds: IndexBounds) -> IndexBounds {
    let whole = IndexBounds::prefix(prefix);
    let join = |bound: Bound<Vec<u8>>, otherwise: Bound<Vec<u8>>| match bound {
        Bound::Included(bytes) => Bound::Included([prefix, &bytes].concat()),
        Bound::Excluded(bytes) => Bound::Excluded([prefix, &bytes].concat()),
        Bound::Unbounded => otherwise,
    };
    IndexBounds { low: join(bounds.low, whole.low), high: join(bounds.high, whole.high) }
}

/// What lies in both ranges.
pub(super) fn both(a: IndexBounds, b: IndexBounds) -> IndexBounds {
    let place = |bound: &Bound<Vec<u8>>, excluded: bool| match bound {
        Bound::Included(bytes) => Some((bytes.clone(), false)),
        Bound::Excluded(bytes) => Some((bytes.clone(), excluded)),
        Bound::Unbounded => None,
    };
    // At equal bytes the bound that leaves them out is the tighter one, at either end.
    let low = if place(&a.low, true) >= place(&b.low, true) { a.low } else { b.low };
    let high = match (place(&a.high, true), place(&b.high, true)) {
        (None, _) => b.high,
        (_, None) => a.high,
        (Some((a_end, _)), Some((b_end, _))) if a_end < b_end => a.high,
        (Some((a_end, _)), Some((b_end, _))) if a_end > b_end => b.high,
        (Some((_, true)), _) => a.high,
        _ => b.high,
    };
    IndexBounds { low, high }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tighter_bound_of_two_counts() {
        let bounds = |low: u8, high: u8| IndexBounds {
            low: Bound::Included(vec![low]),
            high: Bound::Excluded(vec![high]),
        };
        assert_eq!(both(bounds(1, 5), bounds(3, 9)), bounds(3, 5));
        assert_eq!(both(IndexBounds::ALL, bounds(3, 9)), bounds(3, 9));
        assert_eq!(both(bounds(3, 9), IndexBounds::ALL), bounds(3, 9));
        let open = IndexBounds { low: Bound::Excluded(vec![3]), high: Bound::Included(vec![9]) };
        let tight = IndexBounds { low: Bound::Excluded(vec![3]), high: Bound::Excluded(vec![9]) };
        assert_eq!(both(bounds(3, 9), open), tight);
    }
}
