//! Ids that are never used twice, for requests whose answers may come late.
//!
//! Owns the requests. Promises that the id of a removed one finds nothing, even when its place is
//! taken by another.

pub(super) struct Watches<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

struct Place<T> {
    /// How often the place was freed; half of the id.
    generation: u32,
    value: Option<T>,
}

impl<T> Watches<T> {
    // cold: once per core
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// Keeps `value` and returns its id, which is below `u64::MAX / 2`.
    pub(super) fn insert(&mut self, value: T) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, value: None });
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        place.value = Some(value);
        u64::from(place.generation) << 32 | u64::from(index)
    }

    pub(super) fn find(&mut self, id: u64) -> Option<&mut T> {
        self.place(id)?.value.as_mut()
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        let place = self.place(id)?;
        let value = place.value.take()?;
        // 31 bits, so that no id reaches those that have a meaning of their own.
        place.generation = (place.generation + 1) & (u32::MAX >> 1);
        self.free.push(id as u32);
        Some(value)
    }

    fn place(&mut self, id: u64) -> Option<&mut Place<T>> {
        let place = self.places.get_mut(id as u32 as usize)?;
        (u64::from(place.generation) == id >> 32).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_id_does_not_find_the_successor() {
        let mut watches = Watches::new();
        let first = watches.insert('a');
        assert_eq!(watches.remove(first), Some('a'));
        assert_eq!(watches.remove(first), None);
        let second = watches.insert('b');
        assert_eq!(first as u32, second as u32);
        assert_eq!(watches.find(first), None);
        assert_eq!(watches.find(second), Some(&mut 'b'));
        assert_eq!(watches.find(u64::MAX), None);
    }
}
