//! A program that changes: one application, with each of the small changes that people make.
//!
//! ```text
//!   ledger base|filter|sink|source|table|key_by|state|event FLAGS
//!   ledger keys|stranger FLAGS       another key function; another program of that name
//!   ledger successor FLAGS           an application of another name
//!   ledger answers FLAGS             each line goes to the sink `copies` and back, too
//! ```
//!
//! Whatever the change, each order leads to one line of the sink `totals`: symbol, number of orders
//! of the symbol, and their sum.

use std::env::args_os;
use std::process::ExitCode;

use potoroo::prelude::*;
use potoroo::sdk::codec::LineText;

#[event]
struct Order {
    symbol: u64,
    quantity: u64,
}

#[event]
struct Total {
    symbol: u64,
    total: u64,
}

#[state]
#[derive(Default)]
struct Position {
    total: u64,
}

/// Shapes with another field each.
mod wider {
    use potoroo::prelude::*;

    #[event]
    pub struct Order {
        pub symbol: u64,
        pub quantity: u64,
        pub doubled: u64,
    }

    #[state]
    #[derive(Default)]
    pub struct Position {
        pub total: u64,
        pub orders: u64,
    }
}

fn numbers(line: &str) -> Option<(u64, u64)> {
    let (symbol, quantity) = line.split_once(' ')?;
    Some((symbol.parse().ok()?, quantity.parse().ok()?))
}

fn order(line: &str) -> Option<Order> {
    numbers(line).map(|(symbol, quantity)| Order { symbol, quantity })
}

fn positions(app: &Application) -> Table<u64, Position> {
    let positions = app.table("positions");
    positions.migrating(|new: wider::Position| Position { total: new.total })
}

fn orders(app: &Application) -> Stream<Order> {
    app.source("orders", LineText::new()).map(order)
}

fn count(app: &Application, totals: &Keyed<Total, u64>) {
    lines(app, totals).sink("totals", LineText::new());
}

/// Totals of each symbol, as lines with their numbers.
fn lines(app: &Application, totals: &Keyed<Total, u64>) -> Keyed<String, u64> {
    let counts = app.table::<u64, u64>("counts");
    // Another core owns this key, most often.
    totals.key_by(|total| !total.symbol).update(&counts, |count, total| {
        *count += 1;
        format!("{} {count} {}", total.symbol, total.total)
    })
}

fn add(orders: &Keyed<Order, u64>, positions: &Table<u64, Position>) -> Keyed<Total, u64> {
    orders.update(positions, |position, order| {
        position.total += order.quantity;
        Total { symbol: order.symbol, total: position.total }
    })
}

fn base() -> Application {
    named("ledger")
}

fn successor() -> Application {
    named("successor")
}

fn named(application: &str) -> Application {
    let app = Application::new(application);
    let positions = positions(&app);
    let orders = orders(&app).key_by(|order| order.symbol);
    count(&app, &add(&orders, &positions));
    app
}

fn filter() -> Application {
    let app = Application::new("ledger");
    let positions = positions(&app);
    let orders = orders(&app).filter(|order| order.quantity != 0).key_by(|order| order.symbol);
    count(&app, &add(&orders, &positions));
    app
}

fn sink() -> Application {
    let app = Application::new("ledger");
    let positions = positions(&app);
    let totals = add(&orders(&app).key_by(|order| order.symbol), &positions);
    let copies = totals.map(|total| format!("{} {}", total.symbol, total.total));
    copies.sink("copies", LineText::new());
    count(&app, &totals);
    app
}

fn answers() -> Application {
    let app = Application::new("ledger");
    let positions = positions(&app);
    let totals = add(&orders(&app).key_by(|order| order.symbol), &positions);
    let lines = lines(&app, &totals);
    lines.sink("totals", LineText::new());
    lines.sink("copies", LineText::new());
    lines.reply(LineText::new());
    app
}

/// The new source stands before the old one: the numbers of a plan are no names.
fn source() -> Application {
    let app = Application::new("ledger");
    let corrections = app.source("corrections", LineText::new()).map(order);
    let positions = positions(&app);
    let orders = orders(&app).merge(&corrections).key_by(|order| order.symbol);
    count(&app, &add(&orders, &positions));
    app
}

/// The new table stands before the old ones.
fn table() -> Application {
    let app = Application::new("ledger");
    let largest = app.table::<u64, u64>("largest");
    let positions = positions(&app);
    let orders = orders(&app).key_by(|order| order.symbol);
    orders.update(&largest, |largest, order| *largest = order.quantity.max(*largest));
    count(&app, &add(&orders, &positions));
    app
}

fn key_by() -> Application {
    let app = Application::new("ledger");
    let positions = positions(&app);
    let spread = orders(&app).key_by(|order| order.symbol.rotate_left(7));
    count(&app, &add(&spread.key_by(|order| order.symbol), &positions));
    app
}

fn state() -> Application {
    let app = Application::new("ledger");
    let positions = app.table::<u64, wider::Position>("positions");
    let positions =
        positions.migrating(|old: Position| wider::Position { total: old.total, orders: 0 });
    let totals = orders(&app).key_by(|order| order.symbol).update(&positions, |position, order| {
        position.total += order.quantity;
        position.orders += 1;
        Total { symbol: order.symbol, total: position.total }
    });
    count(&app, &totals);
    app
}

fn event() -> Application {
    let app = Application::new("ledger");
    let positions = positions(&app);
    let orders = app.source("orders", LineText::new()).map(|line| {
        numbers(line).map(|(symbol, quantity)| wider::Order {
            symbol,
            quantity,
            doubled: 2 * quantity,
        })
    });
    let totals = orders.key_by(|order| order.symbol).update(&positions, |position, order| {
        position.total += order.doubled - order.quantity;
        Total { symbol: order.symbol, total: position.total }
    });
    count(&app, &totals);
    app
}

/// Keys of the same type, made otherwise.
fn keys() -> Application {
    let app = Application::new("ledger");
    let positions = positions(&app);
    let totals = add(&orders(&app).key_by(|order| order.symbol ^ 1), &positions);
    count(&app, &totals);
    app
}

/// Another program that has the same name.
fn stranger() -> Application {
    let app = Application::new("ledger");
    app.source("lines", LineText::new()).map(ToOwned::to_owned).sink("out", LineText::new());
    app
}

fn main() -> ExitCode {
    let mut arguments: Vec<_> = args_os().collect();
    let change = if arguments.len() > 1 { arguments.remove(1) } else { "base".into() };
    let application = match change.to_str() {
        Some("base") => base,
        Some("filter") => filter,
        Some("sink") => sink,
        Some("answers") => answers,
        Some("source") => source,
        Some("table") => table,
        Some("key_by") => key_by,
        Some("state") => state,
        Some("event") => event,
        Some("keys") => keys,
        Some("stranger") => stranger,
        Some("successor") => successor,
        _ => panic!("`{}` is none of the changes", change.display()),
    };
    potoroo::main_with(arguments, application)
}
