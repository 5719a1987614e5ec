//! Styles of lines: colour, dash and mark, each of which distinguishes lines by itself; and the
//! style sheet of a figure for the light and the dark scheme.

use super::svg::Number;
use std::fmt::Write as _;

/// The style of one line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    index: usize,
}

impl Style {
    /// The style with this index. There are 8 colours, 5 dashes and 7 marks, so styles repeat only
    /// after 280 lines.
    pub(super) fn new(index: usize) -> Self {
        Self { index }
    }

    /// The CSS class of the colour.
    pub(super) fn colour(self) -> String {
        format!("c{}", self.index % COLOURS.len())
    }

    /// The CSS class of the dash.
    pub(super) fn dash(self) -> String {
        format!("d{}", self.index % DASHES.len())
    }

    /// The path of a mark centred at (x, y).
    pub(super) fn mark(self, x: f64, y: f64) -> String {
        format!("M{} {}{}", Number(x), Number(y), MARKS[self.index % MARKS.len()])
    }
}

/// The path of a cross, the sign of a missing result.
pub(super) fn cross(x: f64, y: f64) -> String {
    format!("M{} {}m-4.5-4.5l9 9m-9 0l9-9", Number(x), Number(y))
}

/// The style sheet. Colours are classes, as some SVG viewers don't support CSS variables.
pub(super) fn sheet() -> String {
    let mut sheet = String::from(SHAPES);
    for (index, dash) in DASHES.iter().enumerate() {
        add(&mut sheet, format_args!(".d{index}{{stroke-dasharray:{dash}}}\n"));
    }
    sheet.push_str(LIGHT);
    for (index, colours) in COLOURS.iter().enumerate() {
        add(&mut sheet, format_args!(".c{index}{{color:{}}}\n", colours.light));
    }
    sheet.push_str("@media (prefers-color-scheme:dark){\n");
    sheet.push_str(DARK);
    for (index, colours) in COLOURS.iter().enumerate() {
        add(&mut sheet, format_args!(".c{index}{{color:{}}}\n", colours.dark));
    }
    sheet.push_str("}\n");
    sheet
}

fn add(sheet: &mut String, rule: std::fmt::Arguments) {
    sheet.write_fmt(rule).expect("writing to a string does not fail");
}

/// One line's colour in both schemes.
struct Colours {
    light: &'static str,
    dark: &'static str,
}

/// Found by a search for the largest distances between the first six colours for readers with and
/// without colour blindness, with enough contrast for text; the tests measure both.
const COLOURS: [Colours; 8] = [
    Colours { light: "#1469f9", dark: "#5580ff" },
    Colours { light: "#cc1300", dark: "#e86a2a" },
    Colours { light: "#016c6b", dark: "#3df0a8" },
    Colours { light: "#d70ead", dark: "#c95aa8" },
    Colours { light: "#5b1681", dark: "#bcaeff" },
    Colours { light: "#3a2e33", dark: "#a8a49c" },
    Colours { light: "#616529", dark: "#cfcf20" },
    Colours { light: "#1b475a", dark: "#40e8ff" },
];

/// The first line of a figure is solid: the others are compared with it.
const DASHES: [&str; 5] = ["none", "9 3", "2 3", "9 3 2 3", "5 4"];

/// Circle, square, triangle, diamond, inverted triangle, plus, bar.
const MARKS: [&str; 7] = [
    "m-4.4 0a4.4 4.4 0 1 0 8.8 0a4.4 4.4 0 1 0-8.8 0z",
    "m-3.9-3.9h7.8v7.8h-7.8z",
    "m0-5.4l5.1 9h-10.2z",
    "m0-5.6l5 5.6l-5 5.6l-5-5.6z",
    "m0 5.4l5.1-9h-10.2z",
    "m-1.6-5h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4v-3.2h3.4z",
    "m-2.2-5.4h4.4v10.8h-4.4z",
];

const SHAPES: &str = "\
.chart{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue','Noto Sans',\
'Liberation Sans',Arial,sans-serif}
.title{font-size:20px;font-weight:600}
.panel{font-size:16px;font-weight:600}
.name{font-size:14px;fill:currentColor}
.tick,.quiet,.note{font-size:13px}
.grid,.axis,.leader,.spread,.line,.halo,.cross{fill:none}
.grid,.axis,.leader{stroke-width:1}
.leader{stroke:currentColor;stroke-opacity:.55}
.spread{stroke:currentColor;stroke-width:7;stroke-opacity:.28}
.line{stroke:currentColor;stroke-width:2.2;stroke-linejoin:round}
.mark{fill:currentColor;stroke-width:1.3;paint-order:stroke}
.cross{stroke:currentColor;stroke-width:2.6}
.halo{stroke-width:6}
";

