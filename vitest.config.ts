/**
 * Tests: one command runs all of them, those with real servers (`*.integration.test.ts`) included.
 *
 * Unit tests do not sleep: their time is TestClock's, so their limit is short. Integration tests start servers and processes.
 */
import { defineConfig } from "vitest/config"

/**
 * Starting and stopping a Postgres server takes about half a second, a crash test several of them; the rest is room for a busy machine, which
 * costs nothing where no test hangs.
 */
const integrationTimeoutMillis = 180_000
const unitTimeoutMillis = 60_000

/** Everything here is loopback and two cores: more workers only make each of them slower. */
const maxWorkers = 2

const shared = { environment: "node", maxWorkers, sequence: { hooks: "stack" } } as const

export default defineConfig({
  test: {
    ...shared,
    projects: [
      {
        test: {
          ...shared,
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/**/*.integration.test.ts"],
          testTimeout: unitTimeoutMillis,
          hookTimeout: unitTimeoutMillis
        }
      },
      {
        test: {
          ...shared,
          name: "integration",
          include: ["test/**/*.integration.test.ts"],
          globalSetup: ["test/support/globalSetup.ts"],
          testTimeout: integrationTimeoutMillis,
          hookTimeout: integrationTimeoutMillis
        }
      }
    ]
  }
})
