//! The committed list of all settings is what the program prints, and means what it says.

use pelton::config::Config;
use pelton::config::features::FeatureConfig;

const COMMITTED: &str = include_str!("../../pelton.toml");

#[test]
fn the_committed_list_of_settings_is_what_the_program_prints() {
    let printed = Config::settings_toml();
    let mut lines = COMMITTED.lines().zip(printed.lines()).enumerate();
    let first = lines.find(|(_, (committed, printed))| committed != printed);
    let advice = "run: cargo run -- check --settings > pelton.toml";
    assert!(COMMITTED == printed, "pelton.toml is not up to date ({first:?}); {advice}");
}

#[test]
fn the_list_of_settings_is_a_configuration_of_nothing_but_defaults() {
    assert_eq!(Config::parse(COMMITTED), Config::parse(""));
    assert!(Config::parse(COMMITTED).is_ok());
}

#[test]
fn what_is_a_comment_in_the_list_can_be_used() {
    let is_setting = |line: &&str| line.starts_with('#') && !line.starts_with("# ");
    let has_value = |line: &&str| !line.ends_with('=');
    let used: Vec<&str> = COMMITTED
        .lines()
        .filter(|line| !is_setting(line) || has_value(line))
        .map(|line| if is_setting(&line) { &line[1..] } else { line })
        .collect();
    let config = Config::parse(&used.join("\n")).expect("legal");
    let kinds: Vec<_> = config.features.list.iter().map(std::mem::discriminant).collect();
    assert_eq!(kinds.len(), 4, "one feature of each kind");
    assert!(matches!(config.features.list[3], FeatureConfig::Window(_)));
    assert_eq!((config.event.numbers.len(), config.event.categories.len()), (1, 1));
}

#[test]
fn every_listed_setting_says_what_it_does_and_what_is_legal() {
    for setting in Config::settings() {
        assert!(!setting.doc.is_empty() && !setting.legal.is_empty(), "{}", setting.path);
        assert!(
            COMMITTED.contains(setting.doc.split(' ').next().unwrap_or("")),
            "{}",
            setting.path
        );
    }
}
