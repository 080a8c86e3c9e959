-- The log and the working tables, each with the number of the last moment at which both were seen together. The two numbers
-- are raised in one transaction, so that they are equal unless somebody put one half back without the other.

DO $$
BEGIN
  EXECUTE format('GRANT aud_owner TO %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;

CREATE TABLE audit.half (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  number bigint NOT NULL CHECK (number >= 0),
  at timestamptz NOT NULL
);
COMMENT ON TABLE audit.half IS
  'How far the log and the working tables have come together; equal to dsrd.half unless one of them was restored alone.';
COMMENT ON COLUMN audit.half.number IS 'Raised in the same transaction as that of dsrd.half, while entries are written.';
COMMENT ON COLUMN audit.half.at IS 'When it was raised, by the database''s clock.';
INSERT INTO audit.half (number, at) VALUES (0, clock_timestamp());

CREATE TABLE dsrd.half (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  number bigint NOT NULL CHECK (number >= 0),
  at timestamptz NOT NULL
);
COMMENT ON TABLE dsrd.half IS
  'How far the working tables and the log have come together; equal to audit.half unless one of them was restored alone.';
COMMENT ON COLUMN dsrd.half.number IS 'Raised in the same transaction as that of audit.half, while entries are written.';
COMMENT ON COLUMN dsrd.half.at IS 'When it was raised, by the database''s clock.';
INSERT INTO dsrd.half (number, at) VALUES (0, clock_timestamp());

ALTER TABLE audit.half OWNER TO aud_owner;
GRANT SELECT, UPDATE (number, at) ON audit.half, dsrd.half TO dsrd_service;
GRANT SELECT ON audit.half TO aud_reader, auditor;

DO $$
BEGIN
  EXECUTE format('REVOKE aud_owner FROM %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
