//! `doctor`: the findings, for people and for programs.

use std::fmt::Write;

use anyhow::Result;
use clap::Args;
use potoroo_tuning::doctor::examine;
use potoroo_tuning::finding::{Basis, micros};
use potoroo_tuning::host::CheckedHost;
use potoroo_tuning::{Cpus, Finding, Fingerprint, Severity, verdict};
use serde::Serialize;

use super::console;
use super::exit::DoctorExit;
use super::place::HostSelection;

/// Arguments of `doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    #[command(flatten)]
    place: HostSelection,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    /// Examines the host and answers.
    pub fn run(&self) -> Result<DoctorExit> {
        let root = self.place.root()?;
        let host = CheckedHost::read(&root, self.place.cores()?);
        let findings = examine(&host);
        let severity = verdict(&findings);
        let fingerprint = Fingerprint::read(&root);
        let report =
            Report { fingerprint, cores: &host.cores, verdict: severity, findings: &findings };
        match self.json {
            true => console::answer(serde_json::to_string(&report)?)?,
            false => console::answer(report.text().trim_end())?,
        }
        Ok(match severity {
            Severity::Fine | Severity::Unknown | Severity::Note => DoctorExit::Fit,
            Severity::Advice => DoctorExit::Advice,
            Severity::Unfit => DoctorExit::Unfit,
        })
    }
}

/// The whole answer; its JSON has these fields.
#[derive(Serialize)]
struct Report<'a> {
    fingerprint: Fingerprint,
    cores: &'a Cpus,
    verdict: Severity,
    findings: &'a [Finding],
}

impl Report<'_> {
    fn text(&self) -> String {
        let host = &self.fingerprint;
        let cpu = host.cpu.as_deref().unwrap_or("unknown processor");
        let kernel = host.kernel.as_deref().unwrap_or("unknown");
        let mut text = format!(
            "host {}: {cpu}, CPUs {}, Linux {kernel}, virtualization: {}\njudged for CPUs {}\n\n",
            host.id, host.cpus, host.virtualization, self.cores
        );
        for severity in [Severity::Unfit, Severity::Advice, Severity::Note] {
            self.of(severity).for_each(|finding| text += &paragraph(finding));
        }
        for severity in [Severity::Unknown, Severity::Fine] {
            for finding in self.of(severity) {
                let _ = writeln!(text, "{:8}{:24}{}", word(severity), finding.check, finding.is);
            }
        }
        text + "\n" + &self.summary()
    }

    fn of(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.severity == severity)
    }

    fn summary(&self) -> String {
        let count = |severity| self.of(severity).count();
        format!(
            "{} unfit, {} advice, {} notes, {} unknown, {} fine",
            count(Severity::Unfit),
            count(Severity::Advice),
            count(Severity::Note),
            count(Severity::Unknown),
            count(Severity::Fine)
        )
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Fine => "fine",
        Severity::Unknown => "unknown",
        Severity::Note => "note",
        Severity::Advice => "advice",
        Severity::Unfit => "UNFIT",
    }
}

/// What a person needs to know of a finding that asks for something.
fn paragraph(finding: &Finding) -> String {
    let mut text = format!("{:8}{:24}{}\n", word(finding.severity), finding.check, finding.is);
    let mut line = |name: &str, value: &str| {
        let value = value.replace('\n', &format!("\n{INDENT}"));
        let _ = writeln!(text, "        {name:8}{value}");
    };
    line("should", &finding.should);
    line("why", &wrapped(&why(finding)));
    finding.change.iter().for_each(|step| line("change", step));
    finding.undo.iter().for_each(|step| line("undo", step));
    text + "\n"
}

fn why(finding: &Finding) -> String {
    let Some(cost) = finding.cost else { return finding.why.clone() };
    let basis = match cost.basis {
        Basis::Host => "by this host's own figures",
        Basis::Thumb => "rule of thumb",
    };
    let span = format!("{} to {}", micros(cost.from_us), micros(cost.to_us));
    format!("{span} ({basis}): {}", finding.why)
}

/// Prose in lines that fit a screen behind the indentation; commands stay whole, to be copied.
fn wrapped(prose: &str) -> String {
    let mut text = String::new();
    let mut columns = 0;
    for word in prose.split_whitespace() {
        let width = word.chars().count() + 1;
        if columns + width > COLUMNS {
            text.push('\n');
            columns = 0;
        } else if columns > 0 {
            text.push(' ');
        }
        text += word;
        columns += width;
    }
    text
}

const INDENT: &str = "                ";
const COLUMNS: usize = 84;
