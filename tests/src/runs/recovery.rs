//! What a run takes over from the one before: its coordinator, and the storage of its parts.

use std::sync::Arc;

use potoroo::checkpoint::coordinator::Coordinator;
use potoroo::checkpoint::store::Store;
use potoroo::checkpoint::{Delivered, Identity, Manifest};
use potoroo::control::checkpoints::part_storage::PartStorage;

use super::moves::MovingParts;
use super::receivers::Links;
use super::senders::Sessions;
use super::troubles::Sabotage;

/// What acknowledges positions of sources, and what stores the parts of `cores` cores.
pub(super) fn part_storage(
    (store, facts, generation): (&Arc<dyn Store>, &Identity, u64),
    sources: &[String],
    cores: usize,
    sessions: &Sessions,
) -> (PartStorage, MovingParts) {
    let storage = || {
        let (store, facts, sources) = (store.clone(), facts.clone(), sources.to_vec());
        let storage = PartStorage::new(store, facts, generation, sources, cores);
        storage.with_upstreams(sessions.upstreams())
    };
    (storage(), MovingParts::new((0..cores).map(|_| storage())))
}

/// What a coordinator goes on from.
pub(super) fn take_over(
    coordinator: &mut Coordinator,
    manifest: Option<&Manifest>,
    links: &Links,
    sabotage: Option<Sabotage>,
) {
    let Some(Manifest { sources, transactions, delivered, .. }) = manifest else { return };
    let committed: Vec<_> = links.deliveries().flat_map(|one| one.own(transactions)).collect();
    for Delivered { sink, transaction } in delivered {
        coordinator.deliver(sink, *transaction);
    }
    match sabotage {
        Some(Sabotage::UnopenedLost) => coordinator.take_over(&[], &committed),
        Some(Sabotage::UndeliveredLost) => coordinator.take_over(sources, &[]),
        _ => coordinator.take_over(sources, &committed),
    }
}
