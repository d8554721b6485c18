//! Values in words: units that fit, and text that cannot become markup.

/// A duration with three digits and the unit that fits: `350 ns`, `1.24 µs`, `8.67 ms`.
pub fn duration(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 999.5 => (ns, "ns"),
        ns if ns < 999.5e3 => (ns / 1e3, "µs"),
        ns if ns < 999.5e6 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{} {unit}", number(value))
}

/// A number with three digits, and groups of thousands above.
pub fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        size if size == size.trunc() && size < 1e15 => grouped(value),
        size if size >= 99.95 => grouped(value.round()),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.9995 => format!("{value:.2}"),
        size if size >= 0.001 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}

/// A rate with the letter that fits: `12.3 M`.
pub fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e9 => format!("{} G", number(value / 1e9)),
        size if size >= 1e6 => format!("{} M", number(value / 1e6)),
        size if size >= 1e4 => format!("{} k", number(value / 1e3)),
        _ => number(value),
    }
}

/// A whole number with thin spaces between groups of three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if value < 0.0 && digits != "0" { format!("−{text}") } else { text }
}

/// Text that markup takes as text, also inside of attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            // Neither HTML nor XML has a way to write these.
            control if control.is_control() && !"\n\t".contains(control) => {
                escaped.push('\u{fffd}')
            }
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Text from files for a terminal, which it must not steer.
pub fn line(text: &str) -> String {
    text.replace(|letter: char| letter.is_control() && letter != '\n', "\u{fffd}")
}

/// A command line as a shell takes it.
pub fn shell(arguments: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let quoted = |argument: &String| match argument.is_empty() || !argument.chars().all(plain) {
        true => format!("'{}'", argument.replace('\'', r"'\''")),
        false => argument.clone(),
    };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let check = |ns, text: &str| assert_eq!(duration(ns), text);
        check(0.0, "0 ns");
        check(350.0, "350 ns");
        check(1240.0, "1.24 µs");
        check(999_600.0, "1.00 ms");
        check(8_667_135.0, "8.67 ms");
        check(12.345e9, "12.3 s");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(number(29_912_345.0), "29\u{202f}912\u{202f}345");
        assert_eq!(number(-1.5), "-1.50");
        assert_eq!(short(29_912_345.0), "29.9 M");
    }

    #[test]
    fn nothing_becomes_markup() {
        assert_eq!(
            escape("<a href=\"x\">'&\u{7}"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;\u{fffd}"
        );
    }

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(line("a\u{1b}[2Jb\n\u{9b}c"), "a\u{fffd}[2Jb\n\u{fffd}c");
    }

    #[test]
    fn commands_can_be_pasted() {
        let arguments = ["bench", "--out", "my folder", "it's"].map(String::from);
        assert_eq!(shell(&arguments), r"bench --out 'my folder' 'it'\''s'");
    }
}
