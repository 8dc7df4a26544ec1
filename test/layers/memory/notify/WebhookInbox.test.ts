/**
 * The inbox of webhooks in memory passes the contract.
 */
import * as WebhookInbox from "../../../../src/layers/memory/notify/WebhookInbox.ts"
import * as WebhookInboxContract from "../../../contracts/WebhookInbox.ts"

WebhookInboxContract.suite("memory", WebhookInbox.layer)
WebhookInboxContract.boundSuite("memory", WebhookInbox.layerWith({ waitingAtMost: 3 }))
