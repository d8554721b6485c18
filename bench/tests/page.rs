//! The page of `report`: it holds what it promises, nothing in it becomes markup that was text,
//! and it is readable in a real browser, on a phone and on paper.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use serde_json::Value;

use support::{files, folder, run, say, text};

/// Two toy runs and their page.
fn page(name: &str) -> PathBuf {
    let results = folder(name);
    for _ in 0..2 {
        say(&["hop", "--toy", "--results", text(&results)]);
    }
    let said = say(&["report", "--last", "2", "--results", text(&results)]);
    assert_eq!(said.lines().count(), 3, "a page, a plot, a table: {said}");
    results.join("report")
}

#[test]
fn a_page_needs_nothing_but_itself() {
    let folder = page("page");
    let html = fs::read_to_string(folder.join("index.html")).unwrap();
    let namespace = "http://www.w3.org/2000/svg";
    let rest = html.replace(namespace, "");
    for foreign in ["http:", "https:", "<script", "src=", "@import", "url("] {
        assert!(!rest.contains(foreign), "{foreign} is in the page");
    }
    for part in ["as it was", "outside gaps", "raw round trip", "normal", "99.9 %", "doctor"] {
        assert!(html.contains(part), "{part} is missing");
    }
    let tails = |tail: &str| html.matches(&format!("<td>{tail}</td>")).count();
    assert_eq!((tails("as it was"), tails("outside gaps")), (8, 8), "four series of two runs");
    let table = fs::read_to_string(folder.join("table.md")).unwrap();
    assert_eq!(table.matches("| outside gaps |").count(), 8);
    let plot = fs::read_to_string(folder.join("percentiles-1.svg")).unwrap();
    // A toy slice may lie in gaps from end to end: then it has no line outside of them.
    let lines = |class: &str| plot.matches(&format!("class=\"line {class}\"")).count();
    assert!(plot.starts_with("<svg ") && lines("s0") == 1 && lines("s7") == 1, "{plot}");
}

#[test]
fn text_from_files_stays_text() {
    let results = folder("hostile");
    say(&["hop", "--toy", "--results", text(&results)]);
    let file = results.join("hop.jsonl");
    let mut record: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    poison(&mut record);
    // A path out of the folder is not followed either.
    record["folder"] = "../../etc".into();
    fs::write(&file, format!("{record}\n")).unwrap();
    say(&["report", "--results", text(&results)]);
    for path in [files(&results, ".html"), files(&results, ".svg")].concat() {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains("&lt;img"), "the poison is not there at all");
        assert!(!text.contains("<img") && !text.contains("x=\"'"), "it became markup");
    }
    let table = fs::read_to_string(results.join("report/table.md")).unwrap();
    assert!(!table.contains("<img"));
}

fn poison(value: &mut Value) {
    match value {
        Value::String(text) => *text = "<img src=x onerror=\"'alert(1)'\">|`&\n".into(),
        Value::Array(values) => values.iter_mut().for_each(poison),
        Value::Object(fields) => fields.values_mut().for_each(poison),
        _ => {}
    }
}

