-- The transparency log. An entry is bytes: UTF-8 JSON, written once by its writer, hashed and stored verbatim. All
-- columns that are asked for are generated from those bytes by PostgreSQL, so that what an auditor queries cannot differ
-- from what was hashed. The entries of the first form of the log are carried over at the end.

-- The rights of both owners are needed to take from the one and give to the other; the next migration gives them back.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['aud_owner', 'dsrd_audit'] LOOP
    BEGIN
      EXECUTE format('GRANT %I TO %I', name, current_user);
    EXCEPTION WHEN insufficient_privilege THEN
      -- Somebody else made the role; they must have granted it already.
      NULL;
    END;
  END LOOP;
END
$$;

CREATE SCHEMA audit_private;
COMMENT ON SCHEMA audit_private IS
  'What makes entries of the log personal. Erasable: without it the log stands, and names nobody.';

-- Staff are data subjects, too: the log knows them by a random word, and their name stands here alone.
CREATE TABLE audit_private.actor (
  actor_id text PRIMARY KEY CHECK (actor_id ~ '^person:[0-9a-f]{32}$'),
  name text NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z0-9_.-]{1,63}$')
);
COMMENT ON TABLE audit_private.actor IS 'Login names of the people whom the log calls by a random word. Erasable.';

-- One row a case and identifier: what is needed to show that an entry is about somebody.
CREATE TABLE audit_private.subject (
  organisation_id text NOT NULL,
  case_id uuid NOT NULL,
  tag bytea NOT NULL CHECK (octet_length(tag) = 32),
  key_epoch integer NOT NULL CHECK (key_epoch > 0),
  salt bytea NOT NULL CHECK (octet_length(salt) = 32),
  erase_after timestamptz NOT NULL,
  PRIMARY KEY (case_id, tag)
);
CREATE INDEX subject_tag ON audit_private.subject (organisation_id, tag);
CREATE INDEX subject_erase_after ON audit_private.subject (erase_after);
COMMENT ON TABLE audit_private.subject IS
  'Salts of the commitments to identifiers (field subject_c of an entry), found by keyed tag. Erasable.';
COMMENT ON COLUMN audit_private.subject.tag IS
  'HMAC-SHA-256 of the normalised identifier with a key outside of the database.';
COMMENT ON COLUMN audit_private.subject.key_epoch IS 'Which key made the tag.';
COMMENT ON COLUMN audit_private.subject.salt IS 'Without it the commitment in the log says nothing about anybody.';

-- Whether bytes are an entry: one spelling, fields in their order, closed alphabets, no room for free text.
-- src/audit/leaf.rs reads the same language. It runs on every append, hence PL/pgSQL (LANGUAGE sql costs sixteen times as
-- much), in few and large expressions: PL/pgSQL prepares each of its expressions anew in every transaction, which cost more
-- than their evaluation when there were many. One regular expression over the whole would cost four times as much, because
-- PostgreSQL builds its automaton anew at each call. An error of a cast refuses the entry as well as the answer false.
CREATE FUNCTION audit.is_entry(entry bytea) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  form CONSTANT text := convert_from(entry, 'UTF8');
  doc CONSTANT jsonb := form::jsonb;
  -- The spelling made of the parts. What is missing and needed makes all of it NULL.
  head CONSTANT text :=
    '{"action":"' || (doc ->> 'action') || '","actor":"' || (doc ->> 'actor')
    || '","at_us":' || (doc ->> 'at_us')::bigint
    || coalesce(',"build":"' || (doc ->> 'build') || '"', '')
    || coalesce(',"case":"' || (doc ->> 'case')::uuid || '"', '')
    || ',"detail":';
  tail CONSTANT text :=
    ',"id":"' || (doc ->> 'id')::uuid || '"'
    || coalesce(',"intent":"' || (doc ->> 'intent')::uuid || '"', '')
    || coalesce(',"n":' || (doc ->> 'n')::bigint, '')
    || coalesce(',"outcome":"' || (doc ->> 'outcome') || '"', '')
    || coalesce(',"policy":"' || (doc ->> 'policy') || '"', '')
    || coalesce(',"sealed_us":' || (doc ->> 'sealed_us')::bigint, '')
    || coalesce(',"subject_c":"' || (doc ->> 'subject_c') || '"', '')
    || coalesce(',"tenant":"' || (doc ->> 'tenant') || '"', '')
    || ',"v":' || (doc ->> 'v')::smallint
    || coalesce(',"w":"' || (doc ->> 'w') || '"', '')
    || '}';
  detail CONSTANT text := substr(form, length(head) + 1, greatest(0, length(form) - length(head) - length(tail)));
