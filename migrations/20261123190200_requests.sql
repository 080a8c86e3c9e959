-- Organisations, the producers' inbox, requests and their identifiers.

CREATE TABLE dsrd.organisation (
  organisation_id text PRIMARY KEY CHECK (organisation_id ~ '^[a-z][a-z0-9-]{0,39}$'),
  platform_organisation_id text NOT NULL UNIQUE,
  registered_at timestamptz NOT NULL
);
COMMENT ON TABLE dsrd.organisation IS 'The controllers that this database serves; written at start from the configuration.';
COMMENT ON COLUMN dsrd.organisation.platform_organisation_id IS 'The contact platform''s id of the same organisation.';

CREATE TABLE dsrd.master_key (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  fingerprint text NOT NULL
);
COMMENT ON TABLE dsrd.master_key IS 'Fingerprint of the key that seals identifiers; a daemon with another key refuses to start.';

-- The producers' door. Everything but the organisation may be missing, so that a bad row reaches the daemon, which
-- parks it with a reason, instead of being lost in a producer's error log. Rows leave within moments: into
-- dsrd.request or, sealed, into dsrd.intake_parked.
CREATE TABLE dsrd.intake (
  intake_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation_id text NOT NULL,
  producer text NOT NULL DEFAULT session_user,
  idempotency_key text,
  kind text,
  received_at timestamptz,
  channel text,
  language text,
  email text,
  phone text,
  username text,
  external_id text,
  external_property_1 text,
  external_property_2 text,
  policies text[],
  inserted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE dsrd.intake IS 'Hand in a data-subject request with one INSERT; see docs/producers.md.';
COMMENT ON COLUMN dsrd.intake.producer IS 'Set by the database: the login role that inserted the row.';
COMMENT ON COLUMN dsrd.intake.idempotency_key IS 'Required. Your own id of the request, without personal data; the same key again is the same request.';
COMMENT ON COLUMN dsrd.intake.kind IS 'Required: access, erasure or opt_out.';
COMMENT ON COLUMN dsrd.intake.received_at IS 'Required: when the request reached the controller. The legal clock starts here.';
COMMENT ON COLUMN dsrd.intake.channel IS 'Required: web, email, letter, phone, in_person or api.';
COMMENT ON COLUMN dsrd.intake.language IS 'Language of the answer, for example de; optional.';
COMMENT ON COLUMN dsrd.intake.policies IS 'For opt_out: the policies to switch off; empty means those of the configuration.';

CREATE FUNCTION dsrd.announce_intake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('dsrd_intake', '');
  RETURN NULL;
END
$$;
CREATE TRIGGER intake_announced AFTER INSERT ON dsrd.intake
  FOR EACH STATEMENT EXECUTE FUNCTION dsrd.announce_intake();

CREATE TABLE dsrd.intake_parked (
  intake_id bigint PRIMARY KEY,
  organisation_id text NOT NULL,
  producer text NOT NULL,
  idempotency_key text,
  reason text NOT NULL CHECK (reason ~ '^[a-z_]{1,40}$'),
  detail text NOT NULL CHECK (length(detail) <= 500),
  sealed bytea NOT NULL,
  parked_at timestamptz NOT NULL
);
COMMENT ON TABLE dsrd.intake_parked IS 'Rows of dsrd.intake that could not become a request, with the reason; the row itself is sealed.';
COMMENT ON COLUMN dsrd.intake_parked.detail IS 'What is wrong, in a sentence that names columns and never repeats a value.';

CREATE TABLE dsrd.request (
  organisation_id text NOT NULL REFERENCES dsrd.organisation,
  request_id uuid NOT NULL,
  reference text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('access', 'erasure', 'opt_out')),
  origin text NOT NULL CHECK (origin IN ('subject', 'retention')),
  channel text NOT NULL CHECK (channel IN ('web', 'email', 'letter', 'phone', 'in_person', 'api', 'retention')),
  language text NOT NULL CHECK (language ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
  policies text[] NOT NULL,
  producer text NOT NULL,
  idempotency_key text NOT NULL,
  received_at timestamptz NOT NULL,
  inserted_at timestamptz NOT NULL,
  due_on date NOT NULL,
  state text NOT NULL CHECK (state IN ('received', 'in_progress', 'manual', 'closed')),
  park_reason text,
  outcome text CHECK (outcome IN ('fulfilled', 'fulfilled_no_data', 'partly_fulfilled', 'withdrawn', 'out_of_scope')),
  procedure_version smallint,
  contact_id text,
  created_before timestamptz,
  executed_at timestamptz,
  verified_at timestamptz,
  informed_at timestamptz,
  closed_at timestamptz,
  PRIMARY KEY (organisation_id, request_id),
  UNIQUE (organisation_id, producer, idempotency_key),
  UNIQUE (organisation_id, reference),
  CONSTRAINT parked_with_a_reason CHECK ((state = 'manual') = (park_reason IS NOT NULL)),
  CONSTRAINT closed_with_an_outcome CHECK ((state = 'closed') = (outcome IS NOT NULL) AND (state = 'closed') = (closed_at IS NOT NULL)),
  CONSTRAINT fulfilled_was_read_back CHECK (outcome IS NULL OR outcome IN ('withdrawn', 'out_of_scope') OR verified_at IS NOT NULL),
  CONSTRAINT closed_was_told CHECK (outcome IS NULL OR outcome = 'withdrawn' OR origin = 'retention' OR informed_at IS NOT NULL),
  CONSTRAINT retention_names_its_contact CHECK (origin = 'subject' OR (contact_id IS NOT NULL AND created_before IS NOT NULL))
);
CREATE INDEX request_open ON dsrd.request (organisation_id, due_on) WHERE state <> 'closed';
COMMENT ON TABLE dsrd.request IS 'One data-subject request: the case. What the machine does with it stands in dsrd.job.';
COMMENT ON COLUMN dsrd.request.received_at IS 'When it reached the controller; the legal clock starts here (R-1).';
COMMENT ON COLUMN dsrd.request.due_on IS 'Conservative due date in the controller''s time zone: one month, not moved to a working day.';
COMMENT ON COLUMN dsrd.request.contact_id IS 'The platform''s id of the one contact that this request may touch.';
COMMENT ON COLUMN dsrd.request.created_before IS 'For a sweep: the contact is out of scope unless it was created before this instant; checked again before the deletion.';
COMMENT ON COLUMN dsrd.request.executed_at IS 'When the effect was accepted (or the package built).';
COMMENT ON COLUMN dsrd.request.verified_at IS 'When reading back proved it.';
COMMENT ON COLUMN dsrd.request.informed_at IS 'When the mail server accepted the outcome notice.';

CREATE TABLE dsrd.identifier (
  organisation_id text NOT NULL,
  request_id uuid NOT NULL,
  identifier_no smallint NOT NULL,
  role text NOT NULL CHECK (role IN ('given', 'found', 'contact_point')),
  kind text NOT NULL CHECK (kind IN ('email', 'phone', 'username', 'external_id', 'external_property_1', 'external_property_2')),
  sealed bytea NOT NULL,
  subject_ref bytea NOT NULL CHECK (length(subject_ref) = 16),
  PRIMARY KEY (organisation_id, request_id, identifier_no),
  FOREIGN KEY (organisation_id, request_id) REFERENCES dsrd.request
);
CREATE INDEX identifier_subject ON dsrd.identifier (organisation_id, subject_ref);
COMMENT ON TABLE dsrd.identifier IS 'The only table with identifiers of people, each encrypted for its row.';
COMMENT ON COLUMN dsrd.identifier.role IS 'given: in the request; found: in the contact''s profile; contact_point: where answers go.';
COMMENT ON COLUMN dsrd.identifier.subject_ref IS 'Keyed pseudonym of the normalised identifier: links requests of one person without naming them.';

CREATE VIEW dsrd.receipt WITH (security_barrier) AS
  SELECT organisation_id, idempotency_key, 'accepted' AS status, request_id, reference, state, due_on, NULL::text AS detail
  FROM dsrd.request
  WHERE producer = session_user
  UNION ALL
  SELECT organisation_id, idempotency_key, 'parked', NULL, NULL, NULL, NULL, detail
  FROM dsrd.intake_parked
  WHERE producer = session_user;
COMMENT ON VIEW dsrd.receipt IS 'What became of the rows that the present login role inserted.';

GRANT INSERT (organisation_id, idempotency_key, kind, received_at, channel, language, email, phone, username,
              external_id, external_property_1, external_property_2, policies) ON dsrd.intake TO dsrd_producer;
GRANT SELECT ON dsrd.receipt TO dsrd_producer;
GRANT SELECT, INSERT, UPDATE ON dsrd.organisation, dsrd.request TO dsrd_service;
GRANT SELECT, INSERT, DELETE ON dsrd.intake, dsrd.identifier TO dsrd_service;
-- FOR UPDATE SKIP LOCKED needs the right to update something.
GRANT UPDATE (language) ON dsrd.intake TO dsrd_service;
GRANT SELECT, INSERT ON dsrd.intake_parked, dsrd.master_key TO dsrd_service;
