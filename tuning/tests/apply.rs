//! Plan, apply and revert on recorded hosts, interrupted at every moment.

mod recorded;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use potoroo_tuning::apply::{self, Error, Moment, StepOutcome};
use potoroo_tuning::doctor::examine;
use potoroo_tuning::host::CheckedHost;
use potoroo_tuning::plan::TuningPlan;
use potoroo_tuning::{Cpus, Root};
use recorded::{HOSTS, Recorded, printed};

const STATE: &str = "var/lib/potoroo-tuning/state.json";

/// A host whose settings `apply` changes, and the cores to change them for.
fn host(test: &str) -> (Recorded, Root, Cpus) {
    let recorded = Recorded::unpack("bare-metal-default", test);
    let root = Root::recorded(recorded.path());
    (recorded, root, "1-3".parse().expect("it is a list"))
}

/// A host with few enough settings that a crash can be tried at each of them.
fn small_host(test: &str) -> (Recorded, Root, Cpus) {
    let recorded = Recorded::unpack("cloud-vm", test);
    let root = Root::recorded(recorded.path());
    (recorded, root, "1".parse().expect("it is a list"))
}

fn steps(root: &Root, cores: &Cpus) -> Vec<apply::Step> {
    let host = CheckedHost::read(root, Some(cores));
    apply::steps(root, &TuningPlan::new(&host, &examine(&host)))
}

/// All files with what they hold: of a choice the chosen word, because plain files do not choose.
fn files(recorded: &Recorded) -> BTreeMap<PathBuf, String> {
    let files = recorded.files().into_iter();
    let files = files.filter(|path| !path.starts_with(recorded.path().join("var")));
    let held = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("it is text");
        let chosen = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        let held = chosen.map_or(text.trim(), |(chosen, _)| chosen).to_owned();
        (path, held)
    };
    files.map(held).collect()
}

/// Ends the work at the given moment, counted from 0.
fn crash_at(moment: usize) -> impl FnMut(Moment<'_>) -> io::Result<()> {
    let mut count = 0;
    move |_| {
        count += 1;
        if count > moment { Err(io::Error::other("the power failed")) } else { Ok(()) }
    }
}

fn calm(_: Moment<'_>) -> io::Result<()> {
    Ok(())
}

#[test]
fn every_kind_of_host_gets_its_plan() {
    for (host, cores) in [("bare-metal-default", "1-3"), ("cloud-vm", "1"), ("laptop", "2-3")] {
        let recorded = Recorded::unpack(host, "plan");
        let output = recorded.run(&format!("plan --cores {cores}"));
        insta::assert_snapshot!(format!("plan-{host}"), printed(&output));
    }
    let all = printed(&Recorded::unpack("laptop", "all").run("plan"));
    assert!(all.contains("for the rest: no CPU"), "{all}");
}

#[test]
fn a_parameter_that_is_there_is_to_be_replaced() {
    let tuned = Recorded::unpack("bare-metal-tuned", "replaced");
    tuned.write("/proc/cmdline", "ro isolcpus=2-7 nohz-full=2-7 quiet\n");
    tuned.write("/sys/devices/system/cpu/isolated", "2-7\n");
    let text = printed(&tuned.run("plan --cores 1-7"));
    assert!(text.contains("Take the present isolcpus"), "{text}");
    assert!(text.contains("isolcpus=managed_irq,domain,1-7"), "{text}");
}

#[test]
fn apply_changes_and_revert_restores() {
    let (recorded, root, cores) = host("apply");
    let before = files(&recorded);
    let output = recorded.run("apply --cores 1-3 --yes");
    insta::assert_snapshot!("apply", printed(&output));
    assert_ne!(files(&recorded), before);
    let left = steps(&root, &cores);
    assert!(left.iter().all(|step| matches!(step, apply::Step::Stop { .. })), "{left:?}");

    let again = printed(&recorded.run("apply --cores 1-3 --yes"));
    assert!(again.contains("are applied already"), "{again}");
    insta::assert_snapshot!("revert", printed(&recorded.run("revert")));
    assert!(recorded.path().join(STATE).exists(), "the service is still to be started");
}

#[test]
fn revert_restores_after_a_crash_at_any_moment() {
    for moment in 0.. {
        let (recorded, root, cores) = small_host(&format!("crash-{moment}"));
        let before = files(&recorded);
        let applied = apply::apply(&root, steps(&root, &cores), &mut crash_at(moment));
        if applied.is_ok() {
            assert!(moment > 10, "there were too few moments: {moment}");
            break;
        }
        assert!(matches!(applied, Err(Error::Ended(_))));
        apply::revert(&root, &mut calm).expect("it can be restored");
        assert_eq!(files(&recorded), before, "moment {moment}");
        assert!(!recorded.path().join(STATE).exists());
    }
}