BEGIN
  RETURN (
    -- Nothing twice, nothing unknown, no white space.
    starts_with(form, head) AND right(form, length(tail)) = tail
    AND (doc ->> 'at_us')::bigint BETWEEN 0 AND 9007199254740991
    AND doc -> 'v' IN ('0', '1')
    AND length(doc ->> 'action') <= 122 AND (doc ->> 'action') ~ '^[a-z_]+(\.[a-z_]+)+$'
    AND length(doc ->> 'actor') <= 73
    AND ((doc ->> 'actor') ~ '^(process|schedule|producer):[A-Za-z0-9_.-]+$' OR (doc ->> 'actor') ~ '^person:[0-9a-f]{32}$')
    AND coalesce(length(doc ->> 'tenant') BETWEEN 1 AND 40
                 AND translate(doc ->> 'tenant', 'abcdefghijklmnopqrstuvwxyz0123456789-', '') = '', true)
    AND coalesce(length(doc ->> 'outcome') BETWEEN 1 AND 40
                 AND translate(doc ->> 'outcome', 'abcdefghijklmnopqrstuvwxyz_', '') = '', true)
    AND coalesce(length(doc ->> 'build') BETWEEN 1 AND 64 AND (doc ->> 'build') ~ '^[A-Za-z0-9.+-]+$', true)
    AND coalesce(length(doc ->> 'w') = 16 AND translate(doc ->> 'w', '0123456789abcdef', '') = '', true)
    AND coalesce((doc ->> 'n')::bigint BETWEEN 0 AND 9007199254740991, true)
    AND coalesce((doc ->> 'sealed_us')::bigint BETWEEN 0 AND 9007199254740991, true)
    AND coalesce((doc ->> 'policy') ~ '^[0-9a-f]{64}$', true)
    AND coalesce((doc ->> 'subject_c') ~ '^[0-9a-f]{64}$', true)
    AND (
      detail = '{}'
      OR (
        length(detail) <= 1000
        AND detail ~ '^\{("[a-z][a-z0-9_]*":("[A-Za-z0-9_.:/ +-]*"|-?[0-9]+|true|false),?)*\}$'
        -- Numbers that every reader of JSON can hold: fifteen digits.
        AND detail !~ '":-?[0-9]{16}'
        -- No key twice, no second spelling of a number: those would make the parsed form shorter. It has a space after
        -- each colon and each comma, and words hold no comma.
        AND length((doc -> 'detail')::text)
          = length(detail) + 2 * (length(detail) - length(replace(detail, ',', ''))) + 1
      )
    )
  ) IS TRUE;
END
$$;

