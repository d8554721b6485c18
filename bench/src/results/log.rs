//! Reads interval logs: ours and those of other tools.
//!
//! A line that is none is told with its number and passed over; what stands before and behind it
//! counts. Promises never to take half a histogram for a whole one.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogHistogram, IntervalLogIterator, LogEntry,
};

/// What an interval log holds.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Its intervals in the order of the file.
    pub intervals: Vec<LogInterval>,
    /// Lines that could not be read, each with its place and reason.
    pub broken: Vec<String>,
}

/// One interval.
#[derive(Clone, Debug)]
pub struct LogInterval {
    /// Seconds since the first interval of the log.
    pub start: f64,
    /// Length in seconds.
    pub length: f64,
    /// Its values, in the unit of the log (ours are nanoseconds).
    pub values: Histogram<u64>,
}

impl Log {
    /// Reads a whole file.
    ///
    /// # Errors
    /// It cannot be read, or holds no interval.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let log = Self::parse(&bytes, &path.display().to_string());
        ensure!(
            !log.intervals.is_empty(),
            "{} holds no interval of an HdrHistogram log{}",
            path.display(),
            log.broken.first().map(|first| format!("; {first}")).unwrap_or_default()
        );
        Ok(log)
    }

    fn parse(bytes: &[u8], name: &str) -> Self {
        let mut log = Self::default();
        for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            match interval(line) {
                Ok(Some(interval)) => log.intervals.push(interval),
                Ok(None) => {}
                Err(error) => {
                    log.broken.push(format!("{name}:{}: passed over: {error:#}", index + 1));
                }
            }
        }
        let begin = log.intervals.iter().map(|it| it.start).fold(f64::INFINITY, f64::min);
        log.intervals.iter_mut().for_each(|it| it.start -= begin);
        log
    }

    /// All values together.
    pub fn total(&self) -> Histogram<u64> {
        let mut total = crate::track::empty();
        for interval in &self.intervals {
            total.add(&interval.values).expect("it grows with its values");
        }
        total
    }
}

/// The interval that a line holds; `None` for comments, headers and empty lines.
fn interval(line: &[u8]) -> Result<Option<LogInterval>> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    ensure!(line.ends_with(b"\n"), "the file is cut off in this line");
    match IntervalLogIterator::new(line).next() {
        None | Some(Ok(LogEntry::StartTime(_) | LogEntry::BaseTime(_))) => Ok(None),
        Some(Ok(LogEntry::Interval(entry))) => decode(&entry).map(Some),
        Some(Err(_)) => bail!("neither a comment nor an interval"),
    }
}

fn decode(entry: &IntervalLogHistogram<'_>) -> Result<LogInterval> {
    let encoded = STANDARD.decode(entry.encoded_histogram()).context("its base64 is damaged")?;
    let values = Deserializer::new().deserialize::<u64, _>(&mut encoded.as_slice());
    Ok(LogInterval {
        start: entry.start_timestamp().as_secs_f64(),
        length: entry.duration().as_secs_f64(),
        values: values.map_err(|error| anyhow!("its histogram is damaged: {error}"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two intervals as the Java implementation writes them: 1, 2, 3 and 1000000.
    fn foreign() -> String {
        let mut text = "#[Histogram log format version 1.3]\n".to_owned();
        text += "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Comp…\"\n";
        for (start, values) in [("100.000", &[1, 2, 3][..]), ("101.000", &[1_000_000])] {
            text += &format!("{start},1.000,0.003,{}\n", encoded(values));
        }
        text
    }

    fn encoded(values: &[u64]) -> String {
        use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
        let mut histogram = crate::track::empty();
        values.iter().for_each(|&value| histogram.record(value).unwrap());
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&histogram, &mut bytes).unwrap();
        STANDARD.encode(bytes)
    }

    #[test]
    fn a_foreign_log_is_read() {
        let log = Log::parse(foreign().as_bytes(), "foreign.hlog");
        assert_eq!(log.broken, Vec::<String>::new());
        assert_eq!(log.intervals[1].start, 1.0);
        assert_eq!((log.total().len(), log.total().min()), (4, 1));
    }

    #[test]
    fn a_log_that_is_cut_off_keeps_what_is_whole() {
        let text = foreign();
        let (header, end) = (text.find("100.000").unwrap(), text.len());
        for cut in header..end {
            let log = Log::parse(&text.as_bytes()[..cut], "cut.hlog");
            let lines = text[..cut].matches('\n').count();
            assert_eq!(log.intervals.len(), lines - 2, "cut at {cut}");
            let whole = text[..cut].ends_with('\n');
            assert_eq!(log.broken.len(), usize::from(!whole), "cut at {cut}");
        }
    }

    #[test]
    fn damage_is_told_with_its_line() {
        let good = encoded(&[5]);
        let bad = format!("{}AAAA", &good[..good.len() / 2]);
        let text = format!("0.000,1.000,0.1,{bad}\nnonsense\n1.000,1.000,0.1,{good}\n\u{0}\n");
        let log = Log::parse(text.as_bytes(), "bad.hlog");
        assert_eq!((log.intervals.len(), log.broken.len()), (1, 3));
        assert!(log.broken[1].starts_with("bad.hlog:2: "), "{}", log.broken[1]);
    }
}
