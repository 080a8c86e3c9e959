-- Whether the salts of a sweep's items were forgotten with an entry is told by whoever verifies, who sees how many are kept and
-- none of them.

DO $$
BEGIN
  EXECUTE format('GRANT aud_owner TO %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  -- Somebody else made the role; they must have granted it already.
  NULL;
END
$$;

CREATE VIEW audit.opening_item AS
  SELECT manifest.uid, octet_length(manifest.commitments) / 32 AS items, coalesce(item.kept, 0) AS kept
  FROM audit.manifest
  LEFT JOIN (SELECT uid, count(*) AS kept FROM audit_private.manifest_item GROUP BY uid) AS item ON item.uid = manifest.uid;
COMMENT ON VIEW audit.opening_item IS 'Of how many items of a page of a sweep the salt is kept, so that they can still be opened.';
COMMENT ON COLUMN audit.opening_item.uid IS 'Id of the entry sweep.page.';
COMMENT ON COLUMN audit.opening_item.items IS 'How many items the page has, by the commitments beside it.';
COMMENT ON COLUMN audit.opening_item.kept IS
  'How many of them have their salt. What is missing of all pages is as many as the entries log.redact of the kind sweep_item say.';

ALTER VIEW audit.opening_item OWNER TO aud_owner;
GRANT SELECT ON audit.opening_item TO aud_reader, auditor, dsrd_service;

DO $$
BEGIN
  EXECUTE format('REVOKE aud_owner FROM %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
