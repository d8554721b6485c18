//! State folders that cannot be used, by a real application: what it says, and that what it refuses
//! stays as it is.

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use potoroo::checkpoint::Manifest;
use potoroo::checkpoint::store::{FolderView, StoreReader};
use support::{App, Ended, Scratch, check_windows, example, newest_head, tool};

const WINDOWS: &str = "sequence_windows";

/// Runs windows up to the number `count` to its end.
fn run(state: &str, output: &str, count: u64, more: &str) -> Ended {
    let arguments = format!(
        "--source numbers=gen:numbers?count={count} --sink windows={output} --state {state} \
         --checkpoint-ms 3600000 --checkpoints-kept 3 --cores 0,0 --report json {more}"
    );
    App::start(WINDOWS, &arguments).finish()
}

/// A state folder with three checkpoints, a hundred numbers apart.
fn filled(scratch: &Scratch, output: &str) -> String {
    let state = scratch.path("state");
    [100, 200, 300].iter().for_each(|count| drop(run(&state, output, *count, "").report()));
    state
}

/// The manifest that HEAD names, and its name.
fn newest(state: &str) -> (String, Manifest) {
    let view = FolderView::open(Path::new(state)).expect("it is there");
    let name = view.head().expect("it is whole").and_then(|head| head.manifest);
    let name = name.expect("there are checkpoints");
    let manifest = Manifest::load(&view, &name).expect("it is whole");
    (name, manifest)
}

fn files(folder: &str) -> BTreeMap<String, Vec<u8>> {
    let paths = fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("too").path());
    paths.map(|path| (path.display().to_string(), fs::read(&path).expect("it is ours"))).collect()
}

/// What happens to a file.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Lost,
    CutOff,
    Flipped,
    /// The number of its format is another.
    Newer,
}

fn harm(file: &Path, harm: Harm) {
    let mut bytes = fs::read(file).expect("it is there");
    let middle = bytes.len() / 2;
    match harm {
        Harm::Lost => return fs::remove_file(file).expect("it is ours"),
        // Not at the end of a line, where the digest is missing.
        Harm::CutOff => bytes.truncate(middle - usize::from(bytes[middle - 1] == b'\n')),
        Harm::Flipped => bytes[middle] ^= 1,
        Harm::Newer if bytes.starts_with(b"potopart") => bytes[8] += 1,
        Harm::Newer => {
            let end = bytes.iter().position(|byte| *byte == b'\n').expect("it has lines");
            bytes[end - 1] += 1;
        }
    }
    fs::write(file, bytes).expect("it is ours");
}

/// As the message for a HEAD that is damaged says.
fn lose_heads(state: &str) {
    let heads = files(state).into_keys().filter(|path| path.contains("/HEAD"));
    heads.for_each(|path| fs::remove_file(path).expect("it is ours"));
}

