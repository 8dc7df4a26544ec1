/**
 * Prints `N passed, N failed, N skipped` from a report of vitest's JSON reporter: `node scripts/count.mjs report.json`.
 *
 * A test file that could not be loaded has no tests of its own; it counts as one failure. So does a report that is not there, because
 * then nothing is known to have passed. Runs on Node 20 without dependencies.
 */
import { readFileSync } from "node:fs"

const [path] = process.argv.slice(2)
const { passed, failed, skipped } = count(read(path))
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`)
process.exit(failed === 0 ? 0 : 1)

function read(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"))
  } catch {
    return undefined
  }
}

function count(report) {
  if (report === undefined) return { passed: 0, failed: 1, skipped: 0 }
  const unloadable = report.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.every((test) => test.status !== "failed")
  )
  const failures = report.numFailedTests + unloadable.length
  return {
    passed: report.numPassedTests,
    // An error outside every test fails the run without failing a test.
    failed: failures === 0 && !report.success ? 1 : failures,
    skipped: report.numPendingTests + report.numTodoTests
  }
}
