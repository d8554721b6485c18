//! Market Spread: rejects orders for instruments whose market is too wide at the moment.
//!
//! Two streams share one table: a quote sets its symbol's market, an order is checked against it.
//!
//! ```text
//!   quotes ── key_by symbol ── update ──┐
//!                                   (markets)
//!   orders ── key_by symbol ── update ──┴──► rejections
//! ```
//!
//! Ten seconds of generated quotes and orders, with latencies at the end:
//!
//! ```text
//! cargo run --release --example market_spread
//! ```
//!
//! Recorded quotes from a file, orders from TCP clients, rejections to a TCP listener:
//!
//! ```text
//! cargo run --release --example market_spread -- \
//!     --source quotes=file:tests/data/market_spread/nbbo-350-symbols.msg \
//!     --source orders=tcp://127.0.0.1:7000 --sink rejections=tcp://127.0.0.1:7001
//! ```
//!
//! With `--reply` there is no sink: each rejection goes back on the connection of its order.
//! Generated orders have none; their rejections are counted and dropped.
//!
//! # Bytes
//!
//! Each frame has its length (u32) in front; numbers are big-endian.
//!
//! ```text
//! quote      42  type=2 u8 · symbol 4 · time 21 · bid f64 · offer f64
//! order      53  type=1 u8 · side u8 · account u32 · id 6 · symbol 4 · quantity f64 · price f64
//!                · time 21
//! rejection  55  side u8 · account u32 · id 6 · symbol 4 · quantity f64 · price f64 · bid f64
//!                · offer f64 · time u64
//! ```
//!
//! Time is text such as `20160902-15:47:52.000` (UTC); side is 1 to buy and 2 to sell. The time of
//! a rejection is that of its order, in nanoseconds since 1970: an application has no clock, so
//! that the same input gives the same output whenever it is run.

use std::process::ExitCode;

use potoroo::prelude::*;
use potoroo::sdk::codec::{Fields, LengthWord, Put};

/// Four characters, filled up with spaces on the left.
type Symbol = Text<4>;

/// The best prices at which an instrument can be sold (`bid`) and bought (`offer`).
#[event]
struct Quote {
    symbol: Symbol,
    bid: f64,
    offer: f64,
}

/// The discriminants are those on the wire.
#[value]
enum Side {
    Buy = 1,
    Sell = 2,
}

#[event]
struct Order {
    side: Side,
    account: u32,
    id: Text<6>,
    symbol: Symbol,
    quantity: f64,
    price: f64,
    /// Nanoseconds since 1970, UTC.
    time_ns: u64,
}

/// An order and the market that was too wide for it.
#[event]
struct Rejection {
    order: Order,
    bid: f64,
    offer: f64,
}

/// What is known about a symbol.
#[state(default = manual)]
struct Market {
    bid: f64,
    offer: f64,
    wide: bool,
}

/// Without a quote the width of the market is unknown, and it counts as wide.
impl Default for Market {
    fn default() -> Self {
        Self { bid: 0.0, offer: 0.0, wide: true }
    }
}

impl Market {
    /// From this spread on a market is wide, in currency units, and as a part of the mid price.
    const SPREAD_WIDE: f64 = 0.05;

    fn follow(&mut self, quote: Quote) {
        let spread = quote.offer - quote.bid;
        let mid = (quote.bid + quote.offer) / 2.0;
        let wide = spread >= Self::SPREAD_WIDE || spread / mid >= Self::SPREAD_WIDE;
        *self = Self { bid: quote.bid, offer: quote.offer, wide };
    }

    fn check(&self, order: Order) -> Option<Rejection> {
        self.wide.then_some(Rejection { order, bid: self.bid, offer: self.offer })
    }
}

/// Everything but the end: the rejections, still to be sent somewhere.
fn checked(app: &Application) -> Keyed<Rejection, Symbol> {
    let markets = app.table::<Symbol, Market>("markets");
    app.generator("quotes", generated_quotes);
    app.generator("orders", generated_orders);
    app.source("quotes", QuoteCodec)
        .key_by(|quote| quote.symbol)
        .update(&markets, |market, quote| market.follow(quote));
    app.source("orders", OrderCodec)
        .key_by(|order| order.symbol)
        .update(&markets, |market, order| market.check(order))
}

/// Sends rejections to a sink.
fn application() -> Application {
    let app = Application::new("market-spread");
    checked(&app).sink("rejections", RejectionCodec);
    app
}

/// Sends each rejection back on the connection of the order.
fn replying() -> Application {
    let app = Application::new("market-spread");
    checked(&app).reply(RejectionCodec);
    app
}

