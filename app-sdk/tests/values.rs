//! Values of Rust's own types, texts, lists, random numbers.

use potoroo_sdk::prelude::*;
use potoroo_sdk::value::{Corrupt, Full, access, restore, to_vec, write};
use std::fmt::Debug;

#[track_caller]
fn round_trip<E: Event + PartialEq + Debug>(event: E) {
    let bytes = to_vec(&event);
    let archived = access::<E>(&bytes).expect("what was written can be read");
    assert_eq!(E::view(archived), event.lend());
    assert_eq!(restore::<E>(archived), event);
}

#[test]
fn numbers_survive_at_their_limits() {
    round_trip((u8::MAX, i8::MIN, u16::MAX, i16::MIN, u32::MAX, i32::MIN));
    round_trip((u64::MAX, i64::MIN, u128::MAX, i128::MIN, f32::MIN_POSITIVE, f64::MAX));
    round_trip((true, false, '\u{10ffff}', (), [1_u16; 5], Some([(1_u8, 2.5_f64); 2])));
    round_trip(f64::NEG_INFINITY);
    round_trip(String::from("ünïcode"));
}

#[test]
fn lists_survive_at_all_lengths() {
    for length in [0, 1, 7, 100, 3_000] {
        round_trip((0..length).collect::<Vec<u64>>());
        round_trip((0..length).map(|n| n.to_string()).collect::<Vec<String>>());
        round_trip((0..length).map(|n| (n as u8, Some(vec![n]))).collect::<Vec<_>>());
    }
    round_trip((Box::<str>::from("boxed"), vec![Box::<str>::from("")]));
    round_trip((vec![1_u8, 2].into_boxed_slice(), 1_u8));
}

#[test]
fn writing_needs_exactly_the_length() {
    let event = (String::from("a long enough string"), vec![1_u64, 2, 3]);
    let bytes = to_vec(&event);
    for room in 0..bytes.len() {
        assert_eq!(write(&event, &mut vec![0; room]), Err(Full), "room {room}");
    }
    let mut room = vec![0xaa; bytes.len() + 9];
    assert_eq!(write(&event, &mut room), Ok(bytes.len()));
    assert_eq!(room[..bytes.len()], bytes);
    assert_eq!(room[bytes.len()..], [0xaa; 9]);
}

#[test]
fn plain_values_have_one_length() {
    let bytes = to_vec(&(1_u32, 2_u8));
    assert_eq!(bytes, [1, 0, 0, 0, 2]);
    assert_eq!(write(&(1_u32, 2_u8), &mut [0; 4]), Err(Full));
    assert_eq!(access::<(u32, u8)>(&bytes[..4]).err(), Some(Corrupt));
    assert_eq!(access::<(u32, u8)>(&[0; 6]).err(), Some(Corrupt));
}

#[test]
fn invalid_values_are_corrupt() {
    assert_eq!(access::<bool>(&[2]).err(), Some(Corrupt));
    assert_eq!(access::<char>(&0xd800_u32.to_le_bytes()).err(), Some(Corrupt));
    assert_eq!(access::<String>(&[0xfe; 8]).err(), Some(Corrupt));
    assert_eq!(access::<Vec<u64>>(&[0x7f; 8]).err(), Some(Corrupt));
    assert_eq!(access::<Vec<u64>>(&[]).err(), Some(Corrupt));
}

#[test]
fn lists_are_read_by_index_and_by_iterator() {
    let owner = vec![String::from("a"), String::from("b")];
    let bytes = to_vec(&owner);
    for list in [owner.lend(), Vec::<String>::view(access::<Vec<String>>(&bytes).unwrap())] {
        assert_eq!((list.len(), list.is_empty()), (2, false));
        assert_eq!((list.first(), list.last(), list.get(2)), (Some("a"), Some("b"), None));
        assert_eq!(list.iter().rev().collect::<String>(), "ba");
        assert_eq!(format!("{list:?}"), r#"["a", "b"]"#);
        assert_eq!(list.into_iter().len(), 2);
    }
    assert_eq!(Vec::<u8>::new().lend().last(), None);
}

#[test]
fn texts_hold_up_to_their_size() {
    let text = Text::<4>::new(b"IBM").unwrap();
    assert_eq!((text.len(), text.as_bytes(), text.as_str()), (3, &b"IBM"[..], Some("IBM")));
    assert_eq!(text.as_array(), b"IBM\0");
    assert_eq!(Text::<4>::new(b"GOOGL"), None);
    assert_eq!(Text::<4>::new(b"A\0"), None);
    assert_eq!(Text::<4>::new(b""), Some(Text::EMPTY));
    assert!(Text::<4>::default().is_empty());
    assert_eq!(Text::<4>::from_array(*b"ABCD").len(), 4);
    assert!(Text::<4>::from_array(*b"ABCD") < Text::from_array(*b"ABCE"));
    assert_eq!("IBM".parse::<Text<4>>(), Ok(text));
    assert!("GOOGL".parse::<Text<4>>().is_err());
    assert_eq!(Text::<16>::new(b"sixteen letters!").unwrap().len(), 16);
    assert_eq!(Text::<17>::new(b"a longer text\0!").unwrap().len(), 15);
    assert_eq!(Text::<0>::EMPTY.len(), 0);
    round_trip(text);
}

#[test]
fn texts_print_whatever_they_hold() {
    let odd = Text::<6>::from_array(*b"a\xff\"b\n\0");
    assert_eq!(odd.as_str(), None);
    assert_eq!(odd.to_string(), "a\\xff\"b\n");
    assert_eq!(format!("{odd:?}"), r#""a\xff\"b\n""#);
    assert_eq!(format!("[{:>5}]", Text::<4>::from_array(*b"IBM\0")), "[  IBM]");
}

#[test]
fn random_numbers_never_change() {
    let mut random = Random::new(1_234_567);
    assert_eq!(random.u64(), 0x599e_d017_fb08_fc85);
    assert_eq!(random.u64(), 0x2c73_f084_5854_0fa5);
    assert_eq!(random.u64(), 0x883e_bce5_a3f2_7c77);
}

#[test]
fn random_numbers_stay_in_range_and_reach_all_of_it() {
    let mut random = Random::new(9);
    let mut seen = [false; 10];
    for _ in 0..1_000 {
        seen[random.below(10) as usize] = true;
        assert!((0.0..1.0).contains(&random.f64()));
    }
    assert_eq!(seen, [true; 10]);
    assert!(random.chance(1.0) && !random.chance(0.0));
}
