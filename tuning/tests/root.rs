//! Hostile roots: nothing outside of `--root DIR` is written, made, read or removed.

mod recorded;

use std::fs;
use std::io::{Write, stderr};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Output;

use recorded::{Recorded, printed};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

const FOLDER: &str = "var/lib/potoroo-tuning";

/// A host whose settings `apply` changes, and a folder beside it with one file.
struct Hostile {
    host: Recorded,
    outside: Recorded,
}

impl Hostile {
    fn new(test: &str) -> Self {
        let host = Recorded::unpack("bare-metal-default", &format!("root-{test}"));
        let outside = Recorded::empty(&format!("outside-{test}"));
        outside.write("/victim", VICTIM);
        Self { host, outside }
    }

    /// The path of the file outside.
    fn victim(&self) -> PathBuf {
        self.outside.path().join("victim")
    }

    /// Puts a link to `target` in the place of what is at `path`.
    fn link(&self, path: &str, target: impl AsRef<std::path::Path>) {
        let link = self.host.path().join(path);
        let _ = fs::remove_file(&link).or_else(|_| fs::remove_dir_all(&link));
        fs::create_dir_all(link.parent().expect("it has a folder")).expect("folders can be made");
        symlink(target, link).expect("links can be made");
    }

    /// Runs a command; the outside is as it was.
    #[track_caller]
    fn run(&self, arguments: &str) -> Output {
        let output = self.host.run(arguments);
        assert_eq!(self.outside.files(), [self.victim()], "{arguments}: {}", printed(&output));
        let victim = fs::read_to_string(self.victim()).expect("it is there");
        assert_eq!(victim, VICTIM, "{arguments}: {}", printed(&output));
        output
    }
}

const VICTIM: &str = "1\n";

