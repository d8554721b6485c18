//! How far a run is: a bar on a terminal, lines elsewhere.
//!
//! Drawn between slices only, by the caller: a thread that redraws would disturb what is measured.

use std::fmt::Display;
use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// The steps of one part of a run; the bar goes away with it.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins a part with a number of steps.
    pub fn new(what: &str, steps: usize) -> Self {
        if !stderr().is_terminal() {
            eprintln!("{what}");
            return Self { bar: None };
        }
        let style = ProgressStyle::with_template("{prefix} [{bar:24}] {pos}/{len} {msg}");
        let style = style.expect("the template is sound");
        let bar = ProgressBar::new(steps as u64).with_style(style);
        Self { bar: Some(bar.with_prefix(what.to_owned())) }
    }

    /// Says which step begins.
    pub fn begin(&self, step: impl Display) {
        match &self.bar {
            Some(bar) => bar.set_message(step.to_string()),
            None => eprintln!("{step}"),
        }
    }

    /// Counts a step as done.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Says something that stays.
    pub fn warn(&self, warning: impl Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{warning}")),
            None => eprintln!("{warning}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