#[test]
fn trouble_with_files_is_reported() {
    let folder = folder("trouble");
    let refused = |arguments: &[&str], reason: &str| {
        let output = run(&[&["report"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(reason) && !said.contains("panicked"), "{said}");
    };
    refused(&["--results", text(&folder)], "run a benchmark first");
    let file = folder.join("none.jsonl");
    refused(&[text(&file)], "cannot be read");
    fs::write(&file, "{}\n[1,2\n").unwrap();
    refused(&[text(&file)], "has no record of a run");
    fs::write(&file, [0xff, 0xfe, 0]).unwrap();
    refused(&[text(&file)], "has no record of a run");
    fs::write(&file, "{\"schema\":99}").unwrap();
    refused(&[text(&file)], "its form has version 99, and this program knows 2");
    let log = folder.join("foreign.hlog");
    fs::write(&log, "#[Histogram log format version 1.3]\n0.0,1.0,5.0,HISTFAAAAA").unwrap();
    refused(&[text(&log)], "the file is cut off in this line");
    fs::write(&log, "0.0,1.0,5.0,HISTCQAAAAAAAAAAAAAA\n").unwrap();
    refused(&[text(&log)], "its histogram is of format V0");
    fs::write(&log, "0.0,1.0,5.0,HISTAgAAAAAAAAAAAAAA\n").unwrap();
    refused(&[text(&log)], "its histogram is of format V1");
    fs::write(&log, "GIF89a\n").unwrap();
    refused(&[text(&log)], "holds no interval of an HdrHistogram log");
}

/// A log of one second per tag, with as many values of its own.
fn tagged_log(tags: &[(&str, u64)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let builder = IntervalLogWriterBuilder::new();
    let mut log = builder.begin_log_with(&mut bytes, &mut serializer).unwrap();
    for (second, (tag, count)) in tags.iter().enumerate() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        histogram.record_n(1000, *count).unwrap();
        let start = Duration::from_secs(second as u64);
        log.write_histogram(&histogram, start, Duration::from_secs(1), Tag::new(tag)).unwrap();
    }
    bytes
}

#[test]
fn each_tag_of_a_log_is_a_series() {
    let folder = folder("tags");
    let (file, out) = (folder.join("foreign.hlog"), folder.join("page"));
    let log = tagged_log(&[("reads", 101), ("writes", 202), ("reads", 303), ("<b>\"|'", 7)]);
    fs::write(&file, log).unwrap();
    say(&["report", text(&file), "--out", text(&out)]);
    let table = fs::read_to_string(out.join("table.md")).unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.contains("as it was")).collect();
    let [reads, writes, odd] = rows[..] else { panic!("{table}") };
    assert!(reads.starts_with("| foreign, tag reads | as it was | 404 |"), "{reads}");
    assert!(writes.starts_with("| foreign, tag writes | as it was | 202 |"), "{writes}");
    assert!(odd.starts_with("| foreign, tag &lt;b>\"\\|' | as it was | 7 |"), "{odd}");
    let html = fs::read_to_string(out.join("index.html")).unwrap();
    assert!(html.contains("foreign, tag reads") && !html.contains("<b>"));
    // A log beside a record has the one series of it.
    let results = folder.join("results");
    say(&["hop", "--toy", "--results", text(&results)]);
    fs::write(files(&results, "/ring.hlog").remove(0), fs::read(&file).unwrap()).unwrap();
    let output = run(&["report", "--results", text(&results)]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("has several tags"), "{said}");
}

#[test]
fn a_link_in_the_place_of_the_page_is_not_followed() {
    let folder = folder("page-link");
    let (file, out) = (folder.join("foreign.hlog"), folder.join("page"));
    fs::write(&file, tagged_log(&[("a", 1)])).unwrap();
    let victim = folder.join("victim");
    fs::write(&victim, "mine").unwrap();
    fs::create_dir(&out).unwrap();
    for name in ["index.html", "table.md", "percentiles-1.svg"] {
        std::os::unix::fs::symlink(&victim, out.join(name)).unwrap();
    }
    say(&["report", text(&file), "--out", text(&out)]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    assert!(fs::read_to_string(out.join("index.html")).unwrap().starts_with("<!doctype html>"));
    assert_eq!(files(&out, ".half"), Vec::<PathBuf>::new());
}

#[test]
fn one_bad_line_spoils_no_other() {
    let results = folder("bad-line");
    say(&["hop", "--toy", "--results", text(&results)]);
    let line = fs::read(results.join("hop.jsonl")).unwrap();
    // As a record that was moved without its folder, between lines that are none.
    let moved = results.join("moved");
    fs::create_dir(&moved).unwrap();
    let file = moved.join("hop.jsonl");
    fs::write(&file, [b"\xff\xfe\n", &line[..], b"{\"schema\":1,"].concat()).unwrap();
    // As a disk that was full leaves it.
    fs::write(moved.join("scale.jsonl"), "").unwrap();
    let output = run(&["report", "--results", text(&moved)]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("hop.jsonl:1: not a") && said.contains("hop.jsonl:3: not a"), "{said}");
    assert_eq!(said.matches("is not there").count(), 1, "{said}");
    assert!(said.contains("scale.jsonl has no record of a run"), "{said}");
}

#[test]
fn a_truncated_log_is_reported_as_far_as_it_goes() {
    let results = folder("truncated");
    say(&["hop", "--toy", "--results", text(&results)]);
    let log = files(&results, "raw.hlog").remove(0);
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 20]).unwrap();
    let output = run(&["report", "--results", text(&results)]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("raw.hlog") && said.contains("the file is cut off"), "{said}");
}

