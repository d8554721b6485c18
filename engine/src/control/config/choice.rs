//! Settings that are one of several words.

use potoroo_runtime::Idle;

/// How the summary is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SummaryFormat {
    /// A table for people, on standard output; on standard error if a sink or the dead letters
    /// write to standard output.
    #[default]
    Text,
    /// One JSON object on the last line of standard output, after what a sink wrote there.
    Json,
}

/// The form of report that `text` names, if any: `text` or `json`.
pub(super) fn parse_report(text: &str) -> Option<SummaryFormat> {
    [SummaryFormat::Text, SummaryFormat::Json]
        .into_iter()
        .find(|report| report_name(*report) == text)
}

/// The name of a form of report on the command line and in the configuration file.
pub(super) fn report_name(report: SummaryFormat) -> &'static str {
    match report {
        SummaryFormat::Text => "text",
        SummaryFormat::Json => "json",
    }
}

/// The strategy that `text` names, if any: `spin`, `adaptive` or `park`.
pub fn parse_idle(text: &str) -> Option<Idle> {
    [Idle::Spin, Idle::Adaptive, Idle::Park].into_iter().find(|idle| idle_name(*idle) == text)
}

/// The name of a strategy on the command line and in reports.
pub fn idle_name(idle: Idle) -> &'static str {
    match idle {
        Idle::Spin => "spin",
        Idle::Adaptive => "adaptive",
        Idle::Park => "park",
    }
}
