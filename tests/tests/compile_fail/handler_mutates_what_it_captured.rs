//! State lives in tables: a handler that keeps its own would have one per core.

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
    let mut count = 0;
    app.source("numbers", NumberCodec).map(move |number| {
        count += number;
        count
    });
}
