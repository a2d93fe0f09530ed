//! The table on the terminal, and the page with the plots.

use std::{fmt::Write as _, fs, path::Path};

use plotters::{
    chart::ChartBuilder,
    prelude::{Circle, IntoDrawingArea, IntoLogRange, LineSeries, Palette, Palette99, SVGBackend},
    style::{BLACK, Color, ShapeStyle, WHITE},
};

/// What a figure should be.
#[derive(Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// One line of the table.
pub struct Figure {
    pub name: String,
    pub measured: String,
    pub against: String,
    pub value: f64,
    pub unit: &'static str,
    pub goal: Option<Goal>,
}

/// A line of a plot.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// A plot with logarithmic axes.
pub struct Plot {
    pub title: String,
    pub across: &'static str,
    pub up: &'static str,
    pub lines: Vec<Line>,
}

/// Everything that was measured.
#[derive(Default)]
pub struct Report {
    pub figures: Vec<Figure>,
    pub plots: Vec<Plot>,
}

/// The middle of some numbers.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len().is_multiple_of(2) { f64::midpoint(numbers[middle - 1], numbers[middle]) } else { numbers[middle] }
}

fn number(value: f64) -> String {
    let digits = if value < 100.0 { 2 } else { 0 };
    format!("{value:.digits$}")
}

/// The median of the ratios of what was measured in the same rounds.
pub fn ratio(measured: &[f64], against: &[f64]) -> f64 {
    median(measured.iter().zip(against).map(|(measured, against)| measured / against).collect())
}

impl Goal {
    fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {bound}{unit}"),
            Self::AtMost(bound) => format!("≤ {bound}{unit}"),
        }
    }

    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl Figure {
    /// A figure that stands by itself.
    pub fn alone(name: String, value: f64, unit: &'static str, goal: Option<Goal>) -> Self {
        Self { name, measured: String::new(), against: String::new(), value, unit, goal }
    }

    /// The ratio of what was measured to the other in the same rounds, both of them in that unit; without a goal.
    pub fn compared(name: String, unit: &str, measured: &[f64], (against, others): (&str, &[f64])) -> Self {
        let middle = |numbers: &[f64]| number(median(numbers.to_vec())) + unit;
        Self {
            name,
            measured: middle(measured),
            against: format!("{against}: {}", middle(others)),
            value: ratio(measured, others),
            unit: "",
            goal: None,
        }
    }

    pub fn with(self, goal: Goal) -> Self {
        Self { goal: Some(goal), ..self }
    }

    fn cells(&self) -> [String; 5] {
        let goal = self.goal.map_or_else(String::new, |goal| goal.text(self.unit));
        let is_met = self.goal.map_or("", |goal| if goal.is_met(self.value) { " ✓" } else { " ✗" });
        let value = number(self.value) + self.unit + is_met;
        [self.name.clone(), self.measured.clone(), self.against.clone(), value, goal]
    }
}

const HEADINGS: [&str; 5] = ["figure", "measured", "against", "result", "goal"];

impl Report {
    /// Adds a figure and prints it.
    pub fn add(&mut self, figure: Figure) {
        println!("| {} |", figure.cells().join(" | "));
        self.figures.push(figure);
    }

    pub fn print_headings() {
        println!("| {} |\n|---|---|---|---|---|", HEADINGS.join(" | "));
    }

    /// Writes the page, which needs nothing but itself.
    pub fn save(&self, file: &Path) {
        let row = |cells: &[String], tag: &str| {
            let between = format!("</{tag}><{tag}>");
            format!("<tr><{tag}>{}</{tag}></tr>\n", cells.join(&between))
        };
        let mut page = String::from(
            "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Lodge: benchmarks</title>\n<style>body { font: 15px \
             sans-serif; margin: 2em auto; max-width: 60em } td, th { padding: .2em .8em; text-align: left; \
             border-bottom: 1px solid #ddd } svg { max-width: 100% }</style>\n<h1>Lodge: benchmarks</h1>\n<table>\n",
        );
        page.push_str(&row(&HEADINGS.map(ToOwned::to_owned), "th"));
        page.extend(self.figures.iter().map(|figure| row(&figure.cells(), "td")));
        page.push_str("</table>\n");
        for plot in &self.plots {
            let _ = writeln!(page, "<h2>{}</h2>\n{}", plot.title, plot.svg());
        }
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, page).unwrap();
        println!("\n{}", file.display());
    }
}

impl Plot {
    fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        let bounds = |of: fn((f64, f64)) -> f64| {
            let least = points().map(of).fold(f64::INFINITY, f64::min);
            let most = points().map(of).fold(f64::NEG_INFINITY, f64::max);
            least / 2.0..most * 2.0
        };
        let (across, up) = (bounds(|point| point.0), bounds(|point| point.1));
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (880, 420)).into_drawing_area();
            area.fill(&WHITE).unwrap();
            let mut chart = ChartBuilder::on(&area)
                .margin(16)
                .x_label_area_size(44)
                .y_label_area_size(72)
                .build_cartesian_2d(across.log_scale(), up.log_scale())
                .unwrap();
            chart.configure_mesh().x_desc(self.across).y_desc(self.up).draw().unwrap();
            for (at, line) in self.lines.iter().enumerate() {
                let color = Palette99::pick(at).to_rgba();
                let style = ShapeStyle::from(color).stroke_width(2);
                let series = chart.draw_series(LineSeries::new(line.points.iter().copied(), style)).unwrap();
                series.label(&line.name).legend(move |(x, y)| Circle::new((x + 8, y), 5, color.filled()));
                chart.draw_series(line.points.iter().map(|point| Circle::new(*point, 3, color.filled()))).unwrap();
            }
            let mut labels = chart.configure_series_labels();
            labels.background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw().unwrap();
            area.present().unwrap();
        }
        svg
    }
}
