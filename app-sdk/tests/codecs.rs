//! Framings and fields, fed whole, in pieces, cut off and with garbage.

use potoroo_sdk::codec::{
    Decode, Encode, Fields, FixedSize, Framing, LengthPrefixed, LengthWord, LineText, Lines, Put,
    Reason, Split,
};
use potoroo_sdk::random::Random;
use potoroo_sdk::text::Text;
use potoroo_sdk::value::Value;

/// Reads a whole stream that arrives in pieces; one line of text per outcome.
fn read(framing: &impl Framing, stream: &[u8], mut piece: impl FnMut() -> usize) -> Vec<String> {
    let (mut outcomes, mut position, mut arrived) = (Vec::new(), 0, 0);
    let mut skipping = false;
    loop {
        let ended = arrived == stream.len();
        let bytes = &stream[position..arrived];
        if std::mem::take(&mut skipping) {
            let end = framing.frame_end(bytes);
            skipping = end.is_none();
            position += end.unwrap_or(bytes.len());
            if skipping && ended {
                return outcomes;
            }
            if skipping {
                arrived = stream.len().min(arrived + piece());
            }
            continue;
        }
        let next = match framing.split(bytes, ended) {
            Split::Frame { start, end, next } => {
                outcomes.push(format!("{:?}", bytes[start..end].escape_ascii().to_string()));
                next
            }
            Split::Skip { next, reason } => {
                outcomes.push(format!("skip {next}: {reason}"));
                next
            }
            Split::Overlong { next, reason } => {
                outcomes.push(format!("overlong {next}: {reason}"));
                skipping = true;
                next
            }
            Split::Broken(reason) => {
                outcomes.push(format!("broken: {reason}"));
                return outcomes;
            }
            Split::More(needed) => {
                assert!(needed == 0 || needed > bytes.len(), "asks for what is there");
                if ended {
                    assert!(bytes.is_empty(), "bytes are left behind");
                    return outcomes;
                }
                arrived = stream.len().min(arrived + piece());
                continue;
            }
        };
        assert!(next > 0 && next <= bytes.len(), "the position moves, within the bytes");
        position += next;
    }
}

#[track_caller]
fn check(framing: impl Framing, stream: &[u8], expected: &[&str]) {
    assert_eq!(read(&framing, stream, || usize::MAX / 2), expected, "at once");
    assert_eq!(read(&framing, stream, || 1), expected, "byte by byte");
    let mut random = Random::new(stream.len() as u64);
    for _ in 0..20 {
        assert_eq!(read(&framing, stream, || 1 + random.below(5) as usize), expected);
    }
}

const BE: LengthPrefixed = LengthPrefixed::new(LengthWord::U32Be);

