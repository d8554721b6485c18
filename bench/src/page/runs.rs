//! The runs that a page is about, read from results and the logs beside them.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use crate::results::{self, GapSum, IntervalLog, LogInterval, LogSeries, Percentiles, RunRecord};
use crate::track::percentiles;

/// Everything that a page shows.
#[derive(Debug, Default)]
pub struct Runs {
    /// The runs in the order of the files, older ones of a file first.
    pub runs: Vec<Run>,
    /// Latencies of all runs.
    pub lines: Vec<Line>,
    /// Messages about files that could not be read.
    pub warnings: Vec<String>,
}

/// One run, or one log without a record.
#[derive(Debug)]
pub struct Run {
    /// Distinguishes it from the others on the page.
    pub label: String,
    /// `None` for a bare log.
    pub record: Option<RunRecord>,
}

/// The latencies of one series of one run.
#[derive(Debug)]
pub struct Line {
    /// Index of its run.
    pub run: usize,
    /// Name of the series.
    pub name: String,
    /// How events came, in words.
    pub load: String,
    /// Whether latency counts from intended departures; `None` if the log does not say.
    pub open_loop: Option<bool>,
    /// The tail as it was.
    pub all: Distribution,
    /// The tail outside gaps; `None` if no loop was watched.
    pub outside: Option<Distribution>,
    /// The gaps by loop.
    pub gaps: Vec<GapSum>,
    /// The same one by one: seconds of recorded time, and length in nanoseconds.
    pub marks: Vec<(f64, f64)>,
    /// Percentiles over recorded time.
    pub moments: Vec<IntervalSummary>,
}

/// Percentiles, and the curve through all of them: quantiles with values in nanoseconds.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// Those of a record.
    pub percentiles: Percentiles,
    /// Rising; the last point is the maximum.
    pub curve: Vec<(f64, u64)>,
}

/// One interval.
#[derive(Clone, Copy, Debug)]
pub struct IntervalSummary {
    /// Seconds of recorded time before it.
    pub start: f64,
    /// Its length in seconds.
    pub length: f64,
    /// Whether it follows on the interval before without a pause.
    pub joined: bool,
    /// Number of events.
    pub count: u64,
    /// Median, 99.9th percentile and maximum, in nanoseconds; all 0 without events.
    pub values: [u64; 3],
}

/// Lines that may be compared with each other: of one benchmark under one load.
#[derive(Debug)]
pub struct Group {
    /// Its heading.
    pub title: String,
    /// Indices of its lines.
    pub lines: Vec<usize>,
}

impl Runs {
    /// Reads the newest `last` runs of each file. Files that cannot be read are in the warnings.
    ///
    /// # Errors
    /// Nothing can be read.
    pub fn read(files: &[impl AsRef<Path>], last: usize) -> Result<Self> {
        let mut runs = Self::default();
        for file in files.iter().map(AsRef::as_ref) {
            let added = match file.extension().is_some_and(|end| end == "hlog") {
                true => runs.add_log(file),
                false => runs.add_results(file, last),
            };
            runs.warnings.extend(added.err().map(|error| format!("{error:#}")));
        }
        let why = runs.warnings.join("; ");
        ensure!(!runs.runs.is_empty(), "there is no run to report on: {why}");
        Ok(runs)
    }

    fn add_results(&mut self, file: &Path, last: usize) -> Result<()> {
        let (records, broken) = results::read(file)?;
        self.warnings.extend(broken);
        let folder = file.parent().unwrap_or(Path::new("."));
        let skipped = records.len().saturating_sub(last);
        records.into_iter().skip(skipped).for_each(|record| self.add_record(folder, record));
        Ok(())
    }

    fn add_record(&mut self, folder: &Path, record: RunRecord) {
        let run = self.runs.len();
        let kept = record.folder.as_ref().filter(|kept| is_plain(kept)).map(|it| folder.join(it));
        let kept = kept.filter(|kept| {
            if !kept.is_dir() {
                let gone = format!("{} is not there: its percentiles are those", kept.display());
                self.warnings.push(gone + " of the record, without curves");
            }
            kept.is_dir()
        });
        for series in &record.series {
            let mut line = Line {
                run,
                name: series.name.clone(),
                load: series.load.clone(),
                open_loop: Some(series.open_loop),
                all: Distribution::rough(series.all),
                outside: series.outside.map(Distribution::rough),
                gaps: series.gaps.clone(),
                marks: Vec::new(),
                moments: Vec::new(),
            };
            if let Some(kept) = kept.as_ref().filter(|_| series.kept && is_plain(&series.name)) {
                self.warnings.extend(line.fill(kept));
            }
            self.lines.push(line);
        }
        let commit = record.commit.as_deref().unwrap_or("unknown commit");
        let label = format!("{} {commit} {}", record.bench, record.time);
        self.runs.push(Run { label, record: Some(record) });
    }

