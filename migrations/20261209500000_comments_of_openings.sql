-- What audit.opening shows is made of the commitments that are kept, not of the salts beside them, and is held against entries of two
-- kinds: its comment said otherwise, and two of its columns had none.

DO $$
BEGIN
  EXECUTE format('GRANT aud_owner TO %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  -- Somebody else made the role; they must have granted it already.
  NULL;
END
$$;

COMMENT ON VIEW audit.opening IS
  'Cases of which salts are kept, with the commitment that the commitments kept beside those salts make together.';
COMMENT ON COLUMN audit.opening.organisation_id IS 'For which organisation.';
COMMENT ON COLUMN audit.opening.case_id IS 'The request; joins with the entries of the log.';
COMMENT ON COLUMN audit.opening.identifiers IS
  'How many identifiers the request gave; for an erasure by a retention sweep, how many the profile held.';
COMMENT ON COLUMN audit.opening.subject_c IS
  'Hexadecimal; must be subject_c of the entry request.received of the case, or of its contact.located where nobody gave an identifier.';

DO $$
BEGIN
  EXECUTE format('REVOKE aud_owner FROM %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
