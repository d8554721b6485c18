//! Numbers, `bool`, `char` and `()`: their view is the value.

use super::{Event, Plain, Value};
use rkyv::Archived;

macro_rules! plain_value {
    ($($type:ty => |$archived:ident| $native:expr),+ $(,)?) => { $(
        impl Value for $type {
            type View<'a> = Self;
            const PLAIN: bool = true;

            #[inline(always)]
            fn view($archived: &Archived<Self>) -> Self {
                $native
            }

            #[inline(always)]
            fn lend(&self) -> Self {
                *self
            }
        }

        impl Plain for $type {}
    )+ };
}

plain_value!(
    u8 => |archived| *archived,
    i8 => |archived| *archived,
    bool => |archived| *archived,
    u16 => |archived| archived.to_native(),
    u32 => |archived| archived.to_native(),
    u64 => |archived| archived.to_native(),
    u128 => |archived| archived.to_native(),
    i16 => |archived| archived.to_native(),
    i32 => |archived| archived.to_native(),
    i64 => |archived| archived.to_native(),
    i128 => |archived| archived.to_native(),
    f32 => |archived| archived.to_native(),
    f64 => |archived| archived.to_native(),
    char => |archived| archived.to_native(),
    () => |_archived| (),
);

macro_rules! event {
    ($($type:ty),+) => { $( impl Event for $type {} )+ };
}
event!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32, f64, bool, char);