/// What the page looks like to a browser: measured by a script that only the test puts in.
const PROBE: &str = r#"<script>addEventListener("load", () => {
  const shown = e => e.getClientRects().length > 0;
  const plots = [...document.querySelectorAll("figure svg")].filter(shown);
  const texts = plots.flatMap(p => [...p.querySelectorAll("text")]);
  const box = e => e.getBoundingClientRect();
  const outside = texts.filter(t => {
    const [a, b] = [box(t), box(t.ownerSVGElement)];
    return a.left < b.left - 1 || a.right > b.right + 1
      || a.top < b.top - 1 || a.bottom > b.bottom + 1;
  });
  const overlapping = plots.filter(p => {
    const ticks = [...p.querySelectorAll("text")].map(box);
    return ticks.some((a, i) => ticks.slice(i + 1).some(b =>
      a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom));
  });
  const pixels = texts.map(t => parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a);
  const probe = document.createElement("pre");
  probe.id = "probe";
  probe.textContent = JSON.stringify({
    width: innerWidth, scroll: document.documentElement.scrollWidth, plots: plots.length,
    figures: document.querySelectorAll("figure").length, outside: outside.map(t => t.textContent),
    overlapping: overlapping.length, smallest: Math.min(...pixels),
    background: getComputedStyle(document.body).backgroundColor,
  });
  parent.document.body.append(probe);
});</script>"#;

#[test]
fn a_browser_shows_it_on_phone_desktop_and_paper() {
    let Some(browser) = browser() else {
        return eprintln!("skipped: no chromium here (Debian: apt-get install chromium)");
    };
    let folder = page("browser");
    let html = fs::read_to_string(folder.join("index.html")).unwrap();
    let probed = html.replace("</body>", &format!("{PROBE}</body>"));
    for width in [360, 1280] {
        let seen = look(&browser, &folder, &probed, width);
        assert_eq!(seen["width"], width, "{seen}");
        assert!(seen["scroll"].as_u64() <= Some(width), "the page is wider than {width}: {seen}");
        assert_eq!(seen["plots"], seen["figures"], "each figure shows one plot: {seen}");
        assert_eq!(seen["outside"], Value::Array(Vec::new()), "labels are cut off");
        assert_eq!(seen["overlapping"], 0, "labels run into each other: {seen}");
        assert!(seen["smallest"].as_f64() >= Some(9.5), "labels are too small: {seen}");
    }
    let paper = folder.join("page.pdf");
    let print = format!("--print-to-pdf={}", text(&paper));
    open(&browser, &folder, &[&print], &folder.join("index.html"));
    assert!(fs::read(&paper).unwrap().starts_with(b"%PDF-"), "it cannot be printed");
}

/// What a window of that width shows: a frame, because browsers have no window so narrow.
fn look(browser: &str, folder: &Path, html: &str, width: u64) -> Value {
    let html = html.replace('&', "&amp;").replace('"', "&quot;");
    let frame =
        format!("<iframe style=\"width:{width}px;height:2000px;border:0\" srcdoc=\"{html}\">");
    let page = folder.join("frame.html");
    fs::write(&page, format!("<!doctype html><meta charset=\"utf-8\"><body>{frame}</iframe>"))
        .unwrap();
    let dom = open(browser, folder, &["--window-size=1400,2000", "--dump-dom"], &page);
    let probe = dom.split_once("<pre id=\"probe\">").expect("the page loads").1;
    let probe = probe.split_once("</pre>").expect("the probe ends").0;
    serde_json::from_str(&probe.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
        .expect("the probe is JSON")
}

fn open(browser: &str, folder: &Path, arguments: &[&str], page: &Path) -> String {
    let profile = format!("--user-data-dir={}", text(&folder.join("profile")));
    let quiet = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
    let address = format!("file://{}", text(page));
    let mut command = Command::new(browser);
    command.args(quiet).arg(profile).args(arguments).arg(address);
    let output = command.output().expect("the browser runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the browser ended with {}: {said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn browser() -> Option<String> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let runs = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    names.iter().find(|name| runs(name)).map(|name| (*name).to_owned())
}