-- One field of an entry as text. convert_from is not declared immutable because conversions can be redefined; that of
-- UTF-8 to a database in UTF-8 cannot.
CREATE FUNCTION audit.field(entry bytea, name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  RETURN convert_from(entry, 'UTF8')::json ->> name;
END
$$;

CREATE FUNCTION audit.detail_of(entry bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  RETURN (convert_from(entry, 'UTF8')::jsonb) -> 'detail';
END
$$;

-- The instant of an entry. An interval of microseconds alone does not depend on a time zone.
CREATE FUNCTION audit.instant_of(micros bigint) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  RETURN timestamptz '1970-01-01 00:00:00+00' + micros * interval '1 microsecond';
END
$$;

-- The entries of the first form, in their order, as leaves. Not numbered ones come after the numbered ones.
LOCK TABLE audit.inbox, audit.entry IN ACCESS EXCLUSIVE MODE;

INSERT INTO audit_private.actor (actor_id, name)
SELECT 'person:' || replace(gen_random_uuid()::text, '-', ''), substr(actor, length('person:') + 1)
FROM (SELECT actor FROM audit.entry UNION SELECT actor FROM audit.inbox) AS known
WHERE actor LIKE 'person:%';

CREATE TEMPORARY TABLE carried_over ON COMMIT DROP AS
SELECT row_number() OVER (ORDER BY seq NULLS LAST, inbox_id) AS place,
  convert_to(
    '{"action":"' || action || '","actor":"' || coalesce(known.actor_id, actor)
    || '","at_us":' || (extract(epoch FROM at) * 1000000)::bigint
    || coalesce(',"case":"' || case_id || '"', '')
    || ',"detail":{' || coalesce((
         SELECT string_agg(
           to_json(member.key)::text || ':' || CASE
             -- A number that not every reader of JSON can hold is kept as a word.
             WHEN jsonb_typeof(member.value) = 'number' AND length(member.value::text) > 15
             THEN to_json(member.value::text)::text ELSE member.value::text END,
           ',' ORDER BY member.key COLLATE "C")
         FROM jsonb_each(detail) AS member), '')
    || '},"id":"' || uid || '"'
    || coalesce(',"intent":"' || intent || '"', '')
    || coalesce(',"outcome":"' || outcome || '"', '')
    || coalesce(',"sealed_us":' || (extract(epoch FROM sealed_at) * 1000000)::bigint, '')
    || ',"tenant":"' || organisation_id || '","v":0}',
    'UTF8') AS entry
FROM (
  SELECT seq, NULL::bigint AS inbox_id, uid, at, organisation_id, case_id, action, outcome, actor, intent, detail, sealed_at
  FROM audit.entry
  UNION ALL
  SELECT NULL, inbox_id, uid, at, organisation_id, case_id, action, outcome, actor, intent, detail, NULL
  FROM audit.inbox
) AS former
LEFT JOIN audit_private.actor AS known ON 'person:' || known.name = former.actor;

DROP VIEW audit_view.log, audit_view.open_intent;
DROP FUNCTION audit.seal(integer);
DROP TABLE audit.inbox, audit.entry;
DROP FUNCTION audit.refuse_change();

CREATE TABLE audit.inbox (
  inbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  entry bytea NOT NULL CHECK (octet_length(entry) BETWEEN 2 AND 65535) CHECK (audit.is_entry(entry)),
  uid uuid NOT NULL GENERATED ALWAYS AS (audit.field(entry, 'id')::uuid) STORED UNIQUE,
  leaf bytea NOT NULL GENERATED ALWAYS AS (sha256('\x00'::bytea || entry)) STORED
);
-- Empty most of the time: what counts is how much passed through, not how much is there.
ALTER TABLE audit.inbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
                             autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000);
COMMENT ON TABLE audit.inbox IS 'Entries written but not yet sealed; emptied by the sealer several times a second.';
COMMENT ON COLUMN audit.inbox.entry IS 'The entry: canonical JSON, hashed and stored verbatim.';
COMMENT ON COLUMN audit.inbox.leaf IS 'SHA-256 of a zero byte and the entry (RFC 6962).';

CREATE TABLE audit.entry (
  seq bigint PRIMARY KEY CHECK (seq > 0),
  entry bytea NOT NULL,
  sealed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  leaf bytea NOT NULL GENERATED ALWAYS AS (sha256('\x00'::bytea || entry)) STORED,
  uid uuid NOT NULL GENERATED ALWAYS AS (audit.field(entry, 'id')::uuid) STORED,
  at timestamptz NOT NULL GENERATED ALWAYS AS (audit.instant_of(audit.field(entry, 'at_us')::bigint)) STORED,
  organisation_id text GENERATED ALWAYS AS (audit.field(entry, 'tenant')) STORED,
  action text NOT NULL GENERATED ALWAYS AS (audit.field(entry, 'action')) STORED,
  outcome text GENERATED ALWAYS AS (audit.field(entry, 'outcome')) STORED,
  actor text NOT NULL GENERATED ALWAYS AS (audit.field(entry, 'actor')) STORED,
  case_id uuid GENERATED ALWAYS AS (audit.field(entry, 'case')::uuid) STORED,
  intent uuid GENERATED ALWAYS AS (audit.field(entry, 'intent')::uuid) STORED,
  writer text GENERATED ALWAYS AS (audit.field(entry, 'w')) STORED,
  wseq bigint GENERATED ALWAYS AS (audit.field(entry, 'n')::bigint) STORED
) PARTITION BY RANGE (seq);
CREATE INDEX entry_uid ON audit.entry (uid);
CREATE INDEX entry_case ON audit.entry (case_id, seq) WHERE case_id IS NOT NULL;
CREATE INDEX entry_action ON audit.entry (action, at);
CREATE INDEX entry_intent ON audit.entry (intent) WHERE intent IS NOT NULL;
CREATE INDEX entry_at ON audit.entry USING brin (at);

COMMENT ON TABLE audit.entry IS 'The log: one row an event, numbered 1..n without gap, never changed.';
COMMENT ON COLUMN audit.entry.seq IS 'Sealing order; the index of the leaf in the tree plus one. Within a case, the order of events.';
COMMENT ON COLUMN audit.entry.entry IS 'The entry as written and hashed. All columns but seq and sealed_at are generated from it.';
COMMENT ON COLUMN audit.entry.leaf IS 'SHA-256 of a zero byte and the entry (RFC 6962).';
COMMENT ON COLUMN audit.entry.sealed_at IS 'When the sealer numbered the entry, by the database''s clock. Not covered by the tree.';
COMMENT ON COLUMN audit.entry.uid IS 'Id of the entry, chosen by its writer (UUID version 7).';
COMMENT ON COLUMN audit.entry.at IS 'When it happened, by the writer''s clock, UTC.';
COMMENT ON COLUMN audit.entry.organisation_id IS 'For which organisation; empty for what concerns the log itself.';
COMMENT ON COLUMN audit.entry.case_id IS 'The request concerned; random, says nothing about the person.';
COMMENT ON COLUMN audit.entry.action IS 'What happened, from the closed vocabulary of docs/audit-log.md.';
COMMENT ON COLUMN audit.entry.outcome IS 'How it ended, where the action is the end of something.';
COMMENT ON COLUMN audit.entry.actor IS
  'person:<random word>, process:<part of the daemon>, schedule:<name> or producer:<database role>.';
COMMENT ON COLUMN audit.entry.intent IS 'For the end of an outside effect: uid of the entry that announced it.';
COMMENT ON COLUMN audit.entry.writer IS 'Which process wrote it.';
COMMENT ON COLUMN audit.entry.wseq IS 'Its how many-th entry it is.';

CREATE TABLE audit.tile (
  level smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
  n bigint NOT NULL CHECK (n >= 0),
  hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
  PRIMARY KEY (level, n)
);
-- Hashes do not compress.
ALTER TABLE audit.tile ALTER COLUMN hashes SET STORAGE EXTERNAL;
COMMENT ON TABLE audit.tile IS 'The full tiles of the tree (c2sp.org/tlog-tiles): 256 hashes each, never changed.';
COMMENT ON COLUMN audit.tile.n IS 'Index of the tile within its level.';

CREATE TABLE audit.edge (
  level smallint PRIMARY KEY CHECK (level BETWEEN 0 AND 7),
  n bigint NOT NULL CHECK (n >= 0),
  hashes bytea NOT NULL CHECK (octet_length(hashes) < 8192 AND octet_length(hashes) % 32 = 0)
);
ALTER TABLE audit.edge ALTER COLUMN hashes SET STORAGE EXTERNAL;
COMMENT ON TABLE audit.edge IS 'The partial tile of each level; derivable from audit.entry.';

CREATE TABLE audit.head (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  origin text NOT NULL CHECK (origin ~ '^[A-Za-z0-9._:/-]{1,200}$'),
  verifier_keys text[] NOT NULL,
  size bigint NOT NULL CHECK (size >= 0),
  root bytea NOT NULL CHECK (octet_length(root) = 32),
  note text,
  signed_at timestamptz
);
COMMENT ON TABLE audit.head IS 'The newest state of the log: one row, replaced at each sealing.';
COMMENT ON COLUMN audit.head.origin IS 'Name of the log, which stands in every checkpoint.';
COMMENT ON COLUMN audit.head.verifier_keys IS 'Public keys that sign at present, oldest first; empty before the first start.';
COMMENT ON COLUMN audit.head.size IS 'How many entries are sealed.';
COMMENT ON COLUMN audit.head.root IS 'Root of the Merkle tree over them.';
COMMENT ON COLUMN audit.head.note IS 'Signed checkpoint of this size (c2sp.org/tlog-checkpoint).';
INSERT INTO audit.head (origin, verifier_keys, size, root)
VALUES ('dsrd.invalid/' || substr(replace(gen_random_uuid()::text, '-', ''), 1, 16), '{}', 0, sha256(''));

CREATE TABLE audit.checkpoint (
  size bigint PRIMARY KEY CHECK (size > 0),
  root bytea NOT NULL CHECK (octet_length(root) = 32),
  note text NOT NULL,
  signed_at timestamptz NOT NULL
);
COMMENT ON TABLE audit.checkpoint IS 'Signed checkpoints that were kept: at most one every few seconds while the log grows.';

CREATE TABLE audit.cosignature (
  size bigint NOT NULL REFERENCES audit.checkpoint,
  key_name text NOT NULL,
  key_id bytea NOT NULL CHECK (octet_length(key_id) = 4),
  line text NOT NULL CHECK (length(line) <= 10000),
  PRIMARY KEY (size, key_name, key_id)
);
COMMENT ON TABLE audit.cosignature IS 'Signatures of witnesses under kept checkpoints.';

CREATE TABLE audit.anchor (
  size bigint NOT NULL REFERENCES audit.checkpoint,
  kind text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_]{0,39}$'),
  place text NOT NULL CHECK (length(place) <= 1000),
  token bytea,
  at timestamptz NOT NULL,
  PRIMARY KEY (size, kind, place)
);
COMMENT ON TABLE audit.anchor IS 'Where kept checkpoints were published or stamped outside of this database.';
COMMENT ON COLUMN audit.anchor.token IS 'What the place gave back, for example an RFC 3161 token.';

