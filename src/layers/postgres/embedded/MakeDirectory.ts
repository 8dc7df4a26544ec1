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
    if (await isDirectory(path)) return
    const above = Path.dirname(path)
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || above === path) throw error
    await makeDirectory(above, mode)
    // That the one above is there by now says nothing: others may have made it, or this one, at any moment.
    await Fs.mkdir(path, { mode }).catch(async (again: unknown) => {
      if (!(await isDirectory(path))) throw again
    })
  }
}

const isDirectory = (path: string): Promise<boolean> =>
  Fs.stat(path).then(
    (stat) => stat.isDirectory(),
    () => false
  )
