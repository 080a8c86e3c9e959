-- A log that was restored from an older copy goes on under another name: what was published outside under the former name
-- stays true of the former log. The head may take such a name, only together with at least one new entry (the first of
-- them is `log.restored`).

DO $$
BEGIN
  EXECUTE format('GRANT aud_owner TO %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  -- Somebody else made the role; they must have granted it already.
  NULL;
END
$$;

CREATE OR REPLACE FUNCTION audit.guard_head() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF current_user <> 'aud_sealer' OR NEW.size < OLD.size OR (NEW.size = OLD.size AND NEW.root <> OLD.root)
    OR (NEW.origin <> OLD.origin AND OLD.note IS NOT NULL AND NOT (
      NEW.size > OLD.size
      AND NEW.origin ~ '/restored-[0-9]{14}$'
      AND regexp_replace(NEW.origin, '/restored-[0-9]{14}$', '') = regexp_replace(OLD.origin, '/restored-[0-9]{14}$', '')
    )) THEN
    RAISE EXCEPTION 'audit.head only moves forward: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;

DO $$
BEGIN
  EXECUTE format('REVOKE aud_owner FROM %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
