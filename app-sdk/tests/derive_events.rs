//! What `#[event]` and `#[value]` generate: archives, views, schemas.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

use potoroo_sdk::prelude::*;
use potoroo_sdk::value::{self, Schema, access, restore, to_vec};

/// A side of the book.
#[value]
#[derive(Eq)]
pub enum Side {
    /// Buys.
    Buy,
    /// Sells.
    Sell,
}

/// Plain, nested, with an enum.
#[event]
#[derive(Default)]
pub struct Quote {
    /// Ticker.
    pub symbol: Text<8>,
    /// Price.
    pub bid: f64,
    /// Price.
    pub offer: f64,
    /// Which side moved.
    pub side: Option<(Level, [u16; 3])>,
    flag: bool,
}

/// A plain part.
#[value]
pub struct Level(u32, i64);

/// Borrows.
#[event]
pub struct Sentence {
    /// Words.
    pub text: String,
    /// Numbers.
    pub tags: Vec<u32>,
    /// Perhaps a remark.
    pub note: Option<String>,
    /// Plain inside a borrowing type.
    pub level: Level,
    /// Lists in lists.
    pub rows: Vec<Vec<String>>,
}

/// Borrows only through a part of its own making.
#[event(view)]
pub struct Letter {
    head: Sentence,
    id: u64,
}

/// An enum with data.
#[event]
pub enum Command {
    /// Begin.
    New {
        /// Number.
        id: u64,
        /// Name.
        name: String,
    },
    /// End.
    Cancel(u64, Option<Box<str>>),
    /// End all.
    Stop,
}

/// A plain enum with data.
#[event]
pub enum Tick {
    /// Price and size.
    Trade(f64, u32),
    /// Names.
    Halt {
        /// Since when.
        since: u64,
    },
    /// Nothing.
    Open,
}

/// No field at all.
#[event]
pub struct Heartbeat;

/// Numbers of the author's choice.
#[value]
#[derive(PartialOrd)]
pub enum Grade {
    /// Low.
    Low = 10,
    /// High.
    High = 20,
}

#[track_caller]
fn round_trip<E: Event + Clone + PartialEq + std::fmt::Debug>(event: &E) {
    let bytes = to_vec(event);
    let archived = access::<E>(&bytes).expect("what was written can be read");
    assert_eq!(E::view(archived), event.lend());
    assert_eq!(&restore::<E>(archived), event);
    assert!(
        access::<E>(&bytes[..bytes.len() - usize::from(!bytes.is_empty())]).is_err()
            || bytes.is_empty()
    );
}

fn text(random: &mut Random) -> String {
    let length = random.below(40);
    (0..length).map(|_| char::from_u32(97 + random.below(300) as u32).unwrap()).collect()
}

fn level(random: &mut Random) -> Level {
    Level(random.u64() as u32, random.u64() as i64)
}

fn quote(random: &mut Random) -> Quote {
    let side = random.chance(0.5).then(|| (level(random), [random.u64() as u16; 3]));
    let symbol = Text::new(b"IBM").unwrap();
    Quote { symbol, bid: random.f64(), offer: random.f64(), side, flag: random.chance(0.5) }
}

fn sentence(random: &mut Random) -> Sentence {
    Sentence {
        text: text(random),
        tags: (0..random.below(9)).map(|_| random.u64() as u32).collect(),
        note: random.chance(0.5).then(|| text(random)),
        level: level(random),
        rows: (0..random.below(4))
            .map(|_| (0..random.below(4)).map(|_| text(random)).collect())
            .collect(),
    }
}

fn command(random: &mut Random) -> Command {
    match random.below(3) {
        0 => Command::New { id: random.u64(), name: text(random) },
        1 => Command::Cancel(random.u64(), random.chance(0.5).then(|| text(random).into())),
        _ => Command::Stop,
    }
}

