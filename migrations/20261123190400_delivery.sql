-- Notices to people and the packages handed over.

CREATE TABLE dsrd.notice (
  organisation_id text NOT NULL,
  notice_id uuid NOT NULL,
  request_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('acknowledgement', 'access_ready', 'no_data', 'erasure_done', 'erasure_partly_done', 'opt_out_done', 'withdrawn')),
  sender text NOT NULL CHECK (sender IN ('pump', 'procedure')),
  identifier_no smallint NOT NULL,
  message_id text NOT NULL UNIQUE,
  language text NOT NULL,
  facts jsonb NOT NULL,
  sealed_link bytea,
  state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'refused')),
  attempts integer NOT NULL DEFAULT 0,
  run_at timestamptz NOT NULL DEFAULT now(),
  last_code text,
  intent uuid,
  template text,
  text_sha256 bytea,
  enqueued_at timestamptz NOT NULL,
  attempted_at timestamptz,
  sent_at timestamptz,
  PRIMARY KEY (organisation_id, notice_id),
  UNIQUE (organisation_id, request_id, kind),
  FOREIGN KEY (organisation_id, request_id, identifier_no) REFERENCES dsrd.identifier,
  CONSTRAINT sent_at_an_instant CHECK ((state = 'sent') = (sent_at IS NOT NULL))
);
CREATE INDEX notice_pending ON dsrd.notice (run_at) WHERE state = 'pending';
COMMENT ON TABLE dsrd.notice IS 'The outbox. The address stands in dsrd.identifier; the text is made from a template and plain facts at sending.';
COMMENT ON COLUMN dsrd.notice.sender IS 'pump: sent in the background; procedure: a step of the request sends it and waits for the answer.';
COMMENT ON COLUMN dsrd.notice.message_id IS 'Fixed when the notice is written, so that a repeated sending can be recognised as such.';
COMMENT ON COLUMN dsrd.notice.facts IS 'Placeholders of the template: dates, counts, policy names; no personal data.';
COMMENT ON COLUMN dsrd.notice.sealed_link IS 'The secret of a hand-over link, sealed; emptied once the notice was sent.';
COMMENT ON COLUMN dsrd.notice.last_code IS 'The mail server''s last reply code, or why there was none.';
COMMENT ON COLUMN dsrd.notice.intent IS 'The audit entry that announced the latest attempt, while its end is not recorded.';
COMMENT ON COLUMN dsrd.notice.template IS 'Name and version of the text sent.';
COMMENT ON COLUMN dsrd.notice.text_sha256 IS 'SHA-256 of the text sent.';

CREATE TABLE dsrd.package (
  organisation_id text NOT NULL,
  package_id uuid NOT NULL,
  request_id uuid NOT NULL,
  file_name text NOT NULL CHECK (file_name ~ '^[a-z0-9.-]{1,100}$'),
  sealed_identity bytea,
  token_sha256 bytea UNIQUE CHECK (length(token_sha256) = 32),
  sha256 bytea NOT NULL CHECK (length(sha256) = 32),
  bytes bigint NOT NULL,
  manifest jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  fetched_at timestamptz,
  destroyed_at timestamptz,
  PRIMARY KEY (organisation_id, package_id),
  UNIQUE (organisation_id, request_id),
  FOREIGN KEY (organisation_id, request_id) REFERENCES dsrd.request,
  CONSTRAINT destroyed_with_its_key CHECK ((destroyed_at IS NULL) = (sealed_identity IS NOT NULL))
);
CREATE INDEX package_expiry ON dsrd.package (expires_at) WHERE destroyed_at IS NULL;
COMMENT ON TABLE dsrd.package IS 'Access packages: encrypted files, each with a key of its own that is destroyed at expiry.';
COMMENT ON COLUMN dsrd.package.sealed_identity IS 'The age identity that opens the file, sealed; emptying it destroys the package.';
COMMENT ON COLUMN dsrd.package.token_sha256 IS 'Hash of the secret in the hand-over link; emptied after the package was fetched.';
COMMENT ON COLUMN dsrd.package.manifest IS 'Records per source and other counts.';

GRANT SELECT, INSERT, UPDATE ON dsrd.notice, dsrd.package TO dsrd_service;
