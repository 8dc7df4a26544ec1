/**
 * Metrics of gateways in memory: the contract.
 */
import * as GatewayMetrics from "../../../src/layers/memory/GatewayMetrics.ts"
import { suite } from "../../contracts/GatewayMetrics.ts"

suite("memory", GatewayMetrics.layer)
