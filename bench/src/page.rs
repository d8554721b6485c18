//! `report`: one or more runs as one HTML page, with its percentile plots as SVG and a Markdown
//! table beside it.
//!
//! Owns what a reader sees. Promises: the page needs no network and no script; the tail as it was
//! and the tail outside gaps are never shown one without the other; text from files is escaped.
//! Must never: leave out or smooth a value.

// In reading order; the blank lines keep it.
pub mod words;

mod runs;

mod plot;

mod over_time;
mod percentile_plot;

mod markdown;

mod html;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::runs::Runs;
use crate::answer::answer;
use crate::results;

/// What to report on.
#[derive(Clone, Debug, Args)]
pub struct PageOptions {
    /// Results (.jsonl), or interval logs (.hlog) of this or another tool
    /// [default: all results of the results folder].
    files: Vec<PathBuf>,
    /// How many of the newest runs of each results file are overlaid.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    last: u16,
    /// Folder that the page goes to [default: `report` in the results folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Writes the page and says where it is.
///
/// # Errors
/// There is nothing to report on, or the page cannot be written.
pub fn report(request: &PageOptions, folder: Option<&Path>) -> Result<()> {
    let folder = folder.map_or_else(results::default_folder, Path::to_owned);
    let files = match request.files.as_slice() {
        [] => all_results(&folder)?,
        files => files.to_vec(),
    };
    let runs = Runs::read(&files, request.last.into())?;
    runs.warnings.iter().for_each(|warning| eprintln!("{}", words::line(warning)));
    let out = request.out.clone().unwrap_or_else(|| folder.join("report"));
    fs::create_dir_all(&out).with_context(|| format!("{} cannot be made", out.display()))?;
    write(&out.join("index.html"), &html::page(&runs))?;
    for (index, group) in runs.groups().iter().enumerate() {
        let name = format!("percentiles-{}.svg", index + 1);
        write(&out.join(name), &percentile_plot::alone(&runs, group))?;
    }
    write(&out.join("table.md"), &markdown::tables(&runs))
}

fn all_results(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_results = |path: &PathBuf| path.extension().is_some_and(|end| end == "jsonl");
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(is_results).collect();
    files.sort();
    if files.is_empty() {
        bail!("there are no results in {}: run a benchmark first, or name files", folder.display());
    }
    Ok(files)
}

fn write(path: &Path, text: &str) -> Result<()> {
    results::save(path, |out| Ok(out.write_all(text.as_bytes())?))?;
    answer(path.display())
}
