//! Checkpoints in S3, on a real server: the contract of stores, what networks and services do to
//! it, and applications that are killed or cut off from it.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use potoroo::checkpoint::Epoch;
use potoroo::checkpoint::store::{
    Error, Head, Location, Name, NameKind, NoLocation, S3, Store, StoreReader, contract,
};
use serde_json::Value;
use support::gate::{Deed, Gate};
use support::kills::kill;
use support::ledger::{CHANGES, Place as Ledger};
use support::moto;
use support::moto::{KEY, Moto, SECRET, address, give_credentials, place, store, variables};
use support::walk::Walk;
use support::{App, Ended, Scratch, example, free_port, take_output, tool};

const PART: &str = "part-1-1-0-0000000000000001";

fn message<T>(result: Result<T, Error>) -> String {
    result.err().expect("it is refused").to_string()
}

/// Bytes of which no piece is like another.
fn bytes(count: u32) -> Vec<u8> {
    (0..count / 4).flat_map(|number| number.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect()
}

#[test]
fn it_keeps_the_contract_of_stores() {
    let Some(moto) = Moto::start() else { return };
    contract::check(&store(moto.address, "an/application"));
    // Nothing of another prefix is seen, and the bucket itself is as good as a prefix.
    contract::check(&store(moto.address, "an"));
    contract::check(&store(moto.address, ""));
}

#[test]
fn large_objects_are_whole_or_not_there() {
    let Some(moto) = Moto::start() else { return };
    let store = store(moto.address, "large");
    let large = bytes(20 << 20);
    contract::put(&store, PART, &large);
    assert!(contract::get(&store, PART) == large, "it is what was written");
    assert_eq!(store.list().expect("it can be read"), [(PART.to_owned(), large.len() as u64)]);

    let other = "part-1-1-1-0000000000000002";
    let mut early = store.create(other).expect("the name is free");
    let mut late = store.create(other).expect("the name is still free");
    early.write_all(&large).expect("there is room");
    late.write_all(&large[4..]).expect("there is room");
    assert_eq!(store.list().expect("it can be read").len(), 1);
    early.finish().expect("it is the first");
    assert!(matches!(late.finish(), Err(Error::Taken { .. })));
    assert!(contract::get(&store, other) == large, "it is that of the first");

    let mut dropped = store.create("part-1-1-2-0000000000000003").expect("the name is free");
    dropped.write_all(&large).expect("there is room");
    drop(dropped);
    assert_eq!(store.list().expect("it can be read").len(), 2);
}

fn head(epoch: u32) -> Head {
    let epoch = Epoch(epoch);
    let name = Name { generation: 1, epoch, kind: NameKind::Manifest, random: 1 };
    let manifest = Some(name.to_string());
    Head { generation: 1, owner: 7, folder: 7, epoch, manifest, ..Head::default() }
}

fn is_swap(request: &str) -> bool {
    request.starts_with("PUT ") && request.contains("/HEAD")
}

#[test]
fn a_swap_whose_answer_is_lost_is_unclear_until_it_is_seen() {
    let Some(moto) = Moto::start() else { return };
    let gate = Gate::before(moto.address);
    let store = store(gate.address, "answers");
    for (expected, new) in [(None, head(1)), (Some(head(1)), head(2))] {
        gate.judge(|request| if is_swap(request) { Deed::LoseAnswer } else { Deed::Pass });
        let swap = || store.swap_head(expected.as_ref(), &new);
        assert!(matches!(swap(), Err(Error::Unclear { .. })));
        swap().expect("it is what it was to become");
        assert_eq!(store.head().expect("it can be read"), Some(new.clone()));
    }
}

/// To read the old HEAD proves nothing: the request may still arrive.
#[test]
fn a_swap_that_got_lost_stays_unclear_until_it_is_done() {
    let Some(moto) = Moto::start() else { return };
    let gate = Gate::before(moto.address);
    let store = store(gate.address, "requests");
    let swap = || store.swap_head(None, &head(1));
    gate.judge(|request| if is_swap(request) { Deed::Lose } else { Deed::Pass });
    assert!(matches!(swap(), Err(Error::Unclear { .. })));
    gate.judge(|_| Deed::Lose);
    assert!(matches!(swap(), Err(Error::Unclear { .. })), "it cannot be read either");
    gate.judge(|_| Deed::Pass);
    swap().expect("now it arrives");
    // Without an earlier request it is clear that nothing was changed.
    gate.judge(|_| Deed::Lose);
    assert!(matches!(store.swap_head(Some(&head(1)), &head(2)), Err(Error::Io { .. })));
}

/// What is sent a second time finds what came of the first.
#[test]
fn an_object_whose_answer_was_none_is_stored() {
    let Some(moto) = Moto::start() else { return };
    let gate = Gate::before(moto.address);
    let store = store(gate.address, "again");
    let once = |method: &'static str, deed: Deed| {
        let mut deed = Some(deed);
        gate.judge(move |request| {
            let is_it = request.starts_with(method) && request.contains("/part-");
            if is_it { deed.take() } else { None }.unwrap_or(Deed::Pass)
        });
    };
    once("PUT ", Deed::Busy);
    contract::put(&store, PART, b"ours");
    assert_eq!(contract::get(&store, PART), b"ours");

    // After the first request, which asks for a number for the pieces.
    let (name, large) = ("part-1-1-1-0000000000000002", bytes(9 << 20));
    let mut upload = store.create(name).expect("the name is free");
    upload.write_all(&large).expect("there is room");
    once("POST ", Deed::LoseAnswer);
    upload.finish().expect("it is there");
    assert!(contract::get(&store, name) == large, "it is what was written");

    // An object of another writer is not ours.
    let (name, other) = ("part-1-1-2-0000000000000003", moto::store(moto.address, "again"));
    let mut upload = store.create(name).expect("the name is free");
    upload.write_all(b"ours").expect("there is room");
    contract::put(&other, name, b"his");
    once("PUT ", Deed::Busy);
    assert!(matches!(upload.finish(), Err(Error::Taken { .. })));
}

