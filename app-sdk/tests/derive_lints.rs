//! What the attributes generate is clean under the lints that a careful crate turns on, with
//! types of every visibility, in modules and in functions.
//!
//! That this file compiles is the test.

#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unreachable_pub, unnameable_types)]
#![deny(private_interfaces, private_bounds, dead_code, unused, non_local_definitions)]
#![deny(missing_debug_implementations, let_underscore_drop)]
#![deny(single_use_lifetimes, unused_lifetimes, elided_lifetimes_in_paths, unused_qualifications)]
#![deny(trivial_casts, trivial_numeric_casts, unused_results, variant_size_differences)]
#![deny(clippy::all, clippy::pedantic)]

use potoroo_sdk::prelude::*;

/// Generated code must not take a name of the crate for one of the standard library.
type Result<T> = core::result::Result<T, std::string::ParseError>;

#[value]
struct Leg {
    pub quantity: i64,
}

/// A private type in a public field of a private type.
#[event]
struct Order {
    pub leg: Leg,
    pub id: u64,
}

#[event]
struct Note {
    pub text: String,
    pub leg: Leg,
}

#[event]
enum Command {
    New { leg: Leg, text: String },
    Stop,
}

#[value]
enum Side {
    Buy,
    Sell(Leg),
}

#[key]
enum Kind {
    Stock,
    Bond = 7,
}

#[key]
struct Instrument(pub u64, Kind);

#[key]
struct Single(pub Kind);

#[state]
struct Book {
    pub legs: Vec<Leg>,
    pub(crate) first: Option<Leg>,
    pub r#type: u8,
}

/// Reachable from outside.
pub mod outside {
    use potoroo_sdk::prelude::*;

    /// A public type.
    #[event]
    pub struct Trade {
        /// What was traded.
        pub symbol: Symbol,
        /// How many.
        pub quantity: i64,
        note: String,
    }

    /// A public state.
    #[state]
    pub struct Position {
        /// How many.
        pub quantity: i64,
        inner: super::inside::Hidden,
    }

    impl Trade {
        /// A trade with a remark.
        #[must_use]
        pub fn new(symbol: Symbol, note: &str) -> Self {
            Self { symbol, quantity: 1, note: note.into() }
        }

        /// The remark.
        #[must_use]
        pub fn note(&self) -> &str {
            &self.note
        }
    }

    impl Position {
        /// What is inside.
        #[must_use]
        pub const fn inner(&self) -> u8 {
            self.inner.0
        }
    }
}

mod inside {
    use potoroo_sdk::prelude::*;

    #[value]
    #[derive(Default, Eq)]
    pub(crate) struct Hidden(pub(crate) u8);

    #[value]
    #[derive(Eq)]
    pub(super) struct Deep {
        pub(super) first: u8,
        pub(crate) hidden: Hidden,
    }

    #[event]
    pub(crate) struct Seen {
        pub(crate) text: String,
        pub(crate) hidden: Vec<Hidden>,
    }

    #[state]
    pub(crate) enum Phase {
        #[default]
        Closed,
        Open(Hidden, Option<Deep>),
    }
}

fn length(text: &str) -> Result<usize> {
    Ok(text.parse::<String>()?.len())
}

#[test]
fn generated_code_is_clean() {
    #[event]
    struct Local {
        pub leg: Leg,
        name: String,
    }

    #[state]
    struct LocalState {
        pub local: Option<Local>,
    }

    let leg = Leg { quantity: 1 };
    let order = Order { leg, id: 3 };
    let note = Note { text: "note".into(), leg: order.leg };
    assert_eq!((note.lend().text, note.leg.quantity, order.id), ("note", 1, 3));
    let names = [Command::New { leg, text: "a".into() }, Command::Stop];
    let names = names.iter().map(|one| match one.lend() {
        CommandView::New { leg, text } => format!("{text}{}", leg.quantity),
        CommandView::Stop => String::new(),
    });
    assert_eq!(names.collect::<String>(), "a1");
    assert_ne!(Side::Buy, Side::Sell(leg));
    assert_ne!(Instrument(1, Kind::Stock), Instrument(1, Kind::Bond));
    assert_eq!(Single(Kind::Bond).hash(), Kind::Bond.hash());
    let book = Book { legs: vec![leg], first: Some(leg), r#type: 1 };
    assert_eq!((book.legs.len(), book.first, book.r#type), (1, Some(leg), 1));
    let local = Local { leg, name: "local".into() };
    assert_eq!((local.leg, length(&local.name)), (leg, Ok(5)));
    assert!(LocalState { local: Some(local) }.local.is_some());
    let trade = outside::Trade::new(Symbol::EMPTY, "remark");
    assert_eq!((trade.note(), trade.quantity), ("remark", 1));
    assert_eq!(outside::Position::default().inner(), 0);
    let hidden = inside::Hidden(1);
    let deep = inside::Deep { first: 1, hidden };
    assert_eq!((deep.first, deep.hidden), (1, hidden));
    let seen = inside::Seen { text: String::new(), hidden: vec![hidden] };
    assert_eq!(seen.lend().hidden.len(), seen.text.len() + 1);
    assert_ne!(inside::Phase::default(), inside::Phase::Open(hidden, Some(deep)));
}
