// The peer: oidc-provider over SQLite, every token on disk before it is answered.
// node peer.mjs PORT DATABASE NORMAL|FULL
import Database from 'better-sqlite3';
import Provider from 'oidc-provider';

const [port, file, synchronous] = process.argv.slice(2);
const database = new Database(file);
database.pragma('journal_mode = WAL');
database.pragma(`synchronous = ${synchronous}`);
database.exec('CREATE TABLE IF NOT EXISTS kept (id TEXT PRIMARY KEY, payload TEXT, expires INTEGER) WITHOUT ROWID');
const put = database.prepare('INSERT OR REPLACE INTO kept VALUES (?, ?, ?)');
const get = database.prepare('SELECT payload FROM kept WHERE id = ? AND (expires IS NULL OR expires > ?)');
const drop = database.prepare('DELETE FROM kept WHERE id = ?');
const seconds = () => Math.floor(Date.now() / 1000);

class Adapter {
  constructor(name) { this.name = name; }
  key(id) { return `${this.name}:${id}`; }
  async upsert(id, payload, life) { put.run(this.key(id), JSON.stringify(payload), life ? seconds() + life : null); }
  async find(id) { const row = get.get(this.key(id), seconds()); return row && JSON.parse(row.payload); }
  async destroy(id) { drop.run(this.key(id)); }
  async findByUid() {}
  async findByUserCode() {}
  async consume() {}
  async revokeByGrantId() {}
}

const client = {
  client_id: 'bench',
  client_secret: process.env.PEER_SECRET,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  scope: 'smarthome:read',
};
new Provider(`http://127.0.0.1:${port}`, {
  adapter: Adapter,
  clients: [client],
  scopes: ['smarthome:read'],
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: async () => true },
    devInteractions: { enabled: false },
  },
  ttl: { ClientCredentials: 3600 },
}).listen(Number(port), '127.0.0.1');
