//! A type of one's own without an attribute: the first error names the field.

use potoroo::prelude::*;

struct OrderCodec;

impl Decode for OrderCodec {
    type Event = Order;
    type Framing = FixedSize;

    fn framing(&self) -> FixedSize {
        FixedSize::new(8)
    }

    fn decode(&self, payload: &[u8]) -> Result<Order, Reason> {
        Ok(Order { id: Fields::new(payload).u64_be()?, leg: Leg })
    }
}

struct Leg;

#[event]
struct Order {
    id: u64,
    leg: Leg,
}

fn main() {
    let app = Application::new("app");
    app.source("orders", OrderCodec).key_by(|order| order.id);
}
