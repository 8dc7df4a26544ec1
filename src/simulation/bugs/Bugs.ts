/**
 * Bugs to plant, to show that the simulation finds them. Each one breaks a rule at a boundary of the engine (its stores, its gateways,
 * the host's transaction); the engine itself has no switch for any of them.
 */
import type { Bug } from "./Bug.ts"
import * as Delivery from "./DeliveryBugs.ts"
import * as Gateways from "./GatewayBugs.ts"
import * as Groups from "./GroupBugs.ts"
import * as History from "./HistoryBugs.ts"
import * as Upkeep from "./UpkeepBugs.ts"

/** Every bug that can be planted. */
export const all: ReadonlyArray<Bug> = [
  History.noIntent,
  Gateways.failoverAfterUnknown,
  Gateways.timeoutAsDeclined,
  Gateways.conflictAsDeclined,
  Gateways.hiddenRetry,
  Gateways.newKeyOnRetry,
  Gateways.absentAsFailed,
  History.noSettleTime,
  Gateways.openObjectIgnored,
  History.noVersionCheck,
  History.ownCommitAsConflict,
  History.unstoredOutcome,
  History.resendWithoutPermission,
  History.refundWithoutClaim,
  Groups.lostGroupAsFailed,
  Groups.conflictToldToAll,
  Groups.neighboursDropped,
  Groups.settledBeforeCommit,
  Groups.answersMixedUp,
  Delivery.acknowledgedBeforeDelivery,
  Delivery.outboxOutsideTransaction,
  Delivery.seenBeforeProcessed,
  Delivery.callInTransaction,
  Upkeep.expiredWithoutOutcome,
  Upkeep.openRowAsDeclined,
  Upkeep.staleLeaseHolder
]