#[test]
fn lengths_in_all_forms() {
    check(BE, b"\0\0\0\x02ab\0\0\0\x01c", &[r#""ab""#, r#""c""#]);
    check(LengthPrefixed::new(LengthWord::U32Le), b"\x02\0\0\0ab", &[r#""ab""#]);
    check(LengthPrefixed::new(LengthWord::U16Be), b"\0\x02ab\0\x01c", &[r#""ab""#, r#""c""#]);
    check(LengthPrefixed::new(LengthWord::U16Le), b"\x02\0ab", &[r#""ab""#]);
    check(BE, b"", &[]);
}

#[test]
fn bad_lengths_have_reasons() {
    let cut = "cut off by the end of the stream";
    check(BE, b"\0\0\0\0\0\0\0\x01c", &["skip 4: length is zero", r#""c""#]);
    check(BE.empty_allowed(), b"\0\0\0\0\0\0\0\x01c", &[r#""""#, r#""c""#]);
    check(
        BE,
        b"\0\0\0\x01a\xff\xff\xff\xffgarbage",
        &[r#""a""#, "broken: length is above the limit"],
    );
    check(BE.length_max(1), b"\0\0\0\x02ab", &["broken: length is above the limit"]);
    check(BE, b"\0\0\0\x05abc", &[&format!("skip 7: {cut}")]);
    check(BE, b"\0\0", &[&format!("skip 2: {cut}")]);
}

#[test]
fn lines_with_every_ending() {
    check(
        Lines::new(),
        b"a\nbc\r\n\n\r\nlast",
        &[r#""a""#, r#""bc""#, r#""""#, r#""""#, r#""last""#],
    );
    check(Lines::new(), b"a\rb\n", &[r#""a\\rb""#]);
    check(Lines::new(), b"last\r", &[r#""last""#]);
    check(Lines::new(), b"", &[]);
}

#[test]
fn long_lines_are_skipped_whole() {
    let limit = "line is above the limit";
    let overlong = &*format!("overlong 4: {limit}");
    let lines = Lines::new().length_max(4);
    check(lines, b"abc\nabcd\nx\n", &[r#""abc""#, overlong, r#""x""#]);
    check(lines, b"abcdefghijkl7\n\nx\nno line end 12", &[overlong, r#""""#, r#""x""#, overlong]);
    check(Lines::new().within(4), b"abcdef\nx\n", &[overlong, r#""x""#]);
}

#[test]
fn fixed_sizes() {
    check(FixedSize::new(2), b"abcd", &[r#""ab""#, r#""cd""#]);
    check(FixedSize::new(2), b"abc", &[r#""ab""#, "skip 1: cut off by the end of the stream"]);
}

#[test]
fn garbage_never_stops_a_framing() {
    let mut random = Random::new(4);
    for _ in 0..300 {
        let stream: Vec<u8> = (0..random.below(200)).map(|_| random.below(14) as u8).collect();
        let mut pieces = random.clone();
        let words = LengthPrefixed::new(LengthWord::U16Be).length_max(600);
        let outcome = read(&words, &stream, || 1 + pieces.below(30) as usize);
        assert_eq!(outcome, read(&words, &stream, || 1000));
        let lines = Lines::new().length_max(16);
        let outcome = read(&lines, &stream, || 1 + pieces.below(30) as usize);
        assert_eq!(outcome, read(&lines, &stream, || 1000));
    }
}

#[test]
fn a_buffer_of_the_longest_frame_is_enough() {
    for framing in [BE.length_max(100), BE] {
        let full = vec![0xff; framing.frame_bytes_max()];
        assert!(!matches!(framing.split(&full, false), Split::More(_)));
    }
    let lines = Lines::new().length_max(7);
    assert!(!matches!(lines.split(&[b'x'; 7], false), Split::More(_)));
}

#[test]
fn fields_read_what_put_wrote() {
    let mut out = Vec::new();
    out.put_framed(LengthWord::U16Be, |out| {
        out.put_u8(1);
        out.put_i8(-1);
        out.put_u16_be(2);
        out.put_u32_be(3);
        out.put_u64_be(4);
        out.put_i32_be(-5);
        out.put_i64_be(-6);
        out.put_f64_be(7.5);
        out.put_u16_le(8);
        out.put_u32_le(9);
        out.put_u64_le(10);
        out.put_i32_le(-11);
        out.put_i64_le(-12);
        out.put_f64_le(-13.5);
        out.put_text(Text::<4>::from_array(*b" IBM"));
        out.put_bytes(b"rest");
    });
    let mut fields = Fields::new(&out);
    assert_eq!(fields.u16_be().map(usize::from), Ok(out.len() - 2));
    assert_eq!((fields.u8(), fields.i8()), (Ok(1), Ok(-1)));
    assert_eq!((fields.u16_be(), fields.u32_be(), fields.u64_be()), (Ok(2), Ok(3), Ok(4)));
    assert_eq!((fields.i32_be(), fields.i64_be(), fields.f64_be()), (Ok(-5), Ok(-6), Ok(7.5)));
    assert_eq!((fields.u16_le(), fields.u32_le(), fields.u64_le()), (Ok(8), Ok(9), Ok(10)));
    assert_eq!((fields.i32_le(), fields.i64_le(), fields.f64_le()), (Ok(-11), Ok(-12), Ok(-13.5)));
    assert_eq!(fields.text::<4>().map(|text| text.to_string()), Ok(String::from(" IBM")));
    assert_eq!(fields.rest(), b"rest");
    assert_eq!(fields.clone().finish(), Err(Reason::new("payload is too long")));
    assert_eq!(fields.u64_be(), Err(Reason::new("payload is too short")));
    assert_eq!(fields.bytes(5), Err(Reason::new("payload is too short")));
    assert_eq!(fields.bytes(4), Ok(&b"rest"[..]));
    assert_eq!(fields.finish(), Ok(()));
}

#[test]
fn prices_that_are_no_numbers_are_refused() {
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let refused = Err(Reason::new("number is not finite"));
        assert_eq!(Fields::new(&odd.to_be_bytes()).finite_f64_be(), refused);
        assert_eq!(Fields::new(&odd.to_le_bytes()).finite_f64_le(), refused);
    }
    assert_eq!(Fields::new(&1.5_f64.to_be_bytes()).finite_f64_be(), Ok(1.5));
}

#[test]
fn lines_become_strings_and_back() {
    let codec = LineText::new().length_max(100);
    assert_eq!(codec.decode(b"word"), Ok(String::from("word")));
    assert_eq!(codec.decode(b"\xff"), Err(Reason::new("line is not UTF-8")));
    let mut out = Vec::new();
    codec.encode(String::from("word").lend(), &mut out);
    assert_eq!(out, b"word\n");
    check(codec.framing(), &out, &[r#""word""#]);
    assert_eq!(codec.framing().frame_bytes_max(), 100);
}
