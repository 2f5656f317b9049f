//! The choice of a way to the records: the one on which the fewest are looked at.

use tabularaft_schema::{FieldType, IndexOn};
use tabularaft_store::{IndexBounds, IndexView, TableView};

use super::compiled::Compiled;
use super::filter::{Condition, Filter, Subject};
use super::plan::{Access, Chosen, Path};
use super::ranges;

/// So many entries are counted for an estimate, and no more: it must cost less than what it may save.
const COUNTED_MAX: usize = 1_000;
/// An index is used for its order alone if no more than so many records are wanted: each costs a look-up.
const ORDERED_LIMIT_MAX: usize = 10_000;

/// The best way. `order`: the field by which the records are wanted in order, and how many of them.
pub(super) fn choose(copy: &TableView, filter: &Compiled, order: Option<(&str, Option<usize>)>) -> Chosen {
    let conjuncts = filter.filter.conjuncts();
    let mut best = scan(copy);
    for candidate in by_key(copy, &conjuncts).into_iter().chain(by_indexes(copy, &conjuncts)) {
        let is_better = match (&candidate.path, &best.path) {
            (_, Path::Scan) => true,
            (_, Path::Keys(_)) => false,
            (Path::Keys(_), _) => true,
            _ => candidate.rows < best.rows,
        };
        if is_better {
            best = candidate;
        }
    }
    match (&best.path, order) {
        (Path::Scan, Some((field, Some(limit)))) if limit <= ORDERED_LIMIT_MAX => {
            in_order(copy, field).unwrap_or(best)
        }
        _ => best,
    }
}

/// Whether records come in the order of this field on this way.
pub(super) fn is_in_order(copy: &TableView, path: &Path, field: &str) -> bool {
    match path {
        Path::Index { index, .. } => {
            let on =
                copy.indexes().iter().find(|known| known.def().name == *index).map(|known| &known.def().on);
            matches!(on, Some(IndexOn::Field(of)) if of == field)
        }
        Path::Keys(_) | Path::KeyRanges(_) => is_first_key_field(copy, field),
        Path::Scan => copy.is_ordered() && is_first_key_field(copy, field),
    }
}

fn is_first_key_field(copy: &TableView, field: &str) -> bool {
    copy.def().key.first().is_some_and(|first| first == field)
}

fn scan(copy: &TableView) -> Chosen {
    Chosen { path: Path::Scan, access: Access::Scan, rows: copy.len(), rows_exact: true, covered: Vec::new() }
}

/// The index over this field, if all records stand in it in order.
fn in_order(copy: &TableView, field: &str) -> Option<Chosen> {
    let is_it = |index: &&IndexView| matches!(&index.def().on, IndexOn::Field(of) if of == field);
    let index = copy.indexes().iter().filter(|index| index.is_ready()).find(is_it)?;
    let name = index.def().name.clone();
    Some(Chosen {
        path: Path::Index { index: name.clone(), ranges: vec![IndexBounds::ALL], repeats: false },
        access: Access::Index { index: name, condition: None },
        rows: copy.len(),
        rows_exact: true,
        covered: Vec::new(),
    })
}

/// By the key: its first fields equal to values, and perhaps a range of the next one.
fn by_key(copy: &TableView, conjuncts: &[&Filter]) -> Option<Chosen> {
    let (mut prefix, mut covered, mut said) = (Vec::new(), Vec::new(), Vec::new());
    let mut ranged = None;
    let mut whole = true;
    for field in copy.def().key_fields() {
        let tests = tests_of(conjuncts, &Subject::Field(field.name.clone()));
        let equal = tests.iter().find_map(|(place, condition)| match condition.as_ref() {
            Condition::Eq(value) => Some((*place, value)),
            _ => None,
        });
        if let Some((place, value)) = equal {
            prefix.extend(field.field_type.key_of_value(value).ok()?.into_bytes());
            covered.push(place);
            said.push(conjuncts.get(place)?.to_string());
            continue;
        }
        whole = false;
        ranged = ranges_of(&field.field_type, &tests);
        break;
    }
    if let Some((ranges, places)) = ranged {
        said.extend(places.iter().filter_map(|place| conjuncts.get(*place)).map(ToString::to_string));
        covered.extend(places);
        let is_last = covered_fields(copy, &prefix) + 1 == copy.def().key.len();
        let keys: Option<Vec<_>> = ranges.iter().map(|range| exact_key(&prefix, range)).collect();
        if let Some(keys) = keys.filter(|_| is_last) {
            return Some(keys_chosen(keys, said, covered));
        }
        let ranges = ranges.into_iter().map(|range| ranges::behind(&prefix, range)).collect();
        return key_ranges(copy, ranges, said, covered);
    }
    match (whole, prefix.is_empty()) {
        (true, _) => Some(keys_chosen(vec![prefix], said, covered)),
        (false, true) => None,
        (false, false) => key_ranges(copy, vec![IndexBounds::prefix(&prefix)], said, covered),
    }
}

/// How many key fields the prefix consists of.
fn covered_fields(copy: &TableView, prefix: &[u8]) -> usize {
    let mut rest = prefix;
    let mut count = 0;
    for field in copy.def().key_fields() {
        let Some((_, after)) = field.field_type.split_key(rest).filter(|_| !rest.is_empty()) else { break };
        rest = after;
        count += 1;
    }
    count
}

