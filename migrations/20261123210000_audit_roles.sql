-- Roles of the transparency log, shared by all databases of a cluster. None can log in by itself.
--
-- aud_owner   owns the log; only migrations act as it, and give it back at their end
-- aud_writer  may append an entry and see the number of its own row, nothing else
-- aud_sealer  moves entries from the inbox to the log and signs; the daemon's login takes it on for that alone
-- aud_reader  reads the log with its tree, for verification; the role `auditor` has the same rights
-- aud_eraser  may delete what makes entries personal (schema audit_private), nothing else
--
-- As in the first migration: whoever migrates makes them, or finds them made and was granted aud_owner and aud_sealer.

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['aud_owner', 'aud_writer', 'aud_sealer', 'aud_reader', 'aud_eraser'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', name);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        -- Another database of the same cluster is being migrated at the same moment.
        NULL;
      END;
    END IF;
  END LOOP;
END
$$;

-- The daemons' logins are members of dsrd_service; they go on sealing, now as a role of its own.
DO $$
DECLARE
  login name;
BEGIN
  FOR login IN
    SELECT member.rolname
    FROM pg_auth_members AS membership
    JOIN pg_roles AS member ON member.oid = membership.member
    JOIN pg_roles AS granted ON granted.oid = membership.roleid
    WHERE granted.rolname = 'dsrd_service' AND (member.rolcanlogin OR member.rolname = current_user)
  LOOP
    BEGIN
      EXECUTE format('GRANT aud_sealer TO %I', login);
    EXCEPTION WHEN insufficient_privilege THEN
      -- Somebody else made the roles; they must have granted it already.
      NULL;
    END;
  END LOOP;
END
$$;
