/**
 * Makes a directory, with those above it.
 *
 * Gotcha: not `mkdir` with `recursive`. Where a file system answers ENOENT to making anything, as /proc does, Node's does not end (24.21).
 */
import * as Fs from "node:fs/promises"
import * as Path from "node:path"

/** Makes what is missing of a path, each with this mode. Rejects with what the system answered, at the first directory that cannot be made. */
export const makeDirectory = async (path: string, mode: number): Promise<void> => {
  try {
    await Fs.mkdir(path, { mode })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const above = Path.dirname(path)
    if (await isDirectory(path)) return
    if (code !== "ENOENT" || (await isDirectory(above))) throw error
    await makeDirectory(above, mode)
    await Fs.mkdir(path, { mode }).catch(async (again: unknown) => {
      // Another process may have made it meanwhile.
      if (!(await isDirectory(path))) throw again
    })
  }
}

const isDirectory = (path: string): Promise<boolean> =>
  Fs.stat(path).then(
    (stat) => stat.isDirectory(),
    () => false
  )
