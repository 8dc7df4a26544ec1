/**
 * The package `aegispay/gateways/sandbox`: the adapter for the sandbox PSP, and the HTTP client that adapters need: it writes no first byte
 * after the permission to send.
 */
export * as GatewayHttpClient from "../layers/node/GatewayHttpClient.ts"
export * as SandboxGateway from "../gateways/sandbox/SandboxGateway.ts"
