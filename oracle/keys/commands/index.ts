import { Command } from "commander";
import { clusterCommand } from "./cluster.js";
import { drillCommand } from "./drill.js";
import { generateCommand } from "./generate.js";
import { publishCommand } from "./publish.js";
import { splitCommand } from "./split.js";
import { importDkgCommand, verifyCommand } from "./verify.js";

/** `pooleth keys`: each command in a file of its own, whose work is imported when it runs. */
export function keysCommand(): Command {
  return new Command("keys")
    .description("the key ceremony: validator keys and their KeyShares")
    .addCommand(clusterCommand())
    .addCommand(generateCommand())
    .addCommand(splitCommand())
    .addCommand(importDkgCommand())
    .addCommand(verifyCommand())
    .addCommand(publishCommand())
    .addCommand(drillCommand());
}
