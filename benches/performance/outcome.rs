//! What a bench says: lines of a table, and JSON.

use serde_json::{Value, json};

use crate::measure::Figures;

/// A figure with its goal and its floor.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) target: &'static str,
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) figures: Figures,
    pub(crate) goal: Option<f64>,
    pub(crate) floor: Option<f64>,
    /// Whether more is better.
    pub(crate) more: bool,
}

impl Line {
    /// A ratio to a bound: more is better.
    pub(crate) fn ratio(target: &'static str, what: impl Into<String>, figures: Figures) -> Self {
        Self { target, what: what.into(), unit: "of bound", figures, goal: None, floor: None, more: true }
    }

    /// A size or a time: less is better.
    pub(crate) fn amount(
        target: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        figures: Figures,
    ) -> Self {
        Self { target, what: what.into(), unit, figures, goal: None, floor: None, more: false }
    }

    /// With what is to be reached, and what must be.
    pub(crate) const fn judged(mut self, goal: f64, floor: f64) -> Self {
        self.goal = Some(goal);
        self.floor = Some(floor);
        self
    }

    fn verdict(&self) -> &'static str {
        let median = self.figures.median();
        let reaches = |mark: f64| if self.more { median >= mark } else { median <= mark };
        match (self.goal, self.floor) {
            (Some(goal), _) if reaches(goal) => "goal",
            (_, Some(floor)) if reaches(floor) => "floor",
            (_, Some(_)) => "MISSED",
            _ => "",
        }
    }

    fn cells(&self) -> Vec<String> {
        let mark = |mark: Option<f64>| mark.map(short).unwrap_or_default();
        vec![
            self.target.to_owned(),
            self.what.clone(),
            short(self.figures.median()),
            short(self.figures.least()),
            short(self.figures.most()),
            self.unit.to_owned(),
            mark(self.goal),
            mark(self.floor),
            self.verdict().to_owned(),
        ]
    }

    fn to_json(&self) -> Value {
        json!({
            "target": self.target, "what": self.what, "unit": self.unit, "figures": self.figures.to_json(),
            "goal": self.goal, "floor": self.floor, "verdict": self.verdict(),
        })
    }
}

fn short(figure: f64) -> String {
    match figure.abs() {
        large if large >= 100.0 => format!("{figure:.0}"),
        middle if middle >= 10.0 => format!("{figure:.1}"),
        small if small >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

/// All lines of a run, for people.
pub(crate) fn table(lines: &[Line]) -> String {
    let mut table = comfy_table::Table::new();
    table
        .load_style(comfy_table::presets::ASCII_MARKDOWN)
        .set_header(["Id", "What", "Median", "Min", "Max", "Unit", "Goal", "Floor", "Reached"]);
    for line in lines {
        table.add_row(line.cells());
    }
    table.to_string()
}

/// All lines of a run, for programs.
pub(crate) fn to_json(lines: &[Line]) -> Value {
    lines.iter().map(Line::to_json).collect()
}
