//! The tool `potoroo checkpoint` on real folders: answers, damage, exit codes, and that it changes
//! nothing and needs no lock.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use potoroo::checkpoint::Manifest;
use potoroo::checkpoint::store::{Folder, Head};
use potoroo_tests::checkpoints::Coordinator;
use serde_json::Value;
use support::{App, Ended, Scratch, newest_head, tool};

/// A folder with a full checkpoint of epoch 1 and one of epoch 2 that builds upon it.
fn filled(scratch: &Scratch) -> (Folder, Head) {
    let folder = Folder::open(Path::new(&scratch.path("state"))).expect("it is free");
    let mut coordinator = Coordinator::start(&folder, 1).expect("the disk works");
    coordinator.checkpoint(true).expect("the disk works");
    coordinator.checkpoint(false).expect("the disk works");
    let head = coordinator.head.clone();
    (folder, head)
}

/// Runs the tool; words are separated by spaces.
fn run(scratch: &Scratch, words: &str) -> Ended {
    let mut command = Command::new(tool());
    command.args(words.split_whitespace()).args(["--state", &scratch.path("state")]);
    App::spawn(command).finish()
}

#[track_caller]
fn json(ended: &Ended, code: i32) -> Value {
    assert_eq!(ended.code, Some(code), "{}{}", ended.out, ended.log);
    ended.last_line()
}

/// Flips a bit in the middle of a file.
fn damage(path: &str) {
    let mut bytes = fs::read(path).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("it is ours");
}

fn content(folder: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("it is there")
        .map(|entry| entry.expect("it is there").path())
        .map(|path| (path.display().to_string(), fs::read(&path).expect("it can be read")))
        .collect();
    files.sort();
    files
}

#[test]
fn it_lists_shows_and_verifies_what_a_running_application_holds_and_changes_nothing() {
    let scratch = Scratch::new("tool-reads");
    let (_locked, head) = filled(&scratch);
    let before = content(&scratch.path("state"));
    let list = json(&run(&scratch, "checkpoint list --json"), 0);
    let checkpoints = list["checkpoints"].as_array().expect("a list");
    let values = |key: &str| checkpoints.iter().map(|c| c[key].clone()).collect::<Vec<_>>();
    assert_eq!(values("epoch"), [2, 1]);
    assert_eq!(values("head"), [true, false]);
    assert_eq!(values("parts"), [4, 2]);

    let show = json(&run(&scratch, "checkpoint show --json"), 0);
    assert_eq!(show["name"], head.manifest.clone().expect("it was committed"));
    assert_eq!((&show["head"], &show["manifest"]["epoch"]), (&true.into(), &2.into()));
    let show = json(&run(&scratch, "checkpoint show 1 --json"), 0);
    assert_eq!((&show["head"], &show["manifest"]["epoch"]), (&false.into(), &1.into()));

    let verify = json(&run(&scratch, "checkpoint verify --json"), 0);
    assert_eq!((&verify["whole"], &verify["parts"]), (&true.into(), &4.into()));
    let verify = json(&run(&scratch, "checkpoint verify 1 --json"), 0);
    assert_eq!((&verify["whole"], &verify["parts"]), (&true.into(), &2.into()));
    assert_eq!(content(&scratch.path("state")), before);
}

#[test]
fn its_answers_can_be_read() {
    let scratch = Scratch::new("tool-text");
    let (_locked, head) = filled(&scratch);
    let has = |words: &str, parts: &[&str]| {
        let ended = run(&scratch, words);
        assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
        for part in parts {
            assert!(ended.out.contains(part), "`{part}` is not in:\n{}", ended.out);
        }
    };
    has(
        "checkpoint list",
        &["epoch  generation  parts", "s ago  HEAD", "           1           1"],
    );
    let name = head.manifest.expect("it was committed");
    has(
        "checkpoint show",
        &[
            &format!("epoch 2, generation 1, HEAD: {name}"),
            "application spread, fingerprint 0000000000000007, 16 partitions",
            "table markets: `Symbol` (shape 0000000000000006) → `Market`",
            "source quotes goes on at 20",
            "core 0: epoch 1 full, partitions 0-7, ",
            "core 1: epoch 2 since 1, partitions 8-15, ",
            "sink rejections: 100 bytes at 200 prepared in epoch 2: output-1-2-0-",
        ],
    );
    has("checkpoint verify", &["epoch 2: whole", "epoch 1: whole", "4 parts, 2 outputs, "]);
}

