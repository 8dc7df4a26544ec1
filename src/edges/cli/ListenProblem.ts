/**
 * Ports that cannot be bound, for people.
 */

/** Why a port could not be bound, and what to do. */
export const bindProblem = (cause: unknown, options: { readonly port: number; readonly host: string; readonly choose: string }): string => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""
  const where = `${options.host}:${options.port}`
  switch (code) {
    case "EADDRINUSE":
      return `port ${options.port} on ${options.host} is in use by another program; stop it or choose another port with ${options.choose} (0 takes a free one)`
    case "EACCES":
      return `port ${options.port} may not be bound by this user; choose one above 1023 with ${options.choose}`
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return `${options.host} is not an address of this machine; use 127.0.0.1, or 0.0.0.0 for all addresses`
    default:
      return `cannot listen on ${where}: ${cause instanceof Error ? cause.message : String(cause)}`
  }
}
