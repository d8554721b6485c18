//! What `#[state]` generates.

use potoroo_sdk::prelude::*;
use potoroo_sdk::value::{Schema, Stored};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[event]
struct Quote {
    bid: f64,
    name: String,
}

#[value]
#[derive(Default)]
enum Phase {
    #[default]
    Closed,
    Open,
}

#[state]
struct Market {
    bid: f64,
    wide: bool,
    phase: Phase,
    last: Option<Quote>,
    window: VecDeque<u64>,
    book: BTreeMap<u64, Vec<String>>,
    seen: BTreeSet<(u8, u8)>,
    boxed: Box<[u32]>,
}

#[state]
enum Session {
    #[default]
    None,
    Active {
        since: u64,
        user: String,
    },
}

#[state]
enum Choice {
    One(u8),
}

#[state(default = manual)]
struct Limit(u64);

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

#[state]
#[derive(Default, PartialEq)]
struct Empty {}

/// States are archived by the writer of events: what a checkpoint will do.
#[event(view)]
struct Holder(u8, String);

fn is_state<S: State + Default>() -> S {
    S::default()
}

#[test]
fn states_begin_with_their_default() {
    let market: Market = is_state();
    assert_eq!(market.phase, Phase::Closed);
    assert!(!market.wide && market.last.is_none() && market.bid == 0.0);
    assert!(matches!(is_state::<Session>(), Session::None));
    assert_eq!(is_state::<Limit>().0, 100);
    assert_eq!(is_state::<Empty>(), Empty {});
    assert_eq!(is_state::<u64>(), 0);
    assert_eq!(is_state::<(String, Vec<Option<f64>>)>(), (String::new(), Vec::new()));
}

#[test]
fn states_have_names_and_schemas() {
    assert_eq!(Market::TYPE, "Market");
    assert_ne!(Market::SHAPE, Session::SHAPE);
    assert_eq!(u64::TYPE, "u64");
}

#[test]
fn everything_declared_is_a_state() {
    fn stored<T: Stored + State>() {}
    stored::<Market>();
    stored::<Session>();
    stored::<Choice>();
    stored::<Holder>();
    stored::<Quote>();
    stored::<Phase>();
    assert_eq!(Choice::One(1).clone(), Choice::One(1));
    let active = Session::Active { since: 1, user: String::from("a") };
    assert_ne!(active, Session::None);
    assert_eq!(Holder(1, String::new()).lend().0, 1);
    assert_ne!(Phase::Open, Phase::Closed);
}

#[test]
fn states_are_shown_as_json() {
    fn json(value: &impl Schema) -> String {
        let mut text = String::new();
        value.json(&mut text);
        text
    }
    let market = Market { bid: 1.5, phase: Phase::Open, ..Market::default() };
    assert_eq!(
        json(&market),
        "{\"bid\":1.5,\"wide\":false,\"phase\":\"Open\",\"last\":null,\"window\":[],\"book\":[],\
         \"seen\":[],\"boxed\":[]}"
    );
    let active = Session::Active { since: 7, user: "me".into() };
    assert_eq!(json(&active), "{\"Active\":{\"since\":7,\"user\":\"me\"}}");
    assert_eq!(json(&Choice::One(3)), "{\"One\":3}");
    assert_eq!(json(&Limit(100)), "100");
    assert_eq!(json(&Empty {}), "[]");
}
