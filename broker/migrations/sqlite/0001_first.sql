CREATE TABLE account (
    id BIGINT PRIMARY KEY NOT NULL,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    password TEXT NOT NULL,
    password_is_short BIGINT NOT NULL DEFAULT 0,
    epoch BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT,
    language TEXT
);

CREATE TABLE workspace (
    id BIGINT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE member (
    workspace_id BIGINT NOT NULL REFERENCES workspace (id) ON DELETE CASCADE,
    account_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    joined_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, account_id)
);

CREATE TABLE session (
    token_hash BLOB PRIMARY KEY NOT NULL,
    account_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    workspace_id BIGINT REFERENCES workspace (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    is_kept BIGINT NOT NULL DEFAULT 1,
    proved_at BIGINT NOT NULL DEFAULT 0,
    browser TEXT NOT NULL DEFAULT '',
    ip TEXT NOT NULL DEFAULT ''
);
CREATE INDEX session_account ON session (account_id);

CREATE TABLE sign_in (
    token_hash BLOB PRIMARY KEY NOT NULL,
    account_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    next TEXT NOT NULL,
    is_kept BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE attempt (
    key_hash BLOB PRIMARY KEY NOT NULL,
    failures BIGINT NOT NULL,
    failed_at BIGINT NOT NULL,
    free_at BIGINT NOT NULL
);
CREATE INDEX attempt_failed ON attempt (failed_at);

CREATE TABLE mail_wish (
    id BIGINT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    email TEXT NOT NULL,
    language TEXT NOT NULL,
    asked_at BIGINT NOT NULL
);
CREATE INDEX mail_wish_email ON mail_wish (email);

CREATE TABLE mail_token (
    token_hash BLOB PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    email TEXT NOT NULL,
    account_id BIGINT REFERENCES account (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX mail_token_email ON mail_token (email);

CREATE TABLE invitation (
    id BIGINT PRIMARY KEY NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    workspace_id BIGINT NOT NULL REFERENCES workspace (id) ON DELETE CASCADE,
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    invited_by BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    UNIQUE (workspace_id, email)
);

CREATE TABLE totp (
    account_id BIGINT PRIMARY KEY NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    sealed BLOB NOT NULL,
    confirmed_at BIGINT,
    last_step BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
);

CREATE TABLE recovery_code (
    account_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    code_hash BLOB NOT NULL,
    PRIMARY KEY (account_id, code_hash)
);

CREATE TABLE passkey (
    credential_id BLOB PRIMARY KEY NOT NULL,
    account_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    credential TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX passkey_account ON passkey (account_id);

CREATE TABLE ceremony (
    token_hash BLOB PRIMARY KEY NOT NULL,
    account_id BIGINT REFERENCES account (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE letter (
    id BIGINT PRIMARY KEY NOT NULL,
    to_address TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    lapses_at BIGINT NOT NULL
);
CREATE INDEX letter_due ON letter (due_at);

CREATE TABLE home (
    id BIGINT PRIMARY KEY NOT NULL,
    workspace_id BIGINT NOT NULL REFERENCES workspace (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    label TEXT NOT NULL UNIQUE,
    domain TEXT,
    ha_port BIGINT NOT NULL,
    state TEXT NOT NULL,
    error TEXT,
    error_code TEXT,
    request_key BLOB UNIQUE,
    request_hash BLOB,
    created_by BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    offline_mail BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX home_workspace ON home (workspace_id);

CREATE TABLE tunnel (
    home_id BIGINT PRIMARY KEY NOT NULL REFERENCES home (id) ON DELETE CASCADE,
    tunnel_id TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE proof (
    home_id BIGINT PRIMARY KEY NOT NULL REFERENCES home (id) ON DELETE CASCADE,
    finding TEXT NOT NULL,
    detail TEXT NOT NULL,
    proved_at BIGINT NOT NULL
);

CREATE TABLE sealing_key (
    id TEXT PRIMARY KEY NOT NULL,
    mark BLOB NOT NULL
);

CREATE TABLE installation (
    id BIGINT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL
);

CREATE TABLE cloudflare_tunnel (
    home_id BIGINT PRIMARY KEY NOT NULL REFERENCES home (id) ON DELETE CASCADE,
    tunnel_id TEXT UNIQUE,
    asked_at BIGINT,
    port BIGINT,
    record_id TEXT,
    token_sealed BLOB,
    secret_wanted BIGINT NOT NULL DEFAULT 1,
    secret_made BIGINT NOT NULL DEFAULT 0,
    unmade BIGINT NOT NULL DEFAULT 0,
    is_settled BIGINT NOT NULL DEFAULT 0,
    since BIGINT NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    due_at BIGINT NOT NULL,
    lease BIGINT NOT NULL DEFAULT 0,
    leased_until BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE cloudflare_tunnel_id (
    tunnel_id TEXT PRIMARY KEY NOT NULL,
    home_id BIGINT NOT NULL REFERENCES home (id) ON DELETE CASCADE
);
CREATE INDEX cloudflare_tunnel_id_home ON cloudflare_tunnel_id (home_id);
CREATE INDEX cloudflare_tunnel_due ON cloudflare_tunnel (due_at);

CREATE TABLE client (
    client_id TEXT PRIMARY KEY NOT NULL,
    workspace_id BIGINT REFERENCES workspace (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    is_confidential BIGINT NOT NULL,
    pkce_required BIGINT NOT NULL,
    redirect_uris TEXT NOT NULL,
    grants TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT
);
CREATE INDEX client_workspace ON client (workspace_id);

CREATE TABLE client_secret (
    secret_hash BLOB PRIMARY KEY NOT NULL,
    client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);
CREATE INDEX client_secret_client ON client_secret (client_id);

CREATE TABLE oauth_grant (
    id BIGINT PRIMARY KEY NOT NULL,
    client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
    account_id BIGINT REFERENCES account (id) ON DELETE CASCADE,
    home_id BIGINT REFERENCES home (id) ON DELETE CASCADE,
    scopes TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    used_from TEXT NOT NULL,
    machine TEXT,
    revoked_at BIGINT,
    revoked_why TEXT,
    revoked_from TEXT
);
CREATE INDEX oauth_grant_account ON oauth_grant (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX oauth_grant_home ON oauth_grant (home_id) WHERE home_id IS NOT NULL;

CREATE TABLE tunnel_token (
    id BIGINT PRIMARY KEY NOT NULL,
    home_id BIGINT NOT NULL REFERENCES tunnel (home_id) ON DELETE CASCADE,
    grant_id BIGINT REFERENCES oauth_grant (id) ON DELETE CASCADE,
    client_id TEXT REFERENCES client (client_id) ON DELETE CASCADE,
    token_hash BLOB NOT NULL UNIQUE,
    token_sealed BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (home_id, grant_id),
    UNIQUE (home_id, client_id)
);
CREATE TABLE tunnel_reader (
    home_id BIGINT NOT NULL REFERENCES cloudflare_tunnel (home_id) ON DELETE CASCADE,
    grant_id BIGINT NOT NULL,
    client_id TEXT NOT NULL,
    PRIMARY KEY (home_id, grant_id, client_id)
);
CREATE INDEX tunnel_token_grant ON tunnel_token (grant_id);
CREATE INDEX oauth_grant_client ON oauth_grant (client_id);

CREATE TABLE authorization_code (
    code_hash BLOB PRIMARY KEY NOT NULL,
    client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
    account_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    home_id BIGINT REFERENCES home (id) ON DELETE CASCADE,
    scopes TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    redirect_uri TEXT NOT NULL,
    redirect_uri_sent BIGINT NOT NULL,
    challenge TEXT,
    expires_at BIGINT NOT NULL,
    spent_at BIGINT,
    grant_id BIGINT
);

CREATE TABLE device_authorization (
    device_code_hash BLOB PRIMARY KEY NOT NULL,
    user_code TEXT NOT NULL UNIQUE,
    client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
    scopes TEXT NOT NULL,
    asked_from TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    poll_interval BIGINT NOT NULL,
    polled_at BIGINT,
    standing TEXT NOT NULL,
    account_id BIGINT REFERENCES account (id) ON DELETE CASCADE,
    home_id BIGINT REFERENCES home (id) ON DELETE CASCADE,
    granted_scopes TEXT,
    epoch BIGINT NOT NULL DEFAULT 0,
    decided_at BIGINT
);
CREATE INDEX device_authorization_from ON device_authorization (asked_from);

CREATE TABLE token (
    token_hash BLOB PRIMARY KEY NOT NULL,
    grant_id BIGINT NOT NULL REFERENCES oauth_grant (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    scopes TEXT NOT NULL,
    parent_hash BLOB,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX token_grant ON token (grant_id);
CREATE INDEX token_parent ON token (parent_hash) WHERE parent_hash IS NOT NULL;
CREATE INDEX token_expires ON token (expires_at);

CREATE TABLE shared_entity (
    id BIGINT PRIMARY KEY NOT NULL,
    home_id BIGINT NOT NULL REFERENCES home (id) ON DELETE CASCADE,
    entity_id TEXT NOT NULL,
    name TEXT NOT NULL,
    area TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (home_id, entity_id)
);

CREATE TABLE link (
    id BIGINT PRIMARY KEY NOT NULL,
    shared_entity_id BIGINT NOT NULL REFERENCES shared_entity (id) ON DELETE CASCADE,
    token_hash BLOB NOT NULL UNIQUE,
    label TEXT NOT NULL,
    permission TEXT NOT NULL,
    created_by BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    used_at BIGINT
);
CREATE INDEX link_shared_entity ON link (shared_entity_id);

CREATE TABLE audit (
    entry BIGINT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    act TEXT NOT NULL,
    account_id BIGINT,
    workspace_id BIGINT,
    place TEXT,
    facts TEXT NOT NULL,
    hash BLOB NOT NULL
);
CREATE INDEX audit_account ON audit (account_id);
CREATE INDEX audit_workspace ON audit (workspace_id);

CREATE TABLE audit_end (
    id BIGINT PRIMARY KEY NOT NULL,
    entries BIGINT NOT NULL,
    last_hash BLOB NOT NULL
);
INSERT INTO audit_end (id, entries, last_hash) VALUES (1, 0, X'');

CREATE TABLE broker (
    id BIGINT PRIMARY KEY NOT NULL,
    beat BIGINT NOT NULL,
    keys TEXT NOT NULL,
    seen_at BIGINT NOT NULL
);

CREATE TABLE hop (
    home_id BIGINT NOT NULL REFERENCES home (id) ON DELETE CASCADE,
    hop TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    detail TEXT,
    since BIGINT NOT NULL,
    broker_id BIGINT NOT NULL,
    PRIMARY KEY (home_id, hop)
);

CREATE TABLE hop_event (
    id BIGINT PRIMARY KEY NOT NULL,
    home_id BIGINT NOT NULL REFERENCES home (id) ON DELETE CASCADE,
    hop TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    detail TEXT,
    at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX hop_event_home ON hop_event (home_id, at);

CREATE TABLE incident (
    home_id BIGINT PRIMARY KEY NOT NULL REFERENCES home (id) ON DELETE CASCADE,
    began_at BIGINT NOT NULL,
    told_at BIGINT,
    well_at BIGINT
);

CREATE TABLE certificate (
    id BIGINT PRIMARY KEY NOT NULL,
    account_of TEXT,
    account_sealed BLOB,
    contact TEXT,
    order_of TEXT,
    order_url TEXT,
    order_key_sealed BLOB,
    records TEXT,
    made_of TEXT,
    chain TEXT,
    key_sealed BLOB,
    renew_at BIGINT NOT NULL DEFAULT 0,
    version BIGINT NOT NULL DEFAULT 0,
    due_at BIGINT NOT NULL DEFAULT 0,
    not_before BIGINT NOT NULL DEFAULT 0,
    tries BIGINT NOT NULL DEFAULT 0,
    trouble TEXT,
    trouble_since BIGINT,
    lease BIGINT NOT NULL DEFAULT 0,
    leased_until BIGINT NOT NULL DEFAULT 0
);
INSERT INTO certificate (id) VALUES (1);
