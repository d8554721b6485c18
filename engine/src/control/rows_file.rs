//! Rows file: a table as lines of JSON from which it can be imported.
//!
//! ```text
//!   {"potoroo":"rows","version":1,"table":"totals","key":{…},"state":{…}}     names and shapes
//!   {"key":"be","state":2,"row":["6265","0200000000000000"]}                  for each row
//!   …
//!   {"rows":8,"xxh3":"0x…"}                                                   digest of all above
//! ```
//!
//! `key` and `state` are for people; `row` has the archives of both, and only that is read.
//! Promises: a file that is cut off, changed, of another table or of a newer version is refused
//! with the number of the line, and memory holds one line. Must never do: believe a row before the
//! digest fits; so a file is read once before anything is made of it.

use std::io::{self, BufRead, Read, Write};

use potoroo_sdk::plan::TablePlan;
use potoroo_sdk::table::{Record, TableShape};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::{Value, from_value};
use xxhash_rust::xxh3::Xxh3;

use crate::checkpoint::{TypeFacts, hex};

const VERSION: u32 = 1;

/// A longer first line is refused: names of a table and of types fit.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// A longer line of a row is refused: memory is bounded.
const ROW_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    potoroo: String,
    version: u32,
    table: String,
    key: TypeFacts,
    state: TypeFacts,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    rows: u64,
    #[serde(with = "hex")]
    xxh3: u128,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(rename = "key")]
    _key: IgnoredAny,
    #[serde(rename = "state")]
    _state: IgnoredAny,
    row: (String, String),
}

/// How the first line begins.
pub(super) const HEAD: &[u8] = b"{\"potoroo\":";
/// How the last line begins.
pub(super) const END: &[u8] = b"{\"rows\":";

/// Writes a table.
pub(super) struct RowsWriter<W: Write> {
    to: W,
    digest: Xxh3,
    rows: u64,
}

impl<W: Write> RowsWriter<W> {
    /// Begins with what the rows are.
    pub(super) fn new(to: W, table: &str, key: &TypeFacts, state: &TypeFacts) -> io::Result<Self> {
        let (key, state) = (key.clone(), state.clone());
        let (potoroo, table) = ("rows".to_owned(), table.to_owned());
        let head = Head { potoroo, version: VERSION, table, key, state };
        let mut writer = Self { to, digest: Xxh3::new(), rows: 0 };
        writer.line(&serde_json::to_string(&head)?)?;
        Ok(writer)
    }

    /// Appends a row, with its key and state as JSON.
    pub(super) fn row(&mut self, record: Record<'_>, key: &str, state: &str) -> io::Result<()> {
        let (of_key, of_state) = (to_hex(record.key), to_hex(record.state));
        self.rows += 1;
        self.line(&format!(
            "{{\"key\":{key},\"state\":{state},\"row\":[\"{of_key}\",\"{of_state}\"]}}"
        ))
    }

    /// Ends the table.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let end = End { rows: self.rows, xxh3: self.digest.digest128() };
        self.line(&serde_json::to_string(&end)?)
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        self.digest.update(text.as_bytes());
        self.digest.update(b"\n");
        writeln!(self.to, "{text}")
    }
}

/// Why a file cannot be imported.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {cause}")]
pub(super) struct RowsMistake {
    /// Number of the line, from 1.
    line: u64,
    /// Cause and remedy.
    cause: String,
}

/// Shows `visit` key and state of each row in `from`, which is to be a file of `table`. Returns the
/// number of rows. Nothing may be made of them before this has returned without an error.
pub(super) fn read_rows(
    from: impl BufRead,
    table: &TablePlan,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), String>,
) -> Result<u64, RowsMistake> {
    let mut lines = Lines { from, digest: Xxh3::new(), line: 0, text: Vec::new() };
    let read = lines.read_all(table, &mut visit);
    read.map_err(|cause| RowsMistake { line: lines.line, cause })
}

struct Lines<R> {
    from: R,
    /// Of all lines before the present one.
    digest: Xxh3,
    line: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn read_all(
        &mut self,
        table: &TablePlan,
        visit: &mut impl FnMut(&[u8], &[u8]) -> Result<(), String>,
    ) -> Result<u64, String> {
        self.next(HEAD_BYTES_MAX)?;
        check_head(self.parse()?, table)?;
        let mut rows = 0;
        loop {
            self.next(ROW_BYTES_MAX)?;
            if self.text.starts_with(END) {
                return self.end(rows);
            }
            let line: Line = self.parse()?;
            let (key, state) = (from_hex(&line.row.0), from_hex(&line.row.1));
            let (key, state) = key.zip(state).ok_or_else(|| format!("{NO_ROW}: {NO_HEX}"))?;
            visit(&key, &state)?;
            rows += 1;
        }
    }

