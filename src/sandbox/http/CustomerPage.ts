/**
 * The page on which the customer finishes (or fails) 3-D Secure. Pure.
 *
 * It needs no API key: it is the customer's browser that comes here. The page holds nothing that a caller wrote.
 */
import type { Charge } from "../psp/PspState.ts"

/** The page of a charge, with a form for each of the two actions. */
export const html = (account: string, charge: Charge): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sandbox authentication</title></head>
<body><h1>Sandbox authentication</h1>
<p>Charge ${charge.id}: ${charge.amount} minor units of ${charge.currency}, ${charge.status}.</p>
<form method="post" action="/${account}/customer/${charge.id}/complete"><button>Complete</button></form>
<form method="post" action="/${account}/customer/${charge.id}/fail"><button>Fail</button></form>
</body></html>
`

/** Where a browser goes after the action: the charge's return URL, when there is one and the caller takes HTML. */
export const returnTo = (charge: Charge | undefined, accept: string | undefined): string | undefined =>
  charge?.returnUrl !== undefined && (accept ?? "").includes("text/html") ? charge.returnUrl : undefined
