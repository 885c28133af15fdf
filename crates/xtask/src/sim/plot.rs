//! The plot of a simulated day: how full the worst region was under each policy, as SVG text.

use super::{Day, Event, Outcome};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 50.0;
/// Of the policies, in their order: grey, orange, blue. They differ for the colour-blind, too.
const COLOURS: [&str; 3] = ["#999999", "#d55e00", "#0072b2"];

/// Where a day is drawn.
struct Canvas {
    minutes: f64,
    most: f64,
}

/// The whole plot.
pub(super) fn svg(day: &Day) -> String {
    let worst = day.outcomes.iter().flat_map(|outcome| &outcome.series);
    let worst = worst.map(|sample| sample.worst).fold(1.0, f64::max);
    let most = (worst * 4.0).ceil() / 4.0;
    let canvas = Canvas { minutes: f64::from(day.minutes.max(1)), most };
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    day.events.iter().for_each(|event| text.push_str(&canvas.event(event)));
    text.push_str(&canvas.axes());
    let levels = [("soft", day.soft), ("hard", day.hard), ("all they can", 1.0)];
    for (place, (word, level)) in levels.into_iter().enumerate() {
        text.push_str(&canvas.level(place, word, level));
    }
    let coloured = day.outcomes.iter().zip(COLOURS.iter().cycle());
    for (place, (outcome, colour)) in coloured.enumerate() {
        text.push_str(&canvas.line(outcome, colour));
        text.push_str(&legend(place, outcome, colour));
    }
    let title = format!("Load of the fullest region, of what it can carry (seed {})", day.seed);
    text.push_str(&label(LEFT, 20.0, "start", "black", &title));
    text.push_str("</svg>\n");
    text
}

impl Canvas {
    fn x(&self, minute: f64) -> f64 {
        LEFT + minute / self.minutes * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, load: f64) -> f64 {
        HEIGHT - BOTTOM - load / self.most * (HEIGHT - TOP - BOTTOM)
    }

    /// A band over the time that it lasts, and its name below.
    fn event(&self, event: &Event) -> String {
        let (from, to) = (self.x(event.begins_minute), self.x(event.ends_minute));
        let (top, height) = (self.y(self.most), self.y(0.0) - self.y(self.most));
        let width = to - from;
        let name = format!("{} {}", event.region, event.what);
        format!(
            "<rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"#f0e442\" fill-opacity=\"0.4\"/>\n{}",
            label((from + to) / 2.0, HEIGHT - 10.0, "middle", "black", &name)
        )
    }

    /// Hours below, quarters of the capacity on the left.
    fn axes(&self) -> String {
        let mut text = String::new();
        let (left, right, floor) = (self.x(0.0), self.x(self.minutes), self.y(0.0));
        for step in 0..=(self.most * 4.0).round() as u32 {
            let load = f64::from(step) / 4.0;
            let y = self.y(load);
            text.push_str(&stroke((left, y), (right, y), "#dddddd", ""));
            text.push_str(&label(left - 8.0, y + 4.0, "end", "black", &format!("{load:.2}")));
        }
        for hour in (0..=self.minutes as u32 / 60).step_by(2) {
            let x = self.x(f64::from(hour) * 60.0);
            text.push_str(&stroke((x, floor), (x, floor + 5.0), "black", ""));
            text.push_str(&label(x, floor + 20.0, "middle", "black", &format!("{hour}:00")));
        }
        text.push_str(&stroke((left, floor), (right, floor), "black", ""));
        text
    }

    /// A dashed line; the words beside each other, because the lines may be close.
    fn level(&self, place: usize, word: &str, load: f64) -> String {
        let (left, right, y) = (self.x(0.0), self.x(self.minutes), self.y(load));
        let line = stroke((left, y), (right, y), "#666666", " stroke-dasharray=\"5 4\"");
        let x = left + 5.0 + 40.0 * place as f64;
        format!("{line}{}", label(x, y - 3.0, "start", "#666666", word))
    }

    fn line(&self, outcome: &Outcome, colour: &str) -> String {
        let point = |sample: &super::Sample| {
            format!("{:.1},{:.1}", self.x(sample.minute), self.y(sample.worst))
        };
        let points: Vec<String> = outcome.series.iter().map(point).collect();
        format!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>\n",
            points.join(" ")
        )
    }
}

fn legend(place: usize, outcome: &Outcome, colour: &str) -> String {
    let x = LEFT + 180.0 * place as f64;
    let text = format!("{}: at most {:.2}", outcome.policy, outcome.worst_region);
    let line = stroke((x, 36.0), (x + 20.0, 36.0), colour, " stroke-width=\"3\"");
    format!("{line}{}", label(x + 26.0, 40.0, "start", "black", &text))
}

fn stroke(from: (f64, f64), to: (f64, f64), colour: &str, more: &str) -> String {
    let ((x1, y1), (x2, y2)) = (from, to);
    format!(
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" \
         stroke=\"{colour}\"{more}/>\n"
    )
}

/// Words, which are ours or names of regions: nothing in them is markup.
fn label(x: f64, y: f64, anchor: &str, colour: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{words}\
         </text>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_is_a_line_and_each_event_a_band() {
        let text = svg(&super::super::tests::day());
        assert_eq!(text.matches("<polyline").count(), 2);
        assert_eq!(text.matches("<rect").count(), 2, "the paper and a band");
        assert!(text.contains(">newyork gone<") && text.contains("ours: at most 1.10"));
        assert!(!text.contains("NaN") && text.ends_with("</svg>\n"));
    }
}
