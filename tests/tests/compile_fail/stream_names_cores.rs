//! A stream has no degree of parallelism and no place.

use potoroo::prelude::*;

struct NumberCodec;

impl Decode for NumberCodec {
    type Event = u64;
    type Framing = FixedSize;

    fn framing(&self) -> FixedSize {
        FixedSize::new(8)
    }

    fn decode(&self, payload: &[u8]) -> Result<u64, Reason> {
        Fields::new(payload).u64_be()
    }
}

fn main() {
    let app = Application::new("app");
    let numbers = app.source("numbers", NumberCodec);
    numbers.parallelism(4);
    numbers.on_core(1);
    numbers.key_by(|number| number).on_node("host-a");
}
