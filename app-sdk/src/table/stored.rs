//! Stored states: those of the present shape, and those of former ones that a conversion is for.

use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::value::{self, Corrupt, Schema, State, schema_field, schema_start};

type Read<S> = Rc<dyn Fn(&[u8]) -> Result<S, Corrupt>>;

/// How stored states are read.
pub(super) struct StatesStored<S> {
    /// By former shape.
    older: Vec<(u64, Read<S>)>,
    /// The former shape that is read now; `None` for the present one.
    expected: Option<usize>,
    /// Distinguishes states of one type.
    identity: Option<u64>,
}

impl<S: State> StatesStored<S> {
    // cold: once per table
    pub(super) const fn new() -> Self {
        Self { older: Vec::new(), expected: None, identity: None }
    }

    // cold: while the application is described
    pub(super) fn migrate<Old: State>(&mut self, convert: impl Fn(Old) -> S + 'static) {
        let read = move |bytes: &[u8]| value::read::<Old>(bytes).map(&convert);
        self.older.push((self.shape_of(<Old as Schema>::SHAPE), Rc::new(read)));
    }

    /// States of the same type with another `identity` cannot be read; said before
    /// [`migrate`](Self::migrate).
    // cold: while the application is described
    pub(super) fn vary(&mut self, identity: &str) {
        self.identity = Some(schema_start(identity));
    }

    /// The present shape.
    pub(super) fn shape(&self) -> u64 {
        self.shape_of(<S as Schema>::SHAPE)
    }

    fn shape_of(&self, shape: u64) -> u64 {
        self.identity.map_or(shape, |identity| schema_field(identity, "state", shape))
    }

    /// How states are read that have one of these within: from those, and from its former ones.
    // cold: while the application is described
    pub(super) fn within<T: State>(&self, wrap: fn(S) -> T) -> StatesStored<T> {
        let mut all = StatesStored::<T>::new();
        all.migrate(wrap);
        for (shape, read) in &self.older {
            let read = read.clone();
            all.older.push((*shape, Rc::new(move |bytes: &[u8]| read(bytes).map(wrap))));
        }
        all
    }

    // cold: once per recovery
    pub(super) fn older_shapes(&self) -> Vec<u64> {
        self.older.iter().map(|(shape, _)| *shape).collect()
    }

    pub(super) fn expect(&mut self, shape: u64) -> Result<(), Corrupt> {
        self.expected = match shape == self.shape() {
            true => None,
            false => Some(self.older.iter().position(|(of, _)| *of == shape).ok_or(Corrupt)?),
        };
        Ok(())
    }

    pub(super) fn read(&self, bytes: &[u8]) -> Result<S, Corrupt> {
        match self.expected {
            None => value::read(bytes),
            Some(older) => (self.older[older].1)(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};

    #[test]
    fn a_former_shape_is_converted_and_an_unknown_one_refused() {
        let mut stored = StatesStored::<String>::new();
        stored.migrate(|old: u64| old.to_string());
        let (mut old, mut new) = (Vec::new(), Vec::new());
        value::append(&7u64, &mut old).expect("it is short");
        value::append(&String::from("seven"), &mut new).expect("it is short");
        assert_eq!(stored.read(&new).expect("the present shape"), "seven");
        assert_eq!(stored.expect(<u64 as Schema>::SHAPE), Ok(()));
        assert_eq!(stored.read(&old).expect("a former shape"), "7");
        assert_eq!(stored.expect(<u32 as Schema>::SHAPE), Err(Corrupt));
        assert_eq!(stored.expect(<String as Schema>::SHAPE), Ok(()));
        assert_eq!(stored.read(&new).expect("the present shape"), "seven");
    }

    #[test]
    fn another_identity_is_another_shape() {
        let [mut one, mut other] = [(); 2].map(|()| StatesStored::<String>::new());
        one.vary("tumbling 1s");
        other.vary("tumbling 2s");
        one.migrate(|old: u64| old.to_string());
        assert_eq!(one.expect(other.shape()), Err(Corrupt));
        assert_eq!(one.expect(<String as Schema>::SHAPE), Err(Corrupt));
        assert_eq!(one.expect(one.shape()), Ok(()));
        assert_eq!(one.expect(one.older_shapes()[0]), Ok(()));
        assert_eq!(other.expect(one.older_shapes()[0]), Err(Corrupt));
    }
}
