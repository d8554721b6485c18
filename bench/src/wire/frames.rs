//! The bytes of Market Spread: quotes and orders as they come over the wire.
//!
//! ```text
//! quote:     len 42 | 2 | symbol 4 | time 21 | bid 8 | offer 8                            46 B
//! order:     len 53 | 1 | side | account 4 | id 6 | symbol 4 | quantity 8 | price 8 | time 21
//!                                                                                         57 B
//! rejection: len 55 | side | account 4 | id 6 | symbol 4 | 4 × 8 | time 8                 59 B
//! ```
//! Numbers are big-endian, texts are ASCII.

/// Bytes of a quote with its length word.
pub const QUOTE_BYTES: usize = 46;
/// Bytes of an order with its length word.
pub const ORDER_BYTES: usize = 57;
/// Bytes of a rejection with its length word.
pub const REJECTION_BYTES: usize = 59;
/// Where an order has its id.
pub const ORDER_ID: std::ops::Range<usize> = 10..16;
/// Different ids of orders: six decimal digits.
pub const ORDER_IDS: u64 = 1_000_000;
/// Where an order has its symbol.
pub const ORDER_SYMBOL: std::ops::Range<usize> = 16..20;
/// Where a rejection has the id of its order.
pub const REJECTION_ID: std::ops::Range<usize> = 9..15;

/// A quote for one of 350 symbols, with a spread too narrow to reject anything.
pub fn quote(index: u64) -> [u8; QUOTE_BYTES] {
    let mut frame = [0; QUOTE_BYTES];
    let bid = 100.0 + (index % 100) as f64 / 100.0;
    frame[0..4].copy_from_slice(&((QUOTE_BYTES - 4) as u32).to_be_bytes());
    frame[4] = 2;
    frame[5..9].copy_from_slice(&symbol(index % SYMBOLS));
    frame[9..30].copy_from_slice(TIME);
    frame[30..38].copy_from_slice(&f64::to_be_bytes(bid));
    frame[38..46].copy_from_slice(&f64::to_be_bytes(bid + 0.01));
    frame
}

/// An order on a symbol that has no quote and therefore counts as wide: it is always rejected.
pub fn order(index: u64) -> [u8; ORDER_BYTES] {
    let mut frame = [0; ORDER_BYTES];
    frame[0..4].copy_from_slice(&((ORDER_BYTES - 4) as u32).to_be_bytes());
    frame[4] = 1;
    frame[5] = 1 + (index % 2) as u8;
    frame[6..10].copy_from_slice(&((index % 1000) as u32).to_be_bytes());
    frame[ORDER_ID].copy_from_slice(&digits::<6>(index));
    frame[ORDER_SYMBOL].copy_from_slice(b"ZZZZ");
    frame[20..28].copy_from_slice(&f64::to_be_bytes(100.0));
    frame[28..36].copy_from_slice(&f64::to_be_bytes(42.5));
    frame[36..57].copy_from_slice(TIME);
    frame
}

/// As many whole quotes as fit `bytes_max`: what one send carries.
pub fn quotes(bytes_max: usize) -> Vec<u8> {
    let count = (bytes_max / QUOTE_BYTES) as u64;
    (0..count).flat_map(quote).collect()
}

/// What an echo of the right size says: the order's own id at the place of a rejection's.
#[inline]
pub fn echo(order: &[u8; ORDER_BYTES]) -> [u8; REJECTION_BYTES] {
    let mut frame = [0; REJECTION_BYTES];
    frame[0..4].copy_from_slice(&((REJECTION_BYTES - 4) as u32).to_be_bytes());
    frame[4..REJECTION_BYTES - 3].copy_from_slice(&order[5..]);
    frame
}

/// `S000` to `S349`.
fn symbol(index: u64) -> [u8; 4] {
    let [a, b, c] = digits(index);
    [b'S', a, b, c]
}

/// The last `N` decimal digits.
fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    text
}

/// The number of symbols in the recorded data that the mission speaks of.
const SYMBOLS: u64 = 350;
const TIME: &[u8; 21] = b"20160902-15:47:52.000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_carries_the_order_id() {
        let order = order(1_234_567);
        assert_eq!(&order[ORDER_ID], b"234567");
        assert_eq!(echo(&order)[REJECTION_ID], order[ORDER_ID]);
    }

    #[test]
    fn a_send_holds_whole_quotes() {
        let bytes = quotes(16 * 1024);
        assert_eq!(bytes.len(), 356 * QUOTE_BYTES);
        assert_eq!(&bytes[QUOTE_BYTES + 5..QUOTE_BYTES + 9], b"S001");
    }
}
