-- What a request is stays what it is (S-13): nothing that anybody writes, hands in again or retries makes an erasure out of an
-- access request, moves the day of receipt, or gives it to another organisation. What else is asked is a request of its own.

CREATE FUNCTION dsrd.keep_what_was_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'kind, origin, receipt and name of a request are never changed; what else is asked is a request of its own'
    USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER request_stays_what_it_is BEFORE UPDATE ON dsrd.request
  FOR EACH ROW
  WHEN ((OLD.organisation_id, OLD.request_id, OLD.reference, OLD.kind, OLD.origin, OLD.received_at, OLD.producer,
         OLD.idempotency_key)
        IS DISTINCT FROM
        (NEW.organisation_id, NEW.request_id, NEW.reference, NEW.kind, NEW.origin, NEW.received_at, NEW.producer,
         NEW.idempotency_key))
  EXECUTE FUNCTION dsrd.keep_what_was_asked();