fn main() -> ExitCode {
    let (reply, arguments) = std::env::args_os().partition::<Vec<_>, _>(|text| text == "--reply");
    potoroo::main_with(arguments, if reply.is_empty() { application } else { replying })
}

/// Frames longer than this are garbage: the longest real one has 55 bytes.
const FRAME_BYTES_MAX: usize = 64;

const FRAMES: LengthPrefixed = LengthPrefixed::new(LengthWord::U32Be).length_max(FRAME_BYTES_MAX);

const TYPE_ORDER: u8 = 1;
const TYPE_QUOTE: u8 = 2;

/// Length in bytes of a time on the wire.
const TIME_BYTES: usize = 21;

/// Reads quotes.
struct QuoteCodec;

impl Decode for QuoteCodec {
    type Event = Quote;
    type Framing = LengthPrefixed;

    fn framing(&self) -> LengthPrefixed {
        FRAMES
    }

    fn decode(&self, payload: &[u8]) -> Result<Quote, Reason> {
        let mut fields = Fields::new(payload);
        if fields.u8()? != TYPE_QUOTE {
            return Err(Reason::new("type is not 2 (quote)"));
        }
        let symbol = fields.text()?;
        // Prices are valid until the next quote, whatever the time, so nothing reads it.
        fields.array::<TIME_BYTES>()?;
        let quote = Quote { symbol, bid: fields.finite_f64_be()?, offer: fields.finite_f64_be()? };
        fields.finish().map(|()| quote)
    }
}

/// Reads orders.
struct OrderCodec;

impl Decode for OrderCodec {
    type Event = Order;
    type Framing = LengthPrefixed;

    fn framing(&self) -> LengthPrefixed {
        FRAMES
    }

    fn decode(&self, payload: &[u8]) -> Result<Order, Reason> {
        let mut fields = Fields::new(payload);
        if fields.u8()? != TYPE_ORDER {
            return Err(Reason::new("type is not 1 (order)"));
        }
        let order = Order {
            side: side(fields.u8()?)?,
            account: fields.u32_be()?,
            id: fields.text()?,
            symbol: fields.text()?,
            quantity: fields.finite_f64_be()?,
            price: fields.finite_f64_be()?,
            time_ns: time_ns(&fields.array()?).ok_or(Reason::new("time is malformed"))?,
        };
        fields.finish().map(|()| order)
    }
}

/// Writes rejections.
struct RejectionCodec;

impl Encode for RejectionCodec {
    type Event = Rejection;

    fn encode(&self, rejection: Rejection, out: &mut Vec<u8>) {
        let Rejection { order, bid, offer } = rejection;
        out.put_framed(LengthWord::U32Be, |out| {
            out.put_u8(order.side as u8);
            out.put_u32_be(order.account);
            out.put_text(order.id);
            out.put_text(order.symbol);
            for number in [order.quantity, order.price, bid, offer] {
                out.put_f64_be(number);
            }
            out.put_u64_be(order.time_ns);
        });
    }
}

fn side(byte: u8) -> Result<Side, Reason> {
    match byte {
        1 => Ok(Side::Buy),
        2 => Ok(Side::Sell),
        _ => Err(Reason::new("side is neither 1 (buy) nor 2 (sell)")),
    }
}

/// Nanoseconds since 1970 of a time such as `20160902-15:47:52.000`; `None` for anything else.
fn time_ns(text: &[u8; TIME_BYTES]) -> Option<u64> {
    let marks = [(8, b'-'), (11, b':'), (14, b':'), (17, b'.')];
    if marks.iter().any(|(at, mark)| text[*at] != *mark) {
        return None;
    }
    let number = |start: usize, end: usize| {
        text[start..end].iter().try_fold(0_u64, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
        })
    };
    let days = days_since_1970(number(0, 4)?, number(4, 6)?, number(6, 8)?)?;
    let (hour, minute, second) = (number(9, 11)?, number(12, 14)?, number(15, 17)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some((seconds * 1000 + number(18, TIME_BYTES)?) * 1_000_000)
}

/// Days from 1 January 1970 to a date of the Gregorian calendar, or `None` when there is no such
/// date. Years end with 2499: nanoseconds since 1970 outgrow a `u64` in 2554.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    const DAYS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    const DAYS_BEFORE_1970: u64 = 719_162;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let month = usize::try_from(month).ok()?.checked_sub(1)?;
    let days = DAYS.get(month)? + u64::from(leap && month == 1);
    if !(1970..2500).contains(&year) || !(1..=days).contains(&day) {
        return None;
    }
    let past = year - 1;
    let leap_days = past / 4 - past / 100 + past / 400 + u64::from(leap && month > 1);
    let before: u64 = DAYS[..month].iter().sum();
    Some(past * 365 + leap_days + before + day - 1 - DAYS_BEFORE_1970)
}

