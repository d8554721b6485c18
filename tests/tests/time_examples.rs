//! The examples of time as real processes: what they leave against a naive program, on several
//! cores, and after they were killed again and again.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;

use potoroo_sdk::random::Random;
use support::kills::kill_until_it_ends;
use support::{App, Scratch, connect};

const TRADES: u64 = 30_000;
const SECOND: i64 = 1_000_000_000;
const LATENESS: i64 = 5_000_000;

/// Symbol, nanoseconds, price and quantity.
type Trade = (u64, i64, i64, i64);

fn trades() -> Vec<Trade> {
    let mut random = Random::new(11);
    let mut trade = |index: u64| {
        let jitter = if random.chance(0.03) { 400_000_000 } else { 6_000_000 };
        let nanos = index as i64 * 500_000 - random.below(jitter) as i64;
        let (symbol, price) = (random.below(20), 10_000 + random.below(500) as i64);
        (symbol, nanos, price, 1 + random.below(100) as i64)
    };
    (0..TRADES).map(&mut trade).collect()
}

fn lines(trades: &[Trade]) -> String {
    trades.iter().fold(String::new(), |mut text, (symbol, nanos, price, quantity)| {
        writeln!(text, "S{symbol} {nanos} {price} {quantity}").expect("memory takes every write");
        text
    })
}

