-- Codes beside links (R-18): eight digits for where nobody can click. Nothing of a code is stored: it follows from the
-- digest of the link's secret and from the master key, which no database holds.
ALTER TABLE dsrd.proof_link
  ADD COLUMN wrong_codes smallint NOT NULL DEFAULT 0 CHECK (wrong_codes BETWEEN 0 AND 5);
COMMENT ON COLUMN dsrd.proof_link.wrong_codes IS 'Wrong codes typed for its request while it worked; with the fifth its code is of no use any more, its link is.';

ALTER TABLE dsrd.identity_proof DROP CONSTRAINT identity_proof_method_check;
ALTER TABLE dsrd.identity_proof ADD CONSTRAINT identity_proof_method_check CHECK (
  method IN ('link', 'code', 'in_person', 'account', 'contact_point', 'agent_authority')) NOT VALID;
ALTER TABLE dsrd.identity_proof VALIDATE CONSTRAINT identity_proof_method_check;
