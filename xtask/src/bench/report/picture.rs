//! The picture for the README: for each main case a bar, how many times as good as the best peer we are.
//!
//! The scale is logarithmic, so that twice as good is as far to the right as half as good is to the left.
//! The background is the page's, and the colours are such as can be read on white and on black: what a
//! viewer prefers (`prefers-color-scheme`) need not be what the page around the picture shows.

use std::fmt::Write as _;

use super::super::catalogue::{CASES, Kind, Role};
use super::super::results::{Measure, Results};
use super::super::stats::{digits, ratio};
use super::main_measure;

/// The number of workers that the picture shows.
const WORKERS: u8 = 2;

const WIDTH: f64 = 760.0;
const ROW: f64 = 22.0;
const TOP: f64 = 44.0;
/// Where labels end and bars may begin.
const LEFT: f64 = 250.0;
/// How far bars may go: room is left for the words after them.
const RIGHT: f64 = 600.0;

/// A line of the picture.
#[derive(Debug, PartialEq)]
struct Bar {
    label: String,
    /// Greater than 1 is better than the best peer.
    times: f64,
    peer: &'static str,
}

/// The picture as a file.
pub(super) fn svg(results: &Results) -> String {
    draw(&bars(results), &subtitle(results))
}

fn bars(results: &Results) -> Vec<Bar> {
    let mut bars = Vec::new();
    for case in CASES.iter().filter(|case| case.is_pictured) {
        let measure = main_measure(case);
        let ours = results.ours(case.name, WORKERS, measure);
        let best = results.best(case.name, WORKERS, measure, Role::is_peer);
        let (Some(ours), Some((it, best))) = (ours, best) else { continue };
        let times =
            if measure == Measure::Throughput { ratio(ours, best) } else { ratio(best, ours) };
        let kind = if case.kind == Kind::Latency { " (1 / p50)" } else { "" };
        if let Some(times) = times.filter(|&times| times > 0.0) {
            bars.push(Bar { label: format!("{}{kind}", case.title), times, peer: it.name });
        }
    }
    bars
}

fn subtitle(results: &Results) -> String {
    let machine = &results.machine;
    format!("{}, {} cores; {}", machine.processor, machine.cores, machine.date)
}

/// Where a ratio lies between the ends of the scale.
struct Scale {
    least: f64,
    greatest: f64,
}

impl Scale {
    /// From the power of two at or below the least bar (at most 1) to that at or above the greatest.
    fn of(bars: &[Bar]) -> Self {
        let ratios = || bars.iter().map(|bar| bar.times);
        let least = ratios().fold(1.0, f64::min).log2().floor().max(-6.0);
        let greatest = ratios().fold(2.0, f64::max).log2().ceil().min(10.0);
        Self { least, greatest }
    }

    fn x(&self, times: f64) -> f64 {
        let part = (times.log2() - self.least) / (self.greatest - self.least);
        LEFT + part.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    /// The powers of two on it.
    fn marks(&self) -> Vec<f64> {
        let mut marks = vec![];
        let mut power = self.least;
        while power <= self.greatest {
            marks.push(power.exp2());
            power += 1.0;
        }
        marks
    }
}

fn draw(bars: &[Bar], subtitle: &str) -> String {
    let scale = Scale::of(bars);
    let rows = f64::from(u16::try_from(bars.len()).unwrap_or(u16::MAX));
    let bottom = TOP + rows * ROW;
    let height = bottom + 24.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n\
         <title>Our rate as a multiple of the best peer's</title>\n\
         <style>\n\
         text {{ font: 12px system-ui, sans-serif; fill: #768390 }}\n\
         .dim {{ font-size: 11px }}\n\
         .head {{ font-weight: 600; font-size: 13px }}\n\
         .better {{ fill: #2f81f7 }} .worse {{ fill: #d4762c }}\n\
         line {{ stroke: #768390; stroke-opacity: .3 }} .one {{ stroke-opacity: 1 }}\n\
         </style>\n\
         <text class=\"head\" x=\"8\" y=\"16\">Times as fast as the best other client</text>\n\
         <text class=\"dim\" x=\"8\" y=\"32\">{}</text>\n",
        escaped(subtitle)
    );
    for mark in scale.marks() {
        let (x, class) = (scale.x(mark), if mark == 1.0 { " class=\"one\"" } else { "" });
        let _ = writeln!(
            text,
            "<line{class} x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
             <text class=\"dim\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 15.0,
            mark_label(mark)
        );
    }
    let mut y = TOP;
    for Bar { label, times, peer } in bars {
        let (one, end) = (scale.x(1.0), scale.x(*times));
        let class = if *times >= 1.0 { "better" } else { "worse" };
        let base = y + 15.0;
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\" rx=\"2\"/>\
             <text x=\"{:.1}\" y=\"{base:.1}\">{} x <tspan class=\"dim\">{}</tspan></text>",
            LEFT - 10.0,
            escaped(label),
            one.min(end),
            y + 4.0,
            (end - one).abs().max(1.0),
            one.max(end) + 6.0,
            digits(*times),
            escaped(peer),
        );
        y += ROW;
    }
    text + "</svg>\n"
}

/// `4 x`, `1/2 x`.
fn mark_label(mark: f64) -> String {
    if mark < 1.0 { format!("1/{} x", 1.0 / mark) } else { format!("{mark} x") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::super::results::tests::results;
    use super::*;

    #[test]
    fn bars_are_better_to_the_right_whatever_the_measure() {
        let results = results(&[
            ("publish-16", "ours", 2, &[9e6]),
            ("publish-16", "lapin", 2, &[1e6]),
            ("rpc", "ours", 2, &[1e4]),
            ("rpc", "amqprs", 2, &[2e4]),
            ("publishers-10", "ours", 2, &[1.0]),
            ("publishers-10", "lapin", 2, &[1.0]),
        ]);
        let bars = bars(&results);
        assert_eq!(bars.len(), 2);
        assert_eq!(bars[0], Bar { label: "publish 16 B".to_owned(), times: 9.0, peer: "lapin" });
        assert_eq!((bars[1].label.as_str(), bars[1].times), ("rpc (1 / p50)", 0.5));
    }

    #[test]
    fn scale_holds_every_bar_and_one() {
        let bar = |times| Bar { label: String::new(), times, peer: "lapin" };
        let scale = Scale::of(&[bar(0.9), bar(10.0)]);
        assert_eq!((scale.x(0.5), scale.x(16.0)), (LEFT, RIGHT));
        assert_eq!(scale.marks(), [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]);
        assert!(scale.x(0.9) < scale.x(1.0) && scale.x(1.0) < scale.x(10.0));
        assert_eq!(Scale::of(&[]).marks(), [1.0, 2.0]);
        assert_eq!([0.5, 1.0, 16.0].map(mark_label), ["1/2 x", "1 x", "16 x"]);
    }

    #[test]
    fn picture_is_well_formed() {
        let bar = |times| Bar { label: "a < b & c".to_owned(), times, peer: "lapin" };
        let text = draw(&[bar(0.9), bar(10.0)], "R&D <box>");
        let document = roxmltree::Document::parse(&text).unwrap();
        let bars = document.descendants().filter(|node| node.has_tag_name("rect"));
        assert_eq!(
            bars.filter_map(|node| node.attribute("class")).collect::<Vec<_>>(),
            ["worse", "better"]
        );
    }
}
