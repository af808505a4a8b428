/**
 * Where bearer tokens for sinks come from: an API server's TokenRequest, or a local issuer. Keeps what it made and makes it
 * anew in time, so that asking before every request is cheap.
 */
export interface TokenSource {
  /**
   * A token for `audience` that speaks for `subject` (Knative's OIDC: the identity of a Trigger or a source); without one,
   * for Weir itself. Undefined where no token can be had now. Never rejects; whoever waits bounds the time.
   */
  token(audience: string, subject?: string): Promise<string | undefined> | string | undefined
  /** The sink did not take the last one: the next is a new one. */
  refresh(audience: string, subject?: string): void
}