const LIGHT: &str = "\
.chart{background:#fff}
.paper{fill:#fff}
.title,.panel{fill:#1c2128}
.tick,.quiet,.note{fill:#4d5661}
.grid{stroke:#e3e7ec}
.axis{stroke:#7a838e}
.mark,.halo{stroke:#fff}
.hollow{fill:#fff;stroke:currentColor}
";

const DARK: &str = "\
.chart{background:#0d1117}
.paper{fill:#0d1117}
.title,.panel{fill:#e9eef4}
.tick,.quiet,.note{fill:#a9b4c0}
.grid{stroke:#252c35}
.axis{stroke:#7d8894}
.mark,.halo{stroke:#0d1117}
.hollow{fill:#0d1117;stroke:currentColor}
";

#[cfg(test)]
mod tests {
    use super::*;

    type Triple = [f64; 3];

    /// Linear red, green and blue.
    fn linear(colour: &str) -> Triple {
        [1, 3, 5].map(|at| {
            let value = u8::from_str_radix(&colour[at..at + 2], 16).unwrap();
            let share = f64::from(value) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        })
    }

    fn times(matrix: [Triple; 3], vector: Triple) -> Triple {
        matrix.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum())
    }

    /// The contrast ratio of WCAG 2.
    fn contrast(a: &str, b: &str) -> f64 {
        let luminance = |colour| {
            let [red, green, blue] = linear(colour);
            0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05
        };
        let (a, b) = (luminance(a), luminance(b));
        a.max(b) / a.min(b)
    }

    /// A colour in Oklab, a space in which distances correspond to perceived differences.
    fn oklab(colour: Triple) -> Triple {
        let cones = times(
            [
                [0.412_221_470_8, 0.536_332_536_3, 0.051_445_992_9],
                [0.211_903_498_2, 0.680_699_545_1, 0.107_396_956_6],
                [0.088_302_461_9, 0.281_718_837_6, 0.629_978_700_5],
            ],
            colour.map(|share| share.clamp(0.0, 1.0)),
        );
        times(
            [
                [0.210_454_255_3, 0.793_617_785_0, -0.004_072_046_8],
                [1.977_998_495_1, -2.428_592_205_0, 0.450_593_709_9],
                [0.025_904_037_1, 0.782_771_766_2, -0.808_675_766_0],
            ],
            cones.map(f64::cbrt),
        )
    }

    /// The least distance of two colours for normal vision, protanopia and deuteranopia (Machado,
    /// Oliveira and Fernandes 2009).
    fn distance(a: &str, b: &str) -> f64 {
        let normal = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let no_red = [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ];
        let no_green = [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ];
        let distances = [normal, no_red, no_green].map(|eye| {
            let (a, b) = (oklab(times(eye, linear(a))), oklab(times(eye, linear(b))));
            a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
        });
        distances.into_iter().fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn colours_are_legible_and_distinct_with_colour_blindness() {
        let light: Vec<&str> = COLOURS.iter().map(|colours| colours.light).collect();
        let dark: Vec<&str> = COLOURS.iter().map(|colours| colours.dark).collect();
        for (colours, paper) in [(light, "#ffffff"), (dark, "#0d1117")] {
            for (at, colour) in colours.iter().enumerate() {
                assert!(contrast(colour, paper) >= 4.5, "{colour} on {paper}");
                for (before, other) in colours[..at].iter().enumerate() {
                    let least = if at.max(before) < 6 { 0.1 } else { 0.065 };
                    assert!(distance(colour, other) >= least, "{colour} and {other}");
                }
            }
        }
    }

    #[test]
    fn quiet_text_is_legible() {
        for (ink, paper) in [("#4d5661", "#ffffff"), ("#a9b4c0", "#0d1117")] {
            assert!(sheet().contains(&format!("{{fill:{ink}}}")), "{ink} is in the sheet");
            assert!(contrast(ink, paper) >= 7.0, "{ink} on {paper}");
        }
    }

    #[test]
    fn styles_of_280_lines_are_distinct() {
        let look = |index| {
            let style = Style::new(index);
            (style.colour(), style.dash(), style.mark(0.0, 0.0))
        };
        let looks: std::collections::BTreeSet<_> = (0..280).map(look).collect();
        assert_eq!(looks.len(), 280);
    }
}
