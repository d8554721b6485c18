//! Drawing: a panel with two axes, as SVG text.
//!
//! Colours are classes (`s0` … `s6` for series), so that one drawing suits light and dark pages.

use std::fmt::Write;

use super::words::{duration, escape, short};

/// How large a drawing is: text stays readable only at about its natural size, so a page has one
/// for wide windows and paper and one for phones.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Width of the drawing.
    pub width: f64,
    /// Height of a panel with its axis.
    pub height: f64,
    /// Class that shows it on the screens that it is for.
    pub class: &'static str,
}

/// For windows and paper.
pub const WIDE: Size = Size { width: 860.0, height: 400.0, class: "wide" };
/// For phones.
pub const NARROW: Size = Size { width: 340.0, height: 300.0, class: "narrow" };

/// An axis: how values become positions, and where it has ticks.
#[derive(Clone, Debug)]
pub struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    /// Values of ticks with their labels; a tick without label is a line only.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Durations in nanoseconds, logarithmic.
    pub fn durations(low: f64, high: f64) -> Self {
        let (low, high) = (low.max(1.0), high.max(2.0));
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let steps = if high / low > 300.0 { &[1.0][..] } else { &[1.0, 2.0, 5.0] };
        let all: Vec<f64> = (first..=last)
            .flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)))
            .collect();
        // The axis ends at ticks, so that both ends have a label.
        let low = all.iter().copied().filter(|&tick| tick <= low).fold(1.0, f64::max);
        let high = all.iter().copied().filter(|&tick| tick >= high).fold(f64::MAX, f64::min);
        let high = if high == f64::MAX { 10f64.powi(last) } else { high };
        let ticks = all.into_iter().filter(|tick| (low..=high).contains(tick));
        let ticks = ticks.map(|tick| (tick, duration(tick))).collect();
        Self { low, high: high.max(low * 2.0), logarithmic: true, ticks }
    }

    /// Percentiles by the number of their nines, from 0 % up to that of one event in `count`.
    pub fn nines(count: u64) -> Self {
        let high = (count.max(2) as f64).log10().max(2.0);
        let label = |nines: usize| match nines {
            1 => "90 %".to_owned(),
            2 => "99 %".to_owned(),
            nines => format!("99.{} %", "9".repeat(nines - 2)),
        };
        let mut ticks = vec![(0.0, "0".to_owned()), (0.5f64.log10().abs(), "50 %".to_owned())];
        ticks.extend((1..=high as usize).map(|nines| (nines as f64, label(nines))));
        Self { low: 0.0, high, logarithmic: false, ticks }
    }

    /// Plain numbers from 0.
    pub fn numbers(high: f64) -> Self {
        Self::even(high, short)
    }

    /// Seconds from 0.
    pub fn seconds(high: f64) -> Self {
        Self::even(high, |seconds| duration(seconds * 1e9))
    }

    fn even(high: f64, label: impl Fn(f64) -> String) -> Self {
        let high = if high > 0.0 { high } else { 1.0 };
        let rough = high / 4.0;
        let decade = 10f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
        let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(high);
        let ticks = (0..=(high / step) as u32).map(|index| f64::from(index) * step);
        let ticks = ticks.map(|tick| (tick, label(tick))).collect();
        Self { low: 0.0, high, logarithmic: false, ticks }
    }

    /// Where a value lies: 0 at the low end, 1 at the high one.
    fn share(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        match self.logarithmic {
            true => (value / self.low).log10() / (self.high / self.low).log10(),
            false => (value - self.low) / (self.high - self.low),
        }
    }
}

/// One pair of axes and what is drawn in it.
#[derive(Debug)]
pub struct Panel {
    /// The axis from left to right.
    pub x: Axis,
    /// The axis from bottom to top.
    pub y: Axis,
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    body: String,
}

impl Panel {
    /// A panel across a drawing, its top at `top`, `height` high with the labels of its x axis.
    pub fn new(size: Size, top: f64, height: f64, x: Axis, y: Axis) -> Self {
        let (left, width) = (MARGIN_LEFT, size.width - MARGIN_LEFT - MARGIN_RIGHT);
        let height = height - MARGIN_TOP - MARGIN_BOTTOM;
        Self { x, y, left, top: top + MARGIN_TOP, width, height, body: String::new() }
    }

    /// Draws grid, ticks and the names of both axes.
    pub fn axes(&mut self, x_name: &str, y_name: &str) {
        let (right, bottom) = (self.left + self.width, self.top + self.height);
        for (value, label) in self.y.ticks.clone() {
            let y = self.y_at(value);
            self.add(format!("<path class=\"grid\" d=\"M{:.1} {y:.1}H{right:.1}\"/>", self.left));
            self.text(self.left - 6.0, y + 4.0, "tick end", &label);
        }
        let mut free = f64::MIN;
        for (value, label) in self.x.ticks.clone() {
            let (x, width) = (self.x_at(value), label.chars().count() as f64 * LETTER_WIDTH);
            self.add(format!("<path class=\"grid\" d=\"M{x:.1} {:.1}V{bottom:.1}\"/>", self.top));
            let middle = x.min(right + MARGIN_RIGHT - width / 2.0);
            // Labels that would run into each other are left out; their lines stay.
            if middle - width / 2.0 >= free {
                self.text(middle, bottom + 16.0, "tick middle", &label);
                free = middle + width / 2.0 + LETTER_WIDTH;
            }
        }
        self.add(format!(
            "<path class=\"axis\" d=\"M{0:.1} {1:.1}V{bottom:.1}H{right:.1}\"/>",
            self.left, self.top
        ));
        self.text(self.left, self.top - 8.0, "name", y_name);
        self.text(right, bottom + 32.0, "name end", x_name);
    }