const SYMBOLS: u64 = 350;

/// One quote in this number is wide.
const QUOTES_PER_WIDE: u64 = 128;

/// The symbol with this index: ` AAA`, ` AAB`, … with ten letters for each place.
fn generated_symbol(index: u64) -> Symbol {
    let letter = |place: u64| b'A' + (index / place % 10) as u8;
    Text::from_array([b' ', letter(100), letter(10), letter(1)])
}

/// Quotes around a price of each symbol's own, mostly a cent wide.
fn generated_quotes(seed: u64) -> impl FnMut(u64) -> Option<Quote> {
    let mut random = Random::new(seed);
    move |_| {
        let symbol = random.below(SYMBOLS);
        let bid_cents = 1000 + 10 * symbol + random.below(10);
        let wide = random.below(QUOTES_PER_WIDE) == 0;
        let offer_cents = bid_cents + if wide { 10 } else { 1 };
        let price = |cents: u64| cents as f64 / 100.0;
        let (bid, offer) = (price(bid_cents), price(offer_cents));
        Some(Quote { symbol: generated_symbol(symbol), bid, offer })
    }
}

/// Orders for any symbol, one per microsecond from 2 September 2016 on.
fn generated_orders(seed: u64) -> impl FnMut(u64) -> Option<Order> {
    const FIRST_NS: u64 = 1_472_831_272_000_000_000;
    // Orders and quotes of one seed would otherwise always meet at the same symbol.
    let mut random = Random::new(seed ^ 0x006f_7264_6572);
    move |index| {
        let symbol = random.below(SYMBOLS);
        Some(Order {
            side: if random.chance(0.5) { Side::Buy } else { Side::Sell },
            account: random.below(1000) as u32,
            id: generated_id(index),
            symbol: generated_symbol(symbol),
            quantity: (100 * (1 + random.below(20))) as f64,
            price: (1000 + 10 * symbol) as f64 / 100.0,
            time_ns: FIRST_NS + index * 1000,
        })
    }
}

