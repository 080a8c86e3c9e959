-- Whoever verifies the log compares its definition with the one that their program was shipped with. Whether the database is of
-- the same release stands in the list of migrations: versions, names, checksums, and when each was applied.

DO $$
BEGIN
  -- Migrations that were applied in another way have no such list.
  IF to_regclass('public._sqlx_migrations') IS NOT NULL THEN
    GRANT SELECT ON public._sqlx_migrations TO aud_reader, auditor, dsrd_service;
  END IF;
EXCEPTION WHEN insufficient_privilege THEN
  -- Somebody else made the list; without the right to see it, differences in the definition are left undecided.
  NULL;
END
$$;
