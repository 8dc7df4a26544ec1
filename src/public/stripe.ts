/**
 * The package `aegispay/gateways/stripe`: the adapter for Stripe, and the HTTP client that adapters need: it writes no first byte after the
 * permission to send.
 */
export * as GatewayHttpClient from "../layers/node/GatewayHttpClient.ts"
export * as StripeGateway from "../gateways/stripe/StripeGateway.ts"
