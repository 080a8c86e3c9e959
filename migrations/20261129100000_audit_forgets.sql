-- The log forgets, and says so. What makes an entry personal (audit_private) and old partitions go through the functions
-- of this migration only. Each of them refuses while somebody holds the log, and writes the entry that allows the absence
-- in the transaction that makes it, so that whoever verifies can tell forgetting from tampering.

-- The right of the owner is needed to change what is its own; the end of this migration gives it back.
DO $$
BEGIN
  EXECUTE format('GRANT aud_owner TO %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  -- Somebody else made the role; they must have granted it already.
  NULL;
END
$$;

-- Which identifier a salt belongs to, and what it makes of it. Nothing has written this table before.
ALTER TABLE audit_private.subject
  ADD COLUMN kind text NOT NULL
    CHECK (kind IN ('email', 'phone', 'username', 'external_id', 'external_property_1', 'external_property_2')),
  ADD COLUMN commitment bytea NOT NULL CHECK (octet_length(commitment) = 32);
COMMENT ON COLUMN audit_private.subject.kind IS 'Kind of the identifier; the identifier itself does not stand here.';
COMMENT ON COLUMN audit_private.subject.commitment IS
  'SHA-256 of dsr-audit/subject/v1, a zero byte, the salt and the normalised identifier.';
COMMENT ON COLUMN audit_private.subject.erase_after IS
  'Not to be erased before. It is erased with the evidence of its case, by the settings of upkeep.';

-- A hold on the log: nothing of it is pruned or erased while one is in force. The rows are a summary of the entries
-- log.hold_set and log.hold_lifted.
CREATE TABLE audit.hold (
  hold_id uuid PRIMARY KEY,
  reason text NOT NULL
    CHECK (reason IN ('supervisory_authority', 'court_or_claim', 'internal_investigation', 'security_incident')),
  set_at timestamptz NOT NULL,
  set_by text NOT NULL,
  review_on date,
  until_on date,
  lifted_at timestamptz,
  lifted_by text,
  CONSTRAINT a_hold_ends_or_is_reviewed CHECK (review_on IS NOT NULL OR until_on IS NOT NULL),
  CONSTRAINT who_lifted_is_known CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
);
COMMENT ON TABLE audit.hold IS 'Holds on the log: while one is in force nothing is pruned or erased. Never deleted.';
COMMENT ON COLUMN audit.hold.reason IS 'Why, in a word of the closed list.';
COMMENT ON COLUMN audit.hold.set_by IS 'Who set it, as the log knows them.';
COMMENT ON COLUMN audit.hold.review_on IS 'When somebody is to ask whether it is still needed.';
COMMENT ON COLUMN audit.hold.until_on IS 'The last day (UTC) on which it is in force; empty: until it is lifted.';
COMMENT ON COLUMN audit.hold.lifted_at IS 'When it was lifted; empty as long as it was not.';

-- How wide a partition is at most, in entries: set when the log is made, never changed.
CREATE TABLE audit.layout (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  partition_width bigint NOT NULL CHECK (partition_width > 0 AND partition_width % 256 = 0)
);
COMMENT ON TABLE audit.layout IS 'One row: how the log is cut into partitions.';
COMMENT ON COLUMN audit.layout.partition_width IS 'The most entries of a partition: a whole number of tiles.';
INSERT INTO audit.layout (partition_width) VALUES (4194304);

CREATE FUNCTION audit.guard_hold() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.lifted_at IS NULL AND NEW.lifted_at IS NOT NULL
    AND (NEW.hold_id, NEW.reason, NEW.set_at, NEW.set_by) = (OLD.hold_id, OLD.reason, OLD.set_at, OLD.set_by)
    AND NEW.review_on IS NOT DISTINCT FROM OLD.review_on AND NEW.until_on IS NOT DISTINCT FROM OLD.until_on THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a hold is only lifted, once: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER hold_row_stays BEFORE DELETE ON audit.hold FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER hold_is_only_lifted BEFORE UPDATE ON audit.hold FOR EACH ROW EXECUTE FUNCTION audit.guard_hold();
CREATE TRIGGER hold_stays BEFORE TRUNCATE ON audit.hold FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER layout_row_stays BEFORE UPDATE OR DELETE ON audit.layout FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER layout_stays BEFORE TRUNCATE ON audit.layout FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
ALTER TABLE audit.hold ENABLE ALWAYS TRIGGER hold_row_stays;
ALTER TABLE audit.hold ENABLE ALWAYS TRIGGER hold_is_only_lifted;
ALTER TABLE audit.hold ENABLE ALWAYS TRIGGER hold_stays;
ALTER TABLE audit.layout ENABLE ALWAYS TRIGGER layout_row_stays;
ALTER TABLE audit.layout ENABLE ALWAYS TRIGGER layout_stays;

-- Writes an entry of the log itself, for the functions below; nobody else may call it. is_entry checks what it wrote.
CREATE FUNCTION audit.write_entry(
  action text, actor text, happened_at timestamptz, organisation text, of_case uuid, detail text
) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  made CONSTANT uuid := gen_random_uuid();
  written bigint;
BEGIN
  INSERT INTO audit.inbox (entry) VALUES (convert_to(
    '{"action":' || to_json(action)::text || ',"actor":' || to_json(actor)::text
    || ',"at_us":' || (extract(epoch FROM happened_at) * 1000000)::bigint
    || coalesce(',"case":"' || of_case || '"', '')
    || ',"detail":' || detail
    || ',"id":"' || made || '"'
    || coalesce(',"tenant":' || to_json(organisation)::text, '')
    || ',"v":1}', 'UTF8'))
  RETURNING inbox_id INTO written;
  -- A rule or a trigger that swallows the row must not let the change happen without its entry.
  IF written IS NULL THEN
    RAISE EXCEPTION 'the log did not take the entry %', action USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN made;
END
$$;

-- Whether a hold is in force now, by the clock of the database.
CREATE FUNCTION audit.is_held() RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN EXISTS (
    SELECT FROM audit.hold
    WHERE lifted_at IS NULL AND (until_on IS NULL OR until_on >= (clock_timestamp() AT TIME ZONE 'UTC')::date));
END
$$;

-- Ends the transaction where a hold is in force, and lets none be set before the transaction has ended.
CREATE FUNCTION audit.refuse_while_held() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(7236123, 2);
  IF audit.is_held() THEN
    RAISE EXCEPTION 'a hold on the log is in force: nothing is pruned or erased' USING ERRCODE = 'object_in_use';
  END IF;
END
$$;

CREATE FUNCTION audit.set_hold(
  new_hold uuid, for_reason text, next_review date, last_day date, by_actor text, happened_at timestamptz
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- Waits for whatever is being pruned or erased.
  PERFORM pg_advisory_xact_lock(7236123, 2);
  INSERT INTO audit.hold (hold_id, reason, set_at, set_by, review_on, until_on)
  VALUES (new_hold, for_reason, happened_at, by_actor, next_review, last_day);
  PERFORM audit.write_entry('log.hold_set', by_actor, happened_at, NULL, NULL,
    '{"hold":"' || new_hold || '","reason":' || to_json(for_reason)::text
    || coalesce(',"review_on":"' || to_char(next_review, 'YYYY-MM-DD') || '"', '')
    || coalesce(',"until_on":"' || to_char(last_day, 'YYYY-MM-DD') || '"', '') || '}');
END
$$;

-- Answers whether there was such a hold that had not been lifted.
CREATE FUNCTION audit.lift_hold(of_hold uuid, by_actor text, happened_at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE audit.hold SET lifted_at = happened_at, lifted_by = by_actor WHERE hold_id = of_hold AND lifted_at IS NULL;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM audit.write_entry('log.hold_lifted', by_actor, happened_at, NULL, NULL, '{"hold":"' || of_hold || '"}');
  RETURN true;
END
$$;

-- Erases salts and tags of cases whose erase_after lies before an instant, but never before the clock of the database has
-- reached it; an entry a case says so. Answers with the cases. of_cases NULL: whichever.
CREATE FUNCTION audit.erase_subjects(
  of_organisation text, of_cases uuid[], due_before timestamptz, at_most integer,
  by_rule text, by_actor text, happened_at timestamptz
) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  erased record;
BEGIN
  PERFORM audit.refuse_while_held();
  FOR erased IN
    WITH due AS (
      SELECT DISTINCT subject.case_id
      FROM audit_private.subject
      WHERE subject.organisation_id = of_organisation
        AND subject.erase_after <= least(due_before, clock_timestamp())
        AND (of_cases IS NULL OR subject.case_id = ANY (of_cases))
      ORDER BY subject.case_id
      LIMIT at_most
    ), gone AS (
      DELETE FROM audit_private.subject
      USING due
      WHERE subject.organisation_id = of_organisation AND subject.case_id = due.case_id
      RETURNING subject.case_id
    )
    SELECT gone.case_id, count(*) AS number FROM gone GROUP BY gone.case_id ORDER BY gone.case_id
  LOOP
    PERFORM audit.write_entry('log.redact', by_actor, happened_at, of_organisation, erased.case_id,
      '{"kind":"subject","rows":' || erased.number || ',"rule":' || to_json(by_rule)::text || '}');
    RETURN NEXT erased.case_id;
  END LOOP;
END
$$;

-- Erases the name of a member of staff; their entries keep the random word. Answers with that word, NULL for a name that
-- the log does not know.
CREATE FUNCTION audit.forget_person(login text, by_rule text, by_actor text, happened_at timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  word text;
BEGIN
  PERFORM audit.refuse_while_held();
  DELETE FROM audit_private.actor WHERE name = login RETURNING actor_id INTO word;
  IF word IS NOT NULL THEN
    PERFORM audit.write_entry('log.redact', by_actor, happened_at, NULL, NULL,
      '{"actor":"' || word || '","kind":"actor","rows":1,"rule":' || to_json(by_rule)::text || '}');
  END IF;
  RETURN word;
END
$$;

-- The partitions with their ranges: first entry, and first entry after.
CREATE FUNCTION audit.partitions() RETURNS TABLE (name text, first bigint, beyond bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY
    SELECT part.relname::text,
           (regexp_match(pg_get_expr(part.relpartbound, part.oid), 'FROM \(''(\d+)''\)'))[1]::bigint AS lower,
           (regexp_match(pg_get_expr(part.relpartbound, part.oid), 'TO \(''(\d+)''\)'))[1]::bigint
    FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid
    WHERE inhparent = 'audit.entry'::regclass
    ORDER BY lower;
END
$$;

-- Makes partitions until the next two widths of entries have a place, so that sealing never waits for one; answers whether
-- it made any. Row guards come from the parent, that against TRUNCATE does not.
CREATE OR REPLACE FUNCTION audit.make_partition_ahead() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  width bigint;
  sealed bigint;
  beginning bigint;
  number bigint;
  name text;
  made boolean := false;
BEGIN
  SELECT partition_width INTO width FROM audit.layout;
  SELECT size INTO sealed FROM audit.head;
  SELECT coalesce(max(part.beyond), sealed - sealed % width + 1),
         coalesce(max(substr(part.name, length('entry_') + 1)::bigint) + 1, sealed / width)
  INTO beginning, number
  FROM audit.partitions() AS part;
  WHILE beginning - 1 < sealed + 2 * width LOOP
    name := 'entry_' || lpad(number::text, 6, '0');
    EXECUTE format('CREATE TABLE audit.%I PARTITION OF audit.entry FOR VALUES FROM (%s) TO (%s)',
                   name, beginning, beginning + width);
    EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON audit.%I
                      FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', name || '_stays', name);
    EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER %I', name, name || '_stays');
    beginning := beginning + width;
    number := number + 1;
    made := true;
  END LOOP;
  RETURN made;
END
$$;

-- Closes the partition that is being filled, if its first entry was sealed in an earlier month: a log that grows slowly
-- could not be pruned otherwise. It ends with the next whole tile; the entry that comes after that begins another one.
-- It gives up soon where somebody reads the log: sealing waits for it meanwhile.
CREATE FUNCTION audit.cut_partition() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
  sealed bigint;
  filled record;
  empty record;
  began timestamptz;
  beyond bigint;
  used boolean;
BEGIN
  -- As a sealer: none is at work meanwhile.
  PERFORM pg_advisory_xact_lock(7236123, 1);
  SELECT size INTO sealed FROM audit.head;
  SELECT * INTO filled FROM audit.partitions() AS part WHERE sealed >= part.first AND sealed < part.beyond;
  IF filled IS NULL THEN
    RETURN false;
  END IF;
  SELECT sealed_at INTO began FROM audit.entry WHERE seq = filled.first;
  beyond := (sealed + 255) / 256 * 256 + 1;
  IF date_trunc('month', began AT TIME ZONE 'UTC') >= date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC')
    OR beyond >= filled.beyond THEN
    RETURN false;
  END IF;
  FOR empty IN SELECT * FROM audit.partitions() AS part WHERE part.first >= filled.beyond LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM audit.%I)', empty.name) INTO used;
    IF used THEN
      RAISE EXCEPTION 'the partition % holds entries beyond the head', empty.name USING ERRCODE = 'data_exception';
    END IF;
    EXECUTE format('DROP TABLE audit.%I', empty.name);
  END LOOP;
  EXECUTE format('ALTER TABLE audit.entry DETACH PARTITION audit.%I', filled.name);
  EXECUTE format('ALTER TABLE audit.entry ATTACH PARTITION audit.%I FOR VALUES FROM (%s) TO (%s)',
                 filled.name, filled.first, beyond);
  PERFORM audit.make_partition_ahead();
  RETURN true;
END
$$;

-- Drops the partitions that a sealed entry log.prune allows to go, and answers how many entries that were. It trusts
-- nobody: the entry must be sealed and a checkpoint that covers it be kept, no hold be in force, and nothing be newer than
-- the term, by the instants at which the database sealed it (a writer's own clock would not do). The term is at least 24
-- months whatever the entry says. It gives up soon where somebody reads the log, as above.
CREATE FUNCTION audit.prune(announced uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
  announcement record;
  sealed bigint;
  part record;
  newest timestamptz;
  number bigint;
  dropped bigint := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(7236123, 1);
  PERFORM audit.refuse_while_held();
  SELECT size INTO sealed FROM audit.head;
  SELECT entry.seq, (audit.detail_of(entry.entry) ->> 'last')::bigint AS last,
         (audit.detail_of(entry.entry) ->> 'months')::integer AS months
  INTO announcement
  FROM audit.entry AS entry
  WHERE entry.uid = announced AND entry.action = 'log.prune' AND entry.seq <= sealed;
  IF announcement IS NULL OR announcement.last IS NULL OR announcement.months IS NULL THEN
    RAISE EXCEPTION 'no sealed entry log.prune has this id' USING ERRCODE = 'no_data_found';
  END IF;
  IF NOT EXISTS (SELECT FROM audit.checkpoint WHERE size >= announcement.seq) THEN
    RAISE EXCEPTION 'no kept checkpoint covers the entry log.prune yet' USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  IF announcement.months < 24 OR announcement.last >= announcement.seq THEN
    RAISE EXCEPTION 'the entry log.prune allows less than 24 months, or itself to go' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  FOR part IN SELECT * FROM audit.partitions() AS each WHERE each.beyond <= announcement.last + 1 ORDER BY each.first LOOP
    EXECUTE format('SELECT max(sealed_at), count(*) FROM audit.%I', part.name) INTO newest, number;
    IF newest >= clock_timestamp() - make_interval(months => announcement.months) THEN
      RAISE EXCEPTION 'the partition % holds entries that are newer than the term', part.name
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('DROP TABLE audit.%I', part.name);
    dropped := dropped + number;
  END LOOP;
  RETURN dropped;
END
$$;

-- For verification: whether what the entries refer to is there, without showing any of it.
CREATE VIEW audit.opening AS
  SELECT organisation_id, case_id, count(*) AS identifiers,
         encode(sha256('dsr-audit/subjects/v1'::bytea || '\x00'::bytea || string_agg(commitment, ''::bytea ORDER BY commitment)),
                'hex') AS subject_c
  FROM audit_private.subject
  GROUP BY organisation_id, case_id;
COMMENT ON VIEW audit.opening IS
  'Cases whose commitment (subject_c of request.received) can still be opened, and the commitment that the salts kept make.';
COMMENT ON COLUMN audit.opening.identifiers IS 'How many identifiers the request gave.';

CREATE VIEW audit.known_actor AS SELECT actor_id FROM audit_private.actor;
COMMENT ON VIEW audit.known_actor IS 'The random words of the members of staff whose names are kept.';

CREATE VIEW audit_view.hold AS
  SELECT hold.hold_id, hold.reason, hold.set_at, coalesce('person:' || setter.name, hold.set_by) AS set_by,
         hold.review_on, hold.until_on, hold.lifted_at, coalesce('person:' || lifter.name, hold.lifted_by) AS lifted_by,
         hold.lifted_at IS NULL AND (hold.until_on IS NULL OR hold.until_on >= (clock_timestamp() AT TIME ZONE 'UTC')::date)
           AS in_force
  FROM audit.hold AS hold
  LEFT JOIN audit_private.actor AS setter ON setter.actor_id = hold.set_by
  LEFT JOIN audit_private.actor AS lifter ON lifter.actor_id = hold.lifted_by;
COMMENT ON VIEW audit_view.hold IS 'Holds on the log, in force or not.';

DO $$
DECLARE
  made text;
BEGIN
  FOREACH made IN ARRAY ARRAY['audit.hold', 'audit.layout', 'audit.opening', 'audit.known_actor', 'audit_view.hold'] LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO aud_owner', made);
  END LOOP;
  FOR made IN SELECT oid::regprocedure::text FROM pg_proc
              WHERE pronamespace = 'audit'::regnamespace AND proowner <> 'aud_owner'::regrole LOOP
    EXECUTE format('ALTER FUNCTION %s OWNER TO aud_owner', made);
  END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION
  audit.write_entry(text, text, timestamptz, text, uuid, text), audit.refuse_while_held(),
  audit.set_hold(uuid, text, date, date, text, timestamptz), audit.lift_hold(uuid, text, timestamptz),
  audit.erase_subjects(text, uuid[], timestamptz, integer, text, text, timestamptz),
  audit.forget_person(text, text, text, timestamptz), audit.cut_partition(), audit.prune(uuid), audit.is_held()
  FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
  audit.set_hold(uuid, text, date, date, text, timestamptz), audit.lift_hold(uuid, text, timestamptz),
  audit.erase_subjects(text, uuid[], timestamptz, integer, text, text, timestamptz),
  audit.forget_person(text, text, text, timestamptz), audit.cut_partition(), audit.prune(uuid), audit.is_held()
  TO dsrd_service, aud_eraser;
GRANT USAGE ON SCHEMA audit TO aud_eraser;
-- Erasing without an entry would look like tampering.
REVOKE DELETE ON audit_private.subject, audit_private.actor FROM aud_eraser;
-- "Was this person's request logged?" is asked by the service alone; no auditor sees salts and tags.
GRANT SELECT ON audit_private.subject TO dsrd_service;
GRANT SELECT ON audit.hold, audit.layout, audit.opening, audit.known_actor, audit_view.hold
  TO aud_reader, auditor, dsrd_service;
GRANT SELECT ON audit.layout TO aud_sealer;

DO $$
BEGIN
  EXECUTE format('REVOKE aud_owner FROM %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
