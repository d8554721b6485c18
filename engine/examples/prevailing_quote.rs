//! Prevailing quote: an order is answered with the quote that prevailed at its moment.
//!
//! ```text
//!   quotes ── event_time ── key_by symbol ──┐
//!   orders ── event_time ── key_by symbol ──┴── as_of ──┬──► reply
//!                                                       └──► answers
//! ```
//!
//! Ten seconds of generated quotes and orders. Generated orders have no connection, so their
//! replies are counted and dropped:
//!
//! ```text
//! cargo run --release --example prevailing_quote
//! ```
//!
//! Quotes from a file of lines `symbol nanoseconds bid offer`, and orders from TCP clients, which
//! send lines `id symbol nanoseconds price` and read the answers:
//!
//! ```text
//! cargo run --release --example prevailing_quote -- --source quotes=file:quotes.txt \
//!     --source orders=tcp://127.0.0.1:7000 --sink answers=file:answers.txt
//! ```
//!
//! An answer is a line `id symbol time price bid offer`, or `id symbol time price none` if there
//! was no quote. It goes back on the connection of the order, and to the sink `answers`. Quotes may
//! be up to 1 ms out of order, so an answer waits until a quote comes whose time is more than 1 ms
//! after that of the order, or until the quotes end.

use std::process::ExitCode;

use potoroo::prelude::*;
use potoroo::sdk::codec::LineText;

/// The best prices of a symbol, in hundredths, from a moment on.
#[event]
struct Quote {
    symbol: Symbol,
    time: EventTime,
    bid: i64,
    offer: i64,
}

/// An order. The price is in hundredths.
#[event]
struct Order {
    id: u64,
    symbol: Symbol,
    time: EventTime,
    price: i64,
}

fn application() -> Application {
    let app = Application::new("prevailing-quote");
    app.generator("quotes", generated_quotes);
    app.generator("orders", generated_orders);
    let quotes = app
        .source("quotes", LineText::new())
        .map(quote_of)
        .event_time(|quote| quote.time, within(millis(1)))
        .key_by(|quote| quote.symbol);
    let answers = app
        .source("orders", LineText::new())
        .map(order_of)
        .event_time(|order| order.time, IN_ORDER)
        .key_by(|order| order.symbol)
        .as_of("prevailing", &quotes, |order, quote| {
            let Order { id, symbol, time, price } = order;
            let prices = quote.map(|quote| format!("{} {}", quote.bid, quote.offer));
            format!("{id} {symbol} {time} {price} {}", prices.as_deref().unwrap_or("none"))
        });
    answers.reply(LineText::new());
    answers.sink("answers", LineText::new());
    app
}

fn main() -> ExitCode {
    potoroo::main(application)
}

/// A quote of a line; none of what is no quote.
fn quote_of(line: &str) -> Option<Quote> {
    let mut words = line.split(' ');
    let symbol = Symbol::new(words.next()?.as_bytes())?;
    let mut number = || words.next()?.parse().ok();
    let time = EventTime::from_nanos(number()?);
    Some(Quote { symbol, time, bid: number()?, offer: number()? })
}

/// An order of a line; none of what is no order.
fn order_of(line: &str) -> Option<Order> {
    let mut words = line.split(' ');
    let id = words.next()?.parse().ok()?;
    let symbol = Symbol::new(words.next()?.as_bytes())?;
    let time = EventTime::from_nanos(words.next()?.parse().ok()?);
    Some(Order { id, symbol, time, price: words.next()?.parse().ok()? })
}

/// One of 64 symbols.
fn any_symbol(random: &mut Random) -> String {
    format!("S{}", random.below(64))
}

/// A quote each 10 µs, in an order that is up to 1 ms wrong.
fn generated_quotes(seed: u64) -> impl FnMut(u64) -> Option<String> {
    let mut random = Random::new(seed);
    move |index| {
        let nanos = index * 10_000 - random.below(1_000_000).min(index * 10_000);
        let (symbol, bid) = (any_symbol(&mut random), 10_000 + random.below(500));
        Some(format!("{symbol} {nanos} {bid} {}", bid + 1 + random.below(5)))
    }
}

/// An order each 10 µs.
fn generated_orders(seed: u64) -> impl FnMut(u64) -> Option<String> {
    let mut random = Random::new(seed);
    move |index| {
        let (symbol, price) = (any_symbol(&mut random), 10_000 + random.below(500));
        Some(format!("{index} {symbol} {} {price}", index * 10_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_answered_with_the_quote_of_its_moment() {
        let mut reference = Reference::new(application()).expect("the application is sound");
        reference.feed("quotes", b"AAA 10 101 103\nBBB 20 7 9\nno quote\nAAA 30 102 104\n");
        reference.feed("orders", b"1 AAA 9 100\n2 AAA 29 100\n3 AAA 30 100\n4 CCC 31 5\n");
        assert_eq!(reference.output("reply"), b"", "a quote of that time may come");
        reference.feed("quotes", b"AAA 29 99 98\nBBB 1000032 7 9\n");
        let answers = "1 AAA 0.000000009 100 none\n2 AAA 0.000000029 100 99 98\n\
                       3 AAA 0.000000030 100 102 104\n4 CCC 0.000000031 5 none\n";
        assert_eq!(reference.output("reply"), answers.as_bytes());
        assert_eq!(reference.output("answers"), answers.as_bytes());
    }
}
