//! The bytes of Market Spread and its rule, written down a second time from its definition.

/// Real quotes of 350 symbols.
pub const QUOTES: &[u8] = include_bytes!("../../data/market_spread/nbbo-350-symbols.msg");

/// How many quotes that is.
pub const QUOTE_COUNT: u64 = 350;

/// Bytes of a frame with its length.
pub const QUOTE_BYTES: usize = 46;
pub const REJECTION_BYTES: usize = 59;

const TIME: &[u8; 21] = b"20160902-15:47:52.000";
const TIME_NS: u64 = 1_472_831_272_000_000_000;

/// One order, as a frame.
pub fn order(id: usize, symbol: &[u8], price: f64) -> Vec<u8> {
    let side = side(id);
    let mut frame = vec![0, 0, 0, 53, 1, side];
    frame.extend_from_slice(&(id as u32 * 3).to_be_bytes());
    frame.extend_from_slice(format!("{id:06}").as_bytes());
    frame.extend_from_slice(symbol);
    frame.extend_from_slice(&quantity(id).to_be_bytes());
    frame.extend_from_slice(&price.to_be_bytes());
    frame.extend_from_slice(TIME);
    frame
}

/// One quote, as a frame.
pub fn quote(symbol: &[u8; 4], bid: f64, offer: f64) -> Vec<u8> {
    let (bid, offer) = (bid.to_be_bytes(), offer.to_be_bytes());
    [&[0, 0, 0, 42, 2][..], symbol, TIME, &bid, &offer].concat()
}

/// The rejection of `order(id, symbol, price)` at these prices, as a frame.
pub fn rejection(id: usize, symbol: &[u8], price: f64, bid: f64, offer: f64) -> Vec<u8> {
    let mut frame = vec![0, 0, 0, 55, side(id)];
    frame.extend_from_slice(&(id as u32 * 3).to_be_bytes());
    frame.extend_from_slice(format!("{id:06}").as_bytes());
    frame.extend_from_slice(symbol);
    for number in [quantity(id), price, bid, offer] {
        frame.extend_from_slice(&number.to_be_bytes());
    }
    frame.extend_from_slice(&TIME_NS.to_be_bytes());
    frame
}

fn side(id: usize) -> u8 {
    1 + (id % 2) as u8
}

fn quantity(id: usize) -> f64 {
    100.0 * (1 + id % 7) as f64
}

/// Two orders for each symbol of the quotes and some for symbols without a quote, and the
/// rejections that the rule demands after all quotes.
pub fn orders_and_rejections() -> (Vec<u8>, Vec<u8>) {
    let (mut orders, mut rejections) = (Vec::new(), Vec::new());
    for round in 0..2 {
        for (index, frame) in QUOTES.chunks(QUOTE_BYTES).enumerate() {
            let id = 1000 * round + index;
            let (symbol, bid, offer) = (&frame[5..9], number(frame, 30), number(frame, 38));
            orders.extend(order(id, symbol, bid));
            if is_wide(bid, offer) {
                rejections.extend(rejection(id, symbol, bid, bid, offer));
            }
        }
        for (index, symbol) in [b"ZZZ1", b"ZZZ2", b" ZZ3"].into_iter().enumerate() {
            let id = 1000 * round + 900 + index;
            orders.extend(order(id, symbol, 7.5));
            rejections.extend(rejection(id, symbol, 7.5, 0.0, 0.0));
        }
    }
    (orders, rejections)
}

fn is_wide(bid: f64, offer: f64) -> bool {
    let mid = (bid + offer) / 2.0;
    offer - bid >= 0.05 || (offer - bid) / mid >= 0.05
}

fn number(frame: &[u8], at: usize) -> f64 {
    f64::from_be_bytes(frame[at..at + 8].try_into().expect("eight bytes"))
}

/// Frames in an order that does not depend on the cores that decided them.
pub fn sorted(rejections: &[u8]) -> Vec<&[u8]> {
    assert_eq!(rejections.len() % REJECTION_BYTES, 0, "whole frames");
    let mut frames: Vec<&[u8]> = rejections.chunks(REJECTION_BYTES).collect();
    frames.sort_by_key(|frame| &frame[9..15]);
    frames
}
