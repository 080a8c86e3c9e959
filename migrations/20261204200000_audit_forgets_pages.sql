-- The salts of a sweep's items are forgotten as everything of audit_private is (migration audit_forgets): with an entry of the
-- log in the same transaction, not before the term can have begun, and never while somebody holds the log.

DO $$
BEGIN
  EXECUTE format('GRANT aud_owner TO %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  -- Somebody else made the role; they must have granted it already.
  NULL;
END
$$;

-- It wrote no entry, asked nothing of a case, and let a hold be set between its look and its erasing.
DROP FUNCTION audit.forget_manifest_items(uuid[]);

-- Forgets the salts of cases whose contact is forgotten; answers how many there were, and one entry says so. A term is counted
-- from the end of the case, so the log must tell of that. An item whose page is older than a year, or stands in the log no
-- more, goes without: its case ended, and the entry that told of it was pruned or lost with an older copy. Others stay.
CREATE FUNCTION audit.forget_manifest_items(
  of_organisation text, of_cases uuid[], by_rule text, by_actor text, happened_at timestamptz
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  forgotten bigint;
BEGIN
  PERFORM audit.refuse_while_held();
  WITH ended AS (
    SELECT case_id FROM audit.entry
    WHERE organisation_id = of_organisation AND case_id = ANY (of_cases) AND action = 'request.closed'
    UNION
    SELECT case_id FROM audit.pending
    WHERE organisation_id = of_organisation AND case_id = ANY (of_cases) AND action = 'request.closed'
  ), gone AS (
    DELETE FROM audit_private.manifest_item AS item
    WHERE item.case_id = ANY (of_cases)
      AND (item.case_id IN (SELECT ended.case_id FROM ended)
        OR NOT EXISTS (SELECT FROM audit.entry AS page
                       WHERE page.uid = item.uid AND page.sealed_at > clock_timestamp() - interval '12 months')
          AND NOT EXISTS (SELECT FROM audit.pending AS page WHERE page.uid = item.uid))
    RETURNING 1
  )
  SELECT count(*) INTO forgotten FROM gone;
  IF forgotten > 0 THEN
    PERFORM audit.write_entry('log.redact', by_actor, happened_at, of_organisation, NULL,
      '{"kind":"sweep_item","rows":' || forgotten || ',"rule":' || to_json(by_rule)::text || '}');
  END IF;
  RETURN forgotten;
END
$$;

ALTER FUNCTION audit.forget_manifest_items(text, uuid[], text, text, timestamptz) OWNER TO aud_owner;
REVOKE EXECUTE ON FUNCTION audit.forget_manifest_items(text, uuid[], text, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.forget_manifest_items(text, uuid[], text, text, timestamptz) TO aud_eraser, dsrd_service;

DO $$
BEGIN
  EXECUTE format('REVOKE aud_owner FROM %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
