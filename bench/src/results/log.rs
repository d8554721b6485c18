//! Reads interval logs: ours and those of other tools.
//!
//! A line that is no interval is reported with its number and passed over; the lines before and
//! after it count. Intervals of different tags are different series. Promises never to take half a
//! histogram for a whole one, nor one series for another.

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
pub struct IntervalLog {
    /// One per tag, in the order in which tags come; at least one.
    pub series: Vec<LogSeries>,
    /// Lines that could not be read, each with its place and reason.
    pub broken: Vec<String>,
}

/// The intervals of one tag.
#[derive(Clone, Debug)]
pub struct LogSeries {
    /// `None` for intervals without a tag; a tag may be empty.
    pub tag: Option<String>,
    /// In the order of the file.
    pub intervals: Vec<LogInterval>,
    /// All values together, in the unit of the log (ours are nanoseconds).
    pub total: Histogram<u64>,
}

/// One interval.
#[derive(Clone, Copy, Debug)]
pub struct LogInterval {
    /// Seconds since the first interval of the log.
    pub start: f64,
    /// Length in seconds.
    pub length: f64,
    /// Number of values.
    pub count: u64,
    /// Median, 99.9th percentile and maximum; all 0 without values.
    pub values: [u64; 3],
}

impl IntervalLog {
    /// Reads a whole file.
    ///
    /// # Errors
    /// It cannot be read, or holds no interval.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let log = Self::parse(&bytes, &path.display().to_string());
        ensure!(
            !log.series.is_empty(),
            "{} holds no interval of an HdrHistogram log that can be read{}",
            path.display(),
            log.broken.first().map(|first| format!("; {first}")).unwrap_or_default()
        );
        Ok(log)
    }

    fn parse(bytes: &[u8], name: &str) -> Self {
        let mut log = Self::default();
        for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            if let Err(error) = log.add(line) {
                log.broken.push(format!("{name}:{}: passed over: {error:#}", index + 1));
            }
        }
        let starts = log.series.iter().flat_map(|series| &series.intervals).map(|it| it.start);
        let begin = starts.fold(f64::INFINITY, f64::min);
        let intervals = log.series.iter_mut().flat_map(|series| &mut series.intervals);
        intervals.for_each(|it| it.start -= begin);
        log
    }

    /// Takes a line in; comments, headers and empty lines hold nothing.
    fn add(&mut self, line: &[u8]) -> Result<()> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        ensure!(line.ends_with(b"\n"), "the file is cut off in this line");
        let (tag, line) = tagged(line)?;
        let entry = match IntervalLogIterator::new(line).next() {
            None | Some(Ok(LogEntry::StartTime(_) | LogEntry::BaseTime(_))) => return Ok(()),
            Some(Ok(LogEntry::Interval(entry))) => entry,
            Some(Err(_)) => bail!("neither a comment nor an interval"),
        };
        let values = decode(&entry)?;
        let series = self.series_of(tag)?;
        series
            .total
            .add(&values)
            .map_err(|error| anyhow!("its values cannot be added: {error}"))?;
        series.intervals.push(LogInterval {
            start: entry.start_timestamp().as_secs_f64(),
            length: entry.duration().as_secs_f64(),
            count: values.len(),
            values: [values.value_at_quantile(0.5), values.value_at_quantile(0.999), values.max()],
        });
        Ok(())
    }

    fn series_of(&mut self, tag: Option<String>) -> Result<&mut LogSeries> {
        let known = self.series.iter().position(|series| series.tag == tag);
        let index = known.unwrap_or(self.series.len());
        if known.is_none() {
            ensure!(index < TAGS_MAX, "a log with more than {TAGS_MAX} tags is not for people");
            let total = crate::track::empty();
            self.series.push(LogSeries { tag, intervals: Vec::new(), total });
        }
        Ok(&mut self.series[index])
    }
}

