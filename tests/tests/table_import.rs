//! A table goes from the state of one application into that of another one, through a file.

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::ledger::{Place, has_started};
use support::{App, Ended};

fn import(place: &Place, change: &str, table: &str, text: &str) -> Ended {
    let file = place.scratch.write("rows", text.as_bytes());
    place.ask(&["checkpoint", "import", table, &file], change)
}

#[test]
fn a_new_application_begins_with_a_table_of_another_one() {
    let from = Place::stored("import-from", "state_1/stopped", 300);
    let text = from.export("base", "positions");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 52, "a head, fifty rows and an end");
    assert_eq!((&lines[0]["table"], &lines[0]["version"]), (&json!("positions"), &json!(1)));
    assert_eq!(lines[51]["rows"], 50);
    // The states of the new one have another field.
    let to = Place::new("import-to", 300);
    let imported = import(&to, "state", "positions", &text);
    assert_eq!(imported.code, Some(0), "{}", imported.log);
    assert_eq!(imported.out, "50 rows are in table `positions` of checkpoint 1\n");
    let before = from.rows("base", "positions");
    let migrated = |row: &String| row.replace("}}", ",\"orders\":0}}");
    assert_eq!(to.rows("state", "positions"), before.iter().map(migrated).collect::<Vec<_>>());

    let other = Place::new("import-other", 300);
    assert_eq!(import(&other, "successor", "positions", &text).code, Some(0));
    assert_eq!(other.rows("successor", "positions"), before);
    // Each order is added to what was imported: all totals are twice as large.
    other.run("successor", "").report();
    let doubled: Vec<u64> = totals(&other.rows("successor", "positions"));
    assert_eq!(doubled, totals(&before).iter().map(|total| 2 * total).collect::<Vec<_>>());
}

fn totals(rows: &[String]) -> Vec<u64> {
    let total = |row: &String| {
        let row: Value = serde_json::from_str(row).expect("JSON");
        row["state"]["total"].as_u64().unwrap_or_else(|| row["state"].as_u64().expect("a number"))
    };
    rows.iter().map(total).collect()
}

/// Positions of sources, other tables and what waits for sinks stay as they are.
#[test]
fn a_table_is_filled_in_the_state_of_an_application_that_is_stopped() {
    let from = Place::stored("import-largest", "state_1/stopped", 600);
    from.run("table", "").report();
    let text = from.export("table", "largest");
    let to = Place::stored("import-stopped", "state_1/stopped", 600);
    let before = to.head();
    let file = to.scratch.write("rows", text.as_bytes());
    let only = format!("--check --import largest={file}");
    let checked = App::spawn(to.command("table", &to.scratch.path("state"), &only)).finish();
    assert_eq!(checked.code, Some(0), "{}", checked.log);
    assert!(checked.out.contains("50 rows fit into table `largest`"), "{}", checked.out);
    assert_eq!(to.head(), before, "it was only checked");
    let imported = import(&to, "table", "largest", &text);
    assert_eq!(imported.code, Some(0), "{}", imported.log);
    assert_eq!(imported.out, "50 rows are in table `largest` of checkpoint 6\n");
    assert_ne!(to.head(), before);
    to.run("table", "--cores 0,1").report();
    to.check();
    assert_eq!(to.rows("table", "largest"), from.rows("table", "largest"));

    let before = to.head();
    let held = import(&to, "table", "largest", &text);
    assert_eq!(to.head(), before, "what is refused leaves everything as it was");
    held.refused(1, &["table `largest` cannot be imported: it has 50 rows, and only an empty"]);
}

#[test]
fn a_file_that_is_not_whole_or_not_of_the_table_is_refused_with_its_line() {
    let from = Place::stored("import-bad", "state_1/stopped", 300);
    let text = from.export("base", "positions");
    let to = Place::new("import-refused", 300);
    let refused = |text: &str, parts: &[&str]| {
        let ended = import(&to, "base", "positions", text);
        ended.refused(1, &[&["error: table `positions` cannot be imported: "], parts].concat());
        assert!(to.head().is_empty(), "nothing was touched");
    };
    let lines: Vec<&str> = text.lines().collect();
    let first = |count: usize| lines[..count].iter().map(|line| format!("{line}\n"));
    for count in [0, 1, 20, 51] {
        let cut: String = first(count).collect();
        refused(&cut, &[&format!("line {}: the file is cut off here", count + 1)]);
    }
    refused(&text[..text.len() - 1], &["line 52: the file is cut off here"]);
    refused(&text[..text.len() / 2], &["the file is cut off here", "export the table again"]);
    let missing = text.replacen(lines[7], "", 1).replacen("\n\n", "\n", 1);
    refused(&missing, &["line 51: it has the digest of 50 rows, which are not the 49 above"]);
    let changed = text.replacen("\"key\":7,", "\"key\":8,", 1);
    refused(&changed, &["line 52: it has the digest of 50 rows"]);
    refused(&format!("{text}{text}"), &["line 52: something follows this line"]);
    let newer = text.replacen("\"version\":1", "\"version\":2", 1);
    refused(&newer, &["line 1: a newer version of Potoroo wrote it, in format 2"]);
    let other = from.export("base", "counts");
    refused(&other, &["line 1: it is of table `counts`, and table `positions` is"]);
    let renamed = other.replacen("\"counts\"", "\"positions\"", 1);
    refused(&renamed, &["line 1: its states are `u64`", "`Table::migrating` converts them"]);
    let plain = from.rows("base", "positions").join("\n") + "\n";
    refused(&plain, &["line 1: it does not begin an exported table", "--for-import"]);
    let no_row = text.replacen("\"row\":[\"", "\"row\":[\"zz", 1);
    refused(&no_row, &["line 2: it is no line of an exported table: `row` is to have two texts"]);
    refused("\u{0}\n", &["line 1: it is no line of an exported table"]);

    let unknown = import(&to, "base", "position", &text);
    unknown.refused(1, &["there is no such table; there are: positions, counts"]);
    let absent = to.ask(&["checkpoint", "import", "positions", "/no/such/file"], "base");
    absent.refused(1, &["/no/such/file: No such file"]);
    to.run("base", "--import positions").refused(1, &["give --import TABLE=FILE"]);
    let pipe = to.scratch.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("there is mkfifo").success());
    let once = to.ask(&["checkpoint", "import", "positions", &pipe], "base");
    once.refused(1, &["it is no regular file, and is read twice"]);
    let arguments = format!(
        "--source orders=file:{pipe} --sink totals=null: --state {}",
        to.scratch.path("state")
    );
    let mut running = support::ledger::ledger("base", &arguments);
    assert!(has_started(&mut running));
    import(&to, "base", "positions", &text).refused(1, &["is in use by process"]);
}
