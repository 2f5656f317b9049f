//! Records as lines of JSON, read in batches of which either every record fits its table or the first bad
//! line is named.

use std::io::{BufRead, Read};

use bytes::Bytes;
use serde_json::Value;
use tabularaft::admin::TableInfo;
use tabularaft::schema::RecordShape;

/// A batch is complete with so many records …
const BATCH_RECORDS: usize = 1_000;

/// … or when its encoded records reach so many bytes.
const BATCH_BYTES: usize = 1 << 20;

/// JSON is longer than the record it stands for: escapes take six times the bytes, and the field names come
/// on top.
const LINE_BYTES_PER_RECORD_BYTE: u64 = 8;

/// What a line may have beyond that.
const LINE_BYTES_FIXED: u64 = 1 << 16;

/// Makes encoded records of JSON text.
pub(crate) struct RecordReader {
    shape: RecordShape,
    record_bytes_max: u32,
}

impl RecordReader {
    /// For the records of this table.
    pub(crate) fn new(table: &TableInfo) -> Self {
        Self::of(table.def.shape.clone(), table.record_bytes_max)
    }

    /// For records of this shape and size.
    pub(crate) fn of(shape: RecordShape, record_bytes_max: u32) -> Self {
        Self { shape, record_bytes_max }
    }

    /// The encoded record of a JSON object, or why it is none of this table.
    pub(crate) fn record(&self, json: &[u8]) -> Result<Vec<u8>, String> {
        let json: Value =
            serde_json::from_slice(json).map_err(|error| format!("not JSON: {}", without_line(&error)))?;
        let record = self.shape.from_json(&json).map_err(|error| error.to_string())?;
        if record.len() as u64 > u64::from(self.record_bytes_max) {
            return Err(format!(
                "the record has {} bytes, the limit is {}",
                record.len(),
                self.record_bytes_max
            ));
        }
        Ok(record)
    }
}

/// The line of a JSON text is always 1 here; the caller knows the line of the file.
pub(crate) fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(what) => format!("{what} at column {}", error.column()),
        None => text,
    }
}

/// Records that are written together. Lines are counted from 1.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) first_line: u64,
    pub(crate) last_line: u64,
    pub(crate) records: Vec<Bytes>,
    /// Bytes of the input read so far, the batches before included.
    pub(crate) input_bytes: u64,
}

/// The first line of a batch that is no record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Where its batch began.
    pub(crate) first_line: u64,
    pub(crate) line: u64,
    pub(crate) why: String,
}

/// Reads batches from lines.
pub(crate) struct Batches<R> {
    lines: Lines<R>,
    reader: RecordReader,
}

impl<R: BufRead> Batches<R> {
    /// Of the lines of `input`.
    pub(crate) fn new(input: R, reader: RecordReader) -> Self {
        Self { lines: Lines::new(input, line_bytes_max(reader.record_bytes_max)), reader }
    }

    /// The next batch, or nothing at the end. Empty lines are passed over.
    pub(crate) fn next(&mut self) -> Result<Option<Batch>, BadLine> {
        let first_line = self.lines.line + 1;
        let mut batch = Batch { first_line, ..Batch::default() };
        let mut bytes = 0;
        while batch.records.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
            let record =
                self.next_record().map_err(|why| BadLine { first_line, line: self.lines.line, why })?;
            let Some(record) = record else { break };
            bytes += record.len();
            batch.records.push(Bytes::from(record));
        }
        (batch.last_line, batch.input_bytes) = (self.lines.line, self.lines.input_bytes);
        Ok((!batch.records.is_empty()).then_some(batch))
    }

    fn next_record(&mut self) -> Result<Option<Vec<u8>>, String> {
        match self.lines.next()? {
            Some(line) => self.reader.record(line).map(Some),
            None => Ok(None),
        }
    }
}

/// The longest line that a record of so many bytes needs.
pub(crate) fn line_bytes_max(record_bytes_max: u32) -> u64 {
    u64::from(record_bytes_max) * LINE_BYTES_PER_RECORD_BYTE + LINE_BYTES_FIXED
}

/// Lines of bounded length, counted from 1. Empty ones are passed over.
pub(crate) struct Lines<R> {
    input: R,
    bytes_max: u64,
    /// The number of the line that was read last.
    pub(crate) line: u64,
    /// Bytes read so far.
    pub(crate) input_bytes: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R, bytes_max: u64) -> Self {
        Self { input, bytes_max, line: 0, input_bytes: 0, buffer: Vec::new() }
    }

    /// The next line that is not empty, without white space around it; nothing at the end.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, String> {
        while self.read_line()? {
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some(self.buffer.trim_ascii()));
            }
        }
        Ok(None)
    }

    /// Reads a line into the buffer; false at the end. A line without an end does not fill the memory.
    fn read_line(&mut self) -> Result<bool, String> {
        let limit = self.bytes_max;
        self.buffer.clear();
        self.line += 1;
        let read = Read::by_ref(&mut self.input).take(limit + 1).read_until(b'\n', &mut self.buffer);
        let read = read.map_err(|error| format!("cannot be read: {error}"))? as u64;
        self.input_bytes += read;
        if read == 0 {
            self.line -= 1;
        }
        if read > limit {
            return Err(format!("the line is longer than {limit} bytes, which no record needs"));
        }
        Ok(read > 0)
    }
}