#[test]
fn a_service_that_compares_nothing_is_refused() {
    let Some(moto) = Moto::start() else { return };
    let gate = Gate::before(moto.address);
    gate.judge(|_| Deed::Unconditional);
    let refused = message(S3::open(&address(gate.address, "x"), &variables));
    for part in ["cannot keep checkpoints in s3://", "If-None-Match", "give a --state"] {
        assert!(refused.contains(part), "`{part}` is not in {refused}");
    }
    S3::view(&address(gate.address, "x"), &variables).expect("reading needs no conditions");
}

/// No process listens there.
fn nowhere() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// An example with checkpoints at `state`; the arguments are separated by spaces.
fn start(state: &str, arguments: &str) -> App {
    let mut command = Command::new(example("sequence_windows"));
    command.arg("--no-progress").args(["--state", state]).args(arguments.split_whitespace());
    give_credentials(&mut command);
    App::spawn(command)
}

fn potoroo(words: &str, state: &str) -> Ended {
    let mut command = Command::new(tool());
    command.args(words.split_whitespace()).args(["--state", state]);
    give_credentials(&mut command);
    App::spawn(command).finish()
}

const NUMBERS: &str = "--source numbers=gen:numbers?rate=1000";

#[test]
fn what_cannot_be_used_is_reported_at_the_start() {
    let Some(moto) = Moto::start() else { return };
    let arguments = format!("{NUMBERS} --sink windows=null:");
    let refused = |state: &str, parts: &[&str]| {
        start(state, &arguments).finish().refused(1, parts);
        potoroo("checkpoint list", state).refused(1, &parts[1..]);
    };
    let away = place(nowhere(), "app");
    refused(&away, &["--state s3://", "cannot be reached", "see that the endpoint"]);
    let other = place(moto.address, "app").replace("checkpoints", "nowhere");
    refused(&other, &["--state s3://", "there is no such bucket (404, NoSuchBucket", "bucket of"]);
    let Some(strict) = Moto::start_strict() else { return };
    let wrong = ["--state s3://", "credentials (AWS_ACCESS_KEY_ID", "403, InvalidAccessKeyId"];
    refused(&place(strict.address, "app"), &wrong);
}

