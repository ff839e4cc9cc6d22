/** The tables of a log's SQLite file, and what marks a file as one. */
import { randomUUID } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { LogError } from '../log.ts'

/** "BMAL": marks a SQLite file as a log. */
const APPLICATION_ID = 0x424d414c
/** 2: checksums cover the whole row of a batch. Rows of format 1 can still be read. */
const FORMAT = 2

/** A record batch is one row. `partitions.high` and `timestamp` keep what batches said that have been removed since. */
const TABLES = `
  CREATE TABLE identity (id TEXT NOT NULL) STRICT;
  CREATE TABLE topics (
    name TEXT PRIMARY KEY,
    partitions INTEGER NOT NULL,
    cleanup TEXT NOT NULL,
    retention_ms INTEGER
  ) STRICT;
  CREATE TABLE partitions (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL REFERENCES topics,
    partition INTEGER NOT NULL,
    low INTEGER NOT NULL DEFAULT 0,
    high INTEGER NOT NULL DEFAULT 0,
    timestamp INTEGER NOT NULL DEFAULT 0,
    clean INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, partition)
  ) STRICT;
  CREATE TABLE batches (
    id INTEGER PRIMARY KEY,
    partition_id INTEGER NOT NULL,
    base_offset INTEGER NOT NULL,
    last_offset INTEGER NOT NULL,
    count INTEGER NOT NULL,
    first_timestamp INTEGER NOT NULL,
    max_timestamp INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    tombstones_until INTEGER,
    records BLOB NOT NULL
  ) STRICT;
  CREATE INDEX batches_by_offset ON batches (partition_id, last_offset, bytes);
  CREATE INDEX batches_with_tombstones ON batches (partition_id, tombstones_until) WHERE tombstones_until IS NOT NULL;
  CREATE TABLE groups (name TEXT PRIMARY KEY, generation INTEGER NOT NULL, member TEXT NOT NULL) STRICT;
  CREATE TABLE group_offsets (
    "group" TEXT NOT NULL REFERENCES groups,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    PRIMARY KEY ("group", topic, partition)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE schemas (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
  CREATE TABLE subjects (
    subject TEXT NOT NULL,
    schema_id INTEGER NOT NULL REFERENCES schemas,
    PRIMARY KEY (subject, schema_id)
  ) STRICT, WITHOUT ROWID;
`

/** Creates the tables of a new file; checks that one that exists is a log of a version that this code reads. @throws {LogError} `corrupt` */
export function prepareTables(db: DatabaseSync, file: string): void {
  const pragma = (name: string) => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0]
  if (db.prepare('SELECT 1 FROM sqlite_schema').get() === undefined) {
    db.exec(TABLES)
    db.prepare('INSERT INTO identity VALUES (?)').run(randomUUID())
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${FORMAT}`)
  } else if (pragma('application_id') !== APPLICATION_ID) {
    throw new LogError('corrupt', `${file} is a SQLite file, but not a log; choose another file`)
  } else if (pragma('user_version') === 1) {
    db.exec(`PRAGMA user_version = ${FORMAT}`)
  } else if (pragma('user_version') !== FORMAT) {
    throw new LogError(
      'corrupt',
      `${file} has format ${pragma('user_version')}, but this version reads format ${FORMAT}; run the version that wrote it`,
    )
  }
}
