//! Reads interval logs: ours and those of other tools.
//!
//! A line that is none is told with its number and passed over; what stands before and behind it
//! counts. Promises never to take half a histogram for a whole one.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
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
    let plain = inflate(&encoded).context("its histogram is damaged")?;
    let values = Deserializer::new().deserialize::<u64, _>(&mut plain.as_slice());
    Ok(LogInterval {
        start: entry.start_timestamp().as_secs_f64(),
        length: entry.duration().as_secs_f64(),
        values: values.map_err(|error| anyhow!("its histogram is damaged: {error}"))?,
    })
}

/// The plain form of a histogram, in which nothing is left that the library would believe: it
/// makes room for whatever length stands in front, and turns the smallest number around.
///
/// ```text
///   compressed: cookie 4 | length 4 | zlib ( plain )
///   plain:      cookie 4 | payload length 4 | digits, bounds, … 32 | payload
/// ```
fn inflate(encoded: &[u8]) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    if encoded.starts_with(&COMPRESSED_COOKIE) {
        let compressed = encoded.get(8..).context("it is cut off")?;
        ZlibDecoder::new(compressed).take(PLAIN_BYTES_MAX).read_to_end(&mut plain)?;
    } else {
        plain.extend_from_slice(encoded);
    }
    ensure!(plain.starts_with(&PLAIN_COOKIE), "it is of another version");
    let length = plain.get(4..8).and_then(|length| length.first_chunk());
    let length = u32::from_be_bytes(*length.context("it is cut off")?) as usize;
    let payload = plain.get(HEADER_BYTES..).context("it is cut off")?;
    ensure!(length <= payload.len(), "it has {} bytes and says {length}", payload.len());
    ensure!(!payload.windows(9).any(|bytes| bytes == [0xff; 9]), "a count is out of range");
    Ok(plain)
}

/// How both forms of version 2 begin.
const COMPRESSED_COOKIE: [u8; 4] = [0x1c, 0x84, 0x93, 0x14];
const PLAIN_COOKIE: [u8; 4] = [0x1c, 0x84, 0x93, 0x13];
/// Of a plain histogram: cookie, length, offset, digits, two bounds, and the ratio.
const HEADER_BYTES: usize = 40;
/// More than the finest histogram that the format allows can have.
const PLAIN_BYTES_MAX: u64 = 64 << 20;

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

    /// A line with this header and payload, compressed as the format has it.
    fn line(length: u32, payload: &[u8]) -> String {
        use flate2::{Compression, write::ZlibEncoder};
        use std::io::Write;
        let mut plain = ZlibEncoder::new(Vec::new(), Compression::fast());
        plain.write_all(&PLAIN_COOKIE).unwrap();
        [length, 0, 3].iter().for_each(|word| plain.write_all(&word.to_be_bytes()).unwrap());
        plain.write_all(&[1u64.to_be_bytes(), (1u64 << 40).to_be_bytes()].concat()).unwrap();
        plain.write_all(&1f64.to_be_bytes()).unwrap();
        plain.write_all(payload).unwrap();
        let plain = plain.finish().unwrap();
        let head = [COMPRESSED_COOKIE, (plain.len() as u32).to_be_bytes()].concat();
        format!("0.000,1.000,0.1,{}\n", STANDARD.encode([head, plain].concat()))
    }

    #[test]
    fn no_room_is_made_for_a_length_that_is_not_there() {
        let good = Log::parse(line(2, &[2, 2]).as_bytes(), "good.hlog");
        assert_eq!((good.total().len(), good.broken.len()), (2, 0), "{:?}", good.broken);
        for length in [3, u32::MAX] {
            let log = Log::parse(line(length, &[2, 2]).as_bytes(), "long.hlog");
            assert_eq!(log.intervals.len(), 0);
            let said = format!("it has 2 bytes and says {length}");
            assert!(log.broken[0].ends_with(&said), "{:?}", log.broken);
        }
        let smallest = [0xff; 20];
        let log = Log::parse(line(20, &smallest).as_bytes(), "smallest.hlog");
        assert!(log.broken[0].ends_with("a count is out of range"), "{:?}", log.broken);
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