/// The last six digits of `index`.
fn generated_id(index: u64) -> Text<6> {
    let digit = |place: u64| b'0' + (index / place % 10) as u8;
    Text::from_array([100_000, 10_000, 1000, 100, 10, 1].map(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &[u8] = include_bytes!("../../tests/data/market_spread/nbbo-350-symbols.msg");

    const TIME: &[u8; TIME_BYTES] = b"20160902-15:47:52.000";
    const TIME_NS: u64 = 1_472_831_272_000_000_000;

    fn quote(symbol: &[u8; 4], bid: f64, offer: f64) -> Vec<u8> {
        let (bid, offer) = (bid.to_be_bytes(), offer.to_be_bytes());
        [&[0, 0, 0, 42, 2][..], symbol, TIME, &bid, &offer].concat()
    }

    fn order(symbol: &[u8; 4], price: f64) -> Vec<u8> {
        let quantity = 100.0_f64.to_be_bytes();
        let head = [0, 0, 0, 53, 1, 2, 0, 0, 0, 7];
        [&head[..], b"000001", symbol, &quantity, &price.to_be_bytes(), TIME].concat()
    }

    fn rejection(symbol: &[u8; 4], price: f64, bid: f64, offer: f64) -> Vec<u8> {
        let numbers = [100.0, price, bid, offer].map(f64::to_be_bytes).concat();
        let head = [0, 0, 0, 55, 2, 0, 0, 0, 7];
        [&head[..], b"000001", symbol, &numbers, &TIME_NS.to_be_bytes()].concat()
    }

    fn reference() -> Reference {
        Reference::new(application()).expect("the application is sound")
    }

    /// The rejections of an order for ` IBM` at 10 after these quotes.
    fn check(quotes: &[(f64, f64)], rejected: bool) {
        let mut reference = reference();
        for (bid, offer) in quotes {
            reference.feed("quotes", &quote(b" IBM", *bid, *offer));
        }
        reference.feed("orders", &order(b" IBM", 10.0));
        let (bid, offer) = quotes.last().copied().unwrap_or_default();
        let expected = if rejected { rejection(b" IBM", 10.0, bid, offer) } else { vec![] };
        assert_eq!(reference.output("rejections"), expected, "after {quotes:?}");
        assert!(reference.refused().is_empty());
    }

    #[test]
    fn wide_markets_reject() {
        check(&[], true);
        check(&[(10.0, 10.01)], false);
        check(&[(10.0, 10.04)], false);
        check(&[(10.0, 10.0625)], true);
        check(&[(0.5, 0.52)], false);
        check(&[(0.5, 0.53)], true);
        check(&[(0.0, 0.0)], false);
        check(&[(10.0, 11.0), (10.0, 10.01)], false);
        check(&[(10.0, 10.01), (10.0, 11.0)], true);
    }

    #[test]
    fn a_reply_is_the_rejection() {
        let mut reference = Reference::new(replying()).expect("the application is sound");
        reference.feed("orders", &order(b" IBM", 10.0));
        assert_eq!(reference.output("reply"), rejection(b" IBM", 10.0, 0.0, 0.0));
    }

    #[test]
    fn recorded_quotes_decide_as_the_rule_says() {
        let mut reference = reference();
        reference.feed("quotes", RECORDED);
        let mut expected = vec![];
        for frame in RECORDED.chunks(46) {
            let symbol = frame[5..9].first_chunk().expect("four bytes");
            let number = |at: usize| f64::from_be_bytes(*frame[at..].first_chunk().expect("eight"));
            let (bid, offer) = (number(30), number(38));
            reference.feed("orders", &order(symbol, bid));
            if offer - bid >= 0.05 || (offer - bid) / ((bid + offer) / 2.0) >= 0.05 {
                expected.extend(rejection(symbol, bid, bid, offer));
            }
        }
        assert_eq!(reference.output("rejections"), expected);
        assert!(reference.refused().is_empty());
        let mut symbols = 0;
        reference.table("markets", |_, _| symbols += 1);
        assert_eq!(symbols, 350);
    }

    /// The frame with one part replaced.
    fn with(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        frame
    }

    #[test]
    fn bad_frames_are_refused_and_change_nothing() {
        let refused = |source: &str, frame: Vec<u8>, reason: &str| {
            let mut reference = reference();
            reference.feed(source, &frame);
            let reasons: Vec<_> = reference.refused().iter().map(|r| r.reason.detail()).collect();
            assert_eq!(reasons, [reason]);
            assert_eq!(reference.output("rejections"), b"");
        };
        let quote = |bid, offer| quote(b" IBM", bid, offer);
        let order = |price| order(b" IBM", price);
        refused("quotes", order(1.0), "type is not 2 (quote)");
        refused("orders", quote(1.0, 2.0), "type is not 1 (order)");
        refused("quotes", quote(f64::NAN, 1.0), "number is not finite");
        refused("quotes", quote(1.0, f64::INFINITY), "number is not finite");
        refused("orders", order(f64::NEG_INFINITY), "number is not finite");
        refused("orders", with(order(1.0), 5, &[3]), "side is neither 1 (buy) nor 2 (sell)");
        refused("orders", with(order(1.0), 36, b"2016-09-02"), "time is malformed");
        refused("quotes", vec![0, 0, 0, 1, 2], "payload is too short");
        let long = with([quote(1.0, 2.0), vec![0]].concat(), 0, &[0, 0, 0, 43]);
        refused("quotes", long, "payload is too long");
    }

    #[test]
    fn times_are_nanoseconds_since_1970() {
        assert_eq!(time_ns(TIME), Some(TIME_NS));
        assert_eq!(time_ns(b"19700101-00:00:00.001"), Some(1_000_000));
        assert_eq!(time_ns(b"20000229-23:59:59.999"), Some(951_868_799_999_000_000));
        assert_eq!(time_ns(b"20000301-00:00:00.000"), Some(951_868_800_000_000_000));
        for bad in ["20160902-24:00", "20161302-00:00", "20150229-00:00", "2016090 -00:00"] {
            let text = format!("{bad}:00.000");
            assert_eq!(time_ns(text.as_bytes().try_into().expect("21 bytes")), None, "{text}");
        }
    }

    #[test]
    fn generated_data_is_mostly_accepted_and_always_the_same() {
        let run = || {
            let mut reference = reference();
            reference.generate("quotes", "quotes", 1, 10_000);
            reference.generate("orders", "orders", 1, 10_000);
            reference.outputs("rejections")
        };
        let rejections = run();
        assert!((1..1000).contains(&rejections.len()), "{}", rejections.len());
        assert_eq!(rejections, run());
    }
}
