//! Bars: open, high, low, close and VWAP of each symbol and second, by the time of the trades.
//!
//! ```text
//!   trades ── event_time ── key_by symbol ── window (1 s) ── closed ──► bars
//!                                                └── late ──► late
//! ```
//!
//! Ten seconds of generated trades; or a file of lines `symbol nanoseconds price quantity`:
//!
//! ```text
//! cargo run --release --example bars
//! cargo run --release --example bars -- --source trades=file:trades.txt \
//!     --sink bars=file:bars.txt --sink late=stdout:
//! ```
//!
//! A trade may come up to 5 ms after one with a later time, on one connection. One that comes even
//! later counts if its second is still open, and goes to the sink `late` otherwise. A bar is a line
//! `symbol second open high low close quantity vwap`.

use std::process::ExitCode;

use potoroo::prelude::*;
use potoroo::sdk::codec::LineText;

/// A trade. The price is in hundredths.
#[event]
struct Trade {
    symbol: Symbol,
    time: EventTime,
    price: i64,
    quantity: i64,
}

/// What is known of one second.
#[state]
struct Bar {
    open: i64,
    high: i64,
    low: i64,
    close: i64,
    quantity: i64,
    turnover: i64,
}

impl Bar {
    fn add(&mut self, trade: Trade) {
        if self.quantity == 0 {
            (self.open, self.high, self.low) = (trade.price, trade.price, trade.price);
        }
        self.high = self.high.max(trade.price);
        self.low = self.low.min(trade.price);
        self.close = trade.price;
        self.quantity += trade.quantity;
        self.turnover += trade.price * trade.quantity;
    }

    fn vwap(&self) -> i64 {
        self.turnover / self.quantity
    }
}

fn application() -> Application {
    let app = Application::new("bars");
    app.generator("trades", generated_trades);
    let bars = app.windows::<Symbol, Bar>("bars", tumbling(seconds(1)));
    let late = app
        .source("trades", LineText::new())
        .map(parse)
        .event_time(|trade| trade.time, within(millis(5)))
        .key_by(|trade| trade.symbol)
        .window(&bars, |bar, trade| bar.add(trade))
        .late();
    bars.closed(|bar, window| {
        let Bar { open, high, low, close, quantity, .. } = bar;
        let (symbol, second, vwap) = (window.key(), window.start(), bar.vwap());
        format!("{symbol} {second} {open} {high} {low} {close} {quantity} {vwap}")
    })
    .sink("bars", LineText::new());
    late.map(|trade| format!("{} {} {}", trade.symbol, trade.time, trade.price))
        .sink("late", LineText::new());
    app
}

fn main() -> ExitCode {
    potoroo::main(application)
}

/// A trade of a line; none of what is no trade.
fn parse(line: &str) -> Option<Trade> {
    let mut words = line.split(' ');
    let symbol = Symbol::new(words.next()?.as_bytes())?;
    let mut number = || words.next()?.parse::<i64>().ok();
    let (nanos, price, quantity) = (number()?, number()?, number()?);
    let time = EventTime::from_nanos(nanos);
    (price > 0 && quantity > 0).then_some(Trade { symbol, time, price, quantity })
}

/// Trades of eight symbols, one each 0.1 ms, in an order that is up to 6 ms wrong.
fn generated_trades(seed: u64) -> impl FnMut(u64) -> Option<String> {
    const SYMBOLS: [&str; 8] = ["AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH"];
    let mut random = Random::new(seed);
    move |index| {
        let symbol = SYMBOLS[random.below(8) as usize];
        let nanos = index * 100_000 - random.below(6_000_000).min(index * 100_000);
        let (price, quantity) = (10_000 + random.below(500), 1 + random.below(100));
        Some(format!("{symbol} {nanos} {price} {quantity}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_has_the_trades_of_its_second() {
        let mut reference = Reference::new(application()).expect("the application is sound");
        let trades = "AAA 0 10 1\nAAA 999999999 30 1\nAAA 500000000 20 2\nBBB 1004000000 5 1\n\
                      AAA 999000000 7 1\nAAA 1005000000 8 1\nno trade\nAAA 3 1 1\n";
        reference.feed("trades", trades.as_bytes());
        let bars = String::from_utf8(reference.output("bars")).expect("lines are text");
        assert_eq!(bars, "AAA 0.000000000 10 30 7 7 5 17\n");
        assert_eq!(reference.output("late"), b"AAA 0.000000003 1\n");
    }
}