/// The one key of a range that holds only one.
fn exact_key(prefix: &[u8], range: &IndexBounds) -> Option<Vec<u8>> {
    let std::ops::Bound::Included(low) = &range.low else { return None };
    (IndexBounds::value(low) == *range).then(|| [prefix, low].concat())
}

fn keys_chosen(keys: Vec<Vec<u8>>, said: Vec<String>, covered: Vec<usize>) -> Chosen {
    Chosen {
        rows: keys.len() as u64,
        rows_exact: true,
        access: Access::Key { condition: said.join(" and ") },
        path: Path::Keys(keys),
        covered,
    }
}

/// A set in memory has no order in which a range could be found.
fn key_ranges(
    copy: &TableView,
    ranges: Vec<IndexBounds>,
    said: Vec<String>,
    covered: Vec<usize>,
) -> Option<Chosen> {
    if !copy.is_ordered() {
        return None;
    }
    let counted: usize =
        ranges.iter().map(|range| copy.range(bytes_of(range), false, Some(COUNTED_MAX)).count()).sum();
    Some(Chosen {
        path: Path::KeyRanges(ranges),
        access: Access::KeyRange { condition: said.join(" and ") },
        rows: counted as u64,
        rows_exact: counted < COUNTED_MAX,
        covered,
    })
}

fn by_indexes(copy: &TableView, conjuncts: &[&Filter]) -> Vec<Chosen> {
    let ready = copy.indexes().iter().filter(|index| index.is_ready());
    ready.filter_map(|index| by_index(index, conjuncts)).collect()
}

fn by_index(index: &IndexView, conjuncts: &[&Filter]) -> Option<Chosen> {
    let name = &index.def().name;
    let value_type = index.value_type()?;
    let of_index = tests_of(conjuncts, &Subject::Index(name.clone()));
    let tests = match &index.def().on {
        IndexOn::Field(field) => tests_of(conjuncts, &Subject::Field(field.clone())),
        // A list with this item is a record with this value.
        IndexOn::Each(field) => items_of(conjuncts, field),
        IndexOn::Function(_) => Vec::new(),
        _ => Vec::new(),
    };
    let single = matches!(index.def().on, IndexOn::Field(_));
    // A record with several values may meet two conditions with two of them, which no one range says.
    let tests = if single {
        [tests, of_index].concat()
    } else {
        [tests, of_index].concat().into_iter().take(1).collect()
    };
    let (ranges, covered) = ranges_of(value_type, &tests)?;
    let counted: usize =
        ranges.iter().map(|range| index.entries(range, false).take(COUNTED_MAX).count()).sum();
    let one_value = matches!(ranges.as_slice(), [only] if exact_key(&[], only).is_some());
    let said: Vec<_> =
        covered.iter().filter_map(|place| conjuncts.get(*place)).map(ToString::to_string).collect();
    Some(Chosen {
        path: Path::Index { index: name.clone(), ranges, repeats: !single && !one_value },
        access: Access::Index { index: name.clone(), condition: Some(said.join(" and ")) },
        rows: counted as u64,
        rows_exact: counted < COUNTED_MAX,
        covered,
    })
}

/// The conditions on this subject that all records have to meet, with their places among the conjuncts.
fn tests_of<'f>(conjuncts: &[&'f Filter], of: &Subject) -> Vec<(usize, std::borrow::Cow<'f, Condition>)> {
    let test = |(place, filter): (usize, &&'f Filter)| match filter {
        Filter::Test(subject, condition) if subject == of => {
            Some((place, std::borrow::Cow::Borrowed(condition)))
        }
        _ => None,
    };
    conjuncts.iter().enumerate().filter_map(test).collect()
}

/// The items that the list in this field has to hold.
fn items_of<'f>(conjuncts: &[&'f Filter], field: &str) -> Vec<(usize, std::borrow::Cow<'f, Condition>)> {
    let tests = tests_of(conjuncts, &Subject::Field(field.to_owned()));
    let item = |(place, condition): (usize, std::borrow::Cow<'f, Condition>)| match condition.as_ref() {
        Condition::Contains(item) => Some((place, std::borrow::Cow::Owned(Condition::Eq(item.clone())))),
        _ => None,
    };
    tests.into_iter().filter_map(item).collect()
}

/// The ranges of the tightest conditions, and the places of the conditions that they say.
fn ranges_of(
    value_type: &FieldType,
    tests: &[(usize, std::borrow::Cow<'_, Condition>)],
) -> Option<(Vec<IndexBounds>, Vec<usize>)> {
    let ranged: Vec<_> =
        tests.iter().filter_map(|(place, test)| Some((*place, ranges::of(value_type, test)?))).collect();
    let several = ranged.iter().find(|(_, ranges)| ranges.len() != 1);
    if let Some((place, ranges)) = several {
        return Some((ranges.clone(), vec![*place]));
    }
    let places: Vec<_> = ranged.iter().map(|(place, _)| *place).collect();
    let tightest = ranged.into_iter().flat_map(|(_, ranges)| ranges).reduce(ranges::both)?;
    Some((vec![tightest], places))
}

pub(super) fn bytes_of(bounds: &IndexBounds) -> tabularaft_store::KeyBounds<'_> {
    (bounds.low.as_ref().map(Vec::as_slice), bounds.high.as_ref().map(Vec::as_slice))
}
