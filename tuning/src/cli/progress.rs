//! Progress on a terminal, and ending by a signal.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};

/// A bar on standard error; nothing where that is no terminal.
pub struct Bar(ProgressBar);

/// Begins a bar.
pub fn bar(what: &'static str) -> Bar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {percent}% (Ctrl-C ends it)");
    let style = style.expect("the template is valid");
    Bar(ProgressBar::new(STEPS).with_style(style).with_message(what))
}

impl Bar {
    /// Shows a share from 0 to 1.
    pub fn set(&self, share: f64) {
        self.0.set_position((share * STEPS as f64) as u64);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Set by SIGINT and SIGTERM; a second one ends the process at once.
pub fn stop_on_signal() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        register_conditional_shutdown(signal, 128 + signal, stop.clone())
            .and_then(|_| register(signal, stop.clone()))
            .context("signals cannot be caught")?;
    }
    Ok(stop)
}

const STEPS: u64 = 1000;
