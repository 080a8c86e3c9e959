-- One person stands in the log by several names: anna, and anna.as.dsrd where she worked under another account. Whoever has her
-- name erased means all of them, and does not know under which accounts she ever worked.

DO $$
BEGIN
  EXECUTE format('GRANT aud_owner TO %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  -- Somebody else made the role; they must have granted it already.
  NULL;
END
$$;

-- The names by which the log knows a login, under whatever account. Erasing each is audit.forget_person.
CREATE FUNCTION audit.names_of(login text) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT actor.name FROM audit_private.actor WHERE split_part(actor.name, '.as.', 1) = login ORDER BY actor.name
$$;

ALTER FUNCTION audit.names_of(text) OWNER TO aud_owner;
REVOKE EXECUTE ON FUNCTION audit.names_of(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.names_of(text) TO aud_eraser, dsrd_service;

DO $$
BEGIN
  EXECUTE format('REVOKE aud_owner FROM %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