#[test]
fn random_events_survive_the_archive() {
    let mut random = Random::new(1);
    for _ in 0..500 {
        round_trip(&quote(&mut random));
        round_trip(&sentence(&mut random));
        round_trip(&Letter { head: sentence(&mut random), id: random.u64() });
        round_trip(&command(&mut random));
        round_trip(&Tick::Trade(random.f64(), 3));
    }
    round_trip(&Tick::Halt { since: 4 });
    round_trip(&Tick::Open);
    round_trip(&Heartbeat);
}

#[test]
fn garbage_is_refused_or_harmless() {
    let mut random = Random::new(2);
    for _ in 0..2_000 {
        let mut bytes = to_vec(&sentence(&mut random));
        let at = random.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << random.below(8);
        if let Ok(archived) = access::<Sentence>(&bytes) {
            let _ = format!("{:?}", Sentence::view(archived));
        }
    }
}

#[test]
fn plain_events_are_seen_as_they_are() {
    let quote = quote(&mut Random::new(3));
    let bytes = to_vec(&quote);
    let seen: Quote = Quote::view(access::<Quote>(&bytes).unwrap());
    assert_eq!(seen, quote);
    assert_eq!(bytes.len(), value::archived_bytes::<Quote>());
    const { assert!(Quote::PLAIN && Tick::PLAIN && Heartbeat::PLAIN && Side::PLAIN) };
}

#[test]
fn borrowing_events_are_seen_natively() {
    let event = Sentence {
        text: String::from("to be or not"),
        tags: vec![1, 2],
        note: None,
        level: Level(1, -1),
        rows: vec![vec![], vec![String::from("a"), String::from("b")]],
    };
    let bytes = to_vec(&event);
    let seen: SentenceView<'_> = Sentence::view(access::<Sentence>(&bytes).unwrap());
    assert_eq!(seen.text.split_whitespace().count(), 4);
    assert_eq!(seen.tags.iter().sum::<u32>(), 3);
    assert!(seen.note.is_none());
    assert_eq!(seen.level, Level(1, -1));
    assert_eq!(seen.rows.last().and_then(|row| row.get(1)), Some("b"));
    const { assert!(!Sentence::PLAIN && !Letter::PLAIN && !Command::PLAIN) };
}

#[test]
fn enums_are_matched_natively() {
    let event = Command::New { id: 5, name: String::from("x") };
    let bytes = to_vec(&event);
    let id = match Command::view(access::<Command>(&bytes).unwrap()) {
        CommandView::New { id, name } => id + name.len() as u64,
        CommandView::Cancel(id, _) => id,
        CommandView::Stop => 0,
    };
    assert_eq!(id, 6);
    assert_eq!(restore_side(Side::Sell), Side::Sell);
}

fn restore_side(side: Side) -> Side {
    let bytes = to_vec(&(side, Grade::High));
    let (side, grade) = <(Side, Grade)>::view(access::<(Side, Grade)>(&bytes).unwrap());
    assert!(grade > Grade::Low);
    side
}

mod renamed {
    #[potoroo_sdk::value]
    pub struct Level(u32, i64);
}

mod reordered {
    #[potoroo_sdk::value]
    pub struct Level(i64, u32);
}

mod variants {
    #[potoroo_sdk::value]
    pub enum Side {
        Sell,
        Buy,
    }
}

#[test]
fn schemas_tell_shapes_apart() {
    assert_eq!(Quote::NAME, "Quote");
    assert_eq!(Quote::SCHEMA, Quote::SHAPE);
    assert_eq!(Level::SHAPE, renamed::Level::SHAPE);
    assert_ne!(Level::SHAPE, reordered::Level::SHAPE);
    assert_ne!(Side::SHAPE, variants::Side::SHAPE);
    assert_ne!(<[u8; 3]>::SHAPE, <[u8; 4]>::SHAPE);
    assert_ne!(<(u8, u16)>::SHAPE, <(u16, u8)>::SHAPE);
    assert_ne!(<((u8, u8), u8)>::SHAPE, <(u8, u8, u8)>::SHAPE);
    assert_ne!(Text::<4>::SHAPE, Text::<8>::SHAPE);
    assert_ne!(Vec::<u8>::SHAPE, Option::<u8>::SHAPE);
}