#[test]
fn credentials_are_needed_and_never_shown() {
    let Some(strict) = Moto::start_strict() else { return };
    let state = place(strict.address, "app");
    let mut command = Command::new(example("sequence_windows"));
    command.args(["--state", &state]).args(NUMBERS.split(' ')).args(["--sink", "windows=null:"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let without = App::spawn(command).finish();
    without.refused(1, &["there are no credentials: set AWS_ACCESS_KEY_ID"]);
    let mut all = format!("{}", S3::open(&address(strict.address, "app"), &variables).is_err());
    for words in ["list", "show", "verify"] {
        all += &potoroo(&format!("checkpoint {words}"), &state).log;
    }
    all += &start(&state, &format!("{NUMBERS} --sink windows=null:")).finish().log;
    assert!(all.contains("InvalidAccessKeyId"), "{all}");
    assert!(!all.contains(KEY) && !all.contains(SECRET), "{all}");
}

#[test]
fn a_url_that_cannot_be_understood_is_a_mistake_in_the_command_line() {
    for (text, part) in [
        ("s3://", "the name of a bucket"),
        ("s3://b/p?endpoint=localhost", "the endpoint is no http://"),
        ("gs://b/p", "no storage has the scheme `gs`"),
    ] {
        let error: NoLocation = text.parse::<Location>().expect_err("it is none");
        assert!(error.to_string().contains(part), "{error}");
        start(text, &format!("{NUMBERS} --sink windows=null:")).finish().refused(2, &[part]);
        potoroo("checkpoint list", text).refused(2, &[part]);
    }
}

/// Whether each window came once and in order.
fn judge(output: &str, count: u64) {
    let mut validate = Command::new(example("sequence_windows"));
    let judged = validate.args(["--validate", output]).output().expect("it can be started");
    let said = String::from_utf8_lossy(&judged.stdout).into_owned();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    assert!(said.contains(&format!("all {count} windows are right")), "{said}");
}

#[test]
fn a_program_that_changes_goes_on_in_a_bucket_however_often_it_is_killed() {
    let Some(moto) = Moto::start() else { return };
    let ledger = Ledger::new("s3-changes", 400_000);
    let state = place(moto.address, "ledger");
    let view = S3::view(&address(moto.address, "ledger"), &variables).expect("it can be used");
    let head = || view.head().ok().flatten().map_or(Vec::new(), |head| head.write());
    let start = |change: &str, more: &str| {
        let mut command = ledger.command(change, &state, more);
        give_credentials(&mut command);
        App::spawn(command)
    };
    let mut walk = Walk::new(&start, &head, 5);
    let changes = CHANGES.iter().flat_map(|change| [*change, "base"]);
    for change in changes {
        walk.step(change).into_iter().for_each(|ended| drop(ended.report()));
    }
    if let Ok(app) = walk.run("base") {
        app.finish().report();
    }
    println!("killed {} times, {} drains", walk.kills, walk.drains);
    ledger.check();
}

#[test]
fn windows_are_complete_and_in_order_however_often_it_is_killed() {
    const COUNT: u64 = 100_000;
    let Some(moto) = Moto::start() else { return };
    let scratch = Scratch::new("s3-kills");
    let (output, state) = (scratch.path("windows"), place(moto.address, "windows"));
    let arguments = format!(
        "--source numbers=gen:numbers?count={COUNT}&rate=30000 --sink windows=file:{output}"
    );
    let view = S3::view(&address(moto.address, "windows"), &variables).expect("it can be used");
    let seen = || view.head().ok().flatten().map_or(Vec::new(), |head| head.write());
    let run = |more: &str| start(&state, &format!("{arguments} {more}"));
    let kills = kill(&run, &seen, 3, "");
    assert!(kills > 0, "it was never killed");
    judge(&output, COUNT);

    let listed = potoroo("checkpoint list --json", &state).report();
    assert_eq!(listed["checkpoints"].as_array().map(Vec::len), Some(2), "{listed}");
    let shown = potoroo("checkpoint show", &state);
    assert!(shown.out.contains("source numbers goes on at"), "{}", shown.out);
    let verified = potoroo("checkpoint verify --json", &state).report();
    assert_eq!(verified["whole"], true, "{verified}");

    let program = example("sequence_windows").display().to_string();
    let exported = potoroo(&format!("checkpoint export windows --program {program}"), &state);
    assert_eq!(exported.code, Some(0), "{}", exported.log);
    let row = |line| serde_json::from_str::<Value>(line).expect("JSON");
    let newest = |row: Value| row["state"]["numbers"][3].as_u64().expect("a number");
    let mut newest: Vec<u64> = exported.out.lines().map(row).map(newest).collect();
    newest.sort_unstable();
    assert!(newest.into_iter().eq(COUNT - 63..=COUNT), "{}", exported.out);
}

/// What a client has, which another thread serves until the application has ended.
struct Client {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u8>>,
}

impl Client {
    fn start(port: u16) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let stop = ended.clone();
        let stopped = move |_: &[u8]| stop.load(Ordering::Relaxed);
        let thread = std::thread::spawn(move || take_output(port, "", stopped));
        Self { ended, thread }
    }

    fn end(self) -> Vec<u8> {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().expect("it has not panicked")
    }
}

/// No folder is needed: output that waits for a client is in the bucket.
#[test]
fn a_client_has_all_windows_once_however_often_the_application_is_killed() {
    const COUNT: u64 = 100_000;
    let Some(moto) = Moto::start() else { return };
    let scratch = Scratch::new("s3-client");
    let (port, state) = (free_port(), place(moto.address, "client"));
    let arguments = format!(
        "--source numbers=gen:numbers?count={COUNT}&rate=30000 --sink \
         windows=potoroo://127.0.0.1:{port} --drain-seconds 60"
    );
    let view = S3::view(&address(moto.address, "client"), &variables).expect("it can be used");
    let seen = || view.head().ok().flatten().map_or(Vec::new(), |head| head.write());
    let client = Client::start(port);
    let run = |more: &str| start(&state, &format!("{arguments} {more}"));
    let kills = kill(&run, &seen, 4, "");
    let output = client.end();
    assert!(kills > 0, "it was never killed");
    judge(&scratch.write("windows", &output), COUNT);
    let verified = potoroo("checkpoint verify --json", &state).report();
    assert_eq!(verified["whole"], true, "{verified}");
}

#[test]
fn one_flipped_bit_of_output_is_reported_before_a_byte_of_it_is_shown() {
    let Some(moto) = Moto::start() else { return };
    let scratch = Scratch::new("s3-flipped");
    let (port, state) = (free_port(), place(moto.address, "flipped"));
    let arguments = format!(
        "--source numbers=gen:numbers?count=20000 --cores 0 --checkpoint-ms 20 --report json \
         --sink windows=potoroo://127.0.0.1:{port}"
    );
    let ended = start(&state, &format!("{arguments} --drain-seconds 1")).finish();
    assert_eq!(ended.code, Some(3), "no client came: {}{}", ended.out, ended.log);
    let store = store(moto.address, "flipped");
    let names = store.list().expect("it can be read").into_iter().map(|(name, _)| name);
    let name = names.into_iter().find(|name| name.starts_with("output-")).expect("some waits");
    let whole = contract::get(&store, &name);
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let replace = |bytes: &[u8]| {
        store.delete(&name).expect("it is there");
        contract::put(&store, &name, bytes);
    };
    replace(&flipped);
    let parts = [&name, "its digest does not fit", "--restore EPOCH"];
    let verified = potoroo("checkpoint verify", &state);
    assert_eq!(verified.code, Some(3), "{}{}", verified.out, verified.log);
    parts.iter().for_each(|part| assert!(verified.out.contains(part), "{part}: {}", verified.out));
    let client = Client::start(port);
    let ended = start(&state, &arguments).finish();
    assert_eq!((ended.code, client.end()), (Some(3), Vec::new()), "{}", ended.log);
    parts.iter().for_each(|part| assert!(ended.log.contains(part), "{part}: {}", ended.log));
    replace(&whole);
    let client = Client::start(port);
    start(&state, &format!("{arguments} --drain-seconds 60")).finish().report();
    judge(&scratch.write("windows", &client.end()), 20_000);
}

/// The service cannot be reached for a while: aborted checkpoints are logged, and the application
/// runs on; after it checkpoints are committed again, and nothing is lost or doubled.
#[test]
fn an_outage_aborts_checkpoints_and_nothing_else() {
    let Some(moto) = Moto::start() else { return };
    // That a swap is in doubt is tested by itself.
    ["part", "output"].into_iter().for_each(|kind| outage(&moto, kind));
}

/// One that begins with an object of this kind.
fn outage(moto: &Moto, kind: &'static str) {
    let scratch = Scratch::new("s3-outage");
    let gate = Gate::before(moto.address);
    let (output, state) = (scratch.path("windows"), place(gate.address, kind));
    let mut app = start(
        &state,
        &format!(
            "--source numbers=gen:numbers?count=200000&rate=10000 --sink windows=file:{output} \
             --checkpoint-ms 5 --admin 127.0.0.1:0 --report json"
        ),
    );
    let admin = app.admin();
    let status = |enough: &dyn Fn(u64, u64) -> bool| {
        support::wait_for_status(admin, |status| {
            let number = |name: &str| status["checkpoints"][name].as_u64().unwrap_or(0);
            enough(number("committed"), status["sources"][0]["events"].as_u64().unwrap_or(0))
        })
    };
    status(&|committed, _| committed >= 2);
    let mut is_down = false;
    gate.judge(move |request| {
        is_down |= request.starts_with("PUT ") && request.contains(&format!("/{kind}-"));
        if is_down { Deed::Lose } else { Deed::Pass }
    });
    let line = app.wait_for("was aborted");
    assert!(line.contains("the connection to the endpoint broke"), "{line}");
    assert!(line.contains("the application goes on"), "{line}");
    let before = status(&|_, _| true)["sources"][0]["events"].as_u64().unwrap_or(0);
    let then = status(&|_, events| events > before);
    let committed = then["checkpoints"]["committed"].as_u64().unwrap_or(0);
    gate.judge(|_| Deed::Pass);
    status(&|now, _| now > committed);
    let report = app.finish().report();
    assert!(report["checkpoints"]["aborted"].as_u64() > Some(0), "{report}");
    judge(&output, 200_000);
}

/// There is no lock: the process that starts last goes on, and the other one ends.
#[test]
fn a_second_process_takes_over_from_the_first() {
    let Some(moto) = Moto::start() else { return };
    let state = place(moto.address, "two");
    let arguments = format!("{NUMBERS} --sink windows=null: --checkpoint-ms 20");
    let mut first = start(&state, &arguments);
    first.wait_for("numbers → windows: exactly once in");
    let mut second = start(&state, &arguments);
    second.wait_for("numbers → windows: exactly once in");
    let ended = first.finish();
    assert_eq!(ended.code, Some(3), "{}", ended.log);
    assert!(ended.log.contains("another coordinator has taken over"), "{}", ended.log);
    assert!(!second.has_ended(), "it goes on");
}

#[test]
fn a_read_that_breaks_off_is_reported() {
    let Some(moto) = Moto::start() else { return };
    let gate = Gate::before(moto.address);
    let store = store(gate.address, "reads");
    contract::put(&store, PART, b"abc");
    let mut part = store.open(PART).expect("it is there");
    gate.judge(|_| Deed::Lose);
    let error = part.read(&mut [0; 10]).expect_err("it cannot be fetched");
    assert!(error.to_string().contains("the connection to the endpoint broke"), "{error}");
}
