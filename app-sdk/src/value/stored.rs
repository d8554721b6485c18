//! Stored: what has an archive, and the parts of rkyv that write, check and read it.

use rkyv::{
    Archive, Deserialize, Serialize,
    api::low::{LowDeserializer, LowSerializer, LowValidator},
    bytecheck::CheckBytes,
    rancor::Failure,
    ser::{allocator::SubAllocator, writer::Buffer},
};

/// The serialiser that every value is written with: into a slice, with scratch space on the stack.
pub type Writer<'a> = LowSerializer<Buffer<'a>, SubAllocator<'a>, Failure>;

/// The validator that every archive is checked with.
pub type Checker<'a> = LowValidator<'a, Failure>;

/// The deserialiser that builds owned values.
pub type Reader = LowDeserializer<Failure>;

/// What can be archived, checked and restored; implemented for whatever rkyv's derives cover.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored",
    label = "not storable",
    note = "put `#[event]`, `#[value]`, `#[key]` or `#[state]` on your own type; \
            hash maps, `Rc`, `Arc` and references are never storable"
)]
pub trait Stored:
    Archive<Archived: for<'a> CheckBytes<Checker<'a>> + Deserialize<Self, Reader>>
    + for<'a> Serialize<Writer<'a>>
    + Sized
{
}

impl<T> Stored for T where
    T: Archive<Archived: for<'a> CheckBytes<Checker<'a>> + Deserialize<T, Reader>>
        + for<'a> Serialize<Writer<'a>>
{
}