/// Each is reported by its name, with a remedy; what may be needed to repair it stays; and an
/// older checkpoint can be restored.
#[test]
fn what_is_damaged_is_refused_by_name_and_an_older_checkpoint_can_be_used() {
    let scratch = Scratch::new("state-damage");
    let state = filled(&scratch, "null:");
    let (manifest, contents) = newest(&state);
    let last = contents.epoch;
    let part = contents.parts.iter().rfind(|part| part.core == 0);
    let part = part.expect("each core has one").name.clone();
    let whole = files(&state);
    let back = "with --restore EPOCH (`potoroo checkpoint list` names them)";
    let newer = "a newer version of Potoroo wrote it, in format 5, and this one reads 4; use that";
    // Manifests are of format 4, HEAD of format 3, parts of format 2.
    let newer_head = newer.replace("format 5", "format 4").replace("reads 4", "reads 3");
    let newer_part = newer.replace("format 5", "format 3").replace("reads 4", "reads 2");
    let no_head = format!("HEAD is missing though there are checkpoints of epoch {last}, ");
    for (name, kind, parts) in [
        ("HEAD", Harm::Lost, [no_head.as_str(), "with --restore EPOCH"]),
        ("HEAD", Harm::CutOff, ["it is cut off", "begin with HEAD and choose a checkpoint with"]),
        ("HEAD", Harm::Flipped, ["its digest does not fit", back]),
        ("HEAD", Harm::Newer, [&newer_head, "version, or a newer one"]),
        (&manifest, Harm::Lost, ["is missing; put it back from a copy", back]),
        (&manifest, Harm::CutOff, ["it is cut off", back]),
        (&manifest, Harm::Flipped, ["its digest does not fit", back]),
        (&manifest, Harm::Newer, [newer, "version, or a newer one"]),
        (&part, Harm::Lost, ["is missing; put it back from a copy", back]),
        (&part, Harm::CutOff, ["it is cut off", back]),
        (&part, Harm::Flipped, ["the checksum of this record does not fit", back]),
        (&part, Harm::Newer, [&newer_part, "version, or a newer one"]),
    ] {
        fs::remove_dir_all(&state).and_then(|()| fs::create_dir(&state)).expect("it is ours");
        whole.iter().for_each(|(path, bytes)| fs::write(path, bytes).expect("it is ours"));
        match (name, kind) {
            ("HEAD", kind) => harm(&newest_head(&state), kind),
            (name, kind) => harm(&Path::new(&state).join(name), kind),
        }
        let before = files(&state);
        let ended = run(&state, "null:", 300, "");
        ended.refused(1, &[&format!("error: --state {state}: "), name, parts[0], parts[1]]);
        assert_eq!(ended.log.matches("error: ").count(), 1, "it is reported once: {}", ended.log);
        let kept = |mut files: BTreeMap<String, Vec<u8>>| {
            // A process reads parts only after it has taken over; and the number of its owner.
            files.retain(|path, _| {
                !path.ends_with("LOCK") && (name != part || !path.contains("/HEAD"))
            });
            files
        };
        assert_eq!(kept(files(&state)), kept(before), "{name} {kind:?}");
        if name == "HEAD" {
            lose_heads(&state);
        }
        let back = format!("--restore {}", last.0 - 1);
        let gone_back = run(&state, "null:", 300, &back);
        assert_eq!(gone_back.report()["events"], 100, "{name} {kind:?}: {}", gone_back.log);
    }
}

/// Nothing is decided by the time of day: checkpoints of the future are gone on from, new ones are
/// the newest, and the tool reports it.
#[test]
fn a_clock_that_was_set_back_changes_nothing() {
    const AHEAD: u64 = 4_000_000_000;
    let scratch = Scratch::new("state-clock");
    let output = format!("file:{}", scratch.path("windows"));
    let state = filled(&scratch, &output);
    let view = FolderView::open(Path::new(&state)).expect("it is there");
    for (name, _) in view.list().expect("it can be read") {
        if name.starts_with("manifest-") {
            let mut manifest = Manifest::load(&view, &name).expect("it is whole");
            manifest.unix_seconds = AHEAD - u64::from(manifest.epoch.0);
            fs::write(Path::new(&state).join(&name), manifest.write()).expect("it is ours");
        }
    }
    let (_, before) = newest(&state);
    let ended = run(&state, &output, 400, "");
    assert_eq!(ended.report()["events"], 100, "{}", ended.log);
    check_windows(&scratch.path("windows"), 400);
    let (_, after) = newest(&state);
    assert!(after.epoch > before.epoch && after.unix_seconds < before.unix_seconds);
    let mut list = Command::new(tool());
    list.args(["checkpoint", "list", "--state", &state]);
    let listed = App::spawn(list).finish();
    assert_eq!(listed.code, Some(0), "{}", listed.log);
    assert_eq!(listed.out.matches("s ahead of this clock").count(), 2, "{}", listed.out);
}