#[cfg(test)]
mod tests {
    use tabularaft::schema::FieldType;

    use super::*;

    fn reader() -> RecordReader {
        let shape = RecordShape::new(1, [("name", FieldType::String), ("size", FieldType::U64)]);
        RecordReader { shape, record_bytes_max: 100 }
    }

    fn batches(input: &str) -> Batches<&[u8]> {
        Batches::new(input.as_bytes(), reader())
    }

    fn line(size: u64) -> String {
        format!("{{\"name\":\"a\",\"size\":{size}}}\n")
    }

    #[test]
    fn lines_become_batches_and_the_last_needs_no_line_break() {
        let input: String = (0..2500).map(line).collect();
        let mut batches = batches(input.trim_end());
        let mut seen = Vec::new();
        while let Some(batch) = batches.next().unwrap() {
            seen.push((batch.first_line, batch.last_line, batch.records.len()));
        }
        assert_eq!(seen, [(1, 1000, 1000), (1001, 2000, 1000), (2001, 2500, 500)]);
    }

    #[test]
    fn a_batch_is_complete_when_it_has_enough_bytes() {
        let mut reader = reader();
        reader.record_bytes_max = u32::MAX;
        let big = format!("{{\"name\":\"{}\",\"size\":1}}\n", "x".repeat(600_000));
        let input = big.repeat(3);
        let mut batches = Batches::new(input.as_bytes(), reader);
        assert_eq!(batches.next().unwrap().unwrap().records.len(), 2);
        assert_eq!(batches.next().unwrap().unwrap().records.len(), 1);
    }

    #[test]
    fn empty_lines_count_and_are_passed_over() {
        let input = format!("\n{}  \r\n{}\n", line(1), line(2));
        let batch = batches(&input).next().unwrap().unwrap();
        assert_eq!((batch.first_line, batch.last_line, batch.records.len()), (1, 5, 2));
        assert_eq!(batch.input_bytes, input.len() as u64);
        assert!(batches("\n\n").next().unwrap().is_none());
    }

    #[test]
    fn a_bad_line_is_named_with_its_number_and_its_reason() {
        let cases = [
            ("{\"name\":\"a\"}", "size"),
            ("{\"name\":\"a\",\"size\":\"b\"}", "size"),
            ("{\"name\":\"a\",\"size\":1,\"colour\":2}", "colour"),
            ("{\"name\":\"a\",\"size\":-1}", "size"),
            ("[1]", "object"),
            ("{\"name\":", "not JSON"),
            ("nonsense", "not JSON"),
        ];
        for (bad, reason) in cases {
            let good: String = (0..1002).map(line).collect();
            let input = format!("{good}{bad}\n{good}");
            let mut batches = batches(&input);
            assert_eq!(batches.next().unwrap().unwrap().records.len(), 1000);
            let refused = batches.next().unwrap_err();
            assert_eq!((refused.first_line, refused.line), (1001, 1003), "{bad}");
            assert!(refused.why.contains(reason), "{bad}: {}", refused.why);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_a_bad_line() {
        let mut batches = Batches::new(&b"{\"name\":\"\xff\",\"size\":1}\n"[..], reader());
        assert!(batches.next().unwrap_err().why.contains("not JSON"));
    }

    #[test]
    fn an_oversized_record_is_a_bad_line() {
        let input = format!("{{\"name\":\"{}\",\"size\":1}}", "x".repeat(101));
        let refused = batches(&input).next().unwrap_err();
        assert!(refused.why.contains("the limit is 100"), "{}", refused.why);
    }

    #[test]
    fn a_line_without_an_end_does_not_fill_the_memory() {
        let endless = std::io::BufReader::new(std::io::repeat(b'x'));
        let refused = Batches::new(endless, reader()).next().unwrap_err();
        assert!(refused.why.contains("longer than"), "{}", refused.why);
    }

    #[test]
    fn a_reason_names_the_column_and_no_line_of_its_own() {
        let refused = batches("{\"name\": x}").next().unwrap_err();
        assert!(refused.why.contains("column 10") && !refused.why.contains("line"), "{}", refused.why);
    }
}