-- Refuses what no role may do, whatever was granted to it. The sealer empties the inbox and keeps edge and head.
CREATE FUNCTION audit.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_TABLE_NAME = 'inbox' AND TG_OP = 'DELETE' AND current_user = 'aud_sealer' THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'audit.% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

-- The head moves forward only, and only the sealer moves it.
CREATE FUNCTION audit.guard_head() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF current_user <> 'aud_sealer' OR NEW.size < OLD.size OR (NEW.size = OLD.size AND NEW.root <> OLD.root)
    OR (NEW.origin <> OLD.origin AND OLD.note IS NOT NULL) THEN
    RAISE EXCEPTION 'audit.head only moves forward: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;

DO $$
DECLARE
  guarded text;
BEGIN
  FOREACH guarded IN ARRAY ARRAY['inbox', 'entry', 'tile', 'checkpoint', 'cosignature', 'anchor'] LOOP
    EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON audit.%I
                      FOR EACH ROW EXECUTE FUNCTION audit.refuse_change()', guarded || '_rows_stay', guarded);
    EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER %I', guarded, guarded || '_rows_stay');
  END LOOP;
  FOREACH guarded IN ARRAY ARRAY['inbox', 'entry', 'tile', 'checkpoint', 'cosignature', 'anchor', 'edge', 'head'] LOOP
    EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON audit.%I
                      FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', guarded || '_stays', guarded);
    EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER %I', guarded, guarded || '_stays');
  END LOOP;