/// A command in which a shell's `script` may mount what no other process sees, and then becomes the
/// application. `None` where that is not allowed; the reason is printed. The script has the folder
/// as `$0` and the application with its arguments as `$@`.
fn with_mounts(script: &str, folder: &str, arguments: &str) -> Option<Command> {
    fs::create_dir_all(folder).expect("the scratch folder is ours");
    let unshare = |ways: &str, script: &str| {
        let mut command = Command::new("unshare");
        command.args([ways, "sh", "-ec", script, folder]);
        command
    };
    let mount = "mount -t tmpfs -o size=1m none \"$0\"";
    let works = |ways: &&str| unshare(ways, mount).output().is_ok_and(|it| it.status.success());
    let Some(ways) = ["-m", "-rm"].into_iter().find(works) else {
        eprintln!("skipped: a file system cannot be mounted here, as root or in a namespace");
        return None;
    };
    let mut command = unshare(ways, &format!("{mount}; {script}; exec \"$@\""));
    command.arg(example(WINDOWS)).arg("--no-progress").args(arguments.split_whitespace());
    command.args(["--state", folder]);
    Some(command)
}

const NUMBERS: &str = "--source numbers=gen:numbers?rate=10000 --sink windows=null: --cores 0";

#[test]
fn a_folder_that_cannot_be_written_is_reported_with_what_to_do() {
    let scratch = Scratch::new("state-write");
    let folder = scratch.path("state");
    let place = format!("error: --state {folder}: cannot ");
    let read_only = with_mounts("mount -o remount,ro \"$0\"", &folder, NUMBERS);
    let Some(read_only) = read_only else { return };
    let parts =
        [&place, "Read-only file system", "make the disk writable, or give another --state"];
    App::spawn(read_only).finish().refused(1, &parts);

    let fill = "cat /dev/zero > \"$0\"/filler 2>/dev/null || true";
    let full = with_mounts(fill, &folder, NUMBERS).expect("it worked before");
    let parts = [&place, "No space left on device", "free space there, or give --state a larger"];
    App::spawn(full).finish().refused(1, &parts);

    // Root but for its privileges: it has the rights of an owner, who may not write.
    fs::set_permissions(&folder, Permissions::from_mode(0o555)).expect("it is ours");
    let mut owner = Command::new("unshare");
    owner.arg("-U").arg(example(WINDOWS)).arg("--no-progress").args(NUMBERS.split_whitespace());
    owner.args(["--state", &folder]);
    let ended = App::spawn(owner).finish();
    if ended.log.contains("unshare") {
        eprintln!("skipped: no namespace of users can be made here: {}", ended.log);
        return;
    }
    let parts = [&place, "Permission denied", "give the user of this process the right to it"];
    ended.refused(1, &parts);
}

/// The application says that no checkpoint is made, and its output waits; when there is space
/// again, all goes on, and nothing is lost or doubled.
#[test]
fn a_disk_that_gets_full_ends_nothing_and_loses_nothing() {
    const COUNT: u64 = 60_000;
    let scratch = Scratch::new("state-full");
    let (folder, output) = (scratch.path("state"), scratch.path("windows"));
    let arguments = format!(
        "--source numbers=gen:numbers?rate=10000&count={COUNT} --sink windows=file:{output} \
         --cores 0,0 --checkpoint-ms 5 --admin 127.0.0.1:0 --report json"
    );
    let Some(command) = with_mounts("true", &folder, &arguments) else { return };
    let mut app = App::spawn(command);
    let admin = app.admin();
    support::wait_for_status(admin, |status| {
        status["checkpoints"]["committed"].as_u64() >= Some(2)
    });
    // What the application sees there, seen from outside.
    let pid = app.process().as_raw_nonzero();
    let filler = format!("/proc/{pid}/root{folder}/filler");
    let mut file = File::create(&filler).expect("its folder can be reached");
    let line = loop {
        match file.write(&[0; 65536]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => {}
            Err(error) => panic!("{error}"),
        }
        // What is collected meanwhile gives some of it back.
        if let Some(line) = app.log_so_far().lines().find(|line| line.contains("was aborted")) {
            break line.to_owned();
        }
        // Leaves the CPU to the application.
        std::thread::park_timeout(Duration::from_millis(1));
    };
    for part in ["No space left on device", "free space there", "the application goes on"] {
        assert!(line.contains(part), "`{part}` is not in {line}");
    }
    assert!(!app.has_ended(), "output waits for room");
    fs::remove_file(&filler).expect("its folder can be reached");
    drop(file);
    let report = app.finish().report();
    assert!(report["checkpoints"]["aborted"].as_u64() > Some(0), "{report}");
    check_windows(&output, COUNT);
}
