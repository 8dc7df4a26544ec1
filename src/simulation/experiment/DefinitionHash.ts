/**
 * The digest of an experiment's definition: two results with the same one are of the same experiment.
 */
import { createHash } from "node:crypto"
import type { CompleteExperiment } from "../../domain/chaos/experiment/Experiment.ts"
import { canonical } from "../../orchestration/payment/Idempotency.ts"

/** SHA-256 of the definition with its defaults, whatever the order of its keys; name, description and seed left out. */
export const definitionHashOf = (experiment: CompleteExperiment): string =>
  createHash("sha256")
    .update(canonical({ ...experiment, name: undefined, description: undefined, seed: undefined, chaos: { ...experiment.chaos, seed: 0 } }))
    .digest("hex")
