//! What the broker can be told on the command line, besides its settings.

use clap::{Args, Subcommand};

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve until told to stop (the default)
    Serve,
    /// Read all settings, say what they come to, and stop
    Check,
    /// Look at everything the broker needs, and name what is missing; nothing is changed (exit code 1: something is)
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove tunnels and DNS records at Cloudflare that this installation made and that belong to no home
    Sweep {
        /// List them only
        #[arg(long)]
        dry_run: bool,
    },
    /// Register, list and look after OAuth clients; a running broker need not be told
    #[command(subcommand)]
    Client(ClientCommand),
    /// Make, list and look after accounts; a running broker need not be told
    #[command(subcommand)]
    User(UserCommand),
    /// Look after the keys that seal secrets at rest; a running broker need not be told
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Read the list of who did what
    #[command(subcommand)]
    Audit(AuditCommand),
}

/// What to do about the keys that seal secrets at rest.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum KeysCommand {
    /// List the keys, the active one first, and how many records each has sealed
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a new key that seals nothing yet: the first of two steps where brokers run on several machines
    ///
    /// Copy the key list to the other machines then; their brokers see it within seconds. `keys rotate` is the second
    /// step.
    Add,
    /// Begin to seal with the key that was added, or with a new one, and seal every record anew with it
    ///
    /// Interrupted, it goes on when run again. Older keys stay in the list until they are retired. A broker on this
    /// machine sees the new list at once. While a running broker on another machine does not know the key, nothing is
    /// sealed with it and the command says so: bring the list there, and run it again.
    Rotate,
    /// Take a key that no record names out of the list, a minute or more after the list was changed
    ///
    /// What it once sealed can then never be opened again, in backups of the database neither, except with a copy of
    /// the key list from before.
    Retire {
        /// Its id, as `keys list` shows it
        id: String,
    },
}

/// What to do with the list of who did what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum AuditCommand {
    /// Print it as JSON, an entry a line, oldest first
    Export {
        /// Only entries after this number
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: i64,
    },
    /// Walk the chain of hashes: whole, or broken at which entry (exit code 1)
    Verify,
}

/// What to do about accounts.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum UserCommand {
    /// Make an account with a workspace of its own; prints a link to set its password, good for half an hour
    Add {
        /// Its email address
        email: String,
        /// What the person is called
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List accounts
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Shut an account out, with its sessions and all it approved; what programs have open ends within 5 seconds
    Disable {
        /// Its email address
        email: String,
    },
    /// Let an account in again
    Enable {
        /// Its email address
        email: String,
    },
    /// Print a link to set a new password, good once, for half an hour
    ResetPassword {
        /// Its email address
        email: String,
        /// Also take its passkeys, authenticator app and recovery codes away, for somebody who lost them all
        #[arg(long)]
        remove_second_factors: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What to do about OAuth clients.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ClientCommand {
    /// Register a client; its secret is shown this once
    Add(AddClient),
    /// List clients
    List {
        /// Only those of a workspace, by id or slug
        #[arg(long, value_name = "ID|SLUG")]
        workspace: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one client
    Show {
        /// Its client_id
        client_id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a client a new secret, shown this once
    Rotate {
        /// Its client_id
        client_id: String,
        /// Hours the old secret stays good, 0 to 720
        #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=720))]
        overlap_hours: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Switch a client off: its tokens die at once, what it has open within 5 seconds
    Disable {
        /// Its client_id
        client_id: String,
    },
    /// Switch a client on again
    Enable {
        /// Its client_id
        client_id: String,
    },
    /// Remove a client and everything it was granted
    Remove {
        /// Its client_id
        client_id: String,
    },
}

/// A client to register.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct AddClient {
    /// What people see when it asks for access
    #[arg(long)]
    pub name: String,
    /// What sort of program it is: decides what is left open below
    #[arg(long, default_value = "web", value_parser = ["web", "home-assistant", "native", "device", "service", "resource-server"])]
    pub kind: String,
    /// The workspace it belongs to, by id or slug; without one it is the broker's own, for everybody
    #[arg(long, value_name = "ID|SLUG")]
    pub workspace: Option<String>,
    /// Where its answers may be sent (repeat for several)
    #[arg(long = "redirect-uri", value_name = "URI")]
    pub redirect_uris: Vec<String>,
    /// A grant it may use, instead of the kind's own: authorization_code, refresh_token, client_credentials or
    /// urn:ietf:params:oauth:grant-type:device_code (short: device_code); repeat for several
    #[arg(long = "grant", value_name = "GRANT")]
    pub grants: Vec<String>,
    /// Scopes it may be given, with spaces between, instead of the kind's own
    #[arg(long, value_name = "SCOPES")]
    pub scope: Option<String>,
    /// How it proves who it is, where the kind leaves it open
    #[arg(long, value_parser = ["secret", "none"])]
    pub auth: Option<String>,
    /// Its client_id, where it must be a certain one
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
