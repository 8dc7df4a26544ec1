/**
 * Loaded into every child (`node --import`): a child ends when the program that started it is gone, however that ended.
 */
process.channel?.unref()
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"))
process.channel?.unref()
