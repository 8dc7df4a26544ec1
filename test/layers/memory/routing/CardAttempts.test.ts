/**
 * Declined attempts of cards in memory: the contract.
 */
import * as CardAttempts from "../../../../src/layers/memory/routing/CardAttempts.ts"
import { suite } from "../../../contracts/CardAttempts.ts"

suite("memory", CardAttempts.layer)
