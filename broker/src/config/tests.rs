//! What settings come to, and what is said of wrong ones.

use super::*;

fn settle(toml: &str) -> anyhow::Result<Settings> {
    toml::from_str::<Given>(toml)?.settle(None)
}

#[test]
fn nothing_said_is_loopback_sqlite_and_the_products_lifetimes() {
    let settings = settle("").unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8420");
    assert_eq!(settings.public_url.as_str(), "http://localhost:8420/");
    assert_eq!(settings.home_domain, "localhost");
    assert!(
        matches!(settings.database, Where::Sqlite(path) if path == Path::new("latchkey-data/latchkey.db"))
    );
    assert_eq!(settings.lifetimes.access, Duration::from_secs(3600));
    assert_eq!(settings.lifetimes.refresh, DAY * 30);
    assert_eq!(settings.lifetimes.device, Duration::from_secs(900));
    assert_eq!(settings.offline_mail, Some(Duration::from_secs(600)));
    assert_eq!(settle("offline_mail_minutes = 0").unwrap().offline_mail, None);
}

#[test]
fn a_bad_setting_is_named() {
    for (toml, name) in [
        ("listn = '127.0.0.1:1'", "listn"),
        ("listen = 'here'", "listen"),
        ("listen = '0.0.0.0:80'", "listen: 0.0.0.0:80 is not loopback"),
        ("public_url = 'https://a.example/path'", "public_url"),
        ("public_url = 'http://a.example'", "public_url"),
        ("public_url = 'https://10.0.0.1'", "home_domain"),
        ("home_domain = 'a..b'", "home_domain"),
        ("database = 'mysql://x'", "database"),
        ("tls_key = '/k'", "tls_certificate is not"),
        ("tls_certificate = '/c'", "tls_key is not"),
        ("access_token_seconds = 3601", "access_token_seconds: 3601 is not between 60 and 3600"),
        ("refresh_token_days = 0", "refresh_token_days"),
        ("password_memory_mib = 8", "password_memory_mib"),
        ("offline_mail_minutes = 1441", "offline_mail_minutes: 1441 is not between 0 and 1440"),
        ("acme_contact = 'a@example.com'", "acme_contact is set and acme_directory is not"),
        ("acme_dns_cloudflare = '/d'", "acme_dns_cloudflare is set and acme_directory is not"),
        (
            "acme_directory = 'http://ca.example/directory'",
            "acme_directory: http://ca.example/directory must be https",
        ),
        ("acme_directory = 'https://ca.example/directory'", "acme_agree_terms: ca.example issues"),
        ("trusted_proxies = ['nearby']", "\"nearby\" is not an IP address"),
    ] {
        let says = format!("{:#}", settle(toml).unwrap_err());
        assert!(says.contains(name), "{toml}: {says}");
    }
}

#[test]
fn a_flag_goes_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.toml");
    std::fs::write(&path, "home_domain = 'file.example'\ncode_seconds = 60").unwrap();
    let cli = Cli::parse_from([
        "latchkey-broker",
        "--settings",
        path.to_str().unwrap(),
        "--home-domain",
        "flag.example",
    ]);
    let settings = cli.settle().unwrap();
    assert_eq!(settings.home_domain, "flag.example");
    assert_eq!(settings.lifetimes.code, Duration::from_secs(60));
}

#[test]
fn a_database_password_is_not_printed() {
    let settings = settle("database = 'postgres://u:hunter2@h/d'").unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn plain_http_off_loopback_must_be_allowed_in_so_many_words() {
    assert!(settle("listen = '0.0.0.0:80'\nallow_plain_http = true").is_ok());
    assert!(settle("listen = '0.0.0.0:80'\nallow_plain_http = false").is_err());
    assert!(settle("listen = '[::1]:80'").is_ok());
}

#[test]
fn the_sample_file_explains_every_setting_and_says_the_truth() {
    let sample = include_str!("../../../packaging/cloud/broker.toml");
    let told = settle(sample).unwrap();
    assert_eq!(
        format!("{told:?}"),
        format!("{:?}", settle("").unwrap()),
        "what it shows as defaults are the defaults"
    );
    let uncommented: String = sample
        .lines()
        .map(|line| {
            line.strip_prefix("# ").filter(|l| l.contains(" = \"") || l.contains(" = [\"")).unwrap_or(line)
        })
        .fold(String::new(), |all, line| all + line + "\n");
    let mut given = toml::from_str::<Given>(&uncommented).unwrap();
    // An address prints parts of its own that are none.
    for (name, address) in
        [("public_url", given.public_url.take()), ("acme_directory", given.acme_directory.take())]
    {
        assert!(address.is_some(), "{name} is missing from the sample");
    }
    let rest = format!("{given:?}");
    assert_eq!(rest.matches("None").count(), 2, "a setting is missing from the sample: {rest}");
}

/// A broker that gets its certificate from a CA, with these lines besides.
fn ordering(lines: &str) -> anyhow::Result<Settings> {
    settle(&format!(
        "listen = '0.0.0.0:443'\npublic_url = 'https://latchkey.example.com'\nacme_agree_terms = true\n\
         acme_directory = 'https://ca.example/directory'\n{lines}"
    ))
}

#[test]
fn a_certificate_that_is_ordered_is_tls_enough() {
    let hook = "acme_dns_hook = ['/usr/local/bin/dns', '--fast']";
    let acme = ordering(hook).unwrap().acme.unwrap();
    assert_eq!(acme.hook, ["/usr/local/bin/dns", "--fast"]);
    assert_eq!(acme.dns_wait.as_secs(), 15);
    assert_eq!("/usr/local/bin/dns  --fast".parse::<Words>().unwrap().0, acme.hook);
    for (lines, says) in [
        ("", "nobody writes the DNS records"),
        ("acme_dns_hook = ['dns']", "acme_dns_hook: \"dns\" must be the whole path"),
        ("acme_dns_cloudflare = '/nowhere.toml'", "acme_dns_cloudflare: read /nowhere.toml"),
        (&*format!("{hook}\nacme_dns_wait_seconds = 3600"), "acme_dns_wait_seconds: 3600 is more than 600"),
        (&*format!("{hook}\nacme_contact = 'me'"), "acme_contact: \"me\" is no email address"),
        (
            &*format!("{hook}\ntls_certificate = '/c'\ntls_key = '/k'"),
            "acme_directory and tls_certificate are both set",
        ),
    ] {
        let err = format!("{:#}", ordering(lines).unwrap_err());
        assert!(err.contains(says), "{lines}: {err}");
    }
    let by_address = settle(&format!(
        "public_url = 'https://127.0.0.1'\nhome_domain = 'a.example'\nacme_agree_terms = true\n\
         acme_directory = 'https://ca.example/directory'\n{hook}"
    ));
    assert!(format!("{:#}", by_address.unwrap_err()).contains("must be https and name a host"));
}
