//! The files of one series in the formats that the standard tools of HdrHistogram read.
//!
//! `.hlog`: interval log with compressed V2 histograms, timestamps relative to its `BaseTime`,
//! values in nanoseconds. `.hgrm`: percentile distribution with values in microseconds, as
//! HdrHistogram's plotter takes them. `.gaps.csv`: one line per gap.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;

use crate::stamp;
use crate::take::TakeInterval;
use crate::track::{Track, add, empty};

/// Writes all files of a track into a folder that exists.
///
/// # Errors
/// A file cannot be written; it names which one. What was there before stays.
pub fn write(folder: &Path, track: &Track) -> Result<()> {
    let name = &track.name;
    write_views(folder, name, track, |interval| &interval.all)?;
    if track.is_watched() {
        write_views(folder, &format!("{name}.outside"), track, |interval| &interval.outside)?;
        save(&folder.join(format!("{name}.gaps.csv")), |out| write_gaps(out, track))?;
    }
    Ok(())
}

type View = fn(&TakeInterval) -> &[(u64, u64)];

fn write_views(folder: &Path, name: &str, track: &Track, view: View) -> Result<()> {
    save(&folder.join(format!("{name}.hlog")), |out| write_log(out, track, view))?;
    let histogram = track.histogram(view);
    save(&folder.join(format!("{name}.hgrm")), |out| Ok(write_distribution(out, &histogram)?))
}

/// Writes a whole file, or leaves what is there.
///
/// # Errors
/// It cannot be written.
pub fn save(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    // A file cut off would be taken for a whole one by some readers; a link is replaced, and what
    // it names stays.
    let mut half = path.as_os_str().to_owned();
    half.push(format!(".{}.half", std::process::id()));
    let attempt = || {
        let _ = fs::remove_file(&half);
        let mut out = BufWriter::new(File::create_new(&half)?);
        write(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(fs::rename(&half, path)?)
    };
    attempt().or_else(|error: anyhow::Error| {
        let _ = fs::remove_file(&half);
        Err(error).with_context(|| format!("{} cannot be written", path.display()))
    })
}

fn write_log(out: &mut impl Write, track: &Track, view: View) -> Result<()> {
    let begin_ns = track.intervals().next().map_or(0, |interval| interval.start_ns);
    let begin = stamp::wall(begin_ns);
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment("[Logged with potoroo-bench]");
    builder.add_comment("[Histogram log format version 1.3]");
    builder.with_start_time(begin).with_base_time(begin).with_max_value_divisor(MAX_DIVISOR);
    let mut log = builder.begin_log_with(out, &mut serializer)?;
    log.write_comment(&format!("{}: nanoseconds, {}", track.name, track.load))?;
    for interval in track.intervals() {
        let mut histogram = empty();
        add(&mut histogram, view(interval));
        let start = Duration::from_nanos(interval.start_ns.saturating_sub(begin_ns));
        let length = Duration::from_nanos(interval.length_ns);
        log.write_histogram(&histogram, start, length, None).map_err(|error| anyhow!("{error}"))?;
    }
    Ok(())
}

/// The text that `outputPercentileDistribution` of HdrHistogram prints, in microseconds.
fn write_distribution(out: &mut impl Write, histogram: &Histogram<u64>) -> io::Result<()> {
    let head = ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"];
    writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", head[0], head[1], head[2], head[3])?;
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        total += step.count_since_last_iteration();
        let (value, quantile) = (micros(step.value_iterated_to()), step.quantile_iterated_to());
        write!(out, "{value:12.3} {quantile:2.12} {total:10}")?;
        match quantile < 1.0 {
            true => writeln!(out, " {:14.2}", 1.0 / (1.0 - quantile))?,
            false => writeln!(out)?,
        }
    }
    let (mean, deviation) = (histogram.mean() / 1e3, histogram.stdev() / 1e3);
    writeln!(out, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]")?;
    let (max, count) = (micros(histogram.max()), histogram.len());
    writeln!(out, "#[Max     = {max:12.3}, Total count    = {count:12}]")?;
    writeln!(out, "#[Buckets = {:12}, SubBuckets     = {SUB_BUCKETS:12}]", histogram.buckets())
}

fn write_gaps(out: &mut impl Write, track: &Track) -> Result<()> {
    let begin_ns = track.intervals().next().map_or(0, |interval| interval.start_ns);
    writeln!(out, "loop,start_us,length_us,involuntary_switches")?;
    for core in track.takes.iter().flat_map(|take| &take.gaps) {
        for gap in &core.gaps {
            let start = micros(gap.start_ns.saturating_sub(begin_ns));
            let length = micros(gap.end_ns - gap.start_ns);
            writeln!(out, "{},{start:.3},{length:.3},{}", core.name, gap.switches)?;
        }
    }
    Ok(())
}

fn micros(ns: u64) -> f64 {
    ns as f64 / 1e3
}

/// The maxima in an interval log are for people: microseconds.
const MAX_DIVISOR: f64 = 1e3;
/// As HdrHistogram's own tools print by default.
const TICKS_PER_HALF_DISTANCE: u32 = 5;
/// Of a histogram with three significant digits.
const SUB_BUCKETS: u32 = 2048;
