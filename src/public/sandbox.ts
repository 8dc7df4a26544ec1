/**
 * The package `aegispay/gateways/sandbox`: the adapter for the sandbox PSP.
 */
export * as SandboxGateway from "../gateways/sandbox/SandboxGateway.ts"