END
$$;
CREATE TRIGGER head_moves_forward BEFORE UPDATE ON audit.head FOR EACH ROW EXECUTE FUNCTION audit.guard_head();
CREATE TRIGGER head_row_stays BEFORE DELETE ON audit.head FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
ALTER TABLE audit.head ENABLE ALWAYS TRIGGER head_moves_forward;
ALTER TABLE audit.head ENABLE ALWAYS TRIGGER head_row_stays;

-- Makes the partition after the one that the log has reached, so that sealing never waits for one; answers whether it
-- did. A partition holds 4,194,304 entries, a whole number of tiles. Row guards come from the parent, that against
-- TRUNCATE does not.
CREATE FUNCTION audit.make_partition_ahead() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  width CONSTANT bigint := 4194304;
  next bigint;
  name text;
  made boolean := false;
BEGIN
  SELECT size / width + 1 INTO next FROM audit.head;
  FOR part IN next - 1 .. next LOOP
    name := 'entry_' || lpad(part::text, 6, '0');
    CONTINUE WHEN to_regclass(format('audit.%I', name)) IS NOT NULL;
    EXECUTE format('CREATE TABLE audit.%I PARTITION OF audit.entry FOR VALUES FROM (%s) TO (%s)',
                   name, part * width + 1, (part + 1) * width + 1);
    EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON audit.%I
                      FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', name || '_stays', name);
    EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER %I', name, name || '_stays');
    made := true;
  END LOOP;
  RETURN made;