    /// Reads the next line, of less than `max` bytes. The digest covers the lines before.
    fn next(&mut self, max: u64) -> Result<(), String> {
        self.digest.update(&self.text);
        self.text.clear();
        self.line += 1;
        let mut from = self.from.by_ref().take(max);
        from.read_until(b'\n', &mut self.text).map_err(|error| error.to_string())?;
        if self.text.len() as u64 == max {
            return Err(format!(
                "it has {max} bytes or more, and no line of a table that is read \
                                has: {EXPORT}"
            ));
        }
        if self.text.last() != Some(&b'\n') {
            return Err(CUT_OFF.to_owned());
        }
        Ok(())
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.text).map_err(|error| format!("{NO_ROW}: {error}"))
    }

    fn end(&mut self, rows: u64) -> Result<u64, String> {
        let end: End = self.parse()?;
        let spelt = serde_json::to_string(&end)
            .is_ok_and(|text| self.text.strip_suffix(b"\n") == Some(text.as_bytes()));
        if !spelt || (end.rows, end.xxh3) != (rows, self.digest.digest128()) {
            return Err(format!(
                "it has the digest of {} rows, which are not the {rows} above: {EXPORT}",
                end.rows
            ));
        }
        match self.from.fill_buf() {
            Ok([]) => Ok(rows),
            Ok(_) => Err(format!("something follows this line, which is the last: {EXPORT}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

const CUT_OFF: &str = "the file is cut off here: its last line has the number of rows and a \
                       digest; export the table again";
const NO_ROW: &str = "it is no line of an exported table";
const NO_HEX: &str = "`row` is to have two texts in hexadecimal";
const EXPORT: &str = "export the table again with `potoroo checkpoint export TABLE --for-import`, \
                      and change nothing";

/// Whether the first line is that of a table which `table` can read, and prepares it for that.
fn check_head(value: Value, table: &TablePlan) -> Result<(), String> {
    let is_head = value.get("potoroo").is_some_and(|kind| kind == "rows");
    let version = value.get("version").and_then(Value::as_u64).filter(|_| is_head);
    match version {
        None => return Err(format!("it does not begin an exported table: {EXPORT}")),
        Some(found) if found > VERSION.into() => {
            return Err(format!(
                "a newer version of Potoroo wrote it, in format {found}, and this one reads \
                 {VERSION}: use that version, or a newer one"
            ));
        }
        Some(_) => {}
    }
    let head: Head = from_value(value).map_err(|error| format!("{NO_ROW}: {error}"))?;
    if head.table != table.name {
        return Err(format!(
            "it is of table `{}`, and table `{}` is to be imported: give the file of that table",
            head.table, table.name
        ));
    }
    let TableShape { key, key_shape, state, state_shape } = table.rows.shape();
    if head.key.shape != key_shape {
        let is = TypeFacts { name: key.to_owned(), shape: key_shape };
        return Err(format!("its keys are {}, and those of the table are {is}", head.key));
    }
    table.rows.expect(head.state.shape).map_err(|_| {
        let is = TypeFacts { name: state.to_owned(), shape: state_shape };
        format!(
            "its states are {}, and those of the table are {is}; `Table::migrating` converts \
             them",
            head.state
        )
    })
}

fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    bytes.iter().for_each(|byte| write!(text, "{byte:02x}").expect("a text grows"));
    text
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some((digit(*high)? << 4 | digit(*low)?) as u8),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use potoroo_sdk::codec::LineText;
    use potoroo_sdk::prelude::*;

    use super::*;

    fn table() -> TablePlan {
        let app = Application::new("rows");
        let totals = app.table::<u64, u64>("totals");
        let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
        lines.update(&totals, |total, _| *total += 1);
        app.plan().expect("it is sound").tables.remove(0)
    }

    fn example(table: &TablePlan) -> Vec<u8> {
        let TableShape { key, key_shape, state, state_shape } = table.rows.shape();
        let of = |name: &str, shape| TypeFacts { name: name.to_owned(), shape };
        let mut bytes = Vec::new();
        let types = (of(key, key_shape), of(state, state_shape));
        let mut writer =
            RowsWriter::new(&mut bytes, "totals", &types.0, &types.1).expect("memory takes it");
        for row in 0..5u64 {
            let (key, state) = (row.to_le_bytes(), (row * 10).to_le_bytes());
            let record = Record { hash: 0, key: &key, state: &state };
            let shown = (row.to_string(), (row * 10).to_string());
            writer.row(record, &shown.0, &shown.1).expect("memory takes it");
        }
        writer.finish().expect("memory takes it");
        bytes
    }

    /// Key and state of each row, one after the other.
    fn read(table: &TablePlan, bytes: &[u8]) -> Result<Vec<Vec<u8>>, RowsMistake> {
        let mut rows = Vec::new();
        read_rows(bytes, table, |key, state| {
            rows.push([key, state].concat());
            Ok(())
        })
        .map(|count| assert_eq!(count, rows.len() as u64))?;
        Ok(rows)
    }

    #[test]
    fn what_was_written_is_read() {
        let table = table();
        let rows = read(&table, &example(&table)).expect("it is whole");
        let row = |row: u64| [row.to_le_bytes(), (row * 10).to_le_bytes()].concat();
        assert_eq!(rows, (0..5).map(row).collect::<Vec<_>>());
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let table = table();
        let bytes = example(&table);
        for end in 0..bytes.len() {
            let refused = read(&table, &bytes[..end]).expect_err("it is cut off");
            assert_eq!(refused.cause, CUT_OFF, "cut at {end}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&table, &flipped).is_err(), "bit {bit}");
        }
    }

    /// Memory is bounded, whatever the file is.
    #[test]
    fn a_line_without_end_is_refused() {
        use std::io::{BufReader, Read, repeat};
        let table = table();
        let example = example(&table);
        let head = example.split_inclusive(|byte| *byte == b'\n').next().expect("it has a head");
        for (before, max) in [(&[][..], HEAD_BYTES_MAX), (head, ROW_BYTES_MAX)] {
            let endless = BufReader::new(before.chain(repeat(0)));
            let refused = read_rows(endless, &table, |_, _| Ok(())).expect_err("it has no end");
            assert!(refused.cause.starts_with(&format!("it has {max} bytes or more")));
        }
    }
}
