/**
 * The store of circuit breakers in memory passes the contract.
 */
import * as BreakerStore from "../../../../src/layers/memory/resilience/BreakerStore.ts"
import { suite } from "../../../contracts/BreakerStore.ts"

suite("memory", BreakerStore.layer)
