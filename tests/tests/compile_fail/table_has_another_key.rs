//! A table can only be updated by a stream with its key type.

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
    let totals = app.table::<u32, u64>("totals");
    app.source("numbers", NumberCodec)
        .key_by(|number| number)
        .update(&totals, |total, number| *total += number);
}
