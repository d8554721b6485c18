//! The hash of a key never changes: it decides for ever where a key's state lies. The numbers come
//! from another implementation of XXH3-64.

use potoroo_sdk::{key::Key, text::Text};

#[potoroo_sdk::key]
struct OrderId(u64);

#[potoroo_sdk::key]
struct Instrument {
    symbol: Text<8>,
    venue: Venue,
}

#[potoroo_sdk::key]
struct Route {
    path: [u8; 2],
    name: String,
}

#[potoroo_sdk::key]
struct Named(String);

#[potoroo_sdk::key]
enum Venue {
    Arca,
    Bats,
    Nasdaq = 7,
}

#[potoroo_sdk::key]
struct Everything;

#[track_caller]
fn check(key: &impl Key, expected: u64) {
    assert_eq!(key.hash(), expected, "{key:?} hashes to {:#018x}", key.hash());
}

#[test]
fn integers_hash_their_little_endian_bytes() {
    check(&7_u8, 0x4c5c_ca45_d0f4_811f);
    check(&513_u16, 0x0813_0b77_ddef_5807);
    check(&70_000_u32, 0xa4a9_8a4e_8929_0d5c);
    check(&0_u64, 0xc77b_3abb_6f87_acd9);
    check(&1_u64, 0x2fbc_5935_64db_792e);
    check(&u64::MAX, 0x5111_c7e4_7d78_4413);
    check(&-5_i64, 0x6981_0bb3_f3d3_4721);
    check(&-5_i32, 0x932d_29d1_88c0_83ed);
    check(&(1_u128 << 100), 0xad32_feb5_5d7e_624d);
}

#[test]
fn small_keys_hash_their_bytes() {
    check(&(), 0x2d06_8005_38d3_94c2);
    check(&false, 0xc44b_dff4_074e_ecdb);
    check(&true, 0xe12e_f9d2_eb86_ceeb);
    check(&'é', 0x5874_c6e9_96bd_f0a5);
    check(b"IBM", 0x70ca_20a2_0f29_8389);
}

#[test]
fn texts_hash_without_their_padding() {
    check(&Text::<4>::from_array(*b" IBM"), 0xd6dd_df8f_6132_493e);
    check(&Text::<3>::from_array(*b"IBM"), 0x70ca_20a2_0f29_8389);
    check(&Text::<8>::new(b"IBM").unwrap(), 0x70ca_20a2_0f29_8389);
    check(&Text::<8>::EMPTY, 0x2d06_8005_38d3_94c2);
    check(&String::from("IBM"), 0x70ca_20a2_0f29_8389);
    check(&String::from("grüße"), 0x5746_6903_66eb_bcad);
    check(&"a".repeat(100), 0x411d_9368_f9c3_0e07);
    check(&"a".repeat(300), 0xc1d1_7581_d8eb_7e21);
}

#[test]
fn tuples_put_a_length_before_variable_parts() {
    check(&(42_u64, 7_u32), 0x1b36_1654_3075_e6a6);
    check(&(Text::<8>::new(b"IBM").unwrap(), 9_u16), 0x8b51_c420_15ce_7192);
    check(&(String::from("ab"), String::from("c")), 0x6d5f_7d8c_2045_61ef);
    assert_ne!(
        (String::from("ab"), String::from("c")).hash(),
        (String::from("a"), String::from("bc")).hash(),
    );
    check(&((1_u64, 2_u64), true, 3_i64), 0x80df_22af_5e31_a151);
}

#[test]
fn long_tuples_hash_as_short_ones_do() {
    check(&("a".repeat(100), 5_u64), 0x8f74_83eb_6393_c17b);
    check(&("a".repeat(300), 5_u64), 0x98b7_452b_be0c_4f15);
}

#[test]
fn derived_keys_hash_their_fields() {
    check(&OrderId(1), 0x2fbc_5935_64db_792e);
    check(&Named(String::from("IBM")), 0x70ca_20a2_0f29_8389);
    check(&Venue::Arca, 0xc77b_3abb_6f87_acd9);
    check(&Venue::Bats, 0x2fbc_5935_64db_792e);
    check(&Venue::Nasdaq, 0x8167_1e58_d6b5_96af);
    let symbol = Text::new(b"IBM").unwrap();
    check(&Instrument { symbol, venue: Venue::Nasdaq }, 0xc8c4_af92_dfef_fc0f);
    check(&Everything, 0x2d06_8005_38d3_94c2);
    let route = Route { path: [1, 2], name: String::from("x") };
    assert_eq!(route.hash(), ([1_u8, 2], String::from("x")).hash());
    assert_eq!((Named(String::from("ab")), 1_u8).hash(), (String::from("ab"), 1_u8).hash());
}

#[test]
fn keys_are_ordered_and_hashable_in_collections() {
    assert!(Venue::Arca < Venue::Nasdaq);
    let mut orders = std::collections::HashSet::new();
    orders.insert(OrderId(1));
    assert!(orders.contains(&OrderId(1)));
}
