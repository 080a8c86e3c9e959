-- What a state of a request and an action of a recipient's task can be, where auditors read it: every word of it.

DO $$
BEGIN
  EXECUTE format('GRANT aud_owner TO %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  -- Somebody else made the role; they must have granted it already.
  NULL;
END
$$;

COMMENT ON COLUMN audit_view.request.state IS 'Received, in_progress, needs_identity (waits for a proof of who asks), needs_clarification (waits for the person''s answer to a question), manual (waits for a person of the staff) or closed.';
COMMENT ON COLUMN audit_view.recipient_task.action IS 'Erase, rectify, restrict, release: a restriction has ended, opt_out: use for marketing no more, or ccpa_opt_out: neither sell nor share any more.';

DO $$
BEGIN
  EXECUTE format('REVOKE aud_owner FROM %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