#[test]
fn damage_is_reported_with_its_place_and_a_code_of_its_own() {
    let scratch = Scratch::new("tool-damage");
    let (folder, head) = filled(&scratch);
    let name = head.manifest.expect("it was committed");
    let manifest = Manifest::load(&folder, &name).expect("it is whole");
    let file = |name: &str| scratch.path(&format!("state/{name}"));
    let newest = manifest.parts.iter().rfind(|part| part.core == 1);
    let newest = newest.expect("it has parts").name.clone();
    damage(&file(&newest));
    let verify = json(&run(&scratch, "checkpoint verify --json"), 3);
    assert_eq!(verify["checkpoints"][1]["errors"], Value::Array(Vec::new()), "{verify}");
    let error = verify["checkpoints"][0]["errors"][0].as_str().expect("a text");
    assert!(error.starts_with(&newest) && error.contains("at byte "), "{error}");
    let output = manifest.transactions[0].object.clone();
    damage(&file(&output));
    let verify = json(&run(&scratch, "checkpoint verify --json"), 3);
    let error = verify["checkpoints"][0]["errors"][1].as_str().expect("a text");
    assert!(error.starts_with(&format!("sink rejections: {output} cannot be used")), "{error}");
    assert!(run(&scratch, "checkpoint verify").out.contains("epoch 2: not whole\n  - part-1-2-1-"));

    fs::remove_file(file(&newest)).expect("it is there");
    let verify = json(&run(&scratch, "checkpoint verify 2 --json"), 3);
    assert!(verify["checkpoints"][0]["errors"][0].to_string().contains("is missing"), "{verify}");

    damage(&file(&name));
    let list = json(&run(&scratch, "checkpoint list --json"), 3);
    assert!(list["checkpoints"][0]["error"].to_string().contains(&name), "{list}");
    assert_eq!(list["checkpoints"][1]["epoch"], 1, "{list}");
    let show = run(&scratch, "checkpoint show");
    assert!(show.code == Some(3) && show.out.contains("its digest does not fit"), "{}", show.out);

    damage(&newest_head(&scratch.path("state")).display().to_string());
    let list = json(&run(&scratch, "checkpoint list --json"), 3);
    assert!(
        list["head_error"].to_string().contains("/HEAD-00000000000000000003 cannot be used"),
        "{list}"
    );
    assert_eq!(run(&scratch, "checkpoint verify 1").code, Some(3), "HEAD belongs to it");
}

#[test]
fn what_is_not_there_is_reported_with_what_to_do() {
    let scratch = Scratch::new("tool-nothing");
    run(&scratch, "checkpoint list").refused(1, &["/state", "No such file", "--state"]);
    let folder = Folder::open(Path::new(&scratch.path("state"))).expect("it is free");
    let empty = run(&scratch, "checkpoint list");
    assert_eq!(empty.code, Some(0));
    assert!(empty.out.contains("no checkpoint in "), "{}", empty.out);
    run(&scratch, "checkpoint show").refused(1, &["there is no checkpoint in "]);
    run(&scratch, "checkpoint verify").refused(1, &["there is no checkpoint in "]);
    Coordinator::start(&folder, 1).expect("it works").checkpoint(true).expect("it works");
    run(&scratch, "checkpoint show 7").refused(1, &["no checkpoint of epoch 7", "list"]);
    run(&scratch, "checkpoint verify 7").refused(1, &["no checkpoint of epoch 7", "list"]);
    run(&scratch, "checkpoint").refused(2, &["Usage"]);
    run(&scratch, "checkpoint forget").refused(2, &["forget"]);
}

#[test]
fn help_names_commands_and_exit_codes() {
    let mut command = Command::new(tool());
    command.args(["checkpoint", "verify", "--help"]);
    let help = App::spawn(command).finish();
    assert_eq!(help.code, Some(0));
    for part in [
        "[default: all that are retained]",
        "--state <DIR|URL>",
        "\nExit codes:",
        "damaged or missing",
    ] {
        assert!(help.out.contains(part), "`{part}` is not in:\n{}", help.out);
    }
}
