//! `plan`, `apply` and `revert`: what would be changed, changing it, and taking it back.

use std::io::{IsTerminal, Write, stderr, stdin};

use anyhow::{Result, ensure};
use clap::Args;
use potoroo_tuning::apply::{self, Moment, Step, StepOutcome};
use potoroo_tuning::doctor::examine;
use potoroo_tuning::host::CheckedHost;
use potoroo_tuning::plan::TuningPlan;
use potoroo_tuning::root::Root;

use super::console;
use super::exit::DoctorExit;
use super::place::{HostSelection, Where};

/// Arguments of `plan`.
#[derive(Args, Debug)]
pub struct Print {
    #[command(flatten)]
    place: HostSelection,
}

/// Arguments of `apply`.
#[derive(Args, Debug)]
pub struct Apply {
    #[command(flatten)]
    place: HostSelection,
    /// Do not ask before the first change.
    #[arg(long)]
    yes: bool,
}

/// Arguments of `revert`.
#[derive(Args, Debug)]
pub struct Revert {
    #[command(flatten)]
    place: Where,
}

impl Print {
    /// Prints the plan.
    pub fn run(&self) -> Result<DoctorExit> {
        let root = self.place.root()?;
        console::answer(plan(&root, &self.place)?)?;
        Ok(DoctorExit::Fit)
    }
}

impl Apply {
    /// Changes what the plan can change at once.
    pub fn run(&self) -> Result<DoctorExit> {
        let root = self.place.root()?;
        let steps = apply::steps(&root, &plan(&root, &self.place)?);
        if steps.is_empty() {
            console::answer("nothing to change at once; `potoroo-tuning plan` has the rest")?;
            return Ok(DoctorExit::Fit);
        }
        if !self.yes {
            steps.iter().for_each(console::note);
            if !confirmed(steps.len()) {
                console::note("nothing was changed");
                return Ok(DoctorExit::Refused);
            }
        }
        let outcomes = apply::apply(&root, steps, &mut |moment| print(moment, "->"))?;
        Ok(ended(&outcomes, "changed; `potoroo-tuning revert` takes it back"))
    }
}

impl Revert {
    /// Restores what `apply` changed.
    pub fn run(&self) -> Result<DoctorExit> {
        let outcomes = apply::revert(&self.place.root()?, &mut |moment| print(moment, "<-"))?;
        if outcomes.is_empty() {
            console::answer("nothing to restore: nothing was applied since this host started")?;
            return Ok(DoctorExit::Fit);
        }
        Ok(ended(&outcomes, "restored"))
    }
}

fn plan(root: &Root, place: &HostSelection) -> Result<TuningPlan> {
    let host = CheckedHost::read(root, place.cores()?);
    let off = host.cores.without(&host.online);
    ensure!(
        off.is_empty() || host.online.is_empty(),
        "there is no plan for CPUs {off}: online are {}; choose others with --cores",
        host.online
    );
    Ok(TuningPlan::new(&host, &examine(&host)))
}

/// Asks at the terminal; a script has to answer on standard input.
fn confirmed(steps: usize) -> bool {
    let hint = if stdin().is_terminal() { "" } else { " (or say --yes)" };
    let _ = write!(stderr(), "change these {steps} settings until the next start?{hint} [y/N] ");
    let mut answer = String::new();
    stdin().read_line(&mut answer).is_ok() && ["y", "yes"].contains(&answer.trim())
}

fn print(moment: Moment<'_>, arrow: &str) -> std::io::Result<()> {
    if let Moment::After(step, outcome) = moment {
        let step = step.to_string().replace("->", arrow);
        console::note(format_args!("{step}: {outcome}"));
    }
    Ok(())
}

fn ended(outcomes: &[(Step, StepOutcome)], what: &str) -> DoctorExit {
    let refused = outcomes.iter().filter(|(_, outcome)| outcome.is_refused()).count();
    console::note(format_args!("{} {what}; {refused} refused", outcomes.len() - refused));
    if refused == 0 { DoctorExit::Fit } else { DoctorExit::Advice }
}