/// The tag of a line, and the line without it. Fields are counted from the end, where none can have
/// a comma: a tag with one is still a tag.
///
/// ```text
///   Tag=TAG,START,LENGTH,MAXIMUM,HISTOGRAM
/// ```
fn tagged(line: &[u8]) -> Result<(Option<String>, &[u8])> {
    let Some(rest) = line.strip_prefix(b"Tag=") else { return Ok((None, line)) };
    let mut commas = (0..rest.len()).rev().filter(|&index| rest[index] == b',');
    let end = commas.nth(3).context("a tag without an interval behind it")?;
    Ok((Some(String::from_utf8_lossy(&rest[..end]).into_owned()), &rest[end + 1..]))
}

fn decode(entry: &IntervalLogHistogram<'_>) -> Result<Histogram<u64>> {
    let encoded = STANDARD.decode(entry.encoded_histogram()).context("its base64 is damaged")?;
    let plain = inflate(&encoded)?;
    let values = Deserializer::new().deserialize::<u64, _>(&mut plain.as_slice());
    values.map_err(|error| anyhow!("its histogram cannot be read: {error}"))
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
    let format = Format::of(encoded);
    if let Some(other) = format.filter(|format| *format != Format::V2) {
        bail!(
            "its histogram is {}, and only format V2 can be read: write the log anew with a \
             present version of HdrHistogram",
            other.name()
        );
    }
    if encoded.starts_with(&COMPRESSED_COOKIE) {
        let compressed = encoded.get(8..).context(DAMAGED)?;
        let mut compressed = ZlibDecoder::new(compressed).take(PLAIN_BYTES_MAX);
        compressed.read_to_end(&mut plain).context(DAMAGED)?;
    } else {
        plain.extend_from_slice(encoded);
    }
    sound(&plain).context(DAMAGED)?;
    Ok(plain)
}

fn sound(plain: &[u8]) -> Result<()> {
    ensure!(plain.starts_with(&PLAIN_COOKIE), "it does not begin as one");
    let length = plain.get(4..8).and_then(|length| length.first_chunk());
    let length = u32::from_be_bytes(*length.context("it is cut off")?) as usize;
    let payload = plain.get(HEADER_BYTES..).context("it is cut off")?;
    ensure!(length <= payload.len(), "it has {} bytes and says {length}", payload.len());
    ensure!(!payload.windows(9).any(|bytes| bytes == [0xff; 9]), "a count is out of range");
    Ok(())
}

/// The formats of HdrHistogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    V0,
    V1,
    V2,
    Double,
}

impl Format {
    /// By the first four bytes; in the older ones half a byte of them is the size of a count.
    fn of(encoded: &[u8]) -> Option<Self> {
        match u32::from_be_bytes(*encoded.first_chunk()?) & !0xf0 {
            0x1c84_9308 | 0x1c84_9309 => Some(Self::V0),
            0x1c84_9301 | 0x1c84_9302 => Some(Self::V1),
            0x1c84_9303 | 0x1c84_9304 => Some(Self::V2),
            0x0c72_120e | 0x0c72_120f => Some(Self::Double),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::V0 => "of format V0",
            Self::V1 => "of format V1",
            Self::V2 => "of format V2",
            Self::Double => "one of floating-point values (DoubleHistogram)",
        }
    }
}