    fn add_log(&mut self, file: &Path) -> Result<()> {
        let log = IntervalLog::read(file)?;
        self.warnings.extend(log.broken.iter().cloned());
        let label = file.display().to_string();
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        self.lines.extend(log.series.iter().map(|series| Line {
            run: self.runs.len(),
            name: match series.tag.as_deref() {
                None => name.clone(),
                Some("") => format!("{name}, empty tag"),
                Some(tag) => format!("{name}, tag {tag}"),
            },
            load: "as the log has it, read as nanoseconds".into(),
            open_loop: None,
            all: Distribution::of(&series.total),
            outside: None,
            gaps: Vec::new(),
            marks: Vec::new(),
            moments: moments(&series.intervals),
        }));
        self.runs.push(Run { label, record: None });
        Ok(())
    }

    /// The record of a run.
    pub fn record(&self, run: usize) -> Option<&RunRecord> {
        self.runs[run].record.as_ref()
    }

    /// Lines in groups, in the order in which they come.
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            let bench = self.record(line.run).map_or("logs", |record| &record.bench);
            let title = format!("{bench}: {}", line.load);
            match groups.iter_mut().find(|group| group.title == title) {
                Some(group) => group.lines.push(index),
                None => groups.push(Group { title, lines: vec![index] }),
            }
        }
        groups
    }

    /// What a line is called beside those of its group.
    pub fn name(&self, group: &Group, line: usize) -> String {
        let line = &self.lines[line];
        let runs = group.lines.iter().any(|&other| self.lines[other].run != line.run);
        match runs {
            true => format!("{} ({})", line.name, self.runs[line.run].label),
            false => line.name.clone(),
        }
    }

    /// Whether the runs were made on more than one host.
    pub fn hosts_differ(&self) -> bool {
        let mut hosts = self.runs.iter().filter_map(|run| run.record.as_ref());
        let first = hosts.next().map(|record| record.host.get("id"));
        hosts.any(|record| Some(record.host.get("id")) != first)
    }
}

impl Line {
    /// Reads the files of the series. Returns messages about files that cannot be read; for these
    /// the percentiles of the record stay.
    fn fill(&mut self, folder: &Path) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut read = |name: String| {
            let path = folder.join(name);
            let log = IntervalLog::read(&path);
            let log = log.inspect_err(|error| warnings.push(format!("{error:#}"))).ok()?;
            warnings.extend(log.broken.iter().cloned());
            let only = <[LogSeries; 1]>::try_from(log.series).ok().map(|[series]| series);
            if only.is_none() {
                let tags = format!("{} has several tags: none of them", path.display());
                warnings.push(tags + " is the series of the record");
            }
            only
        };
        if let Some(series) = read(format!("{}.hlog", self.name)) {
            self.all = Distribution::of(&series.total);
            self.moments = moments(&series.intervals);
            let gaps = fs::read_to_string(folder.join(format!("{}.gaps.csv", self.name)));
            self.marks = marks(&gaps.unwrap_or_default(), &series.intervals);
        }
        if self.outside.is_some()
            && let Some(series) = read(format!("{}.outside.hlog", self.name))
        {
            self.outside = Some(Distribution::of(&series.total));
        }
        warnings
    }
}

impl Distribution {
    fn of(histogram: &Histogram<u64>) -> Self {
        let steps = histogram.iter_quantiles(CURVE_TICKS);
        let curve = steps.map(|step| (step.quantile_iterated_to(), step.value_iterated_to()));
        Self { percentiles: percentiles(histogram), curve: curve.collect() }
    }

    /// The curve through the percentiles alone, where there is no log.
    fn rough(percentiles: Percentiles) -> Self {
        let Percentiles { p50, p90, p99, p999, p9999, max, .. } = percentiles;
        let curve =
            vec![(0.5, p50), (0.9, p90), (0.99, p99), (0.999, p999), (0.9999, p9999), (1.0, max)];
        Self { percentiles, curve }
    }
}

fn moments(intervals: &[LogInterval]) -> Vec<IntervalSummary> {
    let mut recorded = 0.0;
    let mut end = f64::NEG_INFINITY;
    let mut moment = |interval: &LogInterval| {
        let start = recorded;
        let joined = (interval.start - end).abs() < interval.length / 2.0;
        (recorded, end) = (recorded + interval.length, interval.start + interval.length);
        IntervalSummary {
            start,
            length: interval.length,
            joined,
            count: interval.count,
            values: interval.values,
        }
    };
    intervals.iter().map(&mut moment).collect()
}

/// Reads `loop,start_us,length_us,…` and moves each gap to its place in recorded time.
fn marks(csv: &str, intervals: &[LogInterval]) -> Vec<(f64, f64)> {
    let place = |line: &str| {
        let mut fields = line.split(',').skip(1).map(|field| field.parse::<f64>().ok());
        let (start, length_us) = (fields.next()?? / 1e6, fields.next()??);
        let mut recorded = 0.0;
        for interval in intervals {
            if (interval.start..interval.start + interval.length).contains(&start) {
                return Some((recorded + start - interval.start, length_us * 1e3));
            }
            recorded += interval.length;
        }
        None
    };
    csv.lines().skip(1).filter_map(place).collect()
}

/// Whether a name out of a file stays in its folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\\', '\0']) && !name.starts_with('.')
}

/// Points per halving of the distance to 100 %.
const CURVE_TICKS: u32 = 20;
