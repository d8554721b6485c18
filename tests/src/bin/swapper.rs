//! One of several processes that share a folder of checkpoints: it swaps HEAD, and stores and
//! deletes an object, until HEAD has a generation.
//!
//! ```text
//!   swapper FOLDER GENERATION       writes each generation that it has won, on a line
//! ```

use std::env::args;
use std::io::{Write, stdout};
use std::path::Path;

use potoroo::checkpoint::Epoch;
use potoroo::checkpoint::store::{
    Error, Folder, Head, Name, NameKind, Store, StoreReader, contract, draw,
};

fn main() {
    let [path, last] = [1, 2].map(|at| args().nth(at).expect("a folder and a generation"));
    let last: u64 = last.parse().expect("a number");
    let folder = Folder::open_shared(Path::new(&path)).expect("it is shared");
    let owner = draw();
    loop {
        let found = folder.head().expect("it is whole");
        let generation = found.as_ref().map_or(0, |head| head.generation);
        if generation >= last {
            return;
        }
        let name = Name { generation, epoch: Epoch(1), kind: NameKind::Manifest, random: draw() };
        contract::put(&folder, &name.to_string(), b"object");
        folder.delete(&name.to_string()).expect("it is there");
        let new = Head { generation: generation + 1, owner, folder: 1, ..Head::default() };
        match folder.swap_head(found.as_ref(), &new) {
            // At once, so that a kill finds no half of a line.
            Ok(()) => stdout().write_all(format!("{}\n", new.generation).as_bytes()).expect("read"),
            Err(Error::Overtaken { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