/// Bars and late trades as the example should write them, in no order.
fn expected(trades: &[Trade]) -> (Vec<String>, usize) {
    let mut windows: BTreeMap<(u64, i64), Vec<Trade>> = BTreeMap::new();
    let (mut newest, mut late) = (i64::MIN, 0);
    for trade in trades {
        newest = newest.max(trade.1);
        let start = trade.1.div_euclid(SECOND) * SECOND;
        if start + SECOND - 1 < newest - LATENESS {
            late += 1;
            continue;
        }
        windows.entry((trade.0, start)).or_default().push(*trade);
    }
    let bar = |((symbol, start), of): (&(u64, i64), &Vec<Trade>)| {
        let prices = || of.iter().map(|trade| trade.2);
        let quantity: i64 = of.iter().map(|trade| trade.3).sum();
        let turnover: i64 = of.iter().map(|trade| trade.2 * trade.3).sum();
        let (sign, start) = (if *start < 0 { "-" } else { "" }, start.unsigned_abs());
        format!(
            "S{symbol} {sign}{}.{:09} {} {} {} {} {quantity} {}",
            start / 1_000_000_000,
            start % 1_000_000_000,
            of[0].2,
            prices().max().expect("it has trades"),
            prices().min().expect("it has trades"),
            of[of.len() - 1].2,
            turnover / quantity
        )
    };
    (sorted(windows.iter().map(bar).collect()), late)
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn read(scratch: &Scratch, name: &str) -> Vec<String> {
    let text = String::from_utf8(scratch.read(name)).expect("lines are text");
    sorted(text.lines().map(str::to_owned).collect())
}

#[test]
fn bars_are_those_of_a_naive_program_on_any_number_of_cores() {
    let scratch = Scratch::new("bars");
    let trades = trades();
    let input = scratch.write("trades", lines(&trades).as_bytes());
    let (bars, late) = expected(&trades);
    assert!(late > 100 && bars.len() > 250, "{late} late, {} bars", bars.len());
    for cores in ["0", "0,0", "0,0,0"] {
        let (out, aside) = (format!("bars-{cores}"), format!("late-{cores}"));
        let arguments = format!(
            "--cores {cores} --idle park --source trades=file:{input} --sink bars=file:{} --sink \
             late=file:{} --report json",
            scratch.path(&out),
            scratch.path(&aside)
        );
        let report = App::start("bars", &arguments).finish().report();
        let counted = &report["time"]["late"][0]["events"];
        assert_eq!(counted, late, "on cores {cores}: {}", report["time"]);
        assert!(read(&scratch, &out) == bars, "on cores {cores}");
        assert_eq!(read(&scratch, &aside).len(), late, "on cores {cores}");
    }
}

#[test]
fn bars_are_complete_however_often_it_is_killed() {
    let scratch = Scratch::new("bars-killed");
    let trades = trades();
    let input = scratch.write("trades", lines(&trades).as_bytes());
    let arguments = format!(
        "--source trades=file:{input} --sink bars=file:{} --sink late=file:{}",
        scratch.path("bars"),
        scratch.path("late")
    );
    let kills = kill_until_it_ends("bars", &arguments, &scratch, 3);
    assert!(kills > 0, "it was never killed");
    let (bars, late) = expected(&trades);
    assert!(read(&scratch, "bars") == bars, "killed {kills} times");
    assert_eq!(read(&scratch, "late").len(), late, "killed {kills} times");
}

/// Timers fire once each, whatever is killed: the same as in a run that nothing disturbs.
#[test]
fn orders_time_out_once_however_often_it_is_killed() {
    let scratch = Scratch::new("timeouts-killed");
    let run = |output: &str| {
        let output = scratch.path(output);
        format!("--source steps=gen:steps?count=150000&rate=200000 --sink cancels=file:{output}")
    };
    App::start("order_timeout", &format!("{} --report json", run("expected"))).finish().report();
    let kills = kill_until_it_ends("order_timeout", &run("cancels"), &scratch, 4);
    assert!(kills > 0, "it was never killed");
    let (expected, seen) = (read(&scratch, "expected"), read(&scratch, "cancels"));
    assert!(expected.len() > 5_000, "{} orders timed out", expected.len());
    assert!(seen == expected, "killed {kills} times");
}

/// Symbol, nanoseconds, bid and offer.
type Quote = (u64, i64, i64, i64);

/// Quotes that are up to 1 ms out of order.
fn quotes() -> Vec<Quote> {
    let mut random = Random::new(5);
    let mut quote = |index: u64| {
        let nanos = index as i64 * 100_000 - random.below(1_000_000) as i64;
        let bid = 10_000 + random.below(500) as i64;
        (random.below(20), nanos, bid, bid + 1 + random.below(5) as i64)
    };
    (0..5_000).map(&mut quote).collect()
}

/// Symbol and nanoseconds of each order, in the order of their times. A quarter of the symbols has
/// no quotes.
fn orders() -> Vec<(u64, i64)> {
    let mut random = Random::new(6);
    let mut order = |index: i64| (random.below(26), index * 200_000 - random.below(200_000) as i64);
    (0..2_500).map(&mut order).collect()
}

/// The answer to an order as the example should write it: of the quotes of its symbol until its
/// time the one with the greatest time, and of those with equal times the last.
fn answer(quotes: &[Quote], id: usize, (symbol, nanos): (u64, i64)) -> String {
    let until = |quote: &&Quote| quote.0 == symbol && quote.1 <= nanos;
    let quote = quotes.iter().filter(until).max_by_key(|quote| quote.1);
    let prices = quote.map_or("none".to_owned(), |quote| format!("{} {}", quote.2, quote.3));
    let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    format!(
        "{id} S{symbol} {sign}{}.{:09} 10100 {prices}",
        nanos / 1_000_000_000,
        nanos % 1_000_000_000
    )
}

/// Sends orders on one connection and reads a reply to each.
fn replies(address: SocketAddr, orders: &[(u64, i64)]) -> Vec<String> {
    let mut client = connect(address);
    let text = orders
        .iter()
        .enumerate()
        .map(|(id, (symbol, nanos))| format!("{id} S{symbol} {nanos} 10100\n"));
    client.write_all(text.collect::<String>().as_bytes()).expect("the application reads");
    let lines = BufReader::new(client).lines().take(orders.len());
    sorted(lines.map(|line| line.expect("the application answers")).collect())
}

#[test]
fn orders_are_answered_with_the_quotes_that_prevailed() {
    let scratch = Scratch::new("prevailing");
    let (quotes, orders) = (quotes(), orders());
    let expected = |(id, order): (usize, &(u64, i64))| answer(&quotes, id, *order);
    let expected = sorted(orders.iter().enumerate().map(expected).collect());
    let without = expected.iter().filter(|answer| answer.ends_with("none")).count();
    assert!((500..1000).contains(&without), "{without} without a quote");
    let input = scratch.write("quotes", lines(&quotes).as_bytes());
    for cores in ["0", "0,0", "0,0,0"] {
        let arguments = format!(
            "--cores {cores} --idle park --source quotes=file:{input} --source \
             orders=tcp://127.0.0.1:0?connections=1 --sink answers=file:{} --report json",
            scratch.path("answers")
        );
        let mut app = App::start("prevailing_quote", &arguments);
        let replies = replies(app.listening("orders"), &orders);
        assert!(replies == expected, "on cores {cores}");
        let report = app.finish().report();
        assert_eq!(report["replies_without_connection"], 0, "on cores {cores}");
        assert!(read(&scratch, "answers") == expected, "on cores {cores}");
    }
}
