//! What others who use the host get to see: no token, and nothing of what is stored.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use support::{App, Scratch, example};

const WINDOWS: &str = "sequence_windows";

#[test]
fn a_token_in_a_wrong_command_line_or_file_is_not_shown() {
    let scratch = Scratch::new("private-token");
    let address = "potoroo://127.0.0.1:1?token=hush";
    let file =
        |name: &str, text: String| format!("--config {}", scratch.write(name, text.as_bytes()));
    for arguments in [
        format!("numbers={address}"),
        format!("--sorce numbers={address}"),
        format!("--source={address}"),
        format!("--source numbers={address} --sink {address}"),
        format!("--admin {address}"),
        format!("--seconds {address}"),
        format!("--idle {address}"),
        format!("--cores {address}"),
        format!("--dead-letters {address}"),
        format!("--state {address}"),
        format!("--config {address}"),
        file("open", format!("[sources]\nnumbers = '{address}")),
        file("bare", format!("[sources]\nnumbers = {address}")),
        file("place", format!("sources = '{address}'")),
        file("name", format!("[sources]\n'{address}' = 'gen:numbers'")),
        file("type", format!("seconds = '{address}'")),
    ] {
        let ended = App::start(WINDOWS, &arguments).finish();
        assert!(matches!(ended.code, Some(1 | 2)), "{arguments}: {:?}", ended.code);
        let shown = format!("{}{}", ended.out, ended.log);
        assert!(shown.contains("error") && !shown.contains("hush"), "{arguments}: {shown}");
    }
}

/// All files below a folder, and all folders.
fn below(folder: &Path, all: &mut Vec<(String, bool, u32)>) {
    let facts = fs::metadata(folder).expect("it is there");
    all.push((folder.display().to_string(), true, facts.mode() & 0o777));
    for entry in fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("it is there").path();
        let facts = fs::symlink_metadata(&path).expect("it is there");
        match facts.is_dir() {
            true => below(&path, all),
            false => all.push((path.display().to_string(), false, facts.mode() & 0o777)),
        }
    }
}

#[test]
fn what_is_stored_is_for_its_user_only() {
    let scratch = Scratch::new("private-state");
    let state = scratch.path("new/state");
    // Its client never comes.
    let arguments = format!(
        "umask 0; exec {} --source numbers=gen:numbers?count=1000 --sink \
         windows=potoroo://127.0.0.1:9 --state {state} --cores 0 --checkpoint-ms 10 \
         --drain-seconds 1",
        example(WINDOWS).display()
    );
    let mut command = Command::new("sh");
    command.args(["-c", &arguments]);
    App::spawn(command).finish();
    let mut all = Vec::new();
    below(Path::new(&scratch.path("new")), &mut all);
    for kind in ["/LOCK", "/HEAD", "/manifest-", "/part-", "/output-"] {
        assert!(all.iter().any(|(path, ..)| path.contains(kind)), "no {kind} in {all:?}");
    }
    for (path, is_folder, mode) in all {
        assert_eq!(mode, if is_folder { 0o700 } else { 0o600 }, "{path}: {mode:o}");
    }
}

#[test]
fn the_lock_follows_no_link() {
    let scratch = Scratch::new("private-lock");
    let victim = scratch.write("victim", b"precious");
    let state = scratch.path("state");
    fs::create_dir(&state).expect("it is ours");
    let lock = Path::new(&state).join("LOCK");
    let arguments = format!(
        "--source numbers=gen:numbers?count=10 --sink windows=null: --state {state} --cores 0"
    );
    symlink(&victim, &lock).expect("it is ours");
    App::start(WINDOWS, &arguments).finish().refused(1, &["LOCK"]);
    assert_eq!(scratch.read("victim"), b"precious");
    fs::remove_file(&lock).expect("it is ours");
    // A copy of the folder may be made of links: such a LOCK is locked, and never written.
    fs::hard_link(&victim, &lock).expect("it is ours");
    assert_eq!(App::start(WINDOWS, &arguments).finish().code, Some(0));
    assert_eq!(scratch.read("victim"), b"precious");
    fs::remove_file(&lock).expect("it is ours");
    assert_eq!(App::start(WINDOWS, &arguments).finish().code, Some(0));
}
