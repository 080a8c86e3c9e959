-- Group roles, shared by all databases of a cluster. None can log in by itself: grant them to login roles.
--
-- dsrd_service   the daemon; every pooled connection runs `SET ROLE dsrd_service`
-- dsrd_producer  programs that hand in requests; may INSERT into dsrd.intake and read their own receipts
-- auditor        reads the schema audit_view and nothing else
-- dsrd_audit     owns the audit log; nobody logs in as this role and no member of the service can act as it
--
-- The role that runs the migrations needs CREATEROLE (or the four roles created beforehand).

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['dsrd_service', 'dsrd_producer', 'auditor', 'dsrd_audit'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', name);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        -- Another database of the same cluster is being migrated at the same moment.
        NULL;
      END;
    END IF;
    -- Needed to hand objects over to the role. From PostgreSQL 16 on, having made a role is not enough for that.
    BEGIN
      EXECUTE format('GRANT %I TO %I', name, current_user);
    EXCEPTION WHEN insufficient_privilege THEN
      -- Somebody else made the role; they must have granted it already.
      NULL;
    END;
  END LOOP;
END
$$;

CREATE SCHEMA dsrd;
CREATE SCHEMA audit;
CREATE SCHEMA audit_view;

GRANT USAGE ON SCHEMA dsrd TO dsrd_service, dsrd_producer;
GRANT USAGE ON SCHEMA audit TO dsrd_service;
GRANT USAGE ON SCHEMA audit_view TO auditor, dsrd_service;
GRANT USAGE, CREATE ON SCHEMA audit TO dsrd_audit;
GRANT USAGE, CREATE ON SCHEMA audit_view TO dsrd_audit;

COMMENT ON SCHEMA dsrd IS 'Requests and the work on them. Clear identifiers stand encrypted in dsrd.identifier only.';
COMMENT ON SCHEMA audit IS 'The audit log: append-only, numbered 1..n by the sealer, without identifiers.';
COMMENT ON SCHEMA audit_view IS 'What auditors read: documented views, safe to query with any SQL tool.';