END
$$;

-- The random word for a person, made at the first entry of theirs.
CREATE FUNCTION audit.person(login text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found_id text;
BEGIN
  SELECT actor_id INTO found_id FROM audit_private.actor WHERE name = login;
  IF found_id IS NULL THEN
    INSERT INTO audit_private.actor (actor_id, name)
    VALUES ('person:' || replace(gen_random_uuid()::text, '-', ''), login)
    ON CONFLICT (name) DO NOTHING;
    SELECT actor_id INTO found_id FROM audit_private.actor WHERE name = login;
  END IF;
  RETURN found_id;
END
$$;

GRANT USAGE, CREATE ON SCHEMA audit TO aud_owner;
GRANT USAGE, CREATE ON SCHEMA audit_view TO aud_owner;
GRANT USAGE, CREATE ON SCHEMA audit_private TO aud_owner;
DO $$
DECLARE
  made record;
BEGIN
  FOR made IN SELECT oid::regclass AS name FROM pg_class
              WHERE relnamespace IN ('audit'::regnamespace, 'audit_private'::regnamespace) AND relkind IN ('r', 'p') LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO aud_owner', made.name);
  END LOOP;
  FOR made IN SELECT oid::regprocedure AS name FROM pg_proc WHERE pronamespace = 'audit'::regnamespace LOOP
    EXECUTE format('ALTER FUNCTION %s OWNER TO aud_owner', made.name);
  END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION audit.make_partition_ahead(), audit.person(text) FROM PUBLIC;
SELECT audit.make_partition_ahead();

-- Rights. Roles that stand for others (dsrd_service writes and reads, auditor reads) get them directly, because whoever
-- migrates may use roles that somebody else made, and cannot make one of them a member of another.
GRANT USAGE ON SCHEMA audit TO aud_writer, aud_sealer, aud_reader, auditor;
GRANT INSERT (entry), SELECT (inbox_id) ON audit.inbox TO aud_writer, dsrd_service;
GRANT EXECUTE ON FUNCTION audit.person(text) TO aud_writer, dsrd_service;
GRANT SELECT ON audit.entry, audit.tile, audit.edge, audit.head, audit.checkpoint, audit.cosignature, audit.anchor
  TO aud_reader, auditor, dsrd_service;
GRANT SELECT, DELETE ON audit.inbox TO aud_sealer;
GRANT INSERT (entry) ON audit.inbox TO aud_sealer;
GRANT SELECT, INSERT (seq, entry) ON audit.entry TO aud_sealer;
GRANT SELECT, INSERT ON audit.tile, audit.checkpoint, audit.cosignature, audit.anchor TO aud_sealer;
GRANT SELECT, INSERT, UPDATE ON audit.edge TO aud_sealer;
GRANT SELECT, UPDATE ON audit.head TO aud_sealer;
GRANT EXECUTE ON FUNCTION audit.make_partition_ahead(), audit.person(text) TO aud_sealer;
GRANT USAGE ON SCHEMA audit_private TO aud_writer, dsrd_service, aud_eraser;
GRANT INSERT ON audit_private.subject TO aud_writer, dsrd_service;
GRANT SELECT, DELETE ON audit_private.subject, audit_private.actor TO aud_eraser;

-- What was there comes first, in its order, and an entry that says what it was.
INSERT INTO audit.inbox (entry) SELECT entry FROM carried_over ORDER BY place;
INSERT INTO audit.inbox (entry)
SELECT convert_to(
    '{"action":"log.migrated","actor":"process:migrate","at_us":' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
    || ',"detail":{"entries":' || count(*)
    || ',"sha256":"' || encode(sha256(coalesce(string_agg(sha256('\x00'::bytea || entry), ''::bytea ORDER BY place), ''::bytea)), 'hex')
    || '"},"id":"' || gen_random_uuid() || '","v":1}',
    'UTF8')
FROM carried_over
HAVING count(*) > 0;
