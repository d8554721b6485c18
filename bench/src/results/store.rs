//! Where records go: appended to `NAME.jsonl`, artefacts in a folder of the run.

use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use humantime::format_rfc3339_seconds;
use serde_json::Value;

use super::{RunRecord, artefacts};
use crate::track::Track;

/// A folder of results with room for one run.
#[derive(Debug)]
pub struct ResultFolder {
    folder: PathBuf,
    run: PathBuf,
}

impl ResultFolder {
    /// Makes the folder of a run, which also shows before anything is measured whether results
    /// can be kept.
    ///
    /// # Errors
    /// Nothing can be written there.
    pub fn open(folder: &Path, bench: &str) -> Result<Self> {
        let time = format_rfc3339_seconds(SystemTime::now()).to_string();
        let stem = format!("{bench}-{}", time.replace(['-', ':'], ""));
        fs::create_dir_all(folder)
            .and_then(|()| make_run(folder, &stem))
            .map(|run| Self { folder: folder.into(), run })
            .with_context(|| {
                format!("results cannot be kept in {}: give --results DIR", folder.display())
            })
    }

    /// Writes the artefacts of all tracks, then appends the record, in which the folder and the
    /// series that are in it are filled in. Each is tried even if the other fails.
    ///
    /// # Errors
    /// Something could not be written; the record then says which series are kept.
    pub fn keep(&self, record: &mut RunRecord, tracks: &[Track]) -> Result<()> {
        let artefacts = self.write_artefacts(record, tracks);
        let appended = append(&self.folder.join(format!("{}.jsonl", record.bench)), record);
        if appended.is_ok() {
            // There is none if the run had one part only.
            let _ = fs::remove_file(self.unfinished());
        }
        appended.and(artefacts)
    }

    /// Writes the artefacts so far and, instead of what there was before, a results file with the
    /// record so far. It goes away when the run is [kept](Self::keep).
    ///
    /// # Errors
    /// As [`keep`](Self::keep); what was there before stays.
    pub fn keep_so_far(&self, record: &mut RunRecord, tracks: &[Track]) -> Result<()> {
        let artefacts = self.write_artefacts(record, tracks);
        let line = serde_json::to_string(record).context("a record is JSON")? + "\n";
        let write = |out: &mut BufWriter<File>| Ok(out.write_all(line.as_bytes())?);
        artefacts::save(&self.unfinished(), write).and(artefacts)
    }

    /// The results file of a run that has not ended.
    fn unfinished(&self) -> PathBuf {
        self.run.with_extension("unfinished.jsonl")
    }

    fn write_artefacts(&self, record: &mut RunRecord, tracks: &[Track]) -> Result<()> {
        let mut artefacts = Ok(());
        for (series, track) in record.series.iter_mut().zip(tracks) {
            let written = artefacts::write(&self.run, track);
            series.kept = written.is_ok();
            artefacts = artefacts.and(written);
        }
        let name = self.run.file_name().map(|name| name.to_string_lossy().into_owned());
        record.folder = name.filter(|_| record.series.iter().any(|series| series.kept));
        artefacts
    }
}

impl Drop for ResultFolder {
    fn drop(&mut self) {
        // Fails when artefacts are in it, which is why it was made.
        let _ = fs::remove_dir(&self.run);
    }
}

/// The folder of the source tree that this program was built from.
pub fn default_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results")
}

/// Runs that begin within one second get a number.
fn make_run(folder: &Path, stem: &str) -> std::io::Result<PathBuf> {
    for number in 1.. {
        let name = if number == 1 { stem.into() } else { format!("{stem}-{number}") };
        let run = folder.join(name);
        match fs::create_dir(&run) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => return result.map(|()| run),
        }
    }
    unreachable!("some number is free")
}

/// Appends one line, wholly or not at all.
///
/// # Errors
/// The file cannot be written.
fn append(path: &Path, record: &RunRecord) -> Result<()> {
    let line = serde_json::to_string(record).context("a record is JSON")?;
    append_line(path, line).with_context(|| format!("{} cannot be written", path.display()))
}

fn append_line(path: &Path, mut line: String) -> Result<()> {
    let mut file = File::options().read(true).append(true).create(true).open(path)?;
    // Two runs at once must not mix, nor one take back what the other wrote.
    file.lock()?;
    let length = file.seek(SeekFrom::End(0))?;
    if !ends_line(&mut file, length)? {
        line.insert(0, '\n');
    }
    line.push('\n');
    file.write_all(line.as_bytes()).and_then(|()| file.sync_data()).inspect_err(|_| {
        // Half a line would hide the next one. A device has no length; nothing is lost then.
        let _ = file.set_len(length);
    })?;
    Ok(())
}

/// Whether a new line can follow: a run that was killed may have left half of one.
fn ends_line(file: &mut File, length: u64) -> std::io::Result<bool> {
    if length == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(length - 1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Reads all records of a file; lines that are none are returned with their number and passed over.
///
/// # Errors
/// The file cannot be read, or has lines but no record.
pub fn read(path: &Path) -> Result<(Vec<RunRecord>, Vec<String>)> {
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    // A line that is no text is no record, and spoils none of the others.
    let text = String::from_utf8_lossy(&bytes);
    let (mut records, mut broken) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match parse(line) {
            Ok(record) => records.push(record),
            Err(error) => {
                let place = format!("{}:{}", path.display(), index + 1);
                broken.push(format!("{place}: not a record, passed over: {error:#}"));
            }
        }
    }
    ensure!(
        !records.is_empty(),
        "{} has no record of a run{}",
        path.display(),
        broken.first().map(|first| format!("; {first}")).unwrap_or_default()
    );
    Ok((records, broken))
}

fn parse(line: &str) -> Result<RunRecord> {
    let value: Value = serde_json::from_str(line)?;
    // A newer form may have other fields: its version is what matters.
    if let Some(version) = value["schema"].as_u64() {
        ensure!(
            version <= super::SCHEMA.into(),
            "its form has version {version}, and this program knows {}: use a newer one",
            super::SCHEMA
        );
    }
    Ok(serde_json::from_value(value)?)
}