#[test]
fn a_record_restores_settings_of_its_root_only() {
    let hostile = Hostile::new("record");
    let victim = hostile.victim();
    let up = format!("/sys/{}{}", "../".repeat(40), victim.display());
    for path in [up.as_str(), "../outside-record/victim", &victim.display().to_string(), "/etc/a"] {
        hostile.host.write("/etc/a", "1\n");
        let step = format!(r#"{{"write":{{"path":"{path}","before":"owned","value":"1"}}}}"#);
        let record = format!(r#"{{"format":1,"boot_id":"","steps":[{step}]}}"#);
        hostile.host.write(&format!("/{FOLDER}/state.json"), &record);
        let text = printed(&hostile.run("revert"));
        assert!(text.contains("is no setting of the kernel"), "{text}");
        assert!(text.ends_with("exit 3\n"), "{text}");
        let inside = fs::read_to_string(hostile.host.path().join("etc/a")).expect("it is there");
        assert_eq!(inside, "1\n");
    }
}

#[test]
fn settings_that_are_links_out_of_the_root_are_not_changed() {
    let hostile = Hostile::new("setting");
    hostile.link("proc/sys/vm/stat_interval", hostile.victim());
    hostile.link("sys/kernel/mm", hostile.outside.path());
    let second = hostile.host.path().join("proc/sys/kernel/watchdog_cpumask");
    fs::remove_file(&second).expect("it is recorded");
    fs::hard_link(hostile.victim(), &second).expect("it is one disk");
    let text = printed(&hostile.run("apply --cores 1-3 --yes"));
    assert!(text.contains("refused: is no file, or has a second name"), "{text}");
    hostile.run("revert");
    hostile.run("doctor");
}

#[test]
fn a_link_inside_of_the_root_means_what_it_means_on_its_host() {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    if openat2(CWD, "/", flags, Mode::empty(), ResolveFlags::empty()).is_err() {
        // Not by `eprintln`, which the test runner swallows when the test passes.
        let skipped = "skipped: openat2 is refused here, links are not followed\n";
        stderr().write_all(skipped.as_bytes()).expect("standard error is open");
        return;
    }
    let hostile = Hostile::new("inside");
    hostile.host.write("/elsewhere/interval", "1\n");
    hostile.link("proc/sys/vm/stat_interval", "/elsewhere/interval");
    hostile.run("apply --cores 1-3 --yes");
    let interval = hostile.host.path().join("elsewhere/interval");
    assert_eq!(fs::read_to_string(&interval).expect("it is there"), "120");
    hostile.run("revert");
    assert_eq!(fs::read_to_string(&interval).expect("it is there"), "1");
}

#[test]
fn the_record_and_its_lock_are_no_links() {
    let everywhere = ["var", "var/lib", FOLDER];
    for (index, folder) in everywhere.into_iter().enumerate() {
        let hostile = Hostile::new(&format!("folder-{index}"));
        hostile.link(folder, hostile.outside.path());
        let text = printed(&hostile.run("apply --cores 1-3 --yes"));
        assert!(text.contains(folder) && text.ends_with("exit 3\n"), "{folder}: {text}");
    }
    for name in ["lock", "state.json"] {
        let hostile = Hostile::new(&format!("link-{name}"));
        let path = format!("{FOLDER}/{name}");
        for target in [hostile.victim(), hostile.outside.path().join("new"), "/proc/stat".into()] {
            hostile.link(&path, target);
            for command in ["revert", "apply --cores 1-3 --yes"] {
                let text = printed(&hostile.run(command));
                assert!(text.contains("is a symbolic link"), "{name}: {text}");
                assert!(text.contains(&path) && text.ends_with("exit 3\n"), "{name}: {text}");
            }
        }
    }
    let hostile = Hostile::new("half");
    for second in [false, true] {
        let half = hostile.host.path().join(FOLDER).join("state.new");
        match second {
            true => fs::hard_link(hostile.victim(), &half).expect("it is one disk"),
            false => hostile.link(&format!("{FOLDER}/state.new"), hostile.victim()),
        }
        hostile.run("apply --cores 1-3 --yes");
        assert!(fs::symlink_metadata(&half).is_err(), "it became the record");
        hostile.run("revert");
        hostile.host.remove(&format!("/{FOLDER}/state.json"));
    }
}

#[test]
fn what_the_files_of_a_host_say_does_not_steer_the_terminal() {
    let hostile = Hostile::new("terminal");
    let governor = "/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor";
    hostile.host.write(governor, "\u{1b}]0;owned\u{7}\u{9b}2J\n");
    for command in ["doctor", "plan", "apply --cores 1-3 --yes", "revert", "topology"] {
        let text = printed(&hostile.run(command));
        let steers = |letter: char| letter.is_control() && letter != '\n' && letter != '\t';
        assert!(!text.contains(steers), "{command}: {text:?}");
    }
}

#[test]
fn commands_to_copy_hold_no_others() {
    let hostile = Hostile::new("shell");
    let governor = "/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor";
    hostile.host.write(governor, "'; reboot; '\n");
    hostile.host.write("/proc/sys/vm/swappiness", "60'; reboot; '\n");
    hostile.host.write("/sys/class/net/e;reboot/operstate", "up\n");
    hostile.host.write("/sys/class/net/e;reboot/device/", "");
    hostile.host.write("/sys/class/net/e;reboot/queues/rx-0/rps_cpus", "ffff\n");
    hostile.host.write("/programs/ethtool -c e;reboot", "rx-usecs: 7\n");
    let text = printed(&hostile.run("plan --cores 1-3"));
    let mut seen = 0;
    for line in text.lines().filter(|line| line.contains("reboot")) {
        // Outside of quotes a shell reads no word of theirs.
        let mut quoted = false;
        let mut letters = line.chars();
        let mut plain = String::new();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' if !quoted => drop(letters.next()),
                '\'' => quoted = !quoted,
                letter if !quoted => plain.push(letter),
                _ => {}
            }
        }
        assert!(!quoted && !plain.contains("reboot"), "{line}");
        seen += 1;
    }
    assert!(seen >= 4, "{text}");
}
