-- The erasures that a retention sweep submits are one entry a page, `sweep.page`, with the root of a Merkle tree over salted
-- commitments of the page's items (src/audit/manifest). The commitments stand beside the log for ever; a salt stands until
-- its contact is forgotten, and without it a commitment is a random number.

DO $$
BEGIN
  EXECUTE format('GRANT aud_owner TO %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  -- Somebody else made the role; they must have granted it already.
  NULL;
END
$$;

CREATE TABLE audit.manifest (
  uid uuid PRIMARY KEY,
  commitments bytea NOT NULL CHECK (octet_length(commitments) > 0 AND octet_length(commitments) % 32 = 0)
);
ALTER TABLE audit.manifest ALTER COLUMN commitments SET STORAGE EXTERNAL;
COMMENT ON TABLE audit.manifest IS 'The salted commitments over whose tree an entry sweep.page has its root. Never changed.';
COMMENT ON COLUMN audit.manifest.uid IS 'Id of the entry.';
COMMENT ON COLUMN audit.manifest.commitments IS '32 bytes an item, in the order of the page.';

CREATE TABLE audit_private.manifest_item (
  uid uuid NOT NULL REFERENCES audit.manifest,
  idx integer NOT NULL CHECK (idx >= 0),
  case_id uuid NOT NULL UNIQUE,
  salt bytea NOT NULL CHECK (octet_length(salt) = 32),
  PRIMARY KEY (uid, idx)
);
COMMENT ON TABLE audit_private.manifest_item IS
  'What is needed, beside the id of the contact, to show that a case stands on a page of a sweep. Erasable.';
COMMENT ON COLUMN audit_private.manifest_item.idx IS 'Place on the page, from 0.';

CREATE TRIGGER manifest_rows_stay BEFORE UPDATE OR DELETE ON audit.manifest
  FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER manifest_stays BEFORE TRUNCATE ON audit.manifest
  FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
ALTER TABLE audit.manifest ENABLE ALWAYS TRIGGER manifest_rows_stay;
ALTER TABLE audit.manifest ENABLE ALWAYS TRIGGER manifest_stays;

-- Forgets the salts of cases whose contact is forgotten; answers how many there were. While somebody holds the log they stay;
-- they go with their case at the latest.
CREATE FUNCTION audit.forget_manifest_items(cases uuid[]) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH forgotten AS (DELETE FROM audit_private.manifest_item
                     WHERE case_id = ANY (cases) AND NOT audit.is_held() RETURNING 1)
  SELECT count(*) FROM forgotten
$$;

ALTER TABLE audit.manifest OWNER TO aud_owner;
ALTER TABLE audit_private.manifest_item OWNER TO aud_owner;
ALTER FUNCTION audit.forget_manifest_items(uuid[]) OWNER TO aud_owner;
REVOKE EXECUTE ON FUNCTION audit.forget_manifest_items(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.forget_manifest_items(uuid[]) TO aud_eraser, dsrd_service;
GRANT INSERT ON audit.manifest TO aud_writer, dsrd_service;
GRANT SELECT ON audit.manifest TO aud_reader, auditor, dsrd_service;
GRANT INSERT ON audit_private.manifest_item TO aud_writer, dsrd_service;
GRANT SELECT ON audit_private.manifest_item TO dsrd_service;

DO $$
BEGIN
  EXECUTE format('REVOKE aud_owner FROM %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
