//! A file with every setting, commented out.

use std::fmt::Write as _;

use super::{Settings, kinds::Sources, setting::Setting};

const HEADER: &str = "# Settings of lodge, in TOML. Each line without a space after its `#` is a setting with its default, or with a description of
# what it takes. Remove the `#` to change it; flags and environment variables come before this file.
";

/// A file with every setting that a file can have, commented out: its description, its bounds and its default.
#[must_use]
pub fn example() -> String {
    let mut text = HEADER.to_owned();
    for setting in Settings::declared().iter().filter(|setting| setting.sources == Sources::All) {
        let bounds = setting.bounds.as_ref().map(|[least, most]| format!(" [{least} to {most}]")).unwrap_or_default();
        let _ = write!(text, "\n# {}{bounds}\n#{} = {}\n", setting.help, setting.flag(), value(setting));
    }
    text
}

/// The setting's default as TOML, or what it takes in angle brackets.
fn value(setting: &Setting) -> String {
    match (setting.value_name, setting.default) {
        (None, _) => "false".to_owned(),
        (Some(_), Some(number)) if number.parse::<i64>().is_ok() => number.to_owned(),
        (Some(_), Some(text)) => format!("{text:?}"),
        (Some(name), None) => format!("\"<{name}>\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The settings of the example without their `#`.
    fn uncommented() -> Vec<(String, toml::Value)> {
        let lines = example();
        let settings = lines.lines().filter_map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')));
        settings.map(|line| line.parse::<toml::Table>().unwrap().into_iter().next().unwrap()).collect()
    }

    #[test]
    fn every_setting_that_a_file_can_have_is_in_the_example_with_its_default() {
        let declared = Settings::declared();
        let in_file: Vec<_> = declared.iter().filter(|setting| setting.sources == Sources::All).collect();
        let uncommented = uncommented();
        assert_eq!(uncommented.len(), in_file.len());
        for ((key, value), setting) in uncommented.into_iter().zip(in_file) {
            assert_eq!(key, setting.flag());
            match (setting.value_name, setting.default) {
                (None, _) => assert_eq!(value, toml::Value::Boolean(false)),
                (Some(name), None) => assert_eq!(value, toml::Value::String(format!("<{name}>"))),
                (Some(_), Some(default)) => {
                    let number = default.parse().map(toml::Value::Integer);
                    assert_eq!(value, number.unwrap_or_else(|_| toml::Value::String(default.to_owned())));
                }
            }
        }
    }

    #[test]
    fn the_example_itself_sets_nothing() {
        assert_eq!(example().parse::<toml::Table>().unwrap(), toml::Table::new());
    }
}
