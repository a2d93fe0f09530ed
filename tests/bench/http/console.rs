//! How soon the console is seen, in a browser that has loaded nothing before.

use std::path::Path;

use super::{
    common::report::{Figure, Goal, Report, median},
    server::{PASSWORD, Server},
};

#[path = "../../console/tools.rs"]
mod tools;

pub fn measure(directory: &Path, report: &mut Report) {
    if let Some(missing) = tools::missing() {
        println!("left out: the console in a browser: {missing}");
        return;
    }
    let server = Server::lodge(&directory.join("data"));
    let loads = loads(&server);
    let times = |place: usize| median(loads.iter().map(|load| load[place]).collect());
    let goal = Some(Goal::AtMost(100.0));
    report.add(Figure::alone("first paint of the console, nothing cached".to_owned(), times(0), " ms", goal));
    report.add(Figure::alone("until one can sign in".to_owned(), times(1), " ms", None));
}

/// The times of each load: the first paint, and when there is the form.
fn loads(server: &Server) -> Vec<Vec<f64>> {
    let output = tools::command("first-paint", &server.address.to_string(), PASSWORD).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split(' ').map(|time| time.parse().unwrap()).collect()).collect()
}