    /// A line through points, with classes.
    pub fn line(&mut self, points: impl Iterator<Item = (f64, f64)>, class: &str) {
        let mut path = String::new();
        for (x, y) in points {
            let letter = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{:.1} {:.1}", self.x_at(x), self.y_at(y));
        }
        if !path.is_empty() {
            self.add(format!("<path class=\"line {class}\" d=\"{path}\"/>"));
        }
    }

    /// A mark, whose shape distinguishes series where colours do not.
    pub fn mark(&mut self, x: f64, y: f64, series: usize) {
        let (x, y) = (self.x_at(x), self.y_at(y));
        let mark = mark(x, y, series);
        self.add(mark);
    }

    /// A vertical stroke at the foot of the panel.
    pub fn foot(&mut self, x: f64, share: f64, class: &str) {
        let (x, bottom) = (self.x_at(x), self.top + self.height);
        let up = self.height * share;
        self.add(format!("<path class=\"{class}\" d=\"M{x:.1} {bottom:.1}v-{up:.1}\"/>"));
    }

    /// A vertical line over the whole panel.
    pub fn rule(&mut self, x: f64, class: &str) {
        self.foot(x, 1.0, class);
    }

    /// What was drawn.
    pub fn finish(self) -> String {
        self.body
    }

    fn x_at(&self, value: f64) -> f64 {
        self.left + self.x.share(value) * self.width
    }

    fn y_at(&self, value: f64) -> f64 {
        self.top + (1.0 - self.y.share(value)) * self.height
    }

    fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        self.add(label(x, y, class, text));
    }

    fn add(&mut self, element: String) {
        self.body += &element;
        self.body.push('\n');
    }
}

/// A text in a drawing.
pub fn label(x: f64, y: f64, class: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>", escape(text))
}

/// The mark of a series.
pub fn mark(x: f64, y: f64, series: usize) -> String {
    let shape = match series % SHAPES {
        0 => "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
        1 => "m-3.5-3.5h7v7h-7z",
        2 => "m0-4.5l4.5 8h-9z",
        3 => "m0-5l5 5l-5 5l-5-5z",
        4 => "m0 4.5l4.5-8h-9z",
        5 => "m-5-1.5h3.5v-3.5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5z",
        6 => "m-5-2h10v4h-10z",
        _ => "m-2-5h4v10h-4z",
    };
    format!("<path class=\"mark {}\" d=\"M{x:.1} {y:.1}{shape}\"/>", series_class(series))
}

/// The class with the colour of a series.
pub fn series_class(series: usize) -> String {
    format!("s{}", series % SHAPES)
}

/// A whole drawing; `title` is read out by screen readers.
pub fn drawing(size: Size, height: f64, title: &str, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{}\" viewBox=\"0 0 {} {height}\" \
         role=\"img\" aria-label=\"{title}\"><title>{title}</title>\n{body}</svg>\n",
        size.class,
        size.width,
        title = escape(title),
    )
}

/// Distinct colours and shapes; further series begin again with the first.
pub const SHAPES: usize = 8;
const MARGIN_LEFT: f64 = 62.0;
const MARGIN_RIGHT: f64 = 18.0;
const MARGIN_TOP: f64 = 26.0;
const MARGIN_BOTTOM: f64 = 40.0;
/// Width of a digit in the size of ticks, in the widest of the usual fonts.
const LETTER_WIDTH: f64 = 7.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nine_more_is_a_step_to_the_right() {
        let axis = Axis::nines(1_000_000);
        let labels: Vec<_> = axis.ticks.iter().map(|tick| tick.1.as_str()).collect();
        let nines = ["90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];
        assert_eq!(labels[2..], nines);
        assert_eq!(axis.share(3.0), 0.5);
    }

    #[test]
    fn durations_end_at_labels() {
        let axis = Axis::durations(130.0, 8_600.0);
        assert_eq!((axis.low, axis.high), (100.0, 10_000.0));
        assert_eq!(axis.ticks[1].1, "200 ns");
        let flat = Axis::durations(0.0, 0.0);
        assert!(flat.share(1.0).is_finite());
    }

    #[test]
    fn even_ticks_are_round() {
        let labels = |axis: Axis| axis.ticks.into_iter().map(|tick| tick.1).collect::<Vec<_>>();
        assert_eq!(labels(Axis::numbers(7.0)), ["0", "2", "4", "6"]);
        assert_eq!(labels(Axis::seconds(0.0)).len(), 3);
    }
}