#[test]
fn revert_itself_may_crash_at_any_moment() {
    for moment in 0.. {
        let (recorded, root, cores) = small_host(&format!("twice-{moment}"));
        let before = files(&recorded);
        apply::apply(&root, steps(&root, &cores), &mut calm).expect("it can be applied");
        let reverted = apply::revert(&root, &mut crash_at(moment));
        apply::revert(&root, &mut calm).expect("it can be restored");
        assert_eq!(files(&recorded), before, "moment {moment}");
        if reverted.is_ok() {
            assert!(moment > 10, "there were too few moments: {moment}");
            break;
        }
    }
}

#[test]
fn a_record_that_was_half_written_is_not_seen() {
    let (recorded, root, cores) = host("torn");
    recorded.write("/var/lib/potoroo-tuning/state.new", "{\"format\":1,\"st");
    assert_eq!(apply::revert(&root, &mut calm).expect("nothing is recorded"), []);
    apply::apply(&root, steps(&root, &cores), &mut calm).expect("it can be applied");
    assert!(recorded.path().join(STATE).exists());
}

#[test]
fn a_foreign_record_is_left_alone() {
    let (recorded, _, _) = host("foreign");
    for text in [
        "",
        "{\"format\":1,\"boot_id\":\"\",\"st",
        "[1]",
        "{\"format\":2,\"boot_id\":\"\",\"steps\":[]}",
    ] {
        recorded.write(&format!("/{STATE}"), text);
        for command in ["revert", "apply --cores 1-3 --yes"] {
            let output = printed(&recorded.run(command));
            assert!(output.contains("state.json is not understood"), "{output}");
            assert!(output.ends_with("exit 3\n"), "{output}");
        }
        assert_eq!(fs::read_to_string(recorded.path().join(STATE)).expect("it is there"), text);
    }
}

#[test]
fn a_new_start_of_the_kernel_voids_the_record() {
    let (recorded, root, cores) = host("boot");
    let boot_id = "/proc/sys/kernel/random/boot_id";
    recorded.write(boot_id, "first\n");
    apply::apply(&root, steps(&root, &cores), &mut calm).expect("it can be applied");
    recorded.write(boot_id, "second\n");
    recorded.write("/proc/sys/vm/stat_interval", "7\n");
    let output = printed(&recorded.run("revert"));
    assert!(output.contains("nothing to restore"), "{output}");
    assert_eq!(root.text("/proc/sys/vm/stat_interval").as_deref(), Ok("7"));
    assert!(!recorded.path().join(STATE).exists());
}

#[test]
fn what_the_kernel_refuses_is_reported_and_stays_as_it_is() {
    let (recorded, root, cores) = host("refused");
    let gone = "/proc/irq/41/smp_affinity_list";
    let mut remove = |moment: Moment<'_>| {
        if let Moment::Recorded = moment {
            recorded.remove(gone);
        }
        Ok(())
    };
    let outcomes = apply::apply(&root, steps(&root, &cores), &mut remove).expect("it goes on");
    let refused = |(_, outcome): &&(apply::Step, StepOutcome)| outcome.is_refused();
    let refused: Vec<_> = outcomes.iter().filter(refused).collect();
    assert!(refused.iter().any(|(step, _)| step.to_string().contains(gone)), "{refused:?}");
    assert!(!recorded.path().join(gone.trim_start_matches('/')).exists(), "nothing is created");
}

#[test]
fn one_at_a_time() {
    let (recorded, root, cores) = host("busy");
    recorded.write("/var/lib/potoroo-tuning/lock", "");
    let lock = File::open(recorded.path().join("var/lib/potoroo-tuning/lock")).expect("it is");
    lock.lock().expect("it is free");
    let refused = apply::apply(&root, steps(&root, &cores), &mut calm);
    assert!(matches!(refused, Err(Error::Busy)));
    let output = printed(&recorded.run("revert"));
    assert!(output.contains("another potoroo-tuning"), "{output}");
}

#[test]
fn nothing_else_changes_anything() {
    for host in HOSTS {
        let recorded = Recorded::unpack(host, "unchanged");
        let before = files(&recorded);
        // Standard input of a test is closed or empty: there is no yes.
        for command in ["doctor", "doctor --json", "plan", "apply", "revert"] {
            let _ = recorded.run(command);
            assert_eq!(files(&recorded), before, "{host}: {command}");
        }
    }
}

#[test]
fn cores_that_are_not_online_have_no_plan() {
    let laptop = Recorded::unpack("laptop", "no-plan");
    for command in ["plan --cores 6-7", "apply --yes --cores 6-7"] {
        let text = printed(&laptop.run(command));
        let words = "no plan for CPUs 7: online are 0-6; choose others with --cores";
        assert!(text.contains(words) && text.ends_with("exit 3\n"), "{text}");
    }
    assert!(!laptop.path().join(STATE).exists(), "something was changed");
}
