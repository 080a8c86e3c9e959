-- R-80: one organisation can be taken out (Art. 28(3)(g) GDPR). Which tables hold its rows is read from the catalogue, so that a
-- later table is not forgotten. Both functions have no more rights than whoever calls them.

CREATE FUNCTION dsrd.count_rows(of_organisation text) RETURNS TABLE (place text, row_count bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  FOR place IN
    SELECT format('%I.%I', namespace.nspname, class.relname)
    FROM pg_class AS class
    JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
    JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
    WHERE class.relkind IN ('r', 'p') AND NOT class.relispartition
      AND namespace.nspname IN ('dsrd', 'audit_private')
      AND attribute.attname = 'organisation_id' AND NOT attribute.attisdropped
    ORDER BY 1
  LOOP
    EXECUTE format('SELECT count(*) FROM %s WHERE organisation_id = $1', place) INTO row_count USING of_organisation;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION dsrd.count_rows(text) IS 'How many rows of an organisation each table holds. The entries of the log are not counted: they name nobody, and stay.';

-- Deletes up to at_most rows of an organisation from one table and answers how many; none while other rows refer to them. What
-- waits for somebody is never deleted here: requests go with their evidence by upkeep, and rows of producers by a person.
CREATE FUNCTION dsrd.remove_rows(of_organisation text, of_place text, at_most integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  gone bigint;
BEGIN
  -- Nobody hands in a request of it meanwhile.
  PERFORM FROM dsrd.organisation WHERE organisation_id = of_organisation FOR UPDATE;
  IF EXISTS (SELECT FROM dsrd.request WHERE organisation_id = of_organisation)
     OR EXISTS (SELECT FROM dsrd.hold WHERE organisation_id = of_organisation AND ended_at IS NULL)
     OR EXISTS (SELECT FROM dsrd.postponed_erasure WHERE organisation_id = of_organisation AND resumed_at IS NULL) THEN
    RAISE EXCEPTION 'an organisation with requests or holds is not removed' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF of_place NOT IN (SELECT place FROM dsrd.count_rows(of_organisation))
     OR of_place IN ('dsrd.intake', 'dsrd.intake_parked', 'dsrd.request', 'audit_private.subject') THEN
    RETURN 0;
  END IF;
  EXECUTE format(
    'WITH batch AS MATERIALIZED (SELECT ctid FROM %1$s WHERE organisation_id = $1 LIMIT $2)
     DELETE FROM %1$s WHERE organisation_id = $1 AND ctid IN (SELECT ctid FROM batch)', of_place) USING of_organisation, at_most;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN gone;
EXCEPTION WHEN foreign_key_violation THEN
  RETURN 0;
END
$$;
COMMENT ON FUNCTION dsrd.remove_rows(text, text, integer) IS 'Deletes rows of an organisation that has no requests and no holds from one table (Art. 28(3)(g) GDPR).';

REVOKE EXECUTE ON FUNCTION dsrd.count_rows(text), dsrd.remove_rows(text, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dsrd.count_rows(text), dsrd.remove_rows(text, text, integer) TO dsrd_service;
-- They hold no request and no person, and an organisation with either stays by its foreign keys.
GRANT DELETE ON dsrd.organisation, dsrd.figures_watch, dsrd.rate_budget, dsrd.schedule, dsrd.sweep_finding, dsrd.follow_up
  TO dsrd_service;