const DAMAGED: &str = "its histogram is damaged";
/// More series than a page can show to a reader.
const TAGS_MAX: usize = 100;
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

    fn intervals(log: &IntervalLog) -> usize {
        log.series.iter().map(|series| series.intervals.len()).sum()
    }

    #[test]
    fn tags_are_series_of_their_own() {
        let tags = ["Tag=a,", "", "Tag=b,", "Tag=a,", "Tag=,", "Tag=\"x, y\",", "Tag=c,d,1.0,"];
        let mut text = foreign();
        for (index, tag) in tags.into_iter().enumerate() {
            text += &format!("{tag}{}.0,1.0,0.1,{}\n", 102 + index, encoded(&[7]));
        }
        text += "Tag=a\nTag=a,1.0\n";
        let log = IntervalLog::parse(text.as_bytes(), "tagged.hlog");
        let found: Vec<_> =
            log.series.iter().map(|it| (it.tag.as_deref(), it.total.len())).collect();
        let expected = [
            (None, 5),
            (Some("a"), 2),
            (Some("b"), 1),
            (Some(""), 1),
            (Some("\"x, y\""), 1),
            (Some("c,d,1.0"), 1),
        ];
        assert_eq!(found, expected);
        // All of them count from the first interval of the log.
        assert_eq!(log.series[1].intervals[1].start, 5.0);
        assert_eq!(log.broken.len(), 2, "{:?}", log.broken);
        let many: String =
            (0..200).map(|tag| format!("Tag={tag},0.0,1.0,0.1,{}\n", encoded(&[7]))).collect();
        let log = IntervalLog::parse(many.as_bytes(), "many.hlog");
        assert_eq!((log.series.len(), log.broken.len()), (TAGS_MAX, 200 - TAGS_MAX));
    }

    #[test]
    fn other_formats_are_named() {
        for (cookie, name) in [
            (0x1c84_9308_u32, "of format V0"),
            (0x1c84_9389, "of format V0"),
            (0x1c84_9301, "of format V1"),
            (0x1c84_9322, "of format V1"),
            (0x0c72_124e, "DoubleHistogram"),
            (0x1234_5678, "it is damaged"),
        ] {
            let bytes = [&cookie.to_be_bytes()[..], &[0; 60]].concat();
            let line = format!("0.0,1.0,0.1,{}\n", STANDARD.encode(bytes));
            let log = IntervalLog::parse(line.as_bytes(), "old.hlog");
            let said = &log.broken[0];
            let damaged = said.contains("its histogram is damaged");
            assert!(damaged == (name == "it is damaged"), "{said}");
            assert!(damaged || said.contains(name), "{said}");
        }
    }

    #[test]
    fn a_foreign_log_is_read() {
        let log = IntervalLog::parse(foreign().as_bytes(), "foreign.hlog");
        assert_eq!(log.broken, Vec::<String>::new());
        let [series] = &log.series[..] else { panic!("{log:?}") };
        assert_eq!((series.intervals[1].start, &series.tag), (1.0, &None));
        assert_eq!((series.total.len(), series.total.min()), (4, 1));
    }

    #[test]
    fn a_log_that_is_cut_off_keeps_what_is_whole() {
        let text = foreign();
        let (header, end) = (text.find("100.000").unwrap(), text.len());
        for cut in header..end {
            let log = IntervalLog::parse(&text.as_bytes()[..cut], "cut.hlog");
            let lines = text[..cut].matches('\n').count();
            assert_eq!(intervals(&log), lines - 2, "cut at {cut}");
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
        let good = IntervalLog::parse(line(2, &[2, 2]).as_bytes(), "good.hlog");
        assert_eq!((good.series[0].total.len(), good.broken.len()), (2, 0), "{:?}", good.broken);
        for length in [3, u32::MAX] {
            let log = IntervalLog::parse(line(length, &[2, 2]).as_bytes(), "long.hlog");
            assert_eq!(intervals(&log), 0);
            let said = format!("it has 2 bytes and says {length}");
            assert!(log.broken[0].ends_with(&said), "{:?}", log.broken);
        }
        let smallest = [0xff; 20];
        let log = IntervalLog::parse(line(20, &smallest).as_bytes(), "smallest.hlog");
        assert!(log.broken[0].ends_with("a count is out of range"), "{:?}", log.broken);
    }

    #[test]
    fn damage_is_reported_with_its_line() {
        let good = encoded(&[5]);
        let bad = format!("{}AAAA", &good[..good.len() / 2]);
        let text = format!("0.000,1.000,0.1,{bad}\nnonsense\n1.000,1.000,0.1,{good}\n\u{0}\n");
        let log = IntervalLog::parse(text.as_bytes(), "bad.hlog");
        assert_eq!((intervals(&log), log.broken.len()), (1, 3));
        assert!(log.broken[1].starts_with("bad.hlog:2: "), "{}", log.broken[1]);
    }
}
