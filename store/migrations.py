"""The schema and how it came to be: append-only functions, each with its why.

A released function is never changed; a new one is added below. `PRAGMA user_version` counts the functions that have
been applied, so that opening a current store needs neither a look at the tables nor the import of sqlite-utils, which
takes half a second where pandas is installed.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from store.connection import BUSY_TIMEOUT_S, Database
from store.errors import StoreError

if TYPE_CHECKING:
    import sqlite_utils

Step = Callable[["sqlite_utils.Database"], None]

PATIENCE_S = 600.0
"""So long a process waits while another one migrates: a store of gigabytes is copied first."""

APPLICATION_ID = 0x66746931
"""Marks a SQLite file as ours (`fti1`)."""


def m001_first_schema(db: "sqlite_utils.Database") -> None:
    """Runs and what their logs say, datasets, chats.

    Points are the bulk: narrow rows without a rowid, runs and metric names as integers, in the order in which charts
    read them. They carry no foreign keys, which would double the cost of ingest; `RunStore.delete` clears them.
    """
    for statement in (
        """CREATE TABLE runs (
            key INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            model TEXT NOT NULL,
            method TEXT NOT NULL,
            dataset TEXT NOT NULL,
            dataset_id TEXT NOT NULL,
            created REAL NOT NULL,
            recipe TEXT NOT NULL,               -- JSON
            dir TEXT NOT NULL,
            notes TEXT NOT NULL DEFAULT '',
            search TEXT NOT NULL DEFAULT '',    -- what bare words are looked for in, casefolded
            status TEXT NOT NULL,
            reason TEXT NOT NULL DEFAULT '',
            started REAL,
            ended REAL,
            attempt INTEGER NOT NULL DEFAULT 1,
            step INTEGER NOT NULL DEFAULT 0,
            total_steps INTEGER,
            eta_s REAL,
            tokens_per_s REAL,
            peak_vram_bytes INTEGER,
            cost REAL,
            phase TEXT NOT NULL DEFAULT '',
            phase_progress REAL,
            heartbeat REAL,
            best_step INTEGER,
            offset INTEGER NOT NULL DEFAULT 0,  -- bytes of the event log taken in
            last_seq INTEGER NOT NULL DEFAULT -1,
            unknown INTEGER NOT NULL DEFAULT 0, -- events of unknown kinds
            damaged INTEGER NOT NULL DEFAULT 0, -- rows in problems
            alerts INTEGER NOT NULL DEFAULT 0   -- rows in events of kind alert
        ) STRICT""",
        "CREATE INDEX runs_by_created ON runs (created)",
        "CREATE INDEX runs_by_status ON runs (status)",
        "CREATE INDEX runs_by_name ON runs (name)",
        "CREATE INDEX runs_by_dataset ON runs (dataset_id)",
        """CREATE TABLE tags (
            run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
            tag TEXT NOT NULL,
            PRIMARY KEY (run, tag)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE attempts (
            run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
            number INTEGER NOT NULL,
            started REAL NOT NULL,
            ended REAL,
            status TEXT NOT NULL,
            reason TEXT NOT NULL,
            from_step INTEGER,                  -- NULL until the worker has said it
            PRIMARY KEY (run, number)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE events (
            run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
            seq INTEGER NOT NULL,
            t REAL NOT NULL,
            attempt INTEGER NOT NULL,
            kind TEXT NOT NULL,
            body TEXT NOT NULL,                 -- JSON
            PRIMARY KEY (run, seq)
        ) STRICT""",
        "CREATE INDEX events_by_kind ON events (run, kind, seq)",
        """CREATE TABLE problems (
            run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
            offset INTEGER NOT NULL,            -- byte of the event log
            message TEXT NOT NULL,
            PRIMARY KEY (run, offset)
        ) STRICT, WITHOUT ROWID""",
        "CREATE TABLE metric_names (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT",
        """CREATE TABLE points (
            run INTEGER NOT NULL,
            metric INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            step INTEGER NOT NULL,
            value REAL,                         -- NULL is NaN
            t REAL NOT NULL,
            PRIMARY KEY (run, metric, attempt, step)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE rollups (
            run INTEGER NOT NULL,
            metric INTEGER NOT NULL,
            level INTEGER NOT NULL,             -- a bucket holds 4^level steps
            attempt INTEGER NOT NULL,
            bucket INTEGER NOT NULL,            -- step / 4^level
            step INTEGER NOT NULL,              -- the bucket's last step, with its value and time
            value REAL,
            t REAL NOT NULL,
            low REAL NOT NULL,                  -- extremes of the finite values; Inf and -Inf where there is none
            high REAL NOT NULL,
            low_step INTEGER,                   -- the step of the lowest
            PRIMARY KEY (run, metric, level, attempt, bucket)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE latest (
            run INTEGER NOT NULL,
            metric INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            step INTEGER NOT NULL,
            value REAL,
            t REAL NOT NULL,
            low REAL NOT NULL,                  -- as in rollups
            high REAL NOT NULL,
            low_step INTEGER,
            count INTEGER NOT NULL,             -- points seen, superseded ones too: never below the rows in points
            PRIMARY KEY (run, metric)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE datasets (
            key INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            version INTEGER NOT NULL,
            shape TEXT NOT NULL,
            rows INTEGER NOT NULL,
            splits TEXT NOT NULL,               -- JSON
            tokens INTEGER,
            parent TEXT,
            source TEXT NOT NULL,
            created REAL NOT NULL,
            dir TEXT NOT NULL,
            warnings TEXT NOT NULL,             -- JSON
            search TEXT NOT NULL,
            UNIQUE (name, version)
        ) STRICT""",
        """CREATE TABLE chats (
            key INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            title TEXT NOT NULL,
            created REAL NOT NULL,
            updated REAL NOT NULL,
            panes TEXT NOT NULL,                -- JSON
            system TEXT NOT NULL,
            settings TEXT NOT NULL,             -- JSON
            search TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX chats_by_updated ON chats (updated)",
        """CREATE TABLE messages (
            chat INTEGER NOT NULL REFERENCES chats ON DELETE CASCADE,
            position INTEGER NOT NULL,
            pane INTEGER NOT NULL,
            role TEXT NOT NULL,
            text TEXT NOT NULL,
            search TEXT NOT NULL,
            t REAL NOT NULL,
            tokens INTEGER,
            first_token_s REAL,
            tokens_per_s REAL,
            PRIMARY KEY (chat, position, pane)
        ) STRICT, WITHOUT ROWID""",
    ):
        db.execute(statement)


def m002_what_is_known_of_datasets(db: "sqlite_utils.Database") -> None:
    """The grade of a dataset's report, so that lists show it without opening the report."""
    db.execute("ALTER TABLE datasets ADD COLUMN grade TEXT NOT NULL DEFAULT ''")
    db.execute("CREATE INDEX datasets_by_parent ON datasets (parent)")


def m003_where_runs_come_from(db: "sqlite_utils.Database") -> None:
    """Why a run failed as one of a closed list, the run it goes on from, and the sweep it is a trial of."""
    for statement in (
        "ALTER TABLE runs ADD COLUMN failure TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE runs ADD COLUMN parent TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE runs ADD COLUMN sweep TEXT NOT NULL DEFAULT ''",
        "CREATE INDEX runs_by_sweep ON runs (sweep) WHERE sweep <> ''",
        """CREATE TABLE sweeps (
            key INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            created REAL NOT NULL,
            status TEXT NOT NULL,
            reason TEXT NOT NULL DEFAULT '',
            ended REAL,
            spec TEXT NOT NULL,                 -- JSON
            dir TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX sweeps_by_created ON sweeps (created)",
    ):
        db.execute(statement)


def m004_runs_that_are_silent(db: "sqlite_utils.Database") -> None:
    """Since when nothing is heard of a live run, so that every screen and every process says the same."""
    db.execute("ALTER TABLE runs ADD COLUMN stalled REAL")


def m005_what_is_seen_in_runs(db: "sqlite_utils.Database") -> None:
    """What filters ask of ten thousand runs, and what is found out about them.

    A recipe is long: it leaves the row, so that going through all runs reads a tenth of what it did; its fields are
    rows of their own beside it, to be asked for one by one. Names are integers, as those of metrics are, and there is
    no foreign key, for the key begins with the name; `RunStore.delete` clears them.
    """
    for statement in (
        """CREATE TABLE recipes (
            run INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
            body TEXT NOT NULL                  -- JSON
        ) STRICT""",
        "INSERT INTO recipes SELECT key, recipe FROM runs",
        "CREATE TABLE setting_names (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT",
        """CREATE TABLE settings (
            name INTEGER NOT NULL,
            run INTEGER NOT NULL,
            value ANY,                          -- a number, a text, or the JSON of a list; yes and no are 1 and 0
            PRIMARY KEY (name, run)
        ) STRICT, WITHOUT ROWID""",
        "INSERT OR IGNORE INTO setting_names (name) SELECT DISTINCT j.key FROM runs r, json_each(r.recipe) j",
        """INSERT INTO settings SELECT n.key, r.key, j.value FROM runs r, json_each(r.recipe) j
            JOIN setting_names n ON n.name = j.key""",
        "ALTER TABLE runs DROP COLUMN recipe",
        "ALTER TABLE runs ADD COLUMN energy_j REAL",
        "ALTER TABLE runs ADD COLUMN power_w REAL",
        "ALTER TABLE runs ADD COLUMN eta_error_s REAL",
        "ALTER TABLE runs ADD COLUMN source TEXT NOT NULL DEFAULT ''",
        """CREATE TABLE findings (
            run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
            code TEXT NOT NULL,
            level TEXT NOT NULL,
            step INTEGER NOT NULL,
            found REAL NOT NULL,                -- when it was found first, unix seconds
            dismissed REAL,                     -- when somebody said that it does not matter
            body TEXT NOT NULL,                 -- JSON
            PRIMARY KEY (run, code)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE views (
            key INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,                 -- of what: runs
            name TEXT NOT NULL,
            query TEXT NOT NULL,
            sort TEXT NOT NULL,
            descending INTEGER NOT NULL,
            created REAL NOT NULL,
            UNIQUE (kind, name)
        ) STRICT""",
    ):
        db.execute(statement)


def m006_how_long_runs_had_their_devices(db: "sqlite_utils.Database") -> None:
    """What hours and energy are reckoned by: not the time in the line, nor that between a stop and a resume."""
    db.execute("ALTER TABLE runs ADD COLUMN busy_s REAL")


def m007_values_to_choose_from(db: "sqlite_utils.Database") -> None:
    """What is offered while a filter is typed, in a millisecond of ten thousand runs instead of three.

    None of these columns changes while a run trains, so its log is taken in as fast as before.
    """
    for column in ("model", "dataset", "method"):
        db.execute(f"CREATE INDEX runs_by_{column}_name ON runs ({column})")
    for column in ("source", "failure", "parent"):
        db.execute(f"CREATE INDEX runs_by_{column} ON runs ({column}) WHERE {column} <> ''")


def m008_what_comes_of_talking(db: "sqlite_utils.Database") -> None:
    """Votes between answers, answers to prompt suites, and notes to look things up in."""
    for statement in (
        """CREATE TABLE votes (
            key INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            t REAL NOT NULL,
            voter TEXT NOT NULL,
            criterion TEXT NOT NULL,
            left_model TEXT NOT NULL,           -- base:NAME, or the id of a run
            right_model TEXT NOT NULL,
            winner TEXT NOT NULL,               -- left, right, tie, both_bad
            conversation TEXT NOT NULL,         -- JSON
            left_text TEXT NOT NULL,
            right_text TEXT NOT NULL,
            note TEXT NOT NULL,
            suite TEXT NOT NULL,
            position INTEGER NOT NULL
        ) STRICT""",
        "CREATE INDEX votes_by_left ON votes (left_model, criterion, winner)",
        "CREATE INDEX votes_by_right ON votes (right_model, criterion, winner)",
        """CREATE TABLE suite_runs (
            key INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            suite TEXT NOT NULL,                -- the id of a dataset
            name TEXT NOT NULL,
            created REAL NOT NULL,
            models TEXT NOT NULL,               -- JSON
            sampling TEXT NOT NULL,             -- JSON
            prompts INTEGER NOT NULL,
            ended REAL
        ) STRICT""",
        "CREATE INDEX suite_runs_by_suite ON suite_runs (suite)",
        """CREATE TABLE suite_answers (
            suite_run INTEGER NOT NULL REFERENCES suite_runs ON DELETE CASCADE,
            position INTEGER NOT NULL,
            turn INTEGER NOT NULL,
            model INTEGER NOT NULL,
            text TEXT NOT NULL,
            tokens INTEGER,
            first_token_s REAL,
            tokens_per_s REAL,
            error TEXT NOT NULL,
            PRIMARY KEY (suite_run, position, turn, model)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE knowledge (
            key INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            created REAL NOT NULL
        ) STRICT""",
        """CREATE TABLE knowledge_sources (
            key INTEGER PRIMARY KEY,
            knowledge INTEGER NOT NULL REFERENCES knowledge ON DELETE CASCADE,
            path TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            modified REAL NOT NULL,
            digest TEXT NOT NULL,
            added REAL NOT NULL,
            UNIQUE (knowledge, path)
        ) STRICT""",
        """CREATE TABLE passages (
            key INTEGER PRIMARY KEY,
            source INTEGER NOT NULL REFERENCES knowledge_sources ON DELETE CASCADE,
            place INTEGER NOT NULL,
            title TEXT NOT NULL,
            text TEXT NOT NULL,
            about TEXT NOT NULL,                -- JSON
            vector BLOB,                        -- little-endian float32, where embeddings were made
            UNIQUE (source, place)
        ) STRICT""",
        """CREATE VIRTUAL TABLE passage_words USING fts5 (
            title, text, content = 'passages', content_rowid = 'key', tokenize = "unicode61 remove_diacritics 2"
        )""",
        """CREATE TRIGGER passages_added AFTER INSERT ON passages BEGIN
            INSERT INTO passage_words (rowid, title, text) VALUES (new.key, new.title, new.text);
        END""",
        """CREATE TRIGGER passages_removed AFTER DELETE ON passages BEGIN
            INSERT INTO passage_words (passage_words, rowid, title, text)
            VALUES ('delete', old.key, old.title, old.text);
        END""",
    ):
        db.execute(statement)


def m010_whose_vectors_passages_have(db: "sqlite_utils.Database") -> None:
    """A question is embedded by the model that embedded the passages: the collection remembers which that is."""
    # JSON: the address, the model and the name of the variable with the key, never the key; empty without vectors.
    db.execute("ALTER TABLE knowledge ADD COLUMN embeddings TEXT NOT NULL DEFAULT ''")
    db.execute("CREATE INDEX passages_with_vectors ON passages (source) WHERE vector IS NOT NULL")


def m009_conversations_to_find_again(db: "sqlite_utils.Database") -> None:
    """Pins, tags and forks of chats, and an index of what was said in them: any three letters in a row are found in it.

    Messages have no rowid, so the index has its own texts' keys, from which the chat can be told: chat, position and
    pane in 31, 20 and 12 bits. It keeps no texts (they are in `messages`), only where each three letters stand.
    """
    for statement in (
        "ALTER TABLE chats ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE chats ADD COLUMN parent TEXT NOT NULL DEFAULT ''",
        "DROP INDEX chats_by_updated",
        "CREATE INDEX chats_by_updated ON chats (pinned, updated)",
        """CREATE TABLE chat_tags (
            chat INTEGER NOT NULL REFERENCES chats ON DELETE CASCADE,
            tag TEXT NOT NULL,
            PRIMARY KEY (chat, tag)
        ) STRICT, WITHOUT ROWID""",
        """CREATE VIRTUAL TABLE message_words USING fts5 (
            search, content = '', columnsize = 0, tokenize = "trigram case_sensitive 1"
        )""",
        """INSERT INTO message_words (rowid, search)
            SELECT (chat << 32) | (position << 12) | (pane + 1), search FROM messages""",
        """CREATE TRIGGER messages_added AFTER INSERT ON messages BEGIN
            INSERT INTO message_words (rowid, search)
            VALUES ((new.chat << 32) | (new.position << 12) | (new.pane + 1), new.search);
        END""",
        """CREATE TRIGGER messages_removed AFTER DELETE ON messages BEGIN
            INSERT INTO message_words (message_words, rowid, search)
            VALUES ('delete', (old.chat << 32) | (old.position << 12) | (old.pane + 1), old.search);
        END""",
    ):
        db.execute(statement)


def m011_what_evaluations_found(db: "sqlite_utils.Database") -> None:
    """Evaluations of models on the same rows, and named, versioned adapters."""
    for statement in (
        """CREATE TABLE evaluations (
            key INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            created REAL NOT NULL,
            name TEXT NOT NULL,
            kind TEXT NOT NULL,                 -- split, suite, retention
            data TEXT NOT NULL,                 -- the id of a dataset, or the name of a probe set
            split TEXT NOT NULL,
            settings TEXT NOT NULL,             -- JSON
            rows INTEGER NOT NULL,
            ended REAL,
            reason TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX evaluations_by_created ON evaluations (created)",
        """CREATE TABLE evaluation_models (
            evaluation INTEGER NOT NULL REFERENCES evaluations ON DELETE CASCADE,
            place INTEGER NOT NULL,
            model TEXT NOT NULL,                -- base:NAME, the id of a run, or path:FOLDER
            PRIMARY KEY (evaluation, place)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX evaluation_models_by_model ON evaluation_models (model)",
        """CREATE TABLE evaluation_figures (
            evaluation INTEGER NOT NULL REFERENCES evaluations ON DELETE CASCADE,
            place INTEGER NOT NULL,
            metric TEXT NOT NULL,
            value REAL NOT NULL,
            low REAL,
            high REAL,
            rows INTEGER NOT NULL,
            difference REAL,
            difference_low REAL,
            difference_high REAL,
            p_value REAL,
            PRIMARY KEY (evaluation, place, metric)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE registry (
            key INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            created REAL NOT NULL,
            promoted INTEGER                    -- the version to use
        ) STRICT""",
        """CREATE TABLE registry_versions (
            registry INTEGER NOT NULL REFERENCES registry ON DELETE CASCADE,
            version INTEGER NOT NULL,
            created REAL NOT NULL,
            run TEXT NOT NULL,
            base TEXT NOT NULL,
            revision TEXT NOT NULL,
            dataset TEXT NOT NULL,
            description TEXT NOT NULL,
            tags TEXT NOT NULL,                 -- JSON
            info TEXT NOT NULL,                 -- JSON
            PRIMARY KEY (registry, version)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE registry_promotions (
            registry INTEGER NOT NULL REFERENCES registry ON DELETE CASCADE,
            t REAL NOT NULL,
            version INTEGER NOT NULL,
            note TEXT NOT NULL
        ) STRICT""",
    ):
        db.execute(statement)


def m012_what_answers_were_based_on(db: "sqlite_utils.Database") -> None:
    """The passages of notes that an answer in a chat was based on, as they were then: files change, and go."""
    db.execute("""CREATE TABLE message_passages (
        chat INTEGER NOT NULL,
        position INTEGER NOT NULL,
        pane INTEGER NOT NULL,
        number INTEGER NOT NULL,            -- the best one has 0
        knowledge TEXT NOT NULL,
        source TEXT NOT NULL,
        title TEXT NOT NULL,
        text TEXT NOT NULL,
        score REAL NOT NULL,
        place INTEGER NOT NULL,
        about TEXT NOT NULL,                -- JSON
        PRIMARY KEY (chat, position, pane, number),
        FOREIGN KEY (chat, position, pane) REFERENCES messages ON DELETE CASCADE
    ) STRICT""")


STEPS: tuple[Step, ...] = (
    m001_first_schema,
    m002_what_is_known_of_datasets,
    m003_where_runs_come_from,
    m004_runs_that_are_silent,
    m005_what_is_seen_in_runs,
    m006_how_long_runs_had_their_devices,
    m007_values_to_choose_from,
    m008_what_comes_of_talking,
    m009_conversations_to_find_again,
    m010_whose_vectors_passages_have,
    m011_what_evaluations_found,
    m012_what_answers_were_based_on,
)


def prepare(database: Database, steps: Sequence[Step] = STEPS) -> None:
    """Bring the file to the schema of `steps`, keeping a copy of an older store first.

    Raises `StoreError` for a file that is no store, one of another program and one that a newer finetui wrote.
    """
    with database.explained():
        connection = database.connection()
        if _version(database, connection, steps) == len(steps):
            _use_write_ahead_log(connection)
            return
        with database.alone(PATIENCE_S):
            if _version(database, connection, steps) == 0:
                connection.execute("PRAGMA page_size = 8192")
            _use_write_ahead_log(connection)
            _apply(database, steps)


def _version(database: Database, connection: sqlite3.Connection, steps: Sequence[Step]) -> int:
    """The version of the file's schema, 0 for an empty one. Raises `StoreError` where it is not for this finetui."""
    version = _pragma(connection, "user_version")
    if _pragma(connection, "application_id") != APPLICATION_ID:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            return 0
        raise StoreError(
            f"{database.path} is not a finetui store.",
            "It is a database of another program.",
            "Choose another home with --home DIR or $FINETUI_HOME.",
        )
    if version > len(steps):
        raise StoreError(
            f"The store {database.path} was written by a newer finetui.",
            f"Its schema is version {version}; this finetui knows up to {len(steps)}.",
            "Upgrade finetui, or choose another home with --home DIR or $FINETUI_HOME.",
        )
    return version


def copy(database: Database, target: Path) -> None:
    """A whole copy of the store at `target`, for its owner alone, which appears at once or not at all.

    Read by a connection of its own: one that is in a transaction would wait for itself, for ever.
    """
    temporary = target.with_name(f".{target.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with_copy = sqlite3.connect(temporary, isolation_level=None)
        try:
            with closing(database.another()) as connection:
                connection.backup(with_copy)
            # One file, without a log beside it: the copy is made to be moved.
            with_copy.execute("PRAGMA journal_mode = DELETE")
        finally:
            with_copy.close()
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _keep(database: Database, target: Path) -> None:
    try:
        copy(database, target)
    except OSError as error:
        raise StoreError(
            f"The store {database.path} cannot be copied to {target}, and is not brought up to date without a copy.",
            f"The system says: {error.strerror or error}.",
            "Free some space there, or make the folder writable, and start again. The store is as it was.",
        ) from error


def _apply(database: Database, steps: Sequence[Step]) -> None:
    import sqlite_utils

    with database.transaction() as connection:
        version = _version(database, connection, steps)
        if version == len(steps):
            return  # another process was faster
        if version:  # copied here, where nobody can be migrating it meanwhile
            _keep(database, database.path.with_name(f"{database.path.stem}-v{version}-backup.db"))
        migrations = sqlite_utils.Migrations("finetui")
        for step in steps:
            migrations()(step)
        migrations.apply(sqlite_utils.Database(connection, recursive_triggers=False, execute_plugins=False))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
        connection.execute(f"PRAGMA user_version = {len(steps):d}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Readers and the writer do not wait for each other. SQLite does not wait by itself to change this: another
    process may be making the same store."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
