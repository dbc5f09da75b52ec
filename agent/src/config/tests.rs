//! Settings: who wins over whom, and what is refused with its name.

use super::*;

fn around() -> Surroundings {
    Surroundings {
        user_data_dir: Some("/home/a/.local/share/latchkey-agent".into()),
        ..Surroundings::default()
    }
}

fn flags(args: &[&str]) -> Common {
    let args = ["latchkey-agent"].iter().chain(args).chain(&["run"]);
    Cli::try_parse_from(args).unwrap().common
}

fn secret(settings: &Settings) -> Option<&str> {
    settings.home_assistant_token.as_ref().map(Secret::expose)
}

#[test]
fn the_command_line_is_sound() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let file: SettingsFile =
        toml::from_str("broker = 'https://b.example'\nmemory = 'file'\nhome_assistant = 'http://ha:8123'")
            .unwrap();
    let flags = flags(&["--home-assistant", "https://ha.lan"]);
    let settings = Settings::put_together(flags, file, around()).unwrap();
    assert_eq!(settings.home_assistant.as_str(), "https://ha.lan/");
    assert_eq!(settings.broker.unwrap().as_str(), "https://b.example/");
    assert_eq!(settings.memory, Keeping::File);
    assert!(settings.data_dir.ends_with("latchkey-agent"));
}

#[test]
fn an_add_on_talks_through_the_supervisor() {
    let supervised = || Surroundings { supervisor_token: Some("s".to_owned().into()), ..around() };
    let settings = Settings::put_together(Common::default(), SettingsFile::default(), supervised()).unwrap();
    assert_eq!(settings.home_assistant.as_str(), "http://supervisor/core");
    assert_eq!(secret(&settings), Some("s"));
    // The Supervisor's token is for the Supervisor only.
    let elsewhere = flags(&["--home-assistant", "http://192.168.1.9:8123"]);
    let settings = Settings::put_together(elsewhere, SettingsFile::default(), supervised()).unwrap();
    assert_eq!(secret(&settings), None);
}

#[test]
fn systemd_names_the_state_directory() {
    let around = Surroundings { state_directory: Some("/var/lib/latchkey-agent:/other".into()), ..around() };
    let settings = Settings::put_together(Common::default(), SettingsFile::default(), around).unwrap();
    assert_eq!(settings.data_dir, Path::new("/var/lib/latchkey-agent"));
    let nowhere = Settings::put_together(Common::default(), SettingsFile::default(), Surroundings::default());
    assert!(nowhere.unwrap_err().to_string().contains("--data-dir"));
}

#[test]
fn a_wrong_setting_is_named() {
    let unknown = toml::from_str::<SettingsFile>("brocker = 'x'").unwrap_err().to_string();
    assert!(unknown.contains("brocker"), "{unknown}");
    let wrong = Settings::put_together(flags(&["--broker", "nonsense"]), SettingsFile::default(), around());
    assert!(format!("{:#}", wrong.unwrap_err()).starts_with("broker: not a URL"));
}

#[test]
fn plain_http_stays_on_this_machine_unless_allowed() {
    for good in [
        "https://b.example",
        "http://127.0.0.1:80",
        "http://localhost:1",
        "http://a.localhost",
        "http://[::1]:2",
    ] {
        assert!(broker_address(good, false).is_ok(), "{good}");
    }
    for bad in [
        "http://b.example",
        "http://localhost.example",
        "http://notlocalhost",
        "http://10.0.0.1",
        "ftp://x",
        "https://b.example/path",
        "https://user@b.example",
        "https://b.example/?q",
    ] {
        assert!(broker_address(bad, false).is_err(), "{bad}");
    }
    assert!(broker_address("http://b.example", true).is_ok());
}

#[test]
fn a_token_is_read_without_its_line_end() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "abc\n").unwrap();
    let flags = flags(&["--home-assistant-token-file", file.path().to_str().unwrap()]);
    let around = Surroundings { home_assistant_token: Some("env".to_owned().into()), ..around() };
    let settings = Settings::put_together(flags, SettingsFile::default(), around).unwrap();
    assert_eq!(secret(&settings), Some("abc"));
}

#[test]
fn the_sample_settings_are_the_defaults() {
    let sample = include_str!("../../../packaging/agent.toml");
    // Each line that is commented out, and is a setting.
    let is_setting = |line: &&str| {
        line.split_once(" = ")
            .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    };
    let lines = sample.lines().map(|line| line.strip_prefix("# ").filter(is_setting).unwrap_or(line));
    let all: SettingsFile = toml::from_str(&lines.collect::<Vec<_>>().join("\n")).unwrap();
    let given = Cloudflared::put_together(None, all.cloudflared).unwrap();
    let usual = Cloudflared::default();
    assert_eq!(format!("{:?}", given.timings), format!("{:?}", usual.timings));
    assert_eq!((given.protocol, given.releases), (usual.protocol, usual.releases));
    assert_eq!((given.arguments.len(), given.origins.len()), (4, 1), "the examples are read, too");
}
