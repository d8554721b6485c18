//! What flows between steps is events: a type of one's own has to say that it is one.

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

struct Doubled(u64);

fn main() {
    let app = Application::new("app");
    app.source("numbers", NumberCodec).map(|number| Doubled(2 * number));
}
